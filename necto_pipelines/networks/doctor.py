"""Every network's checks for `necto doctor`. Networks that come with checks of their own are named here; any other one
of the registry, and those of NECTO_EXTRA_NETWORKS, are tested through the port alone: do they give offers?"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from necto_pipelines.failures import NectoError
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.networks.aethir import doctor as aethir
from necto_pipelines.networks.akash import doctor as akash
from necto_pipelines.networks.port import Network
from necto_pipelines.networks.registry import open_networks
from necto_pipelines.networks.render import doctor as render
from necto_pipelines.settings import Settings, variable

KIND: Final = "networks"
WITH_CHECKS: Final = frozenset({"akash", "render", "aethir"})
EXTRA: Final = variable("extra_networks")


def checks(settings: Settings, clock: Clock) -> Iterator[Check]:
    """A check for each thing that can fail by itself. Nothing is called yet."""
    yield from akash.checks(settings, clock, KIND)
    yield from render.checks(settings, clock, KIND)
    yield from aethir.checks(settings, clock, KIND)
    ours = open_networks(settings.model_copy(update={"extra_networks": ()}), clock)
    for name, network in ours.items():
        if name not in WITH_CHECKS:
            given = settings.given(*(field for field in type(settings).model_fields if field.startswith(f"{name}_")))
            yield Check(name, KIND, network.mode.value, partial(_port, network), given)
    for place in settings.extra_networks:
        yield _extra(place, settings, clock)


def _extra(place: str, settings: Settings, clock: Clock) -> Check:
    """One that cannot be opened fails by itself, and takes no other check with it."""
    try:
        *_, network = open_networks(settings.model_copy(update={"extra_networks": (place,)}), clock).values()
    except NectoError as failure:
        finding = Finding(Verdict.FAILED, str(failure))
        return Check(place, KIND, "unknown", lambda: finding, (EXTRA,))
    return Check(network.name, KIND, network.mode.value, partial(_port, network), (EXTRA,))


def _port(network: Network) -> Finding:
    begun = time.monotonic()
    try:
        found = network.offers()
    except NectoError as failure:
        return Finding(Verdict.FAILED, str(failure), reachable=None)
    latency_ms = (time.monotonic() - begun) * 1000
    says = f"{len(found.rows)} offers" + (f", {len(found.quarantined)} set aside" if found.quarantined else "")
    doubt = "" if found.rows else "; nothing is on offer"
    return Finding(Verdict.WARNING if doubt else Verdict.OK, f"{says}{doubt}", reachable=True, latency_ms=latency_ms)
