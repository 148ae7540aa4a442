"""Look at every active lease of a network, write down what was seen, and note every change of a lease's health.

What the provider says of its own work counts: a chain or an order book may show a lease active while nothing runs.
What is done about a lease that fails is judged in `judging.py` and carried out in `failing_over.py`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import pandas as pd

from necto_pipelines.books.books import Actor, Change
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.health import NO_ANSWER, Health, LeaseHealth, Telemetry
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import records
from necto_pipelines.networks.port import LeaseStatus, Network
from necto_pipelines.procurement.remaining import accrued_usd, cost_so_far, healthy_seconds, hours_between
from necto_pipelines.procurement.runtime import Runtime

SIDE_BY_SIDE: Final = 64
_DETAIL_LENGTH: Final = 300
_STEP: Final = Decimal("0.0001")


@dataclass(frozen=True)
class Look:
    """What one lease answered: its status, or None with the reason; and how long that took."""

    status: LeaseStatus | None
    latency_ms: int
    why_none: str = ""

    @property
    def health(self) -> Health:
        """The health that follows. What could not be learned is unknown: never healthy, and not unhealthy either."""
        if self.status is None:
            return Health.UNKNOWN
        if self.status.reclaiming or self.status.state in ("closed", "failed"):
            return Health.ENDED
        if self.status.state != "active":
            return Health.UNHEALTHY
        return {None: Health.UNKNOWN, True: Health.HEALTHY, False: Health.UNHEALTHY}[self.status.healthy]

    @property
    def detail(self) -> str:
        """What showed that health, for a person; empty for a healthy one."""
        if self.status is None:
            return self.why_none
        if self.status.reclaiming:
            return "its provider takes the capacity back"
        if self.status.state != "active":
            return f"the network shows it {self.status.state}"
        if self.status.healthy is None:
            return "the provider does not say how it runs"
        shown = f"{self.status.ready} of {self.status.total} replicas run" if self.status.total else "it does not run"
        return "" if self.status.healthy else shown


def watch(runtime: Runtime, network: str, evidence: pd.DataFrame | None, actor: Actor) -> list[Telemetry]:
    """Ask the network about its active leases, side by side, and keep what was seen, in one transaction.

    `evidence` is the newest EVIDENCE, as far as there is any. A lease that ended meanwhile is passed over; telemetry
    beyond its retention is dropped.
    """
    leases = [lease for lease in runtime.books.leases(states=[LeaseState.ACTIVE]) if lease.network == network]
    if not leases:
        return []
    looks = look_at(runtime.networks[network], leases, runtime.clock, runtime.settings.watch_timeout_s)
    now, evidenced = runtime.clock.now(), _evidence_times(evidence)
    seen = [
        _telemetry(runtime, lease, looks[lease.id], now, evidenced.get((lease.network, lease.provider)))
        for lease in leases
    ]
    with runtime.books.change(actor) as change:
        still = {lease.id for lease in change.reads.leases(states=[LeaseState.ACTIVE])}
        seen = [row for row in seen if row.lease_id in still]
        for lease in leases:
            # An order that is still being placed is judged by the run that places it.
            if lease.id in still and change.reads.order(lease.order_id).state is OrderState.ACTIVE:
                _note_health(change, lease, looks[lease.id], now)
        change.record_telemetry(seen)
        change.drop_telemetry(now - timedelta(days=runtime.settings.telemetry_keep_days))
    return seen


def look_at(network: Network, leases: Sequence[Lease], clock: Clock, timeout_s: float) -> dict[str, Look]:
    """Ask for the status of each lease, by its id; whoever has not answered after `timeout_s` is unknown."""
    pool = ThreadPoolExecutor(max_workers=min(len(leases), SIDE_BY_SIDE), thread_name_prefix=f"watch-{network.name}")
    asked = {lease.id: pool.submit(_ask, network, lease.network_ref, clock) for lease in leases}
    wait(asked.values(), timeout=timeout_s)
    pool.shutdown(wait=False, cancel_futures=True)
    return {lease_id: _look(answer, timeout_s) for lease_id, answer in asked.items()}


def _ask(network: Network, ref: str, clock: Clock) -> tuple[LeaseStatus, int]:
    began = clock.now()
    status = network.status(ref)
    return status, (clock.now() - began) // timedelta(milliseconds=1)


def _look(answer: "Future[tuple[LeaseStatus, int]]", timeout_s: float) -> Look:
    waited_ms = round(timeout_s * 1000)
    if not answer.done() or answer.cancelled():
        return Look(None, waited_ms, f"no answer within {timeout_s:g} s")
    # One lease whose answer an adapter cannot read must not blind the watch for the others.
    if (error := answer.exception()) is not None:
        return Look(None, 0, f"{type(error).__name__}: {error}"[:_DETAIL_LENGTH])
    status, latency_ms = answer.result()
    return Look(status, max(0, latency_ms))


def _note_health(change: Change, lease: Lease, look: Look, now: datetime) -> None:
    before = change.reads.health(lease.id)
    if before is not None and before.health in (look.health, Health.ENDED):
        return
    healthy = look.health is Health.HEALTHY
    seconds, ill_since = 0, now
    if before is not None:
        seconds, ill_since = before.healthy_seconds, before.ill_since or now
        if before.health is Health.HEALTHY:
            seconds += healthy_seconds(change.reads, before, now)
    change.record_health(
        LeaseHealth(
            lease_id=lease.id,
            health=look.health,
            since=now,
            ill_since=None if healthy else ill_since,
            healthy_seconds=seconds,
            detail=look.detail,
        )
    )


def _telemetry(runtime: Runtime, lease: Lease, look: Look, now: datetime, evidence_at: datetime | None) -> Telemetry:
    status = look.status
    return Telemetry(
        lease_id=lease.id,
        observed_at=now,
        state=status.state if status else NO_ANSWER,
        healthy={Health.UNKNOWN: None, Health.HEALTHY: True}.get(look.health, False),
        latency_ms=look.latency_ms,
        ready=status.ready if status else None,
        total=status.total if status else None,
        gpu_use_pct=status.gpu_use_pct if status else None,
        runway_hours=runway_hours(lease, status, now) if status else None,
        cost_usd=accrued_usd(lease, now),
        order_cost_usd=cost_so_far(runtime, lease.order_id, now),
        cap_usd=runtime.books.order(lease.order_id).request.budget_usd,
        evidence_at=evidence_at,
        detail=look.detail,
    )


def runway_hours(lease: Lease, status: LeaseStatus, now: datetime) -> Decimal | None:
    """How long what was paid in lasts from now on, in hours; below zero when it should have run dry already.

    Reckoned from what was paid in and the binding price: networks settle late, and none says it. None where nothing
    was paid in for the lease, or its price is for a time that is not known.
    """
    per, seconds = lease.native_unit.partition("/")[2], lease.block_seconds
    per_hour = lease.native_amount
    if per == "block" and seconds:
        per_hour = lease.native_amount * 3600 / seconds
    elif per != "hour":
        return None
    if status.paid_in_native is None or lease.started_at is None or per_hour <= 0:
        return None
    left = status.paid_in_native / per_hour - hours_between(lease.started_at, now)
    return left.quantize(_STEP, ROUND_HALF_UP)


def _evidence_times(evidence: pd.DataFrame | None) -> Mapping[tuple[str, str], datetime]:
    if evidence is None:
        return {}
    return {(row["network"], row["provider"]): row["observed_at"] for row in records(evidence)}
