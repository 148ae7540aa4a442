"""CoinGecko: an aggregator over many exchanges. `GET /api/v3/simple/price` (coingecko-api-oas @83d7556f).

The free plan allows 5 to 15 requests a minute in practice, so all tokens are asked for in one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, read_json, wrong_shape
from necto_pipelines.market.oracles.port import unix_time, usd_amount
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode, TokenPrice

LIVE_URL: Final = "https://api.coingecko.com"
PRO_HOST: Final = "pro-api.coingecko.com"
"""paid keys are good here only, under another header"""
COINGECKO_IDS: Final[Mapping[str, str]] = {
    "AKT": "akash-network",
    "RENDER": "render-token",
    "ATH": "aethir",
    "USDC": "usd-coin",
}
"""tokens Necto pays in, by CoinGecko's names (cosmos/chain-registry @627bbab9 for AKT and USDC; 2026-11-22)"""


class CoinGecko:
    """CoinGecko's simple price call. An id it does not know is silently absent from its answer: here quarantined."""

    name = "CoinGecko"
    publisher = "CoinGecko"
    tokens = frozenset(COINGECKO_IDS)

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        header = "x-cg-pro-api-key" if urlsplit(base_url).hostname == PRO_HOST else "x-cg-demo-api-key"
        self._fetcher = Fetcher(
            base_url,
            clock=clock,
            headers={header: api_key.get_secret_value()} if api_key else None,
            timeout_s=timeout_s,
            budget=budget,
            transport=transport,
        )

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """As `PriceOracle.prices`, all tokens in one call. Prices are rounded to twelve decimals."""
        known = {token: COINGECKO_IDS[token] for token in tokens if token in COINGECKO_IDS}
        quarantined = [(token, "CoinGecko id not known to Necto") for token in tokens if token not in known]
        if not known:
            return Listing(rows=(), raw=(), quarantined=tuple(quarantined))
        answer = self._fetcher.get(
            "/api/v3/simple/price",
            {
                "ids": ",".join(known.values()),
                "vs_currencies": "usd",
                "precision": "full",
                "include_last_updated_at": "true",
            },
        )
        body = read_json(answer)
        if not isinstance(body, dict):
            raise wrong_shape(answer, TypeError(f"an object is needed, not {type(body).__name__}"))
        rows: list[TokenPrice] = []
        for token, coin in known.items():
            try:
                usd, published_at = _quote(body.get(coin))
            except (TypeError, ValueError) as error:
                quarantined.append((token, f"CoinGecko id {coin}: {error}"))
                continue
            rows.append(
                TokenPrice(
                    token=token,
                    usd=usd,
                    published_at=published_at,
                    observed_at=answer.received_at,
                    source=f"CoinGecko simple/price {coin}",
                    mode=self.mode,
                    raw_sha256=answer.sha256,
                )
            )
        return Listing(rows=tuple(rows), raw=(answer,), quarantined=tuple(quarantined))


def _quote(entry: Any) -> tuple[Decimal, datetime]:
    """Price and publishing time of one entry of the answer; TypeError or ValueError says what is wrong with it."""
    if entry is None:
        raise ValueError("absent from the answer")
    if not isinstance(entry, dict):
        raise TypeError(f"an object is needed, not {entry!r}")
    price, updated = entry.get("usd"), entry.get("last_updated_at")
    if not isinstance(price, int | Decimal) or isinstance(price, bool):
        raise TypeError(f"usd is {price!r}, not a number")
    if not isinstance(updated, int) or isinstance(updated, bool):
        raise TypeError(f"last_updated_at is {updated!r}, not a time in whole seconds")
    return usd_amount(Decimal(price)), unix_time(updated)
