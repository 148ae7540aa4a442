"""How Akash is tested by `necto doctor`: the Console API, our account there, each host of the chain, the providers.

Everything here reads. The account is tested by its balance, which is the cheapest call that needs the key.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from necto_pipelines.failures import Unavailable
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.akash.catalog import NETWORK
from necto_pipelines.networks.akash.chain import ChainReader
from necto_pipelines.networks.akash.opening import chain_urls, console_url, open_akash, open_akash_account
from necto_pipelines.networks.akash.probe import NO_ANSWER
from necto_pipelines.reaching import Asking, Heard
from necto_pipelines.settings import Settings, variable

KEY: Final = "akash_api_key"


def checks(settings: Settings, clock: Clock, kind: str) -> Iterator[Check]:
    """Akash's checks, in the order in which Necto depends on them."""
    mode, at = settings.akash_mode, settings.given("akash_mode", "akash_api_url")
    asking = Asking(clock, settings.request_timeout_s, live=mode == "live")
    needed = mode == "live" and not settings.akash_api_key
    yield Check("akash:console", kind, mode, partial(_console, settings, asking), at)
    yield Check(
        "akash:account",
        kind,
        mode,
        _without_key if needed else partial(_account, settings, asking),
        at + settings.given(KEY),
        (variable(KEY),) if needed else (),
    )
    hosts = settings.given("akash_mode", "akash_chain_urls")
    for url in chain_urls(settings):
        yield Check(f"akash:chain:{urlsplit(url).hostname}", kind, mode, partial(_host, url, asking), hosts)
    yield Check("akash:providers", kind, mode, partial(_providers, settings, asking), at)


def _console(settings: Settings, asking: Asking) -> Finding:
    url = console_url(settings)
    mode = SourceMode(settings.akash_mode)
    network = AkashNetwork(base_url=url, api_key=None, mode=mode, clock=asking.clock, timeout_s=asking.timeout_s)
    return asking.finding(f"{url}/v1/gpu-prices", lambda: Heard(f"{len(network.offers().rows)} offers listed"))


def _without_key() -> Finding:
    return Finding(
        Verdict.NOT_CONFIGURED,
        "offers and prices are read without a key; orders cannot be placed",
        f"set {variable(KEY)} to an API key of the Akash Console",
    )


def _account(settings: Settings, asking: Asking) -> Finding:
    account = open_akash_account(settings, asking.clock)

    def read() -> Heard:
        found = account.balances()
        funds = f"{plain(found.free_usd)} USD free, {plain(found.in_deployments_usd)} USD in deployments"
        return Heard(funds, "" if found.free_usd > 0 else "nothing can be placed", "put money into the account")

    try:
        return asking.finding(f"{console_url(settings)}/v1/balances", read, signs_in=True)
    finally:
        account.close_connections()


def _host(url: str, asking: Asking) -> Finding:
    chain = ChainReader((url,), clock=asking.clock, timeout_s=asking.timeout_s, attempts=1)

    def read() -> Heard:
        found = chain.mint_status()
        halted = "" if found.mints_allowed else "the chain does not mint ACT now: nothing new can be funded"
        return Heard(f"collateral ratio {found.collateral_ratio:.2f}", halted, "wait; see the chain's circuit breaker")

    try:
        return asking.finding(url, read)
    finally:
        chain.close_connections()


def _providers(settings: Settings, asking: Asking) -> Finding:
    def read() -> Heard:
        # Answers that may be asked about again are kept below the home, which a test leaves as it is.
        with tempfile.TemporaryDirectory() as elsewhere:
            found = open_akash(settings.model_copy(update={"home": Path(elsewhere)}), asking.clock).offers()
        if none := [why for who, why in found.quarantined if who == NETWORK]:
            raise Unavailable(none[0])
        silent = sum(NO_ANSWER in why for _, why in found.quarantined)
        return Heard(
            f"{len({offer.provider for offer in found.rows})} providers answer themselves",
            f"{silent} listed with free GPUs do not, and are left out" if silent else "",
            "nothing to do: they come back by themselves",
        )

    return asking.finding(f"{console_url(settings)}/v1/providers", read)
