"""Pyth: signed prices with their own confidence, read from Hermes v2. `GET /v2/updates/price/latest`.

Since 2026-08-18 Hermes answers only a Bearer key. Ten requests in ten seconds from one address bring 429 for a minute:
one request asks for all feeds, and Pyth is then missing for that minute. An id that Hermes does not know (404), or
that the key may not read (403), spoils the whole request, so the feeds are then asked for one by one. Source:
pyth-network/pyth-crosschain @7c915eb1, developer hub on Hermes, rate limits and best practices. The signed update
itself stays in the kept answer.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, Field, SecretStr

from necto_pipelines.failures import Refused
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, read_json, wrong_shape
from necto_pipelines.market.oracles.port import age_fault, fault_text, unix_time, usd_amount, usd_figure
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode, TokenPrice

LIVE_URL: Final = "https://pyth.dourolabs.app/hermes"
LATEST: Final = "/v2/updates/price/latest"
PYTH: Final = "Pyth"
FEED_IDS: Final[Mapping[str, str]] = {
    "AKT": "4ea5bb4d2f5900cc2e97ba534240950740b4d3b89fe712a94a7304fd2fd92702",
    "RENDER": "3d4a2bd9535be6ce8059d75eadeba507b043257321aa544717c56fa19b49e35d",
    "USDC": "eaa020c61cc479712813461ce153894a96a6c00b21ed0cfc2798d1f9a9e9c94a",
}
"""feeds in US dollars; AKT from akash-network/node @3efe26bf _run/node/price-feeder.sh. The id that AEP-81 prints as
AKT/USD (ef0d8b6f…b56d) is SOL/USD and must never stand here. The id of ATH/USD is not known (2026-11-22)."""
MAX_AGE_S: Final = 60.0
"""Pyth publishes several times a second: an older price means that its publishers have stopped"""
MAX_CONFIDENCE: Final = Decimal("0.01")
"""share of the price that its confidence may reach; the limit is ours, Pyth only says to be strict"""
PER_FEED: Final = ("403", "404")


class WirePrice(BaseModel):
    """Price and confidence as whole numbers times 10^`expo`, and the time in seconds since 1970."""

    price: int
    conf: Annotated[int, Field(ge=0)]
    expo: Annotated[int, Field(ge=-30, le=30)]
    publish_time: int


class WireFeed(BaseModel):
    """One feed of the answer's `parsed` list."""

    id: str
    price: WirePrice


class Pyth:
    """Pyth's feeds. A price that is too old or too uncertain is kept, not used, with the reason."""

    name = PYTH
    publisher = PYTH
    tokens = frozenset(FEED_IDS)

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._fetcher = Fetcher(
            base_url,
            clock=clock,
            headers={"authorization": f"Bearer {api_key.get_secret_value()}"},
            timeout_s=timeout_s,
            attempts=2,  # a third would only feed the rate limit
            budget=budget,
            transport=transport,
        )

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """As `PriceOracle.prices`. A rejected key is `Refused`."""
        known = {token: FEED_IDS[token] for token in tokens if token in FEED_IDS}
        aside = [(token, "Pyth feed id not known to Necto") for token in tokens if token not in known]
        answers, refused = self._ask(known) if known else ((), ())
        aside += refused
        found = {feed: (entry, answer) for answer in answers for feed, entry in _entries(answer).items()}
        rows = []
        for token, feed in known.items():
            if any(token == name for name, _ in refused):
                continue
            if feed not in found:
                aside.append((token, f"Pyth feed {feed}: absent from the answer"))
                continue
            try:
                rows.append(self._row(token, *found[feed]))
            except ValueError as error:
                aside.append((token, f"Pyth feed {feed}: {fault_text(error)}"))
        return Listing(rows=tuple(rows), raw=tuple(answers), quarantined=tuple(aside))

    def _ask(self, feeds: Mapping[str, str]) -> tuple[Sequence[RawAnswer], Sequence[tuple[str, str]]]:
        """The answers for the feeds, by token, and those that Hermes refuses while it answers for others."""
        query = urlencode([*(("ids[]", feed) for feed in feeds.values()), ("parsed", "true")])
        try:
            return (self._fetcher.get(f"{LATEST}?{query}"),), ()
        except Refused as refusal:
            if refusal.code not in PER_FEED:
                raise
            if len(feeds) == 1:
                return (), tuple((token, f"Pyth feed {feed}: {refusal}") for token, feed in feeds.items())
        parts = [self._ask({token: feed}) for token, feed in feeds.items()]
        return [answer for answers, _ in parts for answer in answers], [each for _, aside in parts for each in aside]

    def _row(self, token: str, entry: Any, answer: RawAnswer) -> TokenPrice:
        wire = WireFeed.model_validate(entry).price
        usd = usd_amount(Decimal(wire.price).scaleb(wire.expo))
        confidence = Decimal(wire.conf).scaleb(wire.expo)
        price = TokenPrice(
            token=token,
            usd=usd,
            published_at=unix_time(wire.publish_time),
            observed_at=answer.received_at,
            confidence_usd=usd_figure(confidence),
            source=f"Pyth {token}/USD",
            mode=self.mode,
            raw_sha256=answer.sha256,
        )
        fault = age_fault(price, now=answer.received_at, max_age_s=MAX_AGE_S)
        if confidence / usd > MAX_CONFIDENCE:
            fault = f"Pyth gives ±{confidence / usd:.2%} on this {token} price; at most {MAX_CONFIDENCE:.0%} is allowed"
        return price.model_copy(update={"used": not fault, "reason": fault})


def _entries(answer: RawAnswer) -> dict[str, Any]:
    """The parsed feeds by id, not yet checked. `Unavailable` when the answer is no list of feeds."""
    body = read_json(answer)
    parsed = body.get("parsed") if isinstance(body, dict) else None
    if not isinstance(parsed, list):
        raise wrong_shape(answer, TypeError("a list `parsed` is needed"))
    return {_feed_id(entry): entry for entry in parsed}


def _feed_id(entry: Any) -> str:
    """Lower case without 0x: Hermes takes and gives both."""
    return str(entry.get("id", "") if isinstance(entry, dict) else "").lower().removeprefix("0x")
