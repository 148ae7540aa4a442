"""Which cloud and token price sources and which rail the settings ask for: one place to add another."""

from typing import Final

from pydantic import SecretStr

from necto_pipelines.market.clouds import aws, azure, gcp
from necto_pipelines.market.clouds.aws import AwsPrices
from necto_pipelines.market.clouds.azure import AzurePrices
from necto_pipelines.market.clouds.gcp import GcpPrices
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.clouds.reference import ReferencePrices
from necto_pipelines.market.oracles import akash_chain, coinbase, coingecko, pyth
from necto_pipelines.market.oracles.akash_chain import AkashChain
from necto_pipelines.market.oracles.coinbase import CoinbaseExchange, CoinbaseSpot
from necto_pipelines.market.oracles.coingecko import CoinGecko
from necto_pipelines.market.oracles.consensus import Consensus
from necto_pipelines.market.oracles.port import PriceOracle, PriceSource
from necto_pipelines.market.oracles.pyth import Pyth
from necto_pipelines.market.oracles.voting import Rules
from necto_pipelines.market.rails import Rail, SandboxRail
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

SOURCE_TIMEOUT_S: Final = 10.0
"""a source that takes longer is done without: prices age while the others wait for it"""
SANDBOX_PYTH_KEY: Final = SecretStr("sandbox")
"""opens nothing: the sandbox takes any key, but wants one, as Hermes does"""
SANDBOX_GCP_KEY: Final = SecretStr("sandbox")
"""the same for Google's billing catalogue"""


def open_oracle(settings: Settings, clock: Clock) -> PriceOracle:
    """The consensus over the sources of `price_sources`, held to the settings' limits.

    Two publishers must agree before anything is paid (`MIN_PUBLISHERS`); no setting lowers that. In live mode CoinGecko
    and Coinbase need no key and are always asked, so AKT has its two without Pyth. USDC has them only with a Pyth key:
    without one, live payments in USDC wait and say so.
    """
    rules = Rules(settings.token_price_max_age_s, settings.token_price_max_deviation_bps)
    return Consensus(price_sources(settings, clock), clock, rules)


def price_sources(settings: Settings, clock: Clock) -> list[PriceSource]:
    """The token price sources that are set up; nothing is called yet. Keys go to live sources only."""
    return _live_sources(settings, clock) if settings.prices_mode == "live" else _sandbox_sources(settings, clock)


def _live_sources(settings: Settings, clock: Clock) -> list[PriceSource]:
    mode, timeout_s = SourceMode.LIVE, _timeout_s(settings)
    sources: list[PriceSource] = [
        CoinGecko(settings.coingecko_api_url or coingecko.LIVE_URL, settings.coingecko_api_key, mode, clock, timeout_s),
        CoinbaseExchange(settings.coinbase_api_url or coinbase.EXCHANGE_URL, mode, clock, timeout_s),
        CoinbaseSpot(settings.coinbase_api_url or coinbase.SPOT_URL, mode, clock, timeout_s),
        AkashChain(settings.akash_chain_urls or akash_chain.LIVE_URLS, mode, clock, timeout_s),
    ]
    if settings.pyth_api_key:
        sources.append(Pyth(settings.pyth_api_url or pyth.LIVE_URL, settings.pyth_api_key, mode, clock, timeout_s))
    return sources


def _sandbox_sources(settings: Settings, clock: Clock) -> list[PriceSource]:
    mode, timeout_s, url = SourceMode.SANDBOX, _timeout_s(settings), settings.sandbox_url
    return [
        CoinGecko(settings.coingecko_api_url or f"{url}/coingecko", None, mode, clock, timeout_s),
        CoinbaseExchange(settings.coinbase_api_url or f"{url}/coinbase-exchange", mode, clock, timeout_s),
        CoinbaseSpot(settings.coinbase_api_url or f"{url}/coinbase", mode, clock, timeout_s),
        # The chain's hosts are the network's setting: a live network may be paid for with simulated prices.
        AkashChain([f"{url}/akash-lcd"], mode, clock, timeout_s),
        Pyth(settings.pyth_api_url or f"{url}/pyth", SANDBOX_PYTH_KEY, mode, clock, timeout_s),
    ]


def _timeout_s(settings: Settings) -> float:
    return min(settings.request_timeout_s, SOURCE_TIMEOUT_S)


def open_cloud_sources(settings: Settings, clock: Clock) -> list[CloudSource]:
    """Where each cloud's prices come from: its own price list, the sandbox speaking that format, or the dated table
    that ships with Necto (mode `snapshot`, the default, which needs no network). Nothing is called yet."""
    return [_aws(settings, clock), _azure(settings, clock), _gcp(settings, clock)]


def _aws(settings: Settings, clock: Clock) -> CloudSource:
    if settings.aws_mode == "snapshot":
        return ReferencePrices("aws")
    live = settings.aws_mode == "live"
    url = settings.aws_prices_url or (aws.LIVE_URL if live else _sandbox_cloud(settings, "aws"))
    return AwsPrices(url, SourceMode(settings.aws_mode), clock, settings.request_timeout_s)


def _azure(settings: Settings, clock: Clock) -> CloudSource:
    if settings.azure_mode == "snapshot":
        return ReferencePrices("azure")
    live = settings.azure_mode == "live"
    url = settings.azure_prices_url or (azure.LIVE_URL if live else _sandbox_cloud(settings, "azure"))
    return AzurePrices(url, SourceMode(settings.azure_mode), clock, settings.request_timeout_s)


def _gcp(settings: Settings, clock: Clock) -> CloudSource:
    """The key goes to the live source only."""
    if settings.gcp_mode == "snapshot":
        return ReferencePrices("gcp")
    live = settings.gcp_mode == "live"
    url = settings.gcp_prices_url or (gcp.LIVE_URL if live else _sandbox_cloud(settings, "gcp"))
    key = settings.gcp_api_key if live else SANDBOX_GCP_KEY
    return GcpPrices(url, key, SourceMode(settings.gcp_mode), clock, settings.request_timeout_s)


def _sandbox_cloud(settings: Settings, cloud: str) -> str:
    return f"{settings.sandbox_url}/clouds/{cloud}"


def open_rail(settings: Settings, clock: Clock) -> Rail:
    """The payment rail: simulated, the only one there is (`rail_mode`)."""
    return SandboxRail(settings.sandbox_url, clock, settings.request_timeout_s)
