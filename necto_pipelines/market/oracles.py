"""Token prices in US dollars, each with the time its source published it.

An oracle says what a source says and sets aside what it cannot vouch for. Whether a price is good enough to pay by is
judged once, in `fresh_price`. Changing one asset for another stands in `rails.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol

import httpx
from pydantic import SecretStr

from necto_pipelines.failures import Stale, Unavailable
from necto_pipelines.fetching import Fetcher, read_json, wrong_shape
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import Clock, rfc3339
from necto_pipelines.model.offer import SourceMode, TokenPrice

COINGECKO_IDS: Final[Mapping[str, str]] = {
    "AKT": "akash-network",
    "RENDER": "render-token",
    "ATH": "aethir",
    "USDC": "usd-coin",
}
"""tokens Necto pays in, by CoinGecko's names (cosmos/chain-registry @627bbab9 for AKT and USDC; 2026-11-22)"""

USD_STEP: Final = Decimal("1E-12")
"""what a table's money column holds; CoinGecko prints doubles with up to seventeen digits"""
MAX_CLOCK_SKEW: Final = timedelta(seconds=60)
"""a price published further in the future than this was not published then: its age cannot be known"""


class PriceOracle(Protocol):
    """A source of token prices. Calls are safe from any thread."""

    mode: SourceMode

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """The price of each token; a token without a usable price is quarantined with the reason, never left out.

        Raises `Unavailable` or `Refused`.
        """


class CoinGecko:
    """CoinGecko's simple price call: `GET /api/v3/simple/price` (coingecko-api-oas @83d7556f).

    An id that CoinGecko does not know is silently absent from its answer; here it is quarantined.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._fetcher = Fetcher(
            base_url,
            clock=clock,
            headers={"x-cg-demo-api-key": api_key.get_secret_value()} if api_key else None,
            timeout_s=timeout_s,
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
    try:
        usd = Decimal(price).quantize(USD_STEP)
        published_at = datetime.fromtimestamp(updated, UTC)
    except (InvalidOperation, OverflowError, OSError) as error:
        raise ValueError(f"usd {price} at {updated} is out of range") from error
    if usd <= 0:
        raise ValueError(f"usd is {price}; a price is above zero")
    return usd, published_at


def fresh_price(listing: Listing[TokenPrice], token: str, *, now: datetime, max_age_s: float) -> TokenPrice:
    """The price of `token` if it may be paid by at `now`.

    Age is judged by the source's own `published_at`, not by when we asked: a source that repeats an old price is old.
    Raises `Stale` when it is older than `max_age_s`, `Unavailable` when there is none or it claims to come from the
    future.
    """
    price = max((row for row in listing.rows if row.token == token), key=lambda row: row.published_at, default=None)
    if price is None:
        reasons = "; ".join(reason for what, reason in listing.quarantined if what == token)
        raise Unavailable(f"no usable {token} price: {reasons or 'it was not asked for'}")
    age = now - price.published_at
    stated = f"{token} price of {rfc3339(price.published_at)} ({price.source})"
    if age < -MAX_CLOCK_SKEW:
        raise Unavailable(f"{stated} lies {-age.total_seconds():.0f} s in the future; check the clocks")
    if age > timedelta(seconds=max_age_s):
        raise Stale(f"{stated} is {age.total_seconds():.0f} s old; at most {max_age_s:g} s is allowed")
    return price
