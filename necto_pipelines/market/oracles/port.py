"""What a source of token prices is, what an oracle is, and the reading of amounts and ages they share.

A source says what one publisher says. An oracle is asked by the rest of Necto. How sources become a price that may be
paid by stands in `consensus.py`; each source has its own module.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, Protocol

from pydantic import ValidationError

from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.offer import SourceMode, TokenPrice

USD_STEP: Final = Decimal("1E-12")
"""what a table's money column holds; CoinGecko prints doubles with up to seventeen digits"""
MAX_CLOCK_SKEW: Final = timedelta(seconds=60)
"""a price published further in the future than this was not published then: its age cannot be known"""


class PriceOracle(Protocol):
    """Token prices in US dollars. Calls are safe from any thread."""

    mode: SourceMode

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """The price of each token; a token without a usable price is quarantined with the reason, never left out.

        Raises `Unavailable` or `Refused`.
        """


class PriceSource(PriceOracle, Protocol):
    """An oracle that repeats what one publisher says."""

    name: str
    """as people know it; every price's `source` begins with it"""
    publisher: str
    """whose figures they are: sources of one publisher are one witness, however many ways lead to it"""
    tokens: frozenset[str]
    """what it is asked for"""


def usd_amount(value: Decimal) -> Decimal:
    """A price as the tables hold it, twelve decimals. `ValueError` when it is no positive amount of that size."""
    usd = usd_figure(value)
    if usd <= 0:
        raise ValueError(f"usd is {value}; a price is above zero")
    return usd


def usd_figure(value: Decimal) -> Decimal:
    """Any amount with twelve decimals. `ValueError` when it is too large for that."""
    try:
        return value.quantize(USD_STEP)
    except InvalidOperation as error:
        raise ValueError(f"usd {value} is out of range") from error


def unix_time(seconds: int) -> datetime:
    """A source's time in whole seconds since 1970. `ValueError` when no calendar reaches that far."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"the time {seconds} is out of range") from error


def age_fault(price: TokenPrice, *, now: datetime, max_age_s: float) -> str:
    """Why a price may not be used at `now` for its age; empty when it may.

    Judged by the source's own `published_at`, not by when we asked: a source that repeats an old price is old.
    """
    age = now - price.published_at
    stated = f"{price.token} price of {rfc3339(price.published_at)} ({price.source})"
    if age < -MAX_CLOCK_SKEW:
        return f"{stated} lies {-age.total_seconds():.0f} s in the future; check the clocks"
    if age > timedelta(seconds=max_age_s):
        return f"{stated} is {age.total_seconds():.0f} s old; at most {max_age_s:g} s is allowed"
    return ""


def fault_text(error: ValueError) -> str:
    """What is wrong with an entry, in one line: fields first when its shape is at fault."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return str(error)
