"""Which oracle and rail the settings ask for: one place to add another."""

from necto_pipelines.market.oracles import CoinGecko, PriceOracle
from necto_pipelines.market.rails import Rail, SandboxRail
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

COINGECKO_LIVE = "https://api.coingecko.com"


def open_oracle(settings: Settings, clock: Clock) -> PriceOracle:
    """The token price oracle: CoinGecko, or the sandbox speaking its format. The key goes to the live source only."""
    live = settings.prices_mode == "live"
    return CoinGecko(
        settings.coingecko_api_url or (COINGECKO_LIVE if live else f"{settings.sandbox_url}/coingecko"),
        settings.coingecko_api_key if live else None,
        SourceMode(settings.prices_mode),
        clock,
        settings.request_timeout_s,
    )


def open_rail(settings: Settings, clock: Clock) -> Rail:
    """The payment rail: simulated, the only one there is (`rail_mode`)."""
    return SandboxRail(settings.sandbox_url, clock, settings.request_timeout_s)
