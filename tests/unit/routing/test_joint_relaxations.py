"""What an order that is left out could give up: the least of it, and what it really costs then."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.orders_of import an_order, order_document
from support.tables_of import NOW, evidence_row, offer_row

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Candidate, Refusal
from necto_pipelines.model.order import Order, OrderRequest, Policy
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.routing.allocation import Rules
from necto_pipelines.routing.joint import JointPlan, RefusedOrder, allocate_jointly
from necto_pipelines.routing.matching import Terms, match
from necto_pipelines.routing.relaxing import MOST, Relaxation

TERMS = Terms(NOW, Policy(), timedelta(hours=1), Decimal("0.007"))
Offers = list[dict[str, Any]]


def planned(orders: list[Order], offers: Offers, rules: Rules | None = None, terms: Terms = TERMS) -> JointPlan:
    found = {order.id: matched(order, offers, terms) for order in orders}
    return allocate_jointly(orders, found, OFFERS.frame(offers), rules)


def matched(order: Order, offers: Offers, terms: Terms) -> list[Candidate]:
    """Every provider complies."""
    known = {row["provider"]: evidence_row(row["provider"]) for row in offers}
    scores = score_providers(EVIDENCE.frame(known.values()), terms.policy, now=NOW)
    return match(order, OFFERS.frame(offers), scores, terms)


def refused(orders: list[Order], offers: Offers, rules: Rules | None = None) -> RefusedOrder:
    """The one order that is left out."""
    (left_out,) = planned(orders, offers, rules).refused.values()
    return left_out


def loosened(order: Order, relax: Relaxation, offers: Offers) -> tuple[Order, Offers]:
    """The order without those constraints, as whoever took the offer would have to write it; the market as it is.

    GPUs that are not there are what no order can change: they are put there.
    """
    sold = next(row for row in offers if row["offer_id"] == relax.offer_id)
    document: dict[str, Any] = order.request.model_dump()
    need = document["requirement"]
    lifted: Mapping[Refusal, Any] = {
        Refusal.GPU: lambda: need["gpu"].update(model=None, min_vram_gib=need["gpu"]["min_vram_gib"] or 1),
        Refusal.VRAM: lambda: need["gpu"].update(min_vram_gib=None if need["gpu"]["model"] else 1),
        Refusal.UNIT: lambda: need["gpu"].update(count=sold["gpus_per_unit"]),
        Refusal.MIN_HOURS: lambda: need.update(hours=sold["min_hours"]),
        Refusal.MACHINE: lambda: need.update(memory_gib=Decimal("0.001")),
        Refusal.COUNTRY: lambda: need.update(countries=()),
        Refusal.INTERRUPTIBLE: lambda: need.update(interruptible=True),
        Refusal.PRICE_CAP: lambda: document.update(
            max_usd_per_gpu_hour=document["max_usd_per_gpu_hour"] + relax.missing_usd[Refusal.PRICE_CAP]
        ),
        Refusal.BUDGET: lambda: document.update(budget_usd=document["budget_usd"] + relax.missing_usd[Refusal.BUDGET]),
        Refusal.CAPACITY: lambda: None,
    }
    for reason in relax.constraints:
        lifted[reason]()
    there = {"units_available": 64, "max_gpus_per_order": 64} if Refusal.CAPACITY in relax.constraints else {}
    market = [row | there if row["offer_id"] == relax.offer_id else row for row in offers]
    return order.model_copy(update={"request": OrderRequest.model_validate(document)}), market


ORDERS = st.fixed_dictionaries(
    {
        "budget_usd": st.integers(4, 60),
        "max_usd_per_gpu_hour": st.sampled_from([None, "1.5", "2.5"]),
        "policy": st.sampled_from([{}, {"strategy": "balanced"}]),
        "requirement": st.fixed_dictionaries(
            {
                "gpu": st.sampled_from([{"model": "H100", "count": 2}, {"model": "A100", "min_vram_gib": 80}]),
                "hours": st.integers(1, 6),
                "memory_gib": st.sampled_from([32, 2048]),
                "countries": st.sampled_from([(), ("FR",)]),
            }
        ),
    }
)
GPUS = st.sampled_from([("H100-80GB", "H100", 80), ("A100-40GB", "A100", 40), ("A100-80GB", "A100", 80)])
OFFERED = st.lists(
    st.builds(
        lambda gpu, **more: dict(zip(("gpu_key", "gpu_family", "vram_gib"), gpu, strict=True)) | more,
        GPUS,
        usd_per_gpu_hour=st.decimals("0.5", "4", places=2),
        units_available=st.integers(0, 8),
        gpus_per_unit=st.sampled_from([None, None, 1, 4, 8]),
        min_hours=st.sampled_from([None, None, Decimal(3), Decimal(24)]),
        country=st.sampled_from(["DE", "FR"]),
        interruptible=st.booleans(),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=25)  # each takes some 20 matches
@given(wanted=ORDERS, offered=OFFERED)
def test_each_way_is_minimal_and_serves_the_order_alone_at_its_cost(
    wanted: dict[str, Any], offered: list[dict[str, Any]]
) -> None:
    order = an_order(**order_document(**wanted))
    terms = replace(TERMS, policy=TERMS.policy.tightened_by(order.request.policy))
    offers = [offer_row(f"p{number}", **row) for number, row in enumerate(offered)]
    plan = planned([order], offers, terms=terms)
    assume(order.id in plan.refused)
    found = plan.refused[order.id].relaxations
    assert 1 <= len(found) <= MOST
    assert plan.refused[order.id].relax == found[0]
    sets = [set(relax.constraints) for relax in found]
    assert not any(one <= other for place, one in enumerate(sets) for other in sets[:place] + sets[place + 1 :])
    for relax in found:
        eased, market = loosened(order, relax, offers)
        (there,) = matched(eased, [row for row in market if row["offer_id"] == relax.offer_id], terms)
        assert there.refusals == (), relax
        assert there.expected_usd == relax.expected_usd
        for kept in relax.constraints if len(relax.constraints) > 1 else ():
            fewer = replace(relax, constraints=tuple(r for r in relax.constraints if r is not kept))
            nearly, still = loosened(order, fewer, offers)
            (closed,) = matched(nearly, [row for row in still if row["offer_id"] == relax.offer_id], terms)
            assert closed.refusals, (relax, kept)


def test_whoever_must_take_a_whole_machine_pays_for_it_and_may_need_a_larger_budget() -> None:
    (way,) = refused([an_order(budget_usd=20)], [offer_row(gpus_per_unit=8, min_hours=Decimal(5))]).relaxations
    assert way.constraints == (Refusal.UNIT, Refusal.MIN_HOURS, Refusal.BUDGET)
    assert way.expected_usd == Decimal("100.70")
    assert way.missing_usd == {Refusal.BUDGET: Decimal("80.70")}
    assert "8 GPUs for 5 h cost $100.70" in way.details


def test_what_other_orders_take_is_priced_too() -> None:
    eight = an_order("ord_1", budget_usd=1000, requirement={"gpu": {"model": "H100", "count": 8}})
    two = an_order("ord_2", budget_usd=1000, requirement={"gpu": {"model": "H100", "count": 2}})
    elsewhere = offer_row("far", interruptible=True, usd_per_gpu_hour=Decimal(3))
    first, second = refused([eight, two], [offer_row(), elsewhere]).relaxations
    assert (first.constraints, first.expected_usd) == ((Refusal.CAPACITY,), Decimal("20.14"))
    assert first.details == "0 of 2 GPUs are left by other orders of the plan"
    assert (second.constraints, second.expected_usd) == ((Refusal.INTERRUPTIBLE,), Decimal("24.17"))


def test_dollars_that_other_orders_leave_too_few_of_are_counted_at_every_offer() -> None:
    orders = [an_order(f"ord_{number}") for number in (1, 2)]
    elsewhere = offer_row("far", interruptible=True)
    budgets = Rules(budgets={"research": Decimal(15)})
    (way,) = refused(orders, [offer_row(), elsewhere], budgets).relaxations
    assert (way.constraints, way.missing_usd) == ((Refusal.COST_CENTRE,), {Refusal.COST_CENTRE: Decimal("5.14")})
    one_each = [elsewhere, offer_row(units_available=1)]
    assert [set(way.constraints) for way in refused(orders, one_each, budgets).relaxations] == [
        {Refusal.CAPACITY, Refusal.COST_CENTRE},
        {Refusal.INTERRUPTIBLE, Refusal.COST_CENTRE},
    ]
    capped = an_order("ord_3", max_usd_per_gpu_hour=2)
    eight = an_order("ord_1", budget_usd=1000, requirement={"gpu": {"model": "H100", "count": 8}})
    (taken,) = refused([eight, capped], [offer_row()]).relaxations
    assert (taken.constraints, taken.missing_usd[Refusal.PRICE_CAP]) == (
        (Refusal.PRICE_CAP, Refusal.CAPACITY),
        Decimal("0.5"),
    )
    concentrated = refused(orders, [offer_row()], Rules(max_usd_per_provider=Decimal(15))).relaxations[0]
    assert concentrated.missing_usd == {Refusal.CONCENTRATION: Decimal("5.14")}
    held = Rules(
        budgets={"research": Decimal(30)}, draws={o.id: {offer_row()["offer_id"]: Decimal(16)} for o in orders}
    )
    assert refused(orders, [offer_row()], held).relaxations[0].missing_usd == {Refusal.COST_CENTRE: Decimal(2)}


def test_replicas_and_groups_that_others_keep_out_come_with_their_price() -> None:
    apart = refused([an_order(f"ord_{number}", apart="web") for number in (1, 2)], [offer_row()]).relaxations
    assert [(way.constraints, way.expected_usd) for way in apart] == [((Refusal.APART,), Decimal("10.07"))]
    six = {"gpu": {"model": "H100", "count": 6}}
    ring = [an_order(f"ord_{n}", group="ring", budget_usd=1000, requirement=six) for n in (1, 2)]
    ways = [left_out.relaxations for left_out in planned(ring, [offer_row()]).refused.values()]
    assert {way.constraints for each in ways for way in each} <= {(Refusal.GROUP,), (Refusal.CAPACITY,)}
    assert all(way.expected_usd == Decimal("60.42") for each in ways for way in each)
