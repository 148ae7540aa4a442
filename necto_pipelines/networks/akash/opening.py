"""Opens Akash as the settings say: which addresses are asked, with which key, and which second opinions are taken."""

from typing import Final

from pydantic import SecretStr

from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.akash.account import AkashAccount
from necto_pipelines.networks.akash.adapter import LIVE_URL, AkashNetwork
from necto_pipelines.networks.akash.chain import LIVE_URLS, ChainReader
from necto_pipelines.networks.akash.probe import ProviderProbe
from necto_pipelines.settings import Settings

SANDBOX_API_KEY: Final = SecretStr("ac.sk.sandbox." + "0" * 64)
"""opens nothing but the sandbox's own account"""


def open_akash(settings: Settings, clock: Clock) -> AkashNetwork:
    """The network; nothing is called yet."""
    # Simulated providers have no hosts of their own: the sandbox answers for all of them.
    gateways = f"{settings.sandbox_url}/akash-provider" if settings.akash_mode == "sandbox" else None
    return AkashNetwork(
        base_url=_url(settings),
        api_key=_key(settings),
        mode=SourceMode(settings.akash_mode),
        clock=clock,
        timeout_s=settings.request_timeout_s,
        chain=open_akash_chain(settings, clock),
        probe=ProviderProbe(clock=clock, gateways=gateways),
    )


def open_akash_account(settings: Settings, clock: Clock) -> AkashAccount:
    """The account that orders are paid from: balances, tokens, funding, usage and bid screening."""
    return AkashAccount(
        base_url=_url(settings), api_key=_key(settings), clock=clock, timeout_s=settings.request_timeout_s
    )


def open_akash_chain(settings: Settings, clock: Clock) -> ChainReader:
    """The chain at its configured hosts, else at the sandbox's or the public ones."""
    own = (f"{settings.sandbox_url}/akash-lcd",) if settings.akash_mode == "sandbox" else LIVE_URLS
    return ChainReader(settings.akash_chain_urls or own, clock=clock)


def _url(settings: Settings) -> str:
    own = f"{settings.sandbox_url}/akash" if settings.akash_mode == "sandbox" else LIVE_URL
    return settings.akash_api_url or own


def _key(settings: Settings) -> SecretStr | None:
    return settings.akash_api_key or (SANDBOX_API_KEY if settings.akash_mode == "sandbox" else None)
