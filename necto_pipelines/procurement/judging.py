"""Which active leases have failed and must be given up, and why. It judges what the watch has written down.

An unhealthy lease has its grace, an unknown one a longer grace of its own. One that was ended by the other side, whose
provider leaves compliance or whose order has used up its budget has none.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.health import NO_ANSWER, FailoverCause, FailureScope, Health, LeaseHealth
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.remaining import cost_so_far
from necto_pipelines.procurement.runtime import Runtime

BEFORE_THE_CAP: Final = timedelta(seconds=2)
"""for each second between two looks: a lease is closed one look and one close before its order reaches the cap"""


@dataclass(frozen=True)
class FailedLease:
    """A lease that must be given up."""

    lease: Lease
    order: Order
    cause: FailoverCause
    reason: str
    scope: FailureScope


def failed_leases(runtime: Runtime, network: str, evidence: pd.DataFrame | None) -> list[FailedLease]:
    """The active leases of `network` that have failed, oldest first.

    Left out are leases whose hours are used up, which are settled, and leases of orders that are still being placed,
    which the placing run judges itself. `evidence` is the newest EVIDENCE, as far as there is any.
    """
    now = runtime.clock.now()
    found = []
    for lease in runtime.books.leases(states=[LeaseState.ACTIVE]):
        if lease.network != network or (lease.ends_at is not None and lease.ends_at <= now):
            continue
        order = runtime.books.order(lease.order_id)
        if order.state is OrderState.ACTIVE and (failed := judge(runtime, lease, order, evidence, now)):
            found.append(failed)
    return found


def judge(
    runtime: Runtime, lease: Lease, order: Order, evidence: pd.DataFrame | None, now: datetime
) -> FailedLease | None:
    """Why the lease must be given up now; None when it may go on."""
    health = runtime.books.health(lease.id)
    if verdict := _by_health(runtime, health, now):
        cause, reason = verdict
        last = runtime.books.last_telemetry(lease.id)
        silent = cause is FailoverCause.UNKNOWN and last is not None and last.state == NO_ANSWER
        return FailedLease(lease, order, cause, reason, FailureScope.NETWORK if silent else FailureScope.PLACE)
    if reason := _left_compliance(runtime, lease, order, evidence, now):
        return FailedLease(lease, order, FailoverCause.NOT_COMPLIANT, reason, FailureScope.PLACE)
    # As it will stand when this is looked at the next time: a cap that is noticed afterwards has been broken.
    ahead = min(now + BEFORE_THE_CAP * runtime.settings.watch_interval_s, lease.ends_at or now)
    if (cost := cost_so_far(runtime, order.id, ahead)) >= order.request.budget_usd:
        reason = f"{cost:.2f} USD are used, the budget is {order.request.budget_usd} USD"
        return FailedLease(lease, order, FailoverCause.BUDGET, reason, FailureScope.PLACE)
    return None


def _by_health(runtime: Runtime, health: LeaseHealth | None, now: datetime) -> tuple[FailoverCause, str] | None:
    if health is None or health.health is Health.HEALTHY:
        return None
    if health.health is Health.ENDED:
        return FailoverCause.ENDED, health.detail
    settings = runtime.settings
    if health.health is Health.UNHEALTHY and now - health.since >= timedelta(seconds=settings.failover_grace_s):
        return FailoverCause.UNHEALTHY, f"{health.detail}, for {_minutes(now - health.since)}"
    # From the first look that did not find it healthy: one that is now unhealthy and now unknown never runs.
    ill_since = health.ill_since or health.since
    if now - ill_since >= timedelta(seconds=settings.unknown_grace_s):
        cause = FailoverCause.UNKNOWN if health.health is Health.UNKNOWN else FailoverCause.UNHEALTHY
        return cause, f"{health.detail}; not seen healthy for {_minutes(now - ill_since)}"
    return None


def _left_compliance(runtime: Runtime, lease: Lease, order: Order, evidence: pd.DataFrame | None, now: datetime) -> str:
    """What the newest evidence has against the provider, by the screening that it was bought under; empty for nothing.

    Evidence that speaks against it counts at once. Evidence that is missing counts once the last that named the
    provider is older than the policy allows. Whether it is online is for its health to say, which is seen sooner.
    """
    policy = runtime.house_policy.tightened_by(order.request.policy)
    rows = _of_provider(evidence, lease)
    if rows is None or not len(rows):
        last = runtime.books.last_telemetry(lease.id, evidenced=True)
        known_at = (last.evidence_at if last else None) or lease.started_at or now
        age, allowed = now - known_at, timedelta(hours=float(policy.max_evidence_age_hours))
        return f"{Refusal.EVIDENCE_EXPIRED}: the last evidence on it is {_minutes(age)} old" if age > allowed else ""
    (verdict,) = records(score_providers(rows, policy, now=now))
    refusals = set(filter(None, verdict["refusals"].split(",")))
    if Refusal.OFFLINE in refusals:
        refusals -= {Refusal.OFFLINE, Refusal.SCORE}
    return f"{', '.join(sorted(refusals))}: {verdict['details']}" if refusals else ""


def _of_provider(evidence: pd.DataFrame | None, lease: Lease) -> pd.DataFrame | None:
    """The newest row about the lease's provider, if there is one."""
    if evidence is None:
        return None
    rows = evidence[(evidence["network"] == lease.network) & (evidence["provider"] == lease.provider)]
    return rows.sort_values("observed_at").tail(1)


def _minutes(span: timedelta) -> str:
    return f"{span // timedelta(minutes=1)} min"
