"""Which networks exist: one line each. What a network does belongs to its folder."""

from typing import Final

from pydantic import SecretStr

from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.akash.adapter import LIVE_URL as AKASH_LIVE_URL
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.port import Network
from necto_pipelines.settings import Settings

SANDBOX_API_KEY: Final = SecretStr("ac.sk.sandbox." + "0" * 64)
"""opens nothing but the sandbox's own account"""


def open_networks(settings: Settings, clock: Clock) -> dict[str, Network]:
    """The networks that are set up, by name; nothing is called yet."""
    return {"akash": _akash(settings, clock)}


def _akash(settings: Settings, clock: Clock) -> AkashNetwork:
    sandbox = settings.akash_mode == "sandbox"
    return AkashNetwork(
        base_url=settings.akash_api_url or (f"{settings.sandbox_url}/akash" if sandbox else AKASH_LIVE_URL),
        api_key=settings.akash_api_key or (SANDBOX_API_KEY if sandbox else None),
        mode=SourceMode(settings.akash_mode),
        clock=clock,
        timeout_s=settings.request_timeout_s,
    )
