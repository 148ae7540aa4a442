"""The life of one order in a schedule, one step at a time, through the use cases that production runs.

Routing, networks and venue are drawn by lot (`schedule_market.py`); holding, converting, what is left after a failover,
settling and giving back are `procurement` as it is.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from random import Random
from typing import Any

from schedule_market import SHA, Market, Place, native_unit

from necto_pipelines.books.books import Actor, Books, new_id
from necto_pipelines.failures import InvalidInput, Unavailable, Unknown
from necto_pipelines.model.decision import Candidate, Decision
from necto_pipelines.model.health import Failover, FailoverCause, FailureScope
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.money import cents_up, plain, to_micro
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.model.order import GpuNeed, Order, OrderRequest, Requirement
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.procurement.ceilings import ceiling_of, conversion_share
from necto_pipelines.procurement.deciding import choice_of
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.failing_over import SHORTEST_REST
from necto_pipelines.procurement.funding import fund, hold
from necto_pipelines.procurement.remaining import rest_of
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.settling import settle
from necto_pipelines.procurement.submission import cancel, submit
from necto_pipelines.routing.matching import expected_usd
from necto_pipelines.settings import Settings

ACTOR = Actor(kind="service", name="schedules")
MOST_FAILOVERS = 3
_SETTINGS = Settings(home=Path("unused"))


@dataclass(frozen=True)
class World:
    """Books, a market, and the runtime that joins them."""

    books: Books
    market: Market
    places: Mapping[str, Place]
    runtime: Runtime

    @classmethod
    def of(cls, books: Books, market: Market) -> "World":
        """Join books and a market."""
        places = {"akash": Place(market, "akash", "ACT"), "account": Place(market, "account", "USD")}
        parts: dict[str, Any] = {"networks": places, "oracle": market, "rail": market, "warehouse": market}
        return cls(books, market, places, Runtime(settings=_SETTINGS, clock=market.clock, books=books, **parts))


def order_life(world: World, cost_centre: str, random: Random) -> Iterator[str]:
    """Go through an order's life; each item is a step that was taken, in words."""
    books = world.books
    try:
        order = submit(books, _request(world, cost_centre, random), ACTOR)
    except InvalidInput:
        yield "submitting is refused: the budget does not cover it"
        return
    to_close: list[Lease] = []
    yield f"submitted for {plain(order.request.requirement.hours)} h and at most {order.request.budget_usd} USD"
    while not (yield from _attempt(world, books.order(order.id), to_close, random)):
        pass
    for lease in to_close:  # what it gave up before is closed when the network answers again
        while not _closed(world, lease, random):
            yield "closing a lease is not answered"
        yield "a lease is closed and charged"


def _attempt(world: World, order: Order, to_close: list[Lease], random: Random) -> Generator[str, None, bool]:
    """Route, hold, fund and place once, and let the lease run; returns whether the order has ended."""
    books = world.books
    stopped = yield from _held(world, order, random)
    if stopped is not None:
        return stopped
    order = books.order(order.id)
    standing = books.hold(order.id)
    yield f"holds {standing.usd if standing else 0} USD"
    yield from _funded(world, order)
    if random.random() < 0.05:
        cancel(books, order.id, ACTOR)
        yield "cancelled after it was funded"
        return True
    lease = _placed(world, order, random)
    if lease is None:
        yield "no bid below the ceiling: another attempt"
        return False
    to_close.append(lease)
    yield f"runs at {plain(lease.usd_per_hour)} USD an hour"
    ended, what = _ran(world, order, lease, random)
    yield what
    if not ended:
        while to_close and _closed(world, to_close[0], random):
            del to_close[0]
            yield "a lease is closed and charged"
        if to_close:
            yield "closing a lease is not answered"
    return ended


def _held(world: World, order: Order, random: Random) -> Generator[str, None, bool | None]:
    """Route and hold; returns None when it holds, else whether the order has ended or needs another attempt."""
    runtime, books = world.runtime, world.books
    if not _decide(world, order, random):
        yield "routing refuses it: no offer within its budget"
        return True
    yield f"routed to {choice_of(runtime, order)[1].offer_id}"
    if random.random() < 0.05:
        cancel(books, order.id, ACTOR)
        yield "cancelled before its hold"
        return True
    hold(runtime, order, ACTOR)
    order = books.order(order.id)
    if order.state is OrderState.REFUSED:
        yield f"holding is refused: {order.reason}"
        return True
    if order.state is not OrderState.WAITING:
        return None
    yield f"waits for its budget: {order.reason}"
    if random.random() < 0.2:
        cancel(books, order.id, ACTOR)
        yield "cancelled while it waited"
        return True
    return False


def _request(world: World, cost_centre: str, random: Random) -> OrderRequest:
    hours = Decimal(random.choice((1, 3, 12, random.randint(1, 48)))) / random.choice((1, 1, 4))
    count = random.choice((1, 1, 2, 8))
    likely = world.market.usd_per_gpu_hour * count * hours
    budget = max(cents_up(likely * random.randint(90, 300) / 100), Decimal("0.10"))
    return OrderRequest(
        name="scheduled",
        tenant="acme",
        cost_centre=cost_centre,
        budget_usd=budget,
        max_usd_per_gpu_hour=world.market.usd_per_gpu_hour * 2 if random.random() < 0.3 else None,
        requirement=Requirement(gpu=GpuNeed(model="H100", count=count), hours=hours),
    )


def _decide(world: World, order: Order, random: Random) -> bool:
    """Choose an offer; False when what is left of the order's budget pays for none and it ends."""
    runtime, books, market = world.runtime, world.books, world.market
    place = world.places[random.choice(("akash", "akash", "account"))]
    price = (market.usd_per_gpu_hour * random.randint(80, 120) / 100).quantize(Decimal("0.0001"))
    rest = rest_of(runtime, order)
    expected = expected_usd(rest, price, conversion_share(runtime.networks[place.name]))
    offer = Candidate(
        offer_id=f"{place.name}/provider/H100-80GB",
        network=place.name,
        provider="provider",
        provider_name="simulated",
        gpu_key="H100-80GB",
        country=None,
        usd_per_gpu_hour=price,
        price_basis=PriceBasis.LIST,
        expected_usd=expected,
        score=100,
        rank=1,
    )
    fits = expected <= rest.request.budget_usd
    decision = Decision(
        id=new_id("dec", market.clock),
        order_id=order.id,
        attempt=order.attempt,
        chosen=offer if fits else None,
        candidates=(offer,),
        inputs=(),
        expected_usd=expected if fits else Decimal(0),
    )
    with books.change(ACTOR) as change:
        change.record_decision(decision)
        if fits:
            change.move_order(order.id, OrderState.ROUTED)
        else:
            change.move_order(order.id, OrderState.REFUSED, reason="budget")
            give_back(change, order.id)
    return fits


def _funded(world: World, order: Order) -> Iterator[str]:
    while True:
        try:
            fund(world.runtime, order, ACTOR)
        except (Unknown, Unavailable) as failure:
            yield f"a conversion is lost: {failure}"
        else:
            yield "funded"
            return


def _placed(world: World, order: Order, random: Random) -> Lease | None:
    """Take a binding price if one is below the ceiling, else wait for another attempt."""
    runtime, books, market = world.runtime, world.books, world.market
    decision, chosen = choice_of(runtime, order)
    place, rest = world.places[chosen.network], rest_of(runtime, order)
    ceiling = ceiling_of(rest, chosen.usd_per_gpu_hour, conversion_share(runtime.networks[place.name]))
    listed = max(market.usd_per_gpu_hour, chosen.usd_per_gpu_hour) * order.request.requirement.gpu.count
    bid = listed * random.randint(80, 120) / 100
    if bid > ceiling.usd_per_hour and random.random() < 0.5:
        with books.change(ACTOR) as change:
            change.move_order(order.id, OrderState.PLACING)
            change.move_order(order.id, OrderState.WAITING, reason="no_acceptable_bid", new_attempt=True)
        return None
    if bid > ceiling.usd_per_hour or random.random() < 0.3:
        bid = ceiling.usd_per_hour
    now = market.clock.now()
    lease = Lease(
        id=new_id("lse", market.clock),
        order_id=order.id,
        decision_id=decision.id,
        attempt=order.attempt,
        network=place.name,
        provider="provider",
        provider_name="simulated",
        network_ref=f"{order.id}-{order.attempt}",
        gpu_key=chosen.gpu_key,
        gpu_count=order.request.requirement.gpu.count,
        country=None,
        state=LeaseState.ACTIVE,
        usd_per_hour=bid,
        native_amount=bid,
        native_unit=native_unit(place.paid_in),
        block_seconds=None,
        mode=market.mode,
        raw_sha256=SHA,
        started_at=now,
        ends_at=now + timedelta(hours=float(rest.request.requirement.hours)),
        closed_at=None,
    )
    said = {"deposit_usd": f"{cents_up(ceiling.deposit_usd):f}"} if place.paid_in == "ACT" else {}
    with books.change(ACTOR) as change:
        key = f"{order.id}/{order.attempt}/deployment"
        change.begin_effect(key, "create_deployment", order.id, order.attempt, said)
        change.move_order(order.id, OrderState.PLACING)
        change.open_lease(lease)
        change.move_order(order.id, OrderState.ACTIVE)
    place.bills[lease.network_ref] = Decimal(to_micro(min(bid * rest.request.requirement.hours, ceiling.deposit_usd)))
    return lease


def _ran(world: World, order: Order, lease: Lease, random: Random) -> tuple[bool, str]:
    """Let the lease run to its end, or fail before it; returns whether the order ends with it, and what happened."""
    place = world.places[lease.network]
    hours = rest_of(world.runtime, order).request.requirement.hours
    done = random.choice((Decimal(1), Decimal(1), Decimal(random.randint(0, 99)) / 100))
    world.market.clock.advance(float(hours * done) * 3600)
    if done == 1:
        return True, "its hours are used up"
    if random.random() < 0.7:  # else the network keeps the whole deposit, delivered or not
        place.bills[lease.network_ref] = Decimal(int(place.bills[lease.network_ref] * done))
    ended = _given_up(world, order, lease, (hours * done).quantize(Decimal("0.000001"), ROUND_DOWN))
    return ended, f"its lease fails after {done:.0%} of the hours"


def _given_up(world: World, order: Order, lease: Lease, delivered: Decimal) -> bool:
    """As `failing_over.decide` for one lease; True when the order ends with it."""
    earlier = world.books.failovers(order.id)
    failover = Failover(
        lease_id=lease.id,
        failover_id=new_id("fov", world.market.clock),
        order_id=order.id,
        attempt=lease.attempt,
        number=len(earlier) + 1,
        cause=FailoverCause.UNHEALTHY,
        reason="simulated",
        decided_at=world.market.clock.now(),
        delivered_hours=delivered,
        scope=FailureScope.PLACE,
        network=lease.network,
        provider=lease.provider,
        region=None,
        country=None,
        organisation=None,
    )
    left = order.request.requirement.hours - delivered - sum(each.delivered_hours for each in earlier)
    with world.books.change(ACTOR) as change:
        change.record_failovers([failover])
        change.move_lease(lease.id, LeaseState.CLOSING, close_reason="simulated")
        if left < SHORTEST_REST:
            change.move_order(order.id, OrderState.COMPLETED)
        elif failover.number > MOST_FAILOVERS:
            change.move_order(order.id, OrderState.FAILED, reason="failovers_exhausted")
        else:
            change.move_order(order.id, OrderState.WAITING, reason="failover", new_attempt=True)
            return False
    return True


def _closed(world: World, lease: Lease, random: Random) -> bool:
    """Close and charge a lease as the settle sensor does; False when its network does not answer."""
    place = world.places[lease.network]
    if random.random() < 0.25:
        place.silent.add(lease.network_ref)
        try:
            settle(world.runtime, lease, ACTOR)
        except Unavailable:
            return False
        finally:
            place.silent.discard(lease.network_ref)
    market = world.market
    market.taken[lease.order_id] += place.bills[lease.network_ref] / 1_000_000
    market.lines[lease.order_id] += 2  # a lease over a month's end is charged in two
    settle(world.runtime, lease, ACTOR)
    return True
