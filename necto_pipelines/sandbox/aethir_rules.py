"""What an order on Aethir owes, and when it is settled. Pure.

Known (docs.aethir.com, service fees and customer guide, read 2026-08-19): prices are in fiat money per region and
specification and are paid in ATH at the rate of the order; settlement is daily at 00:00 UTC; downtime is not paid, on
demand for as long as it lasts, on reserve for the whole day of 24 hours.

Not told, and decided here: a day is a UTC day, because that is what is settled; time is billed from the handover of
the machine to the end of the order; what ends is settled at once. The protocol fee of 20 % and the vesting of 45 days
are between Aethir and the host: they are taken from what the customer pays and add nothing to it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, localcontext

Span = tuple[datetime, datetime]
MICRO_ATH = Decimal("0.000001")
_DAY = timedelta(days=1)
_HOUR_US = 3_600_000_000
_DIGITS = 60


def fixed_ath(usd_per_hour: Decimal, hours: int, ath_rate: Decimal) -> Decimal:
    """What an order for `hours` comes to at `ath_rate` dollars for one ATH: the most it can cost, rounded up."""
    with localcontext(prec=_DIGITS):
        return (usd_per_hour * hours / ath_rate).quantize(MICRO_ATH, ROUND_CEILING)


def owed_ath(usd_per_hour: Decimal, paid: timedelta, ath_rate: Decimal) -> Decimal:
    """What `paid` time costs at the rate of the order, rounded half-up to millionths."""
    with localcontext(prec=_DIGITS):
        hours = Decimal(paid // timedelta(microseconds=1)) / _HOUR_US
        return (usd_per_hour * hours / ath_rate).quantize(MICRO_ATH, ROUND_HALF_UP)


def paid_time(mode: str, span: Span, outages: Iterable[Span]) -> timedelta:
    """How much of `span` is paid, when the machine was broken during `outages` (they may overlap and reach beyond).

    On demand the broken time is not paid. On reserve no part of a UTC day in which it was broken is.
    """
    broken = [part for outage in outages if (part := _common(span, outage))]
    if mode == "RESERVE":
        broken = [part for outage in broken for day in _days_of(outage) if (part := _common(span, day))]
    return (span[1] - span[0]) - _length(broken)


def settled_until(ended_at: datetime | None, now: datetime) -> datetime:
    """Up to when an order has been settled by `now`: the last midnight, or its end once it has ended."""
    return ended_at if ended_at is not None else _midnight(now)


def _common(one: Span, other: Span) -> Span | None:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


def _days_of(span: Span) -> list[Span]:
    """The UTC days that a span touches, whole."""
    first, days = _midnight(span[0]), []
    while first < span[1]:
        days.append((first, first + _DAY))
        first += _DAY
    return days


def _length(spans: Iterable[Span]) -> timedelta:
    """How long the spans last together, each moment counted once."""
    total, reached = timedelta(0), None
    for start, end in sorted(spans):
        begin = start if reached is None else max(start, reached)
        if end > begin:
            total += end - begin
            reached = end
    return total


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
