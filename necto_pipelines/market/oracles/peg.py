"""How far a stablecoin stands from the dollar, and what may still be done with it.

The bands are the house's policy after March 2023, when USDC traded at 0.87 to 0.89 dollars for a weekend: a peg is a
promise in banking hours. What a peg means for booking and topping up belongs to its readers.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from necto_pipelines.market.oracles.payable import fresh_price
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.offer import TokenPrice

PEGGED: Final = frozenset({"USDC"})
PEG_PUBLISHERS: Final = 2
"""publishers that must agree on a pegged token's price, whatever is enough for others"""
PEG_DEVIATION_BPS: Final = 50
"""publishers of a pegged token further apart than this have not agreed"""
_BPS: Final = Decimal(10_000)


class PegBand(StrEnum):
    """How far off, and what follows."""

    PAR = "par"
    """within 10 bps: booked at par"""
    MARKET = "market"
    """within 50 bps: booked at its market price, finance is told"""
    SUSPENDED = "suspended"
    """within 200 bps: no new conversions; what is funded is used up"""
    BROKEN = "broken"
    """beyond: payments halt until finance releases them"""


_LIMITS: Final = ((Decimal(10), PegBand.PAR), (Decimal(50), PegBand.MARKET), (Decimal(200), PegBand.SUSPENDED))


@dataclass(frozen=True)
class Peg:
    """A stablecoin's standing, witnessed by two publishers or more."""

    price: TokenPrice
    witnesses: tuple[TokenPrice, ...]
    """the prices it rests on"""

    @property
    def off_bps(self) -> Decimal:
        """Distance from one dollar, hundredths of a percent; negative below it."""
        return (self.price.usd - 1) * _BPS

    @property
    def band(self) -> PegBand:
        """Where that distance lies; a limit itself belongs to the milder band."""
        return next((band for limit, band in _LIMITS if abs(self.off_bps) <= limit), PegBand.BROKEN)

    @property
    def may_convert(self) -> bool:
        """Whether new conversions may be paid from it."""
        return self.band in (PegBand.PAR, PegBand.MARKET)


def peg_of(listing: Listing[TokenPrice], token: str, *, now: datetime, max_age_s: float) -> Peg:
    """The standing of a pegged token at `now`.

    Raises as `fresh_price`: also when its publishers are further apart than `PEG_DEVIATION_BPS`, or fewer than
    `PEG_PUBLISHERS` of them answer. One source alone neither breaks a peg nor vouches for it.
    """
    price = fresh_price(listing, token, now=now, max_age_s=max_age_s)
    said = (row for row in listing.rows if row.token == token and not row.consensus)
    return Peg(price, tuple(row for row in said if row.used))
