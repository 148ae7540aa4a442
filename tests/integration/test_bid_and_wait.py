"""Bid and wait: binding bids decide up to the price of the fall-back; that is taken at once when none comes."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.procurement_world import ACTOR, World, procurement_world

from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import OrderState
from necto_pipelines.model.tables import EVIDENCE, OFFERS, records
from necto_pipelines.procurement.deciding import route, screen

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with procurement_world(tmp_path) as made:
        yield made


def route_with_firm_offer(world: World, order: Order, provider: str, usd_per_gpu_hour: Decimal) -> Order:
    """Route on a catalog in which `provider` sells its H100s at a firm price and everybody else lists half of it."""
    inputs = world.inputs()
    rows = []
    for row in records(inputs.offers):
        if row["gpu_family"] != "H100":
            continue
        if row["provider"] == provider:
            rows.append(row | {"price_basis": "bid", "usd_per_gpu_hour": usd_per_gpu_hour})
        else:
            rows.append(row | {"usd_per_gpu_hour": usd_per_gpu_hour / 2})
    inputs = replace(inputs, offers=OFFERS.frame(rows))
    orders = [world.runtime.books.order(order.id)]
    route(world.runtime, orders, screen(world.runtime, orders, inputs), inputs, ACTOR)
    return world.runtime.books.order(order.id)


def compliant_providers(world: World, order: Order) -> list[str]:
    inputs = world.inputs()
    (candidates,) = screen(world.runtime, [order], inputs).values()
    return [candidate.provider for candidate in candidates if not candidate.refusals]


def test_bids_above_the_fall_back_are_left_and_the_fall_back_is_taken_at_once(world: World) -> None:
    order = world.submit(policy={"strategy": "bid_and_wait"})
    books = world.runtime.books
    firm = compliant_providers(world, order)[-1]
    cheaper_than_any_bid = Decimal("0.60")
    assert route_with_firm_offer(world, order, firm, cheaper_than_any_bid).state is OrderState.ROUTED
    (decision,) = books.decisions(order.id)
    assert decision.strategy == "bid_and_wait"
    assert decision.chosen is not None
    assert decision.fallback is not None
    assert (decision.fallback.provider, decision.chosen.provider != firm) == (firm, True)

    world.pay(order.id)
    order = world.place(order.id)
    assert order.state is OrderState.WAITING, order.reason
    assert order.reason.startswith("no_acceptable_bid")
    assert order.next_attempt_at == world.clock.now(), "a fall-back stands by: no pause"
    assert [each["state"] for each in world.state()["deployments"]] == ["closed"]

    route_with_firm_offer(world, order, firm, Decimal("4.00"))
    after = books.decisions(order.id)[-1]
    assert after.chosen is not None
    assert after.chosen.provider == firm
    asked = [candidate for candidate in after.candidates if candidate.provider == decision.chosen.provider]
    assert all(Refusal.NO_BID in candidate.refusals for candidate in asked)
    world.pay(order.id)
    assert world.place(order.id).state is OrderState.ACTIVE
    assert [lease.provider for lease in books.leases(order_id=order.id)] == [firm]


def test_a_bid_below_the_fall_back_is_taken(world: World) -> None:
    order = world.submit(policy={"strategy": "bid_and_wait"})
    firm = compliant_providers(world, order)[-1]
    route_with_firm_offer(world, order, firm, Decimal("6.00"))
    world.pay(order.id)
    order = world.place(order.id)
    assert order.state is OrderState.ACTIVE, order.reason
    (lease,) = world.runtime.books.leases(order_id=order.id)
    assert lease.usd_per_hour <= Decimal("6.00")


def test_under_any_other_strategy_the_order_waits_and_asks_everybody_again(world: World) -> None:
    order = world.submit()
    firm = compliant_providers(world, order)[-1]
    route_with_firm_offer(world, order, firm, Decimal("0.60"))
    assert world.runtime.books.decisions(order.id)[-1].fallback is None
    world.pay(order.id)
    order = world.place(order.id)
    assert order.state is OrderState.WAITING, order.reason
    assert order.next_attempt_at is not None
    assert order.next_attempt_at > world.clock.now()
    route_with_firm_offer(world, order, firm, Decimal("4.00"))
    last = world.runtime.books.decisions(order.id)[-1]
    assert not any(Refusal.NO_BID in candidate.refusals for candidate in last.candidates)


def test_balanced_weighs_binding_bids_by_the_risk_of_their_providers(world: World) -> None:
    long_job = {"gpu": {"model": "H100"}, "hours": 48, "memory_gib": 64}

    def winner(strategy: str, shaky: str | None) -> str:
        policy = {"strategy": strategy, "risk_weight": 10}
        order = world.submit(budget_usd="450", requirement=long_job, policy=policy)
        inputs = world.inputs()
        rows = [r | ({"uptime_7d": 0.951} if r["provider"] == shaky else {}) for r in records(inputs.evidence)]
        inputs = replace(inputs, evidence=EVIDENCE.frame(rows))
        orders = [world.runtime.books.order(order.id)]
        route(world.runtime, orders, screen(world.runtime, orders, inputs), inputs, ACTOR)
        world.pay(order.id)
        placed = world.place(order.id)
        assert placed.state is OrderState.ACTIVE, placed.reason
        (lease,) = world.runtime.books.leases(order_id=order.id)
        return lease.provider

    cheapest = winner("cheapest", None)
    assert winner("balanced", cheapest) != cheapest
    assert winner("cheapest", cheapest) == cheapest
