"""Opens Akash as the settings say: which addresses are asked, with which key, and which second opinions are taken."""

from typing import Final

from pydantic import SecretStr

from necto_pipelines.fetching import DEFAULT_BUDGET, AnswerFolder, Budget
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.akash.account import AkashAccount
from necto_pipelines.networks.akash.adapter import LIVE_URL, AkashNetwork
from necto_pipelines.networks.akash.chain import LIVE_URLS, ChainReader
from necto_pipelines.networks.akash.probe import TIMEOUT_S as PROBE_TIMEOUT_S
from necto_pipelines.networks.akash.probe import ProviderProbe
from necto_pipelines.settings import Settings

SANDBOX_API_KEY: Final = SecretStr("ac.sk.sandbox." + "0" * 64)
"""opens nothing but the sandbox's own account"""
CONSOLE_BUDGET: Final = Budget(at_once=4, requests=30, per_s=10)
"""the Console API states no limit of its own; one at its edge is spoken of (akash-network/console issue 1759)"""
CHAIN_BUDGET: Final = Budget(at_once=4, requests=40, per_s=10)
"""of each host: the strictest known, akash-api.polkachu.com, takes about 300 a minute (2026-07-17)"""
CHAIN_TIMEOUT_S: Final = 10.0
"""a host that takes longer is left for the next"""


def open_akash(settings: Settings, clock: Clock) -> AkashNetwork:
    """The network; nothing is called yet."""
    # Simulated providers have no hosts of their own: the sandbox answers for all of them.
    gateways = f"{settings.sandbox_url}/akash-provider" if settings.akash_mode == "sandbox" else None
    return AkashNetwork(
        base_url=console_url(settings),
        api_key=_key(settings),
        mode=SourceMode(settings.akash_mode),
        clock=clock,
        timeout_s=settings.request_timeout_s,
        chain=open_akash_chain(settings, clock),
        probe=ProviderProbe(clock=clock, gateways=gateways, timeout_s=min(PROBE_TIMEOUT_S, settings.request_timeout_s)),
        budget=_budget(settings, CONSOLE_BUDGET),
        store=AnswerFolder(settings.home / "http-cache"),
    )


def open_akash_account(settings: Settings, clock: Clock) -> AkashAccount:
    """The account that orders are paid from: balances, tokens, funding, usage and bid screening."""
    return AkashAccount(
        base_url=console_url(settings),
        api_key=_key(settings),
        clock=clock,
        timeout_s=settings.request_timeout_s,
        budget=_budget(settings, CONSOLE_BUDGET),
    )


def open_akash_chain(settings: Settings, clock: Clock) -> ChainReader:
    """The chain at its configured hosts, else at the sandbox's or the public ones."""
    timeout_s = min(CHAIN_TIMEOUT_S, settings.request_timeout_s)
    budget = _budget(settings, CHAIN_BUDGET)
    return ChainReader(chain_urls(settings), clock=clock, timeout_s=timeout_s, budget=budget)


def chain_urls(settings: Settings) -> tuple[str, ...]:
    """The hosts of the chain, in the order in which they are asked."""
    own = (f"{settings.sandbox_url}/akash-lcd",) if settings.akash_mode == "sandbox" else LIVE_URLS
    return settings.akash_chain_urls or own


def console_url(settings: Settings) -> str:
    """Where the Console API is asked."""
    own = f"{settings.sandbox_url}/akash" if settings.akash_mode == "sandbox" else LIVE_URL
    return settings.akash_api_url or own


def _budget(settings: Settings, live: Budget) -> Budget:
    return DEFAULT_BUDGET if settings.akash_mode == "sandbox" else live


def _key(settings: Settings) -> SecretStr | None:
    return settings.akash_api_key or (SANDBOX_API_KEY if settings.akash_mode == "sandbox" else None)
