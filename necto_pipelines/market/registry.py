"""Which cloud and token price sources and which rail the settings ask for: one place to add another."""

from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from necto_pipelines.fetching import DEFAULT_BUDGET, AnswerFolder, AnswerStore, Budget
from necto_pipelines.market.clouds import aws, azure, gcp
from necto_pipelines.market.clouds.aws import AwsPrices
from necto_pipelines.market.clouds.azure import AzurePrices
from necto_pipelines.market.clouds.gcp import GcpPrices
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.clouds.reference import ReferencePrices
from necto_pipelines.market.clouds.skypilot_folder import open_skypilot_catalogs
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
COINGECKO_BUDGET: Final = Budget(at_once=1, requests=5, per_s=60, pause_s=60, patience_s=SOURCE_TIMEOUT_S)
"""the free plan takes 5 to 15 a minute in practice (2026-07-17)"""
PYTH_BUDGET: Final = Budget(at_once=2, requests=5, per_s=10, pause_s=60, patience_s=SOURCE_TIMEOUT_S)
"""ten in ten seconds from one address bring 429 for a minute: half of them leaves room for another process"""
COINBASE_BUDGET: Final = Budget(at_once=3, requests=10, per_s=10, patience_s=SOURCE_TIMEOUT_S)
"""no limit is known: modest"""
CHAIN_BUDGET: Final = Budget(at_once=4, requests=40, per_s=10, patience_s=SOURCE_TIMEOUT_S)
"""of each host: the strictest known, akash-api.polkachu.com, takes about 300 a minute (2026-07-17)"""
AWS_BUDGET: Final = Budget(at_once=4)
"""plain files; each is large"""
AZURE_BUDGET: Final = Budget(at_once=2, requests=20, per_s=10, pause_s=5)
"""answers 429 now and then, at no published limit"""
GCP_BUDGET: Final = Budget(at_once=2, requests=20, per_s=10)
"""no limit is known: modest"""
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


@dataclass(frozen=True)
class PriceAddresses:
    """Where each source of token prices is asked."""

    coingecko: str
    coinbase_exchange: str
    coinbase_spot: str
    akash_chain: tuple[str, ...]
    pyth: str


def price_addresses(settings: Settings) -> PriceAddresses:
    """The addresses that are set, else the sandbox's or the sources' own."""
    if settings.prices_mode == "live":
        own = PriceAddresses(
            coingecko.LIVE_URL, coinbase.EXCHANGE_URL, coinbase.SPOT_URL, akash_chain.LIVE_URLS, pyth.LIVE_URL
        )
        chain = settings.akash_chain_urls or own.akash_chain
    else:
        url = settings.sandbox_url
        own = PriceAddresses(
            f"{url}/coingecko", f"{url}/coinbase-exchange", f"{url}/coinbase", (f"{url}/akash-lcd",), f"{url}/pyth"
        )
        # The chain's hosts are the network's setting: a live network may be paid for with simulated prices.
        chain = own.akash_chain
    return PriceAddresses(
        settings.coingecko_api_url or own.coingecko,
        settings.coinbase_api_url or own.coinbase_exchange,
        settings.coinbase_api_url or own.coinbase_spot,
        chain,
        settings.pyth_api_url or own.pyth,
    )


def _live_sources(settings: Settings, clock: Clock) -> list[PriceSource]:
    mode, timeout_s, at = SourceMode.LIVE, _timeout_s(settings), price_addresses(settings)
    sources: list[PriceSource] = [
        CoinGecko(at.coingecko, settings.coingecko_api_key, mode, clock, timeout_s, budget=COINGECKO_BUDGET),
        CoinbaseExchange(at.coinbase_exchange, mode, clock, timeout_s, budget=COINBASE_BUDGET),
        CoinbaseSpot(at.coinbase_spot, mode, clock, timeout_s, budget=COINBASE_BUDGET),
        AkashChain(at.akash_chain, mode, clock, timeout_s, budget=CHAIN_BUDGET),
    ]
    if settings.pyth_api_key:
        sources.append(Pyth(at.pyth, settings.pyth_api_key, mode, clock, timeout_s, budget=PYTH_BUDGET))
    return sources


def _sandbox_sources(settings: Settings, clock: Clock) -> list[PriceSource]:
    mode, timeout_s, at = SourceMode.SANDBOX, _timeout_s(settings), price_addresses(settings)
    return [
        CoinGecko(at.coingecko, None, mode, clock, timeout_s),
        CoinbaseExchange(at.coinbase_exchange, mode, clock, timeout_s),
        CoinbaseSpot(at.coinbase_spot, mode, clock, timeout_s),
        AkashChain(at.akash_chain, mode, clock, timeout_s),
        Pyth(at.pyth, SANDBOX_PYTH_KEY, mode, clock, timeout_s),
    ]


def _timeout_s(settings: Settings) -> float:
    return min(settings.request_timeout_s, SOURCE_TIMEOUT_S)


def open_cloud_sources(settings: Settings, clock: Clock) -> list[CloudSource]:
    """Where each cloud's prices come from: its own price list, the sandbox speaking that format, or the dated table
    that ships with Necto (mode `snapshot`, the default, which needs no network); then the catalogues of a folder, if
    one is set. Nothing is called yet."""
    folder = settings.skypilot_catalogs
    catalogs = open_skypilot_catalogs(folder.expanduser(), settings.skypilot_as_of, clock) if folder else []
    return [_aws(settings, clock), _azure(settings, clock), _gcp(settings, clock), *catalogs]


def cloud_addresses(settings: Settings) -> dict[str, str]:
    """Where the clouds' own price lists, or the sandbox's, are asked; a cloud of the dated table has no address."""
    chosen = {
        "aws": (settings.aws_mode, settings.aws_prices_url, aws.LIVE_URL),
        "azure": (settings.azure_mode, settings.azure_prices_url, azure.LIVE_URL),
        "gcp": (settings.gcp_mode, settings.gcp_prices_url, gcp.LIVE_URL),
    }
    return {
        cloud: given or (live if mode == "live" else f"{settings.sandbox_url}/clouds/{cloud}")
        for cloud, (mode, given, live) in chosen.items()
        if mode != "snapshot"
    }


def gcp_key(settings: Settings) -> SecretStr | None:
    """The key of Google's billing catalogue; the real one goes to the live source only."""
    return settings.gcp_api_key if settings.gcp_mode == "live" else SANDBOX_GCP_KEY


def _aws(settings: Settings, clock: Clock) -> CloudSource:
    if settings.aws_mode == "snapshot":
        return ReferencePrices("aws")
    url = cloud_addresses(settings)["aws"]
    budget = AWS_BUDGET if settings.aws_mode == "live" else DEFAULT_BUDGET
    mode, timeout_s = SourceMode(settings.aws_mode), settings.request_timeout_s
    return AwsPrices(url, mode, clock, timeout_s, budget=budget, store=_store(settings))


def _azure(settings: Settings, clock: Clock) -> CloudSource:
    if settings.azure_mode == "snapshot":
        return ReferencePrices("azure")
    url = cloud_addresses(settings)["azure"]
    budget = AZURE_BUDGET if settings.azure_mode == "live" else DEFAULT_BUDGET
    mode, timeout_s = SourceMode(settings.azure_mode), settings.request_timeout_s
    return AzurePrices(url, mode, clock, timeout_s, budget=budget, store=_store(settings))


def _gcp(settings: Settings, clock: Clock) -> CloudSource:
    if settings.gcp_mode == "snapshot":
        return ReferencePrices("gcp")
    url = cloud_addresses(settings)["gcp"]
    budget = GCP_BUDGET if settings.gcp_mode == "live" else DEFAULT_BUDGET
    mode, timeout_s = SourceMode(settings.gcp_mode), settings.request_timeout_s
    return GcpPrices(url, gcp_key(settings), mode, clock, timeout_s, budget=budget)


def _store(settings: Settings) -> AnswerStore:
    """Where price lists that need no key are kept, to be asked about and not sent again while they hold."""
    return AnswerFolder(settings.home / "http-cache")


def open_rail(settings: Settings, clock: Clock) -> Rail:
    """The payment rail: simulated, the only one there is (`rail_mode`)."""
    return SandboxRail(settings.sandbox_url, clock, settings.request_timeout_s)
