"""How the market's sources are tested by `necto doctor`: price lists of clouds, token prices, the payment rail.

A cloud's live list is asked for its first answer only: whole, some have hundreds of megabytes. Lists in files are read
and judged as a refresh would.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from necto_pipelines.failures import NectoError, Unavailable
from necto_pipelines.fetching import Fetcher
from necto_pipelines.market.clouds import aws, azure, gcp
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.oracles.port import PriceSource, age_fault
from necto_pipelines.market.registry import (
    cloud_addresses,
    gcp_key,
    open_cloud_sources,
    open_rail,
    price_addresses,
    price_sources,
)
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.reaching import Asking, Heard
from necto_pipelines.settings import Settings, variable

CLOUDS: Final = "clouds"
PRICES: Final = "prices"
RAIL: Final = "rail"
OLD: Final = timedelta(days=365)
"""list prices are cut by a third and more within a few years"""
FIRST_ANSWERS: Final = {
    "aws": (aws.INDEX_PATH, {}),
    "azure": (azure.PATH, azure.QUERY),
    "gcp": (gcp.PATH, {"pageSize": "1"}),
}
PYTH_KEY: Final = variable("pyth_api_key")


def checks(settings: Settings, clock: Clock) -> Iterator[Check]:
    """A check for each cloud, each source of token prices, and the rail. Nothing is called yet."""
    yield from (_cloud(source, settings, clock) for source in open_cloud_sources(settings, clock))
    yield from _token_prices(settings, clock)
    yield Check("rail", RAIL, settings.rail_mode, partial(_rail, settings, clock), settings.given("rail_mode"))


def _cloud(source: CloudSource, settings: Settings, clock: Clock) -> Check:
    name, mode = source.name, source.mode.value
    if source.mode is SourceMode.SNAPSHOT:
        known = f"{name}_mode" in type(settings).model_fields
        given = settings.given(f"{name}_mode") if known else settings.given("skypilot_catalogs", "skypilot_as_of")
        return Check(name, CLOUDS, mode, partial(_list, source, clock), given)
    given = settings.given(f"{name}_mode", f"{name}_prices_url", *(("gcp_api_key",) if name == "gcp" else ()))
    if name == "gcp" and mode == "live" and not settings.gcp_api_key:
        key = variable("gcp_api_key")
        says = f"its mode is live, and Google answers nobody without a key; not set: {key}"
        lacking = Finding(Verdict.FAILED, says, "make an API key in a Google Cloud project with the Cloud Billing API")
        return Check(name, CLOUDS, mode, lambda: lacking, given, (key,))
    return Check(name, CLOUDS, mode, partial(_first_answer, name, settings, clock), given)


def _list(source: CloudSource, clock: Clock) -> Finding:
    """A list that is read from a file."""
    try:
        found = source.prices()
    except NectoError as failure:
        return Finding(Verdict.FAILED, str(failure), "see docs/how-to/skypilot-catalogs.md")
    if not found.rows:
        return Finding(Verdict.FAILED, f"not one price; {_aside(found.quarantined)}", "is it the right file?")
    first, last = (pick(row.as_of for row in found.rows) for pick in (min, max))
    says = f"{len(found.rows)} prices of {first if first == last else f'{first} to {last}'}"
    says += f"; {_aside(found.quarantined)}" if found.quarantined else ""
    if last < (clock.now().date() - OLD).isoformat():  # as text: some figures are dated by their year only
        return Finding(Verdict.WARNING, f"{says}; over a year old", "bring a newer list")
    return Finding(Verdict.OK, says)


def _aside(quarantined: tuple[tuple[str, str], ...]) -> str:
    return f"{len(quarantined)} set aside: why stands in the metadata of the asset cloud_prices"


def _first_answer(cloud: str, settings: Settings, clock: Clock) -> Finding:
    """The first answer of a cloud's price list."""
    asking = Asking(clock, settings.request_timeout_s, live=_mode(cloud, settings) == "live")
    url, (path, query) = cloud_addresses(settings)[cloud], FIRST_ANSWERS[cloud]
    key = gcp_key(settings) if cloud == "gcp" else None
    headers = {"x-goog-api-key": key.get_secret_value()} if key else {}

    def read() -> Heard:
        with Fetcher(url, clock=clock, headers=headers, timeout_s=asking.timeout_s, attempts=1) as fetcher:
            return Heard(f"its price list answers ({len(fetcher.get(path, query).body):,} bytes)")

    return asking.finding(url, read, signs_in=key is not None)


def _mode(cloud: str, settings: Settings) -> str:
    return {"aws": settings.aws_mode, "azure": settings.azure_mode, "gcp": settings.gcp_mode}[cloud]


def _token_prices(settings: Settings, clock: Clock) -> Iterator[Check]:
    at = price_addresses(settings)
    named = {
        "CoinGecko": ("coingecko", at.coingecko, ("coingecko_api_url", "coingecko_api_key")),
        "Coinbase Exchange": ("coinbase-exchange", at.coinbase_exchange, ("coinbase_api_url",)),
        "Coinbase spot": ("coinbase-spot", at.coinbase_spot, ("coinbase_api_url",)),
        "Akash oracle": ("akash-oracle", at.akash_chain[0], ("akash_chain_urls",)),
        "Pyth": ("pyth", at.pyth, ("pyth_api_url", "pyth_api_key")),
    }
    for source in price_sources(settings, clock):
        name, url, fields = named.pop(source.name)
        given = settings.given("prices_mode", *fields)
        yield Check(name, PRICES, source.mode.value, partial(_token_price, source, url, settings, clock), given)
    for name, _, fields in named.values():
        given = settings.given("prices_mode", *fields)
        yield Check(name, PRICES, settings.prices_mode, _without_key, given, (PYTH_KEY,))


def _without_key() -> Finding:
    says = "left out: it answers nobody without a key. USDC then has one publisher, and payments in USDC wait"
    return Finding(Verdict.NOT_CONFIGURED, says, f"set {PYTH_KEY}")


def _token_price(source: PriceSource, url: str, settings: Settings, clock: Clock) -> Finding:
    """One price, read as payments would; one that would not count is a warning."""
    asking = Asking(clock, settings.request_timeout_s, live=source.mode is SourceMode.LIVE)

    def read() -> Heard:
        listing = source.prices(("AKT",))
        if not listing.rows:
            raise Unavailable("; ".join(why for _, why in listing.quarantined))
        price = listing.rows[0]
        old = age_fault(price, now=clock.now(), max_age_s=settings.token_price_max_age_s)
        return Heard(
            f"AKT at {plain(price.usd)} USD", price.reason or old, "a price that does not count pays nothing: wait"
        )

    return asking.finding(url, read, signs_in=source.name == "Pyth")


def _rail(settings: Settings, clock: Clock) -> Finding:
    asking = Asking(clock, settings.request_timeout_s, live=False)

    def read() -> Heard:
        open_rail(settings, clock).find("necto-doctor")
        return Heard("simulated: no real money moves")

    return asking.finding(settings.sandbox_url, read)
