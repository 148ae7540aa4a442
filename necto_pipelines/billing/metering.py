"""Metering: what a closed lease used, cut at month ends, so that each piece falls into exactly one invoice month.

Prices and lines stand in `charges` and `invoicing`; reading the settlement from a network is its adapter's work.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.lease import Lease, Usage
from necto_pipelines.model.money import from_micro

_STEPS: Final = {"uact": 1, "USD": 1_000_000, "ATH": 1_000_000}
"""the smallest amounts that are shared out: how many of them a native unit has"""
# 1 ACT = 1 USD of credit, by the network's own rule (AEP-76, final 2026-03-23); uact is its millionth.
_MICRO_DOLLARS: Final = {"uact": Decimal(1), "USD": Decimal(1_000_000)}
"""what one native unit is worth, in millionths of a dollar, where that is fixed for ever"""
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS_PER_HOUR: Final = 3_600_000_000
_NANO: Final = Decimal("0.000000001")
# A network's amounts have up to 18 decimals; the default of 28 digits would round some to a whole number.
_DIGITS: Final = 60


def usage_of(lease: Lease, *, settled_native: Decimal) -> list[Usage]:
    """The usage of a closed lease, one piece for each UTC month it touches, oldest first.

    The pieces tile [started_at, closed_at): no gap, no overlap. `settled_native` is what the network says was paid in
    all, in `uact`, or in whole millionths of `USD` or `ATH`; it is shared by duration with the largest remainder, so
    the pieces add up to it exactly. `gpu_hours` is duration x GPU count, rounded half-up to nine decimals.

    `usd` is exact for `uact` and `USD`. ATH is worth what the lease's own two prices say, which were bound together
    when the rate was fixed with the order: `usd_per_hour` / `native_amount` dollars. The whole is rounded half-up to
    millionths of a dollar, then shared in the same way.

    A lease closed in the moment it started gives one piece of no length, which still carries what was settled: money
    that left must not vanish because no time passed.

    Raises PermanentFailure when the lease has no start or end, ends before it starts, or when the settled amount is not
    a whole number of the smallest steps of its unit, or the unit is worth no known number of dollars.
    """
    start, end = _life(lease)
    per_unit = _steps_per_unit(lease)
    steps = _settled_steps(lease, settled_native, per_unit)
    micro_dollars = _micro_dollars(lease, settled_native)
    periods = month_periods(start, end)
    durations = [(until - since) // _MICROSECOND for since, until in periods]
    shares = zip(largest_remainder(steps, durations), largest_remainder(micro_dollars, durations), strict=True)
    return [
        Usage(
            id=f"usg_{lease.id}_{month_of(since)}",
            lease_id=lease.id,
            period_start=since,
            period_end=until,
            gpu_hours=(Decimal(duration * lease.gpu_count) / _MICROSECONDS_PER_HOUR).quantize(_NANO, "ROUND_HALF_UP"),
            native_units=Decimal(native) / per_unit,
            usd=from_micro(usd),
        )
        for (since, until), duration, (native, usd) in zip(periods, durations, shares, strict=True)
    ]


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` in proportion to `weights` in whole units that add up to it; ties go to the earlier weight.

    Where all weights are zero, the first takes all.

    >>> largest_remainder(10000, [1, 1, 1])
    [3334, 3333, 3333]
    """
    whole = sum(weights)
    if whole == 0:
        return [total if index == 0 else 0 for index in range(len(weights))]
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares


def month_of(moment: datetime) -> str:
    """The UTC month a moment falls into, as `YYYY-MM`."""
    utc = moment.astimezone(UTC)
    return f"{utc.year:04d}-{utc.month:02d}"


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """First moment of a `YYYY-MM` month and of the one after it; ValueError when the text is no month."""
    start = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    return start, start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def month_periods(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """[start, end) cut at UTC month ends; the one empty period when both are the same moment."""
    periods = []
    while True:
        until = min(end, month_bounds(month_of(start))[1])
        periods.append((start, until))
        if until == end:
            return periods
        start = until


def _life(lease: Lease) -> tuple[datetime, datetime]:
    if lease.started_at is None or lease.closed_at is None:
        missing = "started_at" if lease.started_at is None else "closed_at"
        raise PermanentFailure(f"lease {lease.id} has no {missing}; only a lease that ran and was closed is metered")
    for moment in (lease.started_at, lease.closed_at):
        if moment.tzinfo is None:
            raise PermanentFailure(f"lease {lease.id}: {moment} has no offset, so its month is unknown; write UTC")
    start, end = lease.started_at.astimezone(UTC), lease.closed_at.astimezone(UTC)
    if end < start:
        raise PermanentFailure(f"lease {lease.id} was closed at {end}, before it started at {start}")
    return start, end


def _steps_per_unit(lease: Lease) -> int:
    unit = _unit(lease)
    if unit not in _STEPS:
        known = ", ".join(sorted(_STEPS))
        raise PermanentFailure(
            f"lease {lease.id} was settled in {unit!r}, which has no fixed worth in US dollars; known units: {known}"
        )
    return _STEPS[unit]


def _micro_dollars(lease: Lease, settled_native: Decimal) -> int:
    """What the settled amount is worth, in whole millionths of a dollar."""
    with localcontext(prec=_DIGITS):
        fixed = _MICRO_DOLLARS.get(_unit(lease))
        if fixed is None and lease.native_amount <= 0:
            raise PermanentFailure(f"lease {lease.id} has no price in {_unit(lease)}, so no rate was fixed for it")
        micro_dollars = (
            settled_native * fixed
            if fixed is not None
            else settled_native * 1_000_000 * lease.usd_per_hour / lease.native_amount
        )
        return int(micro_dollars.to_integral_value(ROUND_HALF_UP))


def _settled_steps(lease: Lease, settled_native: Decimal, per_unit: int) -> int:
    unit = _unit(lease)
    with localcontext(prec=_DIGITS):
        steps = settled_native * per_unit
    if not steps.is_finite() or steps < 0 or steps != int(steps):
        smallest = "whole uact" if per_unit == 1 else f"whole millionths of {unit}"
        raise PermanentFailure(
            f"lease {lease.id}: {settled_native} {unit} is not allowed as settled amount; "
            f"{smallest} are settled, zero or more"
        )
    if lease.settled_native is not None and lease.settled_native != settled_native:
        raise PermanentFailure(
            f"lease {lease.id} stands in the books with {lease.settled_native} {unit} settled, not {settled_native}"
        )
    return int(steps)


def _unit(lease: Lease) -> str:
    """The native unit without the time that a rate is stated for."""
    return lease.native_unit.partition("/")[0]
