"""How our own leases fared, from the books: what the reliability of their providers is reckoned with."""

from datetime import datetime
from typing import Final

from necto_pipelines.books.reads import Reads
from necto_pipelines.model.health import FailoverCause
from necto_pipelines.procurement.remaining import hours_between
from necto_pipelines.reliability.scoring import LeaseOutcome

OURS: Final = frozenset({FailoverCause.BUDGET, FailoverCause.NOT_COMPLIANT})
"""causes of giving up a lease that ran well: not its provider's failure"""


def lease_outcomes(books: Reads, now: datetime) -> list[LeaseOutcome]:
    """One for each lease that began, oldest first, with its hours up to `now`, its end or when it was given up."""
    given_up = {failover.lease_id: failover for failover in books.failovers()}
    outcomes = []
    for lease in books.leases():
        if lease.started_at is None:
            continue
        failover = given_up.get(lease.id)
        end = failover.decided_at if failover else lease.closed_at or now
        outcomes.append(
            LeaseOutcome(
                network=lease.network,
                provider=lease.provider,
                hours=hours_between(lease.started_at, max(lease.started_at, end)),
                lost=failover is not None and failover.cause not in OURS,
            )
        )
    return outcomes
