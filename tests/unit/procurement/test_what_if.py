"""What-if: the rules of real routing, never over capacity or budget, and the order of the input changes nothing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders_of import an_order, order_document
from support.tables_of import NOW, evidence_row, offer_row

from necto_pipelines.failures import InvalidInput
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.order import Order, OrderRequest, Policy
from necto_pipelines.model.state import OrderState
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.procurement.order_document import read_orders, read_policy
from necto_pipelines.procurement.what_if import House, WhatIf, drafts, past_orders, what_if

HOUSE = House(NOW, Policy(), max_offer_age=timedelta(hours=1), bidding=["akash"])


def ask(
    orders: list[Order],
    offers: list[dict[str, Any]],
    budgets: dict[str, Decimal] | None = None,
    house: House = HOUSE,
) -> WhatIf:
    evidence = EVIDENCE.frame({row["provider"]: evidence_row(row["provider"]) for row in offers}.values())
    limits = {"research": Decimal(100_000)} if budgets is None else budgets
    return what_if(orders, OFFERS.frame(offers), evidence, limits, house)


DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "cost_centre": st.sampled_from(["research", "studio"]),
            "budget_usd": st.integers(5, 200),
            "requirement": st.fixed_dictionaries(
                {"gpu": st.fixed_dictionaries({"model": st.just("H100"), "count": st.integers(1, 6)})}
            ),
            "policy": st.fixed_dictionaries(
                {
                    "strategy": st.sampled_from(["cheapest", "balanced", "bid_and_wait"]),
                    "risk_weight": st.integers(0, 3),
                }
            ),
        }
    ),
    max_size=7,
)
OFFERED = st.lists(st.tuples(st.decimals("0.5", "4", places=2), st.integers(0, 8)), min_size=1, max_size=4)
BUDGETS = st.fixed_dictionaries({"research": st.decimals("0", "150", places=2), "studio": st.just(Decimal(60))})


@given(documents=DOCUMENTS, offered=OFFERED, budgets=BUDGETS, data=st.data())
def test_a_plan_keeps_capacity_and_budgets_and_depends_on_nothing_but_what_is_asked(
    documents: list[dict[str, Any]],
    offered: list[tuple[Decimal, int]],
    budgets: dict[str, Decimal],
    data: st.DataObject,
) -> None:
    offers = [
        offer_row(f"p{n}", usd_per_gpu_hour=price, units_available=free, max_gpus_per_order=free)
        for n, (price, free) in enumerate(offered)
    ]
    requests = [OrderRequest.model_validate(order_document(**document)) for document in documents]
    found = ask(drafts(requests, NOW), offers, budgets)
    shuffled = drafts(data.draw(st.permutations(requests)), NOW)
    assert ask(shuffled, data.draw(st.permutations(offers)), budgets) == found

    used: dict[str, int] = {}
    spent: dict[str, Decimal] = {}
    for answer in found.answers:
        chosen, request = answer.allocation.chosen, answer.order.request
        if chosen is None:
            assert answer.order.id in found.plan.refused
            continue
        used[chosen.offer_id] = used.get(chosen.offer_id, 0) + request.requirement.gpu.count
        spent[request.cost_centre] = spent.get(request.cost_centre, Decimal(0)) + chosen.expected_usd
        assert chosen.expected_usd <= request.budget_usd
        assert chosen.refusals == ()
    assert all(used.get(row["offer_id"], 0) <= row["units_available"] for row in offers)
    assert all(usd <= budgets[centre] for centre, usd in spent.items())
    assert spent == found.planned_usd
    plan = found.plan
    assert plan.bound_usd <= plan.cost_usd
    assert 0 <= plan.gap <= 1
    assert plan.cost_usd == sum(a.allocation.chosen.weighed_usd for a in found.answers if a.allocation.chosen)


def test_the_plan_of_orders_that_share_is_a_proved_optimum() -> None:
    refused = offer_row("elsewhere", usd_per_gpu_hour=Decimal(1), interruptible=True)
    offers = [offer_row("cheap", usd_per_gpu_hour=Decimal(2), units_available=1), offer_row("dear"), refused]
    one = ask([an_order()], offers).plan
    assert (one.cost_usd, one.bound_usd, one.gap) == (Decimal("8.06"), Decimal("8.06"), 0)
    both = ask([an_order("ord_1"), an_order("ord_2")], offers).plan
    assert (both.cost_usd, both.bound_usd, both.gap) == (Decimal("18.13"), Decimal("18.13"), 0)
    assert both.method == "exact"


def test_an_order_that_its_cost_centre_cannot_pay_is_left_out_and_says_by_how_much() -> None:
    found = ask([an_order("ord_1"), an_order("ord_2")], [offer_row()], {"research": Decimal(15)})
    left_out = found.plan.refused["ord_2"]
    assert left_out.reasons == {Refusal.COST_CENTRE: 1}
    assert left_out.relax is not None
    assert left_out.relax.constraints == (Refusal.COST_CENTRE,)
    said = "$12.62 to be held for the order, $2.38 is left in the cost centre"
    assert left_out.relax.details == said


def test_the_least_to_give_up_is_what_the_order_itself_asks_before_what_the_house_demands() -> None:
    order = an_order(max_usd_per_gpu_hour="2", requirement={"countries": ["FR"]})
    evidence = EVIDENCE.frame([evidence_row("a"), evidence_row("b", audited_by="")])
    offers = OFFERS.frame([offer_row("a"), offer_row("b", usd_per_gpu_hour=Decimal(1), country="FR")])
    found = what_if([order], offers, evidence, {}, HOUSE)
    relax = found.plan.refused[order.id].relax
    assert relax is not None
    assert (relax.provider_name, relax.constraints) == ("a.example", (Refusal.COUNTRY, Refusal.PRICE_CAP))
    nothing = what_if([order], OFFERS.frame([]), evidence, {}, HOUSE)
    assert nothing.plan.refused[order.id].relax is None


def test_another_policy_gives_another_answer() -> None:
    strict = House(NOW, Policy(min_uptime_7d=Decimal(1)), timedelta(hours=1))
    assert ask([an_order()], [offer_row()], house=strict).plan.refused["ord_1"].reasons[Refusal.UPTIME] == 1
    assert ask([an_order()], [offer_row()]).plan.refused == {}


def test_bid_and_wait_names_the_offer_it_would_fall_back_on() -> None:
    order = an_order(policy={"strategy": "bid_and_wait"})
    offers = [offer_row("open"), offer_row("firm", price_basis="bid", usd_per_gpu_hour=Decimal(3))]
    (answer,) = ask([order], offers).answers
    assert answer.fallback is not None
    assert answer.fallback.provider == "firm"
    (plain,) = ask([an_order()], offers).answers
    assert plain.fallback is None


def test_the_same_order_twice_is_two_orders() -> None:
    request = OrderRequest.model_validate(order_document())
    first, second = drafts([request, request], NOW)
    assert first.id != second.id


def test_last_months_orders_are_all_but_those_taken_back() -> None:
    since = datetime(2026, 11, 1, tzinfo=UTC)
    early = an_order("old").model_copy(update={"submitted_at": since - timedelta(microseconds=1)})
    first = an_order("first").model_copy(update={"submitted_at": since, "state": OrderState.REFUSED})
    gone = an_order("gone").model_copy(update={"state": OrderState.CANCELLED})
    assert past_orders([early, first, gone], since) == [first]


def test_one_order_or_a_list_of_them_is_read_and_every_fault_names_its_order() -> None:
    one = b"name: a\ncost_centre: r\nbudget_usd: 5\nrequirement: {gpu: {model: H100}, hours: 1}\n"
    assert [order.name for order in read_orders(one)] == ["a"]
    row = "{name: %s, cost_centre: r, budget_usd: %s, requirement: {gpu: {model: H100}, hours: 1}}"
    many = f"orders:\n- {row % ('a', 5)}\n- {row % ('b', 6)}\n".encode()
    assert [order.name for order in read_orders(many)] == ["a", "b"]
    bare = many.removeprefix(b"orders:\n")
    assert bare != many
    assert [order.name for order in read_orders(bare)] == ["a", "b"]
    with pytest.raises(InvalidInput) as caught:
        read_orders(f"orders:\n- {row % ('a', -5)}\n- {row % ('b', 6)}\n- no\n".encode())
    assert [problem.field for problem in caught.value.problems] == ["orders.0.budget_usd", "orders.2"]


@pytest.mark.parametrize("document", [b"", b"[]", b"orders: []", b"orders: {}", b"orders:\n", b"orders: []\nname: x"])
def test_a_document_that_is_neither_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_orders(document)


def test_a_policy_is_read_and_its_faults_are_told_in_its_own_fields() -> None:
    read = read_policy(b"strategy: balanced\nrisk_weight: 2.5\nmin_score: 0\n")
    assert (read.strategy, read.risk_weight, read.min_score) == ("balanced", Decimal("2.5"), 0)
    with pytest.raises(InvalidInput, match="no such field; there are name, networks"):
        read_policy(b"weight: 3")
    with pytest.raises(InvalidInput, match=r"risk_weight.*less than or equal to 10"):
        read_policy(b"risk_weight: 11")
    with pytest.raises(InvalidInput, match="a policy is a mapping"):
        read_policy(b"- 3")
