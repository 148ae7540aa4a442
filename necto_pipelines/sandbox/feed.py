"""The price feed: US dollars for tokens, moving a little every minute, that can be stopped or set.

Every simulated price source repeats this one feed, each a little off in its own way, and can be set apart by a switch.

AKT: 0.543761 USD on 2026-07-17 (CoinGecko answer recorded by opencolin/n8n-nodes-akash docs/research @98ae818c524a).
USDC stands at its peg. For RENDER and ATH no dated figure was at hand: theirs are ours. All movement is made up.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel

from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.sandbox.answers import ApiError
from necto_pipelines.sandbox.seeded import share

_BASES: dict[str, tuple[str, Decimal, Decimal]] = {
    "AKT": ("akash-network", Decimal("0.543761"), Decimal("0.015")),
    "USDC": ("usd-coin", Decimal("0.9999"), Decimal("0.0002")),
    "RENDER": ("render-token", Decimal("3.25"), Decimal("0.02")),
    "ATH": ("aethir", Decimal("0.031"), Decimal("0.02")),
}
"""token: CoinGecko's id for it, the price it moves around, and how far, as a share of it"""
TOKENS = tuple(_BASES)
SPREADS_BPS: dict[str, int] = {"coingecko": 0, "coinbase": 12, "coinbase-exchange": 8, "pyth": 6, "akash-oracle": 6}
"""sources, and how far each may stand off the feed; ten times less for a token that hardly moves. These are ours."""
_UPDATE_S = 60
_BPS = 10_000
_PLACES = Decimal("0.000001")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FeedState(BaseModel):
    """What was switched: `frozen_at` stops the feed at a moment, `fixed` sets prices.

    `quoted` lets one source state a price of its own, `vanished` lets it forget tokens; both by source.
    """

    frozen_at: datetime | None = None
    fixed: dict[str, ExactDecimal] = {}
    quoted: dict[str, dict[str, ExactDecimal]] = {}
    vanished: dict[str, list[str]] = {}


class Feed:
    """Prices by token, a function of the seed, the time and what was switched."""

    def __init__(self, seed: int, state: FeedState) -> None:
        self._seed = seed
        self.state = state

    def usd(self, token: str, moment: datetime) -> Decimal:
        """US dollars for one `token` at `moment`."""
        if token in self.state.fixed:
            return self.state.fixed[token]
        _, base, reach = _BASES[token]
        hour, within = divmod(int(self.updated_at(moment).timestamp()), 3600)
        start, end = (Decimal(share(self._seed, token, "price", each)) for each in (hour, hour + 1))
        drift = start + (end - start) * within / 3600
        return (base * (1 + reach * (2 * drift - 1))).quantize(_PLACES)

    def quote(self, source: str, token: str, moment: datetime) -> Decimal | None:
        """US dollars for one `token` as `source` states it; None when it has none. A price that was set is exact."""
        if token not in _BASES or token in self.state.vanished.get(source, ()):
            return None
        if (own := self.state.quoted.get(source, {}).get(token)) is not None:
            return own
        usd = self.usd(token, moment)
        if token in self.state.fixed:
            return usd
        reach = Decimal(SPREADS_BPS[source]) / _BPS
        if _BASES[token][2] < Decimal("0.001"):
            reach /= 10
        hour = int(self.updated_at(moment).timestamp()) // 3600
        return (usd * (1 + reach * (2 * Decimal(share(self._seed, source, token, "spread", hour)) - 1))).quantize(
            _PLACES
        )

    def updated_at(self, moment: datetime) -> datetime:
        """When the feed last changed its prices, by its own account: every whole minute, never while frozen."""
        moment = self.state.frozen_at or moment
        return _EPOCH + (moment - _EPOCH) // timedelta(seconds=_UPDATE_S) * timedelta(seconds=_UPDATE_S)

    def token_of(self, coingecko_id: str) -> str | None:
        """The token that CoinGecko knows by this id."""
        return next((token for token, (known, _, _) in _BASES.items() if known == coingecko_id), None)

    def freeze(self, moment: datetime | None) -> None:
        """Stop the feed at `moment`, or let it run again."""
        self.state.frozen_at = moment

    def fix(self, token: str, usd: Decimal | None) -> None:
        """Set a price, or let it move again."""
        _set(self.state.fixed, token, usd)

    def quote_apart(self, source: str, token: str, usd: Decimal | None) -> None:
        """Let one source state `usd`, whatever the others say, or follow the feed again."""
        _set(self.state.quoted.setdefault(_source(source), {}), token, usd)

    def vanish(self, source: str, token: str, vanished: bool) -> None:
        """Let a token's id be unknown to one source, or known again."""
        gone = set(self.state.vanished.get(_source(source), ())) - {_token(token)}
        self.state.vanished[source] = sorted(gone | {token} if vanished else gone)


def _set(prices: dict[str, Decimal], token: str, usd: Decimal | None) -> None:
    _token(token)
    if usd is None:
        prices.pop(token, None)
    elif not usd.is_finite() or usd <= 0:
        raise ApiError(400, f"usd: {usd} is not allowed; a positive number is needed")
    else:
        prices[token] = usd


def _token(token: str) -> str:
    if token not in _BASES:
        raise ApiError(404, f"token {token!r} is not in the feed; use one of {', '.join(TOKENS)}")
    return token


def _source(source: str) -> str:
    if source not in SPREADS_BPS:
        raise ApiError(404, f"source {source!r} is not in the sandbox; use one of {', '.join(SPREADS_BPS)}")
    return source
