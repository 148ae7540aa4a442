"""Give up leases that failed, together: one decision, each closed and charged, their orders ready to be placed anew.

What has failed is judged in `judging.py`. Routing, holding, converting and placing the rest of a job are the steps of
any order (`deciding.py` to `placing.py`); how much is left to buy, and for how much, is in `remaining.py`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from necto_pipelines.books.books import Actor, Change, new_id
from necto_pipelines.failures import NectoError
from necto_pipelines.model.health import Failover, FailoverCause
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.deciding import FrozenInputs
from necto_pipelines.procurement.judging import FailedLease, failed_leases
from necto_pipelines.procurement.remaining import delivered_hours
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.settling import settle
from necto_pipelines.routing.failure_domains import organisations_of

LIMIT_REACHED: Final = "failovers_exhausted"
"""first word of the reason of an order whose lease failed once too often"""
SHORTEST_REST: Final = Decimal(1) / 60
"""hours; a job of which less is left counts as done: nothing is sold for less"""
CLOSED_AT_ONCE: Final = 16


@dataclass(frozen=True)
class GivenUp:
    """What a failover run has done before it routes: the leases given up, and what became of them."""

    failovers: tuple[Failover, ...]
    to_route: tuple[str, ...]
    """orders to be placed anew in the same run; the others have ended, or wait for their time"""
    not_closed: tuple[tuple[str, str], ...]
    """(lease id, reason): leases that the network could not be told of; closing them is tried again until it is done"""


def give_up(runtime: Runtime, network: str, inputs: FrozenInputs, actor: Actor) -> GivenUp:
    """Give up every lease of `network` that has failed: decide once for all of them, then close and charge each.

    A lease that cannot be closed now stays `closing`, with the intent in the journal, and the settle sensor goes on
    trying. Safe to call again after a crash: a lease is given up once, and what was not done is left to settle and
    procure runs, which find it in the books.
    """
    decided = decide(runtime, network, inputs, actor)
    leases = [runtime.books.lease(failover.lease_id) for failover in decided]
    not_closed = close_all(runtime, leases, actor)
    states = {failover.order_id: runtime.books.order(failover.order_id) for failover in decided}
    now = runtime.clock.now()
    return GivenUp(
        failovers=tuple(decided),
        to_route=tuple(
            failover.order_id
            for failover in decided
            if states[failover.order_id].state is OrderState.WAITING
            and _first_try_at(runtime, failover.decided_at, failover.number) <= now
        ),
        not_closed=not_closed,
    )


def decide(runtime: Runtime, network: str, inputs: FrozenInputs, actor: Actor) -> list[Failover]:
    """Write down, in one transaction, that the failed leases of `network` are given up, and move their orders.

    An order waits for its next placement, at once after its first failover and after a pause that doubles with every
    further one; it fails when it had as many as are allowed or its budget is used up, and is completed when nearly all
    of its hours were delivered. The run claims the orders that it will place itself.
    """
    failed = failed_leases(runtime, network, inputs.evidence)
    if not failed:
        return []
    now, group = runtime.clock.now(), new_id("fov", runtime.clock)
    places = {(row["network"], row["provider"]): row["region"] for row in records(inputs.offers)}
    organisations = organisations_of(inputs.evidence)
    pins = [pin.as_input for pin in inputs.pins]
    with runtime.books.change(actor) as change:
        standing = [each for each in failed if _still_stands(change, each)]
        decided = [_failover(change, each, group, now, places, organisations) for each in standing]
        if not decided:
            return []
        change.record_failovers(decided, inputs=pins)
        for each, failover in zip(standing, decided, strict=True):
            reason = f"{failover.cause}: {failover.reason}"
            change.move_lease(each.lease.id, LeaseState.CLOSING, close_reason=reason[:500])
            _move_order(runtime, change, each.order, failover, actor)
    return decided


def close_all(runtime: Runtime, leases: Sequence[Lease], actor: Actor) -> tuple[tuple[str, str], ...]:
    """Close and charge leases, several at once; returns (lease id, reason) for those that could not be closed."""
    if not leases:
        return ()
    with ThreadPoolExecutor(max_workers=min(len(leases), CLOSED_AT_ONCE), thread_name_prefix="close") as pool:
        results = list(pool.map(partial(_try_to_close, runtime, actor), leases))
    return tuple(result for result in results if result is not None)


def _try_to_close(runtime: Runtime, actor: Actor, lease: Lease) -> tuple[str, str] | None:
    try:
        settle(runtime, lease, actor, reason=lease.close_reason)
    except NectoError as failure:
        return lease.id, str(failure)
    return None


def _still_stands(change: Change, failed: FailedLease) -> bool:
    """Whether nobody has closed the lease or moved its order since it was judged."""
    return (
        change.reads.lease(failed.lease.id).state is LeaseState.ACTIVE
        and change.reads.order(failed.order.id).state is OrderState.ACTIVE
    )


def _failover(
    change: Change,
    failed: FailedLease,
    group: str,
    now: datetime,
    places: Mapping[tuple[str, str], str | None],
    organisations: Mapping[tuple[str, str], str],
) -> Failover:
    lease = failed.lease
    where = (lease.network, lease.provider)
    return Failover(
        lease_id=lease.id,
        failover_id=group,
        order_id=lease.order_id,
        attempt=lease.attempt,
        number=len(change.reads.failovers(lease.order_id)) + 1,
        cause=failed.cause,
        reason=failed.reason,
        decided_at=now,
        delivered_hours=delivered_hours(change.reads, lease, change.reads.health(lease.id), now),
        scope=failed.scope,
        network=lease.network,
        provider=lease.provider,
        region=places.get(where),
        country=lease.country,
        organisation=organisations.get(where),
    )


def _move_order(runtime: Runtime, change: Change, order: Order, failover: Failover, actor: Actor) -> None:
    delivered = sum((each.delivered_hours for each in change.reads.failovers(order.id)), start=Decimal(0))
    why = f"{failover.cause}: lease {failover.lease_id}: {failover.reason}"
    if failover.cause is FailoverCause.BUDGET:
        change.move_order(order.id, OrderState.FAILED, reason=f"{failover.cause}: {failover.reason}")
    elif order.request.requirement.hours - delivered < SHORTEST_REST:
        change.move_order(order.id, OrderState.COMPLETED)
    elif failover.number > (most := runtime.settings.max_failovers):
        reason = f"{LIMIT_REACHED}: its leases failed {failover.number} times, {most} failovers are allowed; {why}"
        change.move_order(order.id, OrderState.FAILED, reason=reason)
    else:
        _wait(runtime, change, order, failover, f"failover: {why}", actor)


def _wait(runtime: Runtime, change: Change, order: Order, failover: Failover, reason: str, actor: Actor) -> None:
    """Let the order wait; claimed by this run when it may be placed at once, so that no other run takes it up."""
    at = _first_try_at(runtime, failover.decided_at, failover.number)
    at_once = at <= failover.decided_at
    if at_once:  # what a killed run has claimed is due after the usual pause
        at += timedelta(seconds=runtime.settings.retry_wait_s)
    change.move_order(order.id, OrderState.WAITING, reason=reason, next_attempt_at=at, new_attempt=True)
    if at_once and actor.run_id is not None:
        change.claim([order.id], actor.run_id)


def _first_try_at(runtime: Runtime, decided_at: datetime, number: int) -> datetime:
    """When the rest of the job is placed first: at once, and from the second failover on after a doubling pause."""
    if number == 1:
        return decided_at
    return decided_at + timedelta(seconds=runtime.settings.retry_wait_s) * (1 << (number - 2))
