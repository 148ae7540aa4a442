"""Close a lease and settle it: what the network was paid becomes usage, usage becomes charges, the hold is spent."""

from datetime import datetime

from necto_pipelines.billing.charges import compute_charges, conversion_charges
from necto_pipelines.billing.metering import usage_of
from necto_pipelines.books.books import Actor
from necto_pipelines.failures import Unavailable
from necto_pipelines.model.lease import Charge, EffectState, Lease
from necto_pipelines.model.state import ORDER_STEPS, LeaseState, OrderState
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.runtime import Runtime


def due_leases(runtime: Runtime, now: datetime) -> list[Lease]:
    """Leases whose ordered hours are used up, and leases whose closing was interrupted."""
    active = runtime.books.leases(states=[LeaseState.ACTIVE])
    closing = runtime.books.leases(states=[LeaseState.CLOSING])
    return closing + [lease for lease in active if lease.ends_at is not None and lease.ends_at <= now]


def settle(runtime: Runtime, lease: Lease, actor: Actor, *, reason: str = "hours_used") -> Lease:
    """Close a lease, charge it, and end what ends with it. Safe to call again after a crash.

    The order is completed when its job ran on this lease to the end; the job of a lease that was given up goes on
    elsewhere. The hold of an order that has ended is given back once its last lease is closed.
    """
    closed = close_lease(runtime, lease, reason, actor)
    with runtime.books.change(actor) as change:
        order = change.reads.order(lease.order_id)
        if order.state is OrderState.ACTIVE and lease.attempt == order.attempt:
            change.move_order(order.id, OrderState.COMPLETED)
            give_back(change, order.id)
        elif not ORDER_STEPS[order.state]:
            give_back(change, order.id)
    return closed


def close_lease(runtime: Runtime, lease: Lease, reason: str, actor: Actor) -> Lease:
    """Close the lease at its network and record what it used and what that costs; a closed lease is left as it is."""
    lease = runtime.books.lease(lease.id)
    if lease.state in (LeaseState.CLOSED, LeaseState.FAILED):
        return lease
    key = f"{lease.order_id}/{lease.attempt}/close/{lease.provider}"
    with runtime.books.change(actor) as change:
        change.begin_effect(key, "close_deployment", lease.order_id, lease.attempt, {"ref": lease.network_ref})
        if change.reads.lease(lease.id).state is LeaseState.ACTIVE:
            change.move_lease(lease.id, LeaseState.CLOSING, close_reason=reason[:500])
    status = runtime.networks[lease.network].close(lease.network_ref)
    if status.state not in ("closed", "failed"):
        raise Unavailable(f"lease {lease.id}: the network still shows it {status.state} after the close")
    runtime.warehouse.write_raw(status.raw.body)
    closed_at = status.closed_at or runtime.clock.now()
    ended = lease.model_copy(update={"closed_at": closed_at, "settled_native": status.settled_native})
    usage = usage_of(ended, settled_native=status.settled_native)
    order = runtime.books.order(lease.order_id)
    charges = compute_charges(order, ended, usage) + _conversion_charges(runtime, ended)
    outcome = {"raw_sha256": status.raw.sha256, "settled": str(status.settled_native)}
    with runtime.books.change(actor) as change:
        standing = change.reads.lease(lease.id)
        if standing.state is LeaseState.CLOSED:  # by another run, which saw the same end
            return standing
        change.record_usage(usage)
        change.record_charges(charges)
        change.end_effect(key, EffectState.DONE, outcome)
        return change.move_lease(lease.id, LeaseState.CLOSED, closed_at=closed_at, settled_native=status.settled_native)


def _conversion_charges(runtime: Runtime, lease: Lease) -> list[Charge]:
    """Charges for the order's conversions that no earlier lease of it has carried."""
    order = runtime.books.order(lease.order_id)
    standing = {charge.id for charge in runtime.books.charges(order_id=order.id)}
    charges = conversion_charges(order, lease, runtime.books.conversions(order.id))
    return [charge for charge in charges if charge.id not in standing]
