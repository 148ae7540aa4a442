"""A job, its run and the ledger as the standing of a lease. Pure.

The job is billed from its creation, not from the moment its container runs (operators' notes, 2026-08). What it cost is
what the ledger took for it; where the ledger tells nothing of it, rate x time since creation, computed here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from necto_pipelines.networks.render.wire import WireJob, WireRun, WireTransaction

OPEN: Final = ("PENDING", "ASSIGNED", "PREPARING", "RUNNING")
"""statuses of a job that holds a machine or waits for one"""
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_STATES: Final = {
    "PENDING": "requested",
    "ASSIGNED": "active",
    "PREPARING": "active",
    "RUNNING": "active",
    "CANCELLING": "active",
    "FAILING": "active",
    "COMPLETED": "closed",
    "CANCELLED": "closed",
    "FAILED": "failed",
}
_MICRO_DOLLAR: Final = Decimal("0.000001")
_MICROSECONDS_PER_HOUR: Final = 3_600_000_000
_DIGITS: Final = 60


def state_of(job: WireJob) -> str:
    """`requested`, `active`, `closed`, or `failed`: ended by the network. A job that is only ending is still active."""
    return _STATES[job.status]


def current_run(runs: Sequence[WireRun], job: WireJob) -> WireRun | None:
    """The run on a machine of this job: the newest, in the order the network lists them."""
    return next((run for run in runs if run.job_uuid == job.uuid and run.status != "PENDING"), None)


def rate_of(run: WireRun | None) -> Decimal | None:
    """US dollars per hour of the machine that was assigned; None while that is not known."""
    return run.pricing.hourly_rate_usd if run and run.pricing else None


def healthy(job: WireJob, run: WireRun | None) -> bool | None:
    """True when the container runs and can be reached; None before a machine is assigned and after the end."""
    if run is None or job.status in ENDED:
        return None
    return run.status == "RUNNING" and bool(run.node_urls)


def ended_at(job: WireJob, run: WireRun | None) -> datetime | None:
    """When the job ended, by its own account or that of its run; None while it lasts, or when neither says so."""
    told = job.ended_at_ms if job.ended_at_ms is not None else (run.ended_at_ms if run else None)
    if job.status not in ENDED or told is None:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=told)


def computed_usd(usd_per_hour: Decimal, since: datetime, until: datetime) -> Decimal:
    """Rate x time in whole micro-dollars, rounded half-up; nothing when the clocks disagree on the order.

    >>> computed_usd(Decimal("0.35"), datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 13, 30))
    Decimal('0.525000')
    """
    microseconds = max(0, (until - since) // timedelta(microseconds=1))
    with localcontext(prec=_DIGITS):
        return (usd_per_hour * microseconds / _MICROSECONDS_PER_HOUR).quantize(_MICRO_DOLLAR, ROUND_HALF_UP)


def ledger_usd(rows: Sequence[WireTransaction], job_uuid: str, *, ended_at: datetime) -> Decimal | None:
    """What left the account for this job in all, in whole micro-dollars.

    None when the ledger has booked nothing for it at or after its end: hours still to be booked would be missed.
    """
    booked = [row for row in rows if row.job_uuid == job_uuid]
    if not any(row.created_at >= ended_at for row in booked):
        return None
    with localcontext(prec=_DIGITS):
        paid = -sum((row.amount_usd for row in booked), Decimal(0))
        return max(Decimal(0), paid).quantize(_MICRO_DOLLAR, ROUND_HALF_UP)
