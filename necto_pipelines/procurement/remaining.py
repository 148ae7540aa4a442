"""What is left of an order whose lease ended before its job was done: hours to buy, and dollars to buy them with."""

from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from typing import Final

from necto_pipelines.books.reads import Reads
from necto_pipelines.model.health import Health, LeaseHealth
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.money import CENT, to_micro
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState
from necto_pipelines.procurement.ending import spent_on
from necto_pipelines.procurement.runtime import Runtime

_MICROHOUR: Final = Decimal("0.000001")
_MICROSECONDS_PER_HOUR: Final = 3_600_000_000


def rest_of(runtime: Runtime, order: Order) -> Order:
    """The order as it has to be bought now: with the hours that are not delivered and the dollars that are not used.

    An order that never had a lease, and for which no earlier attempt converted, comes back as it is. What a conversion
    took is used even when no provider was found after it: the next offer may need another conversion, or none.
    The dollars may be less than nothing: then no offer fits.
    Within one attempt the hours never change, and the dollars only when an older lease is closed at last.
    """
    books = runtime.books
    leases = books.leases(order_id=order.id, states=[LeaseState.CLOSING, LeaseState.CLOSED])
    if not leases and not any(each.attempt < order.attempt for each in books.conversions(order.id)):
        return order
    delivered = sum((failover.delivered_hours for failover in books.failovers(order.id)), start=Decimal(0))
    need = order.request.requirement
    left_usd = order.request.budget_usd - used_on(runtime, order)
    request = order.request.model_copy(
        update={
            "requirement": need.model_copy(update={"hours": need.hours - delivered}),
            "budget_usd": left_usd,
        }
    )
    return order.model_copy(update={"request": request})


def used_on(runtime: Runtime, order: Order) -> Decimal:
    """What an order has spent, and what its leases that are still being closed may come to; whole cents, rounded up."""
    closing = runtime.books.leases(order_id=order.id, states=[LeaseState.CLOSING])
    used = spent_on(runtime.books, order.id) + sum(
        (_closing_usd(runtime, lease) for lease in closing), start=Decimal(0)
    )
    return used.quantize(CENT, ROUND_CEILING)


def accrued_usd(lease: Lease, until: datetime) -> Decimal:
    """What a lease has cost at its binding price from its start to `until`; nothing while it has not started."""
    if lease.started_at is None or until <= lease.started_at:
        return Decimal(0)
    return (lease.usd_per_hour * hours_between(lease.started_at, until)).quantize(_MICROHOUR, ROUND_CEILING)


def cost_so_far(runtime: Runtime, order_id: str, now: datetime) -> Decimal:
    """What an order has cost so far: what is charged and converted, and what its leases that still run have accrued."""
    running = runtime.books.leases(order_id=order_id, states=[LeaseState.ACTIVE, LeaseState.CLOSING])
    return spent_on(runtime.books, order_id) + sum((accrued_usd(lease, now) for lease in running), start=Decimal(0))


def delivered_hours(books: Reads, lease: Lease, health: LeaseHealth | None, now: datetime) -> Decimal:
    """How long a lease was seen healthy, in hours, rounded down: from a look that found it so to the last such look."""
    if health is None or lease.started_at is None:
        return Decimal(0)
    seconds = health.healthy_seconds
    if health.health is Health.HEALTHY:
        seconds += healthy_seconds(books, health, now)
    return (Decimal(seconds) / 3600).quantize(_MICROHOUR, ROUND_DOWN)


def healthy_seconds(books: Reads, health: LeaseHealth, now: datetime) -> int:
    """Whole seconds from the beginning of a healthy time to the last look that confirmed it."""
    last = books.last_telemetry(health.lease_id, healthy=True)
    until = min(now, last.observed_at) if last else health.since
    return max(0, (until - health.since) // timedelta(seconds=1))


def locked_uact(runtime: Runtime, order_id: str) -> int:
    """Of the ACT converted for an order, what its leases have used up or still lock at the network, in micro-ACT."""
    locked = 0
    for lease in runtime.books.leases(order_id=order_id, states=[LeaseState.CLOSING, LeaseState.CLOSED]):
        if not lease.native_unit.startswith("uact/"):
            continue
        if lease.state is LeaseState.CLOSED:
            locked += int((lease.settled_native or Decimal(0)).to_integral_value(ROUND_CEILING))
        else:
            locked += to_micro(_closing_usd(runtime, lease))
    return locked


def hours_between(start: datetime, end: datetime) -> Decimal:
    """Hours from `start` to `end`, to the microsecond."""
    return Decimal((end - start) // timedelta(microseconds=1)) / _MICROSECONDS_PER_HOUR


def _closing_usd(runtime: Runtime, lease: Lease) -> Decimal:
    """The most that a lease which is being closed may come to: its deposit, out of which it is paid and no further.

    Where an account is charged nothing bounds it but that somebody closes it: then all the hours it was taken for,
    delivered or not, and no less than one grace more than until it was given up.
    """
    deposit = _deposit_usd(runtime, lease)
    if deposit is not None:
        return deposit
    failover = runtime.books.failover(lease.id)
    since = failover.decided_at if failover else runtime.clock.now()
    until = since + timedelta(seconds=runtime.settings.unknown_grace_s)
    return accrued_usd(lease, max(until, lease.ends_at) if lease.ends_at else until)


def _deposit_usd(runtime: Runtime, lease: Lease) -> Decimal | None:
    """What was paid in at the network for the lease's deployment; None where an account is charged."""
    effect = runtime.books.effect(f"{lease.order_id}/{lease.attempt}/deployment")
    said = effect.request.get("deposit_usd") if effect else None
    return None if said is None else Decimal(str(said))
