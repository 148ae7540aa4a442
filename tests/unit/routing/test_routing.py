from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
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
from necto_pipelines.routing.allocation import allocate
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
    ],
)
def test_every_misfit_is_refused_by_its_own_reason(
    order: dict[str, Any], offer: dict[str, Any], refusal: Refusal
) -> None:
    (candidate,) = candidates_for(an_order(**order), [offer_row(**offer)])
    assert candidate.refusals == (refusal,)
    assert candidate.rank is None
    assert candidate.details


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
        (allocation,) = allocate([order], {order.id: found}, {row["offer_id"]: 8 for row in offers})
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
    (allocation,) = allocate([order], {order.id: first}, free)
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
    allocations = allocate(orders, found, {row["offer_id"]: 8 for row in offers})
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
    served = {a.order_id: a.chosen for a in allocate([late, soon], found, {offers[0]["offer_id"]: 8})}
    assert served["ord_b"] is not None
    assert served["ord_a"] is None
