"""Akash's own oracle: what the chain itself converts AKT by when ACT is minted (AEP-80, AEP-76).

`GET /akash/oracle/v2/aggregated_price/akt` at any host that serves the chain's REST interface. The chain keeps an
aggregate only while it is healthy, so its `timestamp` stands still when its sources do. Its one source is Pyth's feed
(AEP-81): with Pyth it is the same witness by another way.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

import httpx
from pydantic import AwareDatetime, BaseModel, Field

from necto_pipelines.failures import NectoError, Unavailable
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, read_json, wrong_shape
from necto_pipelines.market.oracles.port import fault_text, usd_amount
from necto_pipelines.market.oracles.pyth import PYTH
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode, TokenPrice

LIVE_URLS: Final = (
    "https://api.akashnet.net",
    "https://akash-api.polkachu.com",
    "https://akash-rest.publicnode.com",
)
"""asked in this order (opencolin/n8n-nodes-akash docs/research @98ae818c, 2026-07-17)"""
DENOMS: Final = {"AKT": "akt"}
"""the oracle prices nothing else: ACT is one dollar by protocol"""


class WireAggregate(BaseModel):
    """The chain's figures over its sources. `median_price` is of the moment, `twap` of the last seconds."""

    denom: str
    median_price: Annotated[Decimal, Field(allow_inf_nan=False)]
    timestamp: AwareDatetime


class WireHealth(BaseModel):
    """Whether the chain itself trusts its price."""

    is_healthy: bool = False
    failure_reason: tuple[str, ...] = ()


class WireAnswer(BaseModel):
    """The answer for one denomination."""

    aggregated_price: WireAggregate
    price_health: WireHealth


class AkashChain:
    """The chain's AKT price, from the first of several hosts that gives it."""

    name = "Akash oracle"
    publisher = PYTH
    tokens = frozenset(DENOMS)

    def __init__(
        self,
        base_urls: Sequence[str],
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._hosts = [
            # Another host is the better second attempt.
            Fetcher(
                url,
                clock=clock,
                timeout_s=timeout_s,
                attempts=1 if len(base_urls) > 1 else 2,
                budget=budget,
                transport=transport,
            )
            for url in base_urls
        ]

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """As `PriceOracle.prices`. A price that the chain calls unhealthy is kept, not used."""
        rows, raw, aside = [], [], []
        for token in tokens:
            if token not in DENOMS:
                aside.append((token, "Akash oracle: prices AKT only"))
                continue
            answer, wire = self._ask(DENOMS[token])
            raw.append(answer)
            try:
                rows.append(self._row(token, wire, answer))
            except ValueError as error:
                aside.append((token, f"Akash oracle: {error}"))
        return Listing(rows=tuple(rows), raw=tuple(raw), quarantined=tuple(aside))

    def _ask(self, denom: str) -> tuple[RawAnswer, WireAnswer]:
        """The first host's answer that reads as documented; a host that moved the module (501) counts as away."""
        faults = []
        for host in self._hosts:
            try:
                answer = host.get(f"/akash/oracle/v2/aggregated_price/{denom}")
                return answer, _read(answer)
            except NectoError as failure:
                faults.append(str(failure))
        raise Unavailable("; ".join(faults) or "no host of the Akash chain is configured")

    def _row(self, token: str, wire: WireAnswer, answer: RawAnswer) -> TokenPrice:
        aggregate, health = wire.aggregated_price, wire.price_health
        if aggregate.denom != DENOMS[token]:
            raise ValueError(f"the price is of {aggregate.denom!r}, not of {DENOMS[token]!r}")
        unhealthy = f"the chain calls its price unhealthy: {', '.join(health.failure_reason) or 'no reason given'}"
        return TokenPrice(
            token=token,
            usd=usd_amount(aggregate.median_price),
            published_at=aggregate.timestamp,
            observed_at=answer.received_at,
            used=health.is_healthy,
            reason="" if health.is_healthy else unhealthy,
            source=f"Akash oracle {aggregate.denom}/usd",
            mode=self.mode,
            raw_sha256=answer.sha256,
        )


def _read(answer: RawAnswer) -> WireAnswer:
    body = read_json(answer)
    try:
        return WireAnswer.model_validate(body)
    except ValueError as error:
        raise wrong_shape(answer, ValueError(fault_text(error))) from error
