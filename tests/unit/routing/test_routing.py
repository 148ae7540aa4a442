from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables_of import NOW, evidence_row, offer_row

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Candidate, Refusal
from necto_pipelines.model.order import Order, OrderRequest, Policy
from necto_pipelines.model.state import OrderState
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.routing.allocation import Rules, assign
from necto_pipelines.routing.matching import Terms, match

TERMS = Terms(NOW, Policy(), max_offer_age=timedelta(hours=1), conversion_cost=Decimal("0.007"))


def an_order(order_id: str = "ord_1", **request: Any) -> Order:
    need = {"gpu": {"model": "H100"}, "hours": 4} | request.pop("requirement", {})
    document = {"name": "job", "cost_centre": "research", "budget_usd": 100, "requirement": need} | request
    return Order(
        id=order_id,
        request=OrderRequest.model_validate(document),
        state=OrderState.SUBMITTED,
        reason="",
        submitted_at=NOW,
        updated_at=NOW,
        next_attempt_at=None,
        attempt=1,
        run_id=None,
    )


def candidates_for(
    order: Order,
    offers: Sequence[dict[str, Any]],
    evidence: Sequence[dict[str, Any]] | None = None,
    terms: Terms = TERMS,
) -> list[Candidate]:
    known = [evidence_row(row["provider"]) for row in offers] if evidence is None else evidence
    scores = score_providers(EVIDENCE.frame(known), terms.policy, now=NOW)
    return match(order, OFFERS.frame(offers), scores, terms)


@pytest.mark.parametrize(
    ("order", "offer", "refusal"),
    [
        ({"requirement": {"gpu": {"model": "H200"}}}, {}, Refusal.GPU),
        ({"requirement": {"gpu": {"model": "A100-40GB"}}}, {"gpu_key": "A100-80GB", "gpu_family": "A100"}, Refusal.GPU),
        ({"requirement": {"gpu": {"min_vram_gib": 96}}}, {}, Refusal.VRAM),
        ({"requirement": {"gpu": {"model": "H100", "count": 9}}}, {}, Refusal.CAPACITY),
        ({}, {"units_available": 0}, Refusal.CAPACITY),
        ({"requirement": {"memory_gib": 2000}}, {}, Refusal.MACHINE),
        ({"requirement": {"countries": ["FR"]}}, {}, Refusal.COUNTRY),
        ({"requirement": {"countries": ["DE"]}}, {"country": None}, Refusal.COUNTRY),
        ({}, {"interruptible": True}, Refusal.INTERRUPTIBLE),
        ({"max_usd_per_gpu_hour": "2.49"}, {}, Refusal.PRICE_CAP),
        ({"budget_usd": "10"}, {}, Refusal.BUDGET),
        ({}, {"observed_at": NOW - timedelta(hours=2)}, Refusal.STALE),
        ({}, {"price_basis": "private_quote", "observed_at": NOW - timedelta(hours=2)}, Refusal.STALE),
        ({}, {"price_basis": "private_quote", "valid_until": NOW}, Refusal.STALE),
        ({}, {"observed_at": NOW - timedelta(hours=2), "valid_until": NOW + timedelta(hours=1)}, Refusal.STALE),
        ({}, {"gpus_per_unit": 8}, Refusal.UNIT),
        ({}, {"min_hours": Decimal("4.5")}, Refusal.MIN_HOURS),
    ],
)
def test_every_misfit_is_refused_by_its_own_reason(
    order: dict[str, Any], offer: dict[str, Any], refusal: Refusal
) -> None:
    (candidate,) = candidates_for(an_order(**order), [offer_row(**offer)])
    assert candidate.refusals == (refusal,)
    assert candidate.rank is None
    assert candidate.details


def test_a_private_quote_is_good_until_it_ends_whatever_its_age_and_a_whole_unit_where_it_fits() -> None:
    quote = {"price_basis": "private_quote", "valid_until": NOW + timedelta(seconds=1), "min_hours": Decimal(4)}
    (candidate,) = candidates_for(
        an_order(), [offer_row(observed_at=NOW - timedelta(days=90), gpus_per_unit=1, **quote)]
    )
    assert candidate.refusals == ()


def test_a_family_takes_every_memory_size_and_a_key_only_its_own() -> None:
    offers = [
        offer_row("p40", gpu_key="A100-40GB", gpu_family="A100", vram_gib=40, offer_id="a40"),
        offer_row("p80", gpu_key="A100-80GB", gpu_family="A100", offer_id="a80"),
    ]
    family = candidates_for(an_order(requirement={"gpu": {"model": "a100"}}), offers)
    key = candidates_for(an_order(requirement={"gpu": {"model": "A100 80GB"}}), offers)
    assert [c.offer_id for c in family if not c.refusals] == ["a40", "a80"]
    assert [c.offer_id for c in key if not c.refusals] == ["a80"]


def test_a_provider_without_evidence_is_never_chosen_even_when_it_is_the_cheapest() -> None:
    offers = [offer_row("cheap", usd_per_gpu_hour=Decimal("0.01")), offer_row("dear")]
    order = an_order()
    for evidence in ([evidence_row("dear")], [evidence_row("dear"), evidence_row("cheap", audited_by="")]):
        found = candidates_for(order, offers, evidence)
        (allocation,) = assign([order], {order.id: found}, {row["offer_id"]: 8 for row in offers}).allocations
        assert allocation.chosen is not None
        assert allocation.chosen.provider == "dear"
        refused = next(c for c in allocation.candidates if c.provider == "cheap")
        assert Refusal.NO_EVIDENCE in refused.refusals


def test_a_provider_that_failed_the_order_before_is_not_asked_again() -> None:
    terms = Terms(NOW, Policy(), timedelta(hours=1), Decimal(0), failed_providers={("akash", "akash1good")})
    (candidate,) = candidates_for(an_order(), [offer_row()], terms=terms)
    assert candidate.refusals == (Refusal.PLACE_FAILED,)


@given(prices=st.lists(st.decimals("0.1", "5", places=2), min_size=1, max_size=12), data=st.data())
def test_the_cheapest_compliant_offer_wins_whatever_the_order_of_the_table(
    prices: list[Decimal], data: st.DataObject
) -> None:
    offers = [offer_row(f"p{n}", usd_per_gpu_hour=price) for n, price in enumerate(prices)]
    order = an_order(budget_usd=1000)
    shuffled = data.draw(st.permutations(offers))
    first, second = (candidates_for(order, rows) for rows in (offers, shuffled))
    assert first == second
    free = {row["offer_id"]: 8 for row in offers}
    (allocation,) = assign([order], {order.id: first}, free).allocations
    assert allocation.chosen is not None
    assert allocation.chosen.usd_per_gpu_hour == min(prices)
    others = [c for c in allocation.candidates if c != allocation.chosen]
    assert all(c.refusals == (Refusal.DEARER,) for c in others)


@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_orders_routed_together_never_share_the_same_gpus(counts: list[int]) -> None:
    orders = [
        an_order(f"ord_{n}", budget_usd=10_000, requirement={"gpu": {"model": "H100", "count": count}})
        for n, count in enumerate(counts)
    ]
    offers = [offer_row("one"), offer_row("two", usd_per_gpu_hour=Decimal(3))]
    found = {order.id: candidates_for(order, offers) for order in orders}
    allocations = assign(orders, found, {row["offer_id"]: 8 for row in offers}).allocations
    used: dict[str, int] = {}
    for allocation in allocations:
        order = next(o for o in orders if o.id == allocation.order_id)
        if allocation.chosen:
            used[allocation.chosen.offer_id] = (
                used.get(allocation.chosen.offer_id, 0) + order.request.requirement.gpu.count
            )
        else:
            assert all(c.refusals == (Refusal.CAPACITY,) for c in allocation.candidates)
    assert all(total <= 8 for total in used.values())


def test_the_order_with_the_nearest_deadline_is_served_first() -> None:
    late = an_order("ord_a", budget_usd=1000, requirement={"gpu": {"model": "H100", "count": 8}})
    soon = late.model_copy(
        update={"id": "ord_b", "request": late.request.model_copy(update={"deadline": NOW + timedelta(hours=1)})}
    )
    offers = [offer_row()]
    found = {order.id: candidates_for(order, offers) for order in (late, soon)}
    served = {a.order_id: a.chosen for a in assign([late, soon], found, {offers[0]["offer_id"]: 8}).allocations}
    assert served["ord_b"] is not None
    assert served["ord_a"] is None


def orders_for(counts: list[int], **request: object) -> list[Order]:
    return [
        an_order(f"ord_{n}", budget_usd=10_000, requirement={"gpu": {"model": "H100", "count": count}}, **request)
        for n, count in enumerate(counts)
    ]


def chosen_by(orders: list[Order], offers: list[dict[str, Any]], rules: Rules | None = None) -> dict[str, str | None]:
    """Order -> provider, or None; 8 GPUs stand at every offer."""
    found = {order.id: candidates_for(order, offers) for order in orders}
    assigned = assign(orders, found, {row["offer_id"]: 8 for row in offers}, rules)
    return {a.order_id: a.chosen.provider if a.chosen else None for a in assigned.allocations}


def test_an_order_makes_room_for_another_where_that_costs_less_in_all() -> None:
    """The first would take the cheap GPUs and push the second to dear ones; together the other way round is cheaper."""
    offers = [offer_row("cheap"), offer_row("dear", usd_per_gpu_hour=Decimal(3))]
    assert chosen_by(orders_for([1, 8]), offers) == {"ord_0": "dear", "ord_1": "cheap"}


def test_more_orders_are_served_before_fewer_are_served_cheaper() -> None:
    offers = [offer_row("one")]
    served = chosen_by(orders_for([8, 4, 4]), offers)
    assert served == {"ord_0": None, "ord_1": "one", "ord_2": "one"}


def test_a_cost_centre_is_not_spent_twice_within_a_plan() -> None:
    offers = [offer_row("one")]
    (price,) = {c.expected_usd for c in candidates_for(orders_for([1])[0], offers)}
    rules = Rules(budgets={"research": price * 2})
    served = chosen_by(orders_for([1, 1, 1]), offers, rules)
    assert list(served.values()) == ["one", "one", None]


def test_a_provider_gets_no_more_than_it_may_have_with_what_stands_there() -> None:
    offers = [offer_row("cheap"), offer_row("dear", usd_per_gpu_hour=Decimal(3))]
    (price,) = {c.expected_usd for c in candidates_for(orders_for([1])[0], offers[:1])}
    rules = Rules(max_usd_per_provider=price * 4, committed={("akash", "cheap"): price * 3})
    assert list(chosen_by(orders_for([1, 1]), offers, rules).values()) == ["cheap", "dear"]
    everywhere = Rules(max_usd_per_network=price * 4, committed={("akash", "cheap"): price * 4})
    assert list(chosen_by(orders_for([1, 1]), offers, everywhere).values()) == [None, None]


def test_replicas_stand_apart_from_each_other_and_from_those_that_run() -> None:
    offers = [offer_row("a"), offer_row("b", usd_per_gpu_hour=Decimal(3)), offer_row("c", usd_per_gpu_hour=Decimal(4))]
    assert sorted(chosen_by(orders_for([1, 1], apart="web"), offers).values()) == ["a", "b"]
    rules = Rules(standing={"web": {("akash", "a")}})
    assert sorted(chosen_by(orders_for([1, 1], apart="web"), offers, rules).values()) == ["b", "c"]


def test_a_group_is_served_whole_or_not_at_all_and_says_why() -> None:
    offers = [offer_row("one")]
    assert set(chosen_by(orders_for([6, 6], group="ring"), offers).values()) == {None}
    orders = orders_for([6, 6], group="ring")
    found = {order.id: candidates_for(order, offers) for order in orders}
    reasons = {c.refusals for a in assign(orders, found, {offers[0]["offer_id"]: 8}).allocations for c in a.candidates}
    assert reasons <= {(Refusal.GROUP,), (Refusal.CAPACITY,)}
    assert (Refusal.GROUP,) in reasons


def test_a_cheaper_offer_that_others_take_is_named_with_the_reason() -> None:
    offers = [offer_row("cheap"), offer_row("dear", usd_per_gpu_hour=Decimal(3))]
    orders = orders_for([1, 8])
    found = {order.id: candidates_for(order, offers) for order in orders}
    first, _ = assign(orders, found, {row["offer_id"]: 8 for row in offers}).allocations
    cheap = next(c for c in first.candidates if c.provider == "cheap")
    assert (cheap.refusals, cheap.rank) == ((Refusal.CAPACITY,), None)


@given(
    counts=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    prices=st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_a_small_plan_is_the_best_of_all_plans(counts: list[int], prices: list[int]) -> None:
    """Most orders served, weighed by urgency, and then least cost: tried against every plan there is."""
    orders = orders_for(counts)
    offers = [offer_row(f"p{n}", usd_per_gpu_hour=Decimal(price)) for n, price in enumerate(prices)]
    found = {order.id: candidates_for(order, offers) for order in orders}
    costs = [{c.provider: c.weighed_usd for c in found[order.id]} for order in orders]
    least = None
    for plan in product([None, *(row["provider"] for row in offers)], repeat=len(orders)):
        used = Counter[str]()
        for count, place in zip(counts, plan, strict=True):
            used[place or ""] += count if place else 0
        if max(used.values()) > 8:
            continue
        cost = sum((each[place] for each, place in zip(costs, plan, strict=True) if place), Decimal(0))
        key = (sum(place is None for place in plan), cost)
        least = key if least is None or key < least else least
    assigned = assign(orders, found, {row["offer_id"]: 8 for row in offers})
    unserved = sum(a.chosen is None for a in assigned.allocations)
    assert least is not None
    if unserved == least[0] == 0:
        assert abs(Decimal(assigned.cost_usd) - least[1]) < Decimal("0.0001")
    assert assigned.bound_usd <= assigned.cost_usd


@given(
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    prices=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    cents=st.lists(st.integers(0, 900), min_size=9, max_size=9),
    left=st.integers(0, 1500),
)
def test_a_plan_under_a_budget_is_the_best_that_what_it_would_hold_allows(
    counts: list[int], prices: list[int], cents: list[int], left: int
) -> None:
    """What is held for an order is no multiple of its cost: every plan is tried, and none is over the budget."""
    orders = orders_for(counts)
    offers = [offer_row(f"p{n}", usd_per_gpu_hour=Decimal(price)) for n, price in enumerate(prices)]
    found = {order.id: candidates_for(order, offers) for order in orders}
    draws = {
        order.id: {c.offer_id: Decimal(cents[3 * at + place]) / 100 for place, c in enumerate(found[order.id])}
        for at, order in enumerate(orders)
    }
    budget = Decimal(left) / 100
    # As `assign` weighs it: to serve an order is worth more than all can cost, and more the sooner it comes.
    dearest = sum(max(float(c.weighed_usd) for c in found[order.id]) for order in orders)
    refusing = [(1 + 2 * dearest) * (2 - at / len(orders)) for at in range(len(orders))]
    least = float("inf")
    for plan in product([None, *range(len(offers))], repeat=len(orders)):
        pairs = [found[order.id][at] for order, at in zip(orders, plan, strict=True) if at is not None]
        served = [order.id for order, at in zip(orders, plan, strict=True) if at is not None]
        used = Counter[str]()
        for order_id, candidate in zip(served, pairs, strict=True):
            used[candidate.offer_id] += counts[int(order_id[-1])]
        held = sum((draws[order_id][c.offer_id] for order_id, c in zip(served, pairs, strict=True)), Decimal(0))
        if held > budget or max(used.values(), default=0) > 8:
            continue
        refused = sum(cost for cost, at in zip(refusing, plan, strict=True) if at is None)
        least = min(least, refused + float(sum((c.weighed_usd for c in pairs), Decimal(0))))
    rules = Rules(budgets={"research": budget}, draws=draws)
    assigned = assign(orders, found, {row["offer_id"]: 8 for row in offers}, rules)
    held = sum((draws[a.order_id][a.chosen.offer_id] for a in assigned.allocations if a.chosen), Decimal(0))
    assert held <= budget
    spared = sum(cost for cost, a in zip(refusing, assigned.allocations, strict=True) if a.chosen is None)
    assert abs(assigned.cost_usd + spared - least) < 1e-4
