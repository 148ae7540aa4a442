"""Coinbase: its exchange's last trade, and its retail spot price, which carries no time.

`GET /products/AKT-USD/ticker` at the exchange (wants a User-Agent) and `GET /v2/prices/AKT-USD/spot`. Which tokens
Coinbase lists is found by asking. It exchanges USDC for dollars at par itself, so its USDC price says nothing of the
peg and is not asked for.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import AwareDatetime, BaseModel, Field

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, read_json
from necto_pipelines.market.oracles.port import fault_text, usd_amount
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode, TokenPrice

EXCHANGE_URL: Final = "https://api.exchange.coinbase.com"
SPOT_URL: Final = "https://api.coinbase.com"
COINBASE: Final = "Coinbase"
TOKENS: Final = frozenset({"AKT", "RENDER", "ATH"})
USER_AGENT: Final = "necto-pipelines"

Amount = Annotated[Decimal, Field(allow_inf_nan=False)]


class WireTicker(BaseModel):
    """The last trade at the exchange."""

    price: Amount
    time: AwareDatetime


class WireSpot(BaseModel):
    """The retail price; some answers omit `base`."""

    amount: Amount
    base: str | None = None
    currency: Literal["USD"]


class WireSpotAnswer(BaseModel):
    """The envelope of the retail price."""

    data: WireSpot


class CoinbaseExchange:
    """The last trade of each token's pair with the dollar. Its time is the trade's: a thin market looks stale."""

    name = "Coinbase Exchange"
    publisher = COINBASE
    tokens = TOKENS

    def __init__(
        self,
        base_url: str,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._fetcher = _fetcher(base_url, clock, timeout_s, budget, transport)

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """As `PriceOracle.prices`, one call a token."""
        return _listing(self.name, tokens, lambda pair: self._fetcher.get(f"/products/{pair}/ticker"), self._row)

    def _row(self, token: str, body: Any, answer: RawAnswer) -> TokenPrice:
        ticker = WireTicker.model_validate(body)
        return TokenPrice(
            token=token,
            usd=usd_amount(ticker.price),
            published_at=ticker.time,
            observed_at=answer.received_at,
            source=f"{self.name} {token}-USD",
            mode=self.mode,
            raw_sha256=answer.sha256,
        )


class CoinbaseSpot:
    """The retail price of each token, without a time: good only as a further voice beside two that have one."""

    name = "Coinbase spot"
    publisher = COINBASE
    tokens = TOKENS

    def __init__(
        self,
        base_url: str,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._fetcher = _fetcher(base_url, clock, timeout_s, budget, transport)

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """As `PriceOracle.prices`, one call a token; `timed` is False and `published_at` when it answered."""
        return _listing(self.name, tokens, lambda pair: self._fetcher.get(f"/v2/prices/{pair}/spot"), self._row)

    def _row(self, token: str, body: Any, answer: RawAnswer) -> TokenPrice:
        spot = WireSpotAnswer.model_validate(body).data
        if spot.base not in (None, token):
            raise ValueError(f"the price is of {spot.base}")
        return TokenPrice(
            token=token,
            usd=usd_amount(spot.amount),
            published_at=answer.received_at,
            observed_at=answer.received_at,
            timed=False,
            source=f"{self.name} {token}-USD",
            mode=self.mode,
            raw_sha256=answer.sha256,
        )


def _fetcher(
    base_url: str, clock: Clock, timeout_s: float, budget: Budget, transport: httpx.BaseTransport | None
) -> Fetcher:
    return Fetcher(
        base_url,
        clock=clock,
        headers={"user-agent": USER_AGENT},
        timeout_s=timeout_s,
        budget=budget,
        transport=transport,
    )


def _listing(
    name: str,
    tokens: Sequence[str],
    ask: Callable[[str], RawAnswer],
    row: Callable[[str, Any, RawAnswer], TokenPrice],
) -> Listing[TokenPrice]:
    """Ask pair by pair; a pair that Coinbase refuses, or answers wrongly, is set aside. `Unavailable` if it is away."""
    rows, raw, aside = [], [], []
    for token in tokens:
        pair = f"{token}-USD"
        if token not in TOKENS:
            aside.append((token, f"{name} {pair}: not a pair that Necto asks for"))
            continue
        try:
            answer = ask(pair)
        except Refused as refusal:
            aside.append((token, f"{name} {pair}: {refusal}"))
            continue
        raw.append(answer)
        try:
            rows.append(row(token, read_json(answer), answer))
        except Unavailable as failure:
            aside.append((token, f"{name} {pair}: {failure}"))
        except ValueError as error:
            aside.append((token, f"{name} {pair}: {fault_text(error)}"))
    return Listing(rows=tuple(rows), raw=tuple(raw), quarantined=tuple(aside))
