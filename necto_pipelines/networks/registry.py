"""Which networks exist: one line each. How a network is opened, and what it does, belongs to its folder."""

from importlib import import_module
from typing import cast

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.aethir.opening import open_aethir
from necto_pipelines.networks.akash.opening import open_akash
from necto_pipelines.networks.port import Network
from necto_pipelines.networks.render.opening import open_dispersed
from necto_pipelines.settings import Settings


def open_networks(settings: Settings, clock: Clock) -> dict[str, Network]:
    """The networks that are set up, by name; nothing is called yet.

    After ours come those of NECTO_EXTRA_NETWORKS. InvalidInput when one cannot be imported or has a name twice.
    """
    networks: dict[str, Network] = {
        "akash": open_akash(settings, clock),
        "render": open_dispersed(settings, clock),
        "aethir": open_aethir(settings, clock),
    }
    for place in settings.extra_networks:
        network = _open_extra(place, settings, clock)
        if network.name in networks:
            raise InvalidInput([Problem("NECTO_EXTRA_NETWORKS", place, f"there is a network {network.name!r} already")])
        networks[network.name] = network
    return networks


def _open_extra(place: str, settings: Settings, clock: Clock) -> Network:
    module, _, function = place.partition(":")
    try:
        return cast(Network, getattr(import_module(module), function)(settings, clock))
    except (ImportError, AttributeError, ValueError) as error:
        allowed = f"name an importable `module:function` that takes (settings, clock); {error}"
        raise InvalidInput([Problem("NECTO_EXTRA_NETWORKS", place, allowed)]) from error
