"""Plans against brute force: small markets are drawn, every placement is tried, and the plan may not differ."""

import math
from collections import defaultdict
from itertools import product
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from necto_pipelines.failures import InvalidInput
from necto_pipelines.model.decision import Refusal
from necto_pipelines.routing.optimum.plans import Plan, plan
from necto_pipelines.routing.optimum.questions import Limits

EXACT = Limits(gap=0.0)


def an_order(order_id: str = "order-1", **changes: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "gpus_needed": 1,
        "gpu_any_of": ["H100"],
        "min_gpu_memory_gib": 80,
        "country_any_of": ["DE", "FR"],
        "evidence_all_of": ["soc2"],
        "hours": 1.0,
        "max_usd_per_gpu_hour": 10.0,
        "cost_centre": "research",
        "refusal_cost_usd": 1000.0,
        "group": None,
        "apart": None,
    } | changes


def an_offer(offer_id: str = "offer-1", **changes: Any) -> dict[str, Any]:
    return {
        "offer_id": offer_id,
        "gpu": "H100",
        "gpu_memory_gib": 80,
        "country": "DE",
        "evidence": ["soc2", "kyb"],
        "usd_per_gpu_hour": 2.0,
        "gpus_available": 8,
        "provider": "p1",
        "network": "akash",
    } | changes


def planned(
    orders: list[dict[str, Any]],
    offers: list[dict[str, Any]],
    budgets: dict[str, float] | None = None,
    limits: Limits = EXACT,
) -> Plan:
    limit = pd.DataFrame((budgets or {"research": 1e6, "design": 1e6}).items(), columns=["cost_centre", "limit_usd"])
    return plan(pd.DataFrame(orders), pd.DataFrame(offers), limit, limits=limits)


def where(result: Plan) -> dict[str, str]:
    table = result.assignments
    return dict(zip(table["order_id"].to_pylist(), table["offer_id"].to_pylist(), strict=True))


def fits(order: dict[str, Any], offer: dict[str, Any]) -> bool:
    return (
        offer["gpu"] in order["gpu_any_of"]
        and offer["gpu_memory_gib"] >= order["min_gpu_memory_gib"]
        and offer["country"] in order["country_any_of"]
        and set(order["evidence_all_of"]) <= set(offer["evidence"])
        and offer["usd_per_gpu_hour"] <= order["max_usd_per_gpu_hour"]
        and offer["gpus_available"] >= order["gpus_needed"]
    )


def cost_of(order: dict[str, Any], offer: dict[str, Any]) -> float:
    return float(order["gpus_needed"] * order["hours"] * offer["usd_per_gpu_hour"])


def broken(chosen: list[tuple[dict, dict]], refused: list[dict], budgets: dict[str, float], limits: Limits) -> bool:
    """Whether a placement breaks any rule, as a person would check it."""
    gpus: dict[str, int] = defaultdict(int)
    usd: dict[tuple[str, str], float] = defaultdict(float)
    replicas: set[tuple[str, str]] = set()
    for order, offer in chosen:
        gpus[offer["offer_id"]] += order["gpus_needed"]
        for kind, name in (("b", order["cost_centre"]), ("p", offer["provider"]), ("n", offer["network"])):
            usd[kind, name] += cost_of(order, offer)
        if order["apart"] is not None:
            if (order["apart"], offer["provider"]) in replicas:
                return True
            replicas.add((order["apart"], offer["provider"]))
        if gpus[offer["offer_id"]] > offer["gpus_available"] or not fits(order, offer):
            return True
    ceilings = {("b", name): most for name, most in budgets.items()}
    ceilings |= {("p", name): most for name, most in limits.usd_per_provider.items()}
    ceilings |= {("n", name): most for name, most in limits.usd_per_network.items()}
    groups = {order["group"] for order, _ in chosen} & {order["group"] for order in refused}
    return bool(groups - {None}) or any(usd[key] > most for key, most in ceilings.items())


def least_cost(orders: list, offers: list, budgets: dict[str, float], limits: Limits) -> float:
    best = math.inf
    choices = [[None, *(offer for offer in offers if fits(order, offer))] for order in orders]
    for picked in product(*choices):
        chosen = [(order, offer) for order, offer in zip(orders, picked, strict=True) if offer]
        refused = [order for order, offer in zip(orders, picked, strict=True) if not offer]
        cost = sum(cost_of(*pair) for pair in chosen) + sum(order["refusal_cost_usd"] for order in refused)
        if cost < best and not broken(chosen, refused, budgets, limits):
            best = cost
    return best


# Quarters add up exactly in floating point, so a ceiling can be met to the cent.
prices, hours = (st.integers(1, 12).map(lambda quarters: quarters / 4) for _ in range(2))
subsets = st.lists(st.sampled_from(["DE", "FR", "US"]), min_size=1, unique=True)


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[dict], list[dict], dict[str, float], Limits]:
    """Up to five orders and five offers, with every kind of limit now and then."""
    maybe = st.sampled_from([None, None, "a", "b"])
    orders = [
        an_order(
            f"order-{number}",
            gpus_needed=draw(st.sampled_from([1, 2, 3, 4])),
            gpu_any_of=draw(st.sampled_from([["H100"], ["H100", "H200"]])),
            country_any_of=draw(subsets),
            evidence_all_of=draw(st.sampled_from([[], ["soc2"]])),
            hours=draw(hours),
            max_usd_per_gpu_hour=draw(prices) + 1,
            cost_centre=draw(st.sampled_from(["research", "design"])),
            refusal_cost_usd=draw(st.sampled_from([0.0, 5.0, 20.0, 1000.0])),
            group=draw(maybe),
            apart=draw(maybe),
        )
        for number in range(draw(st.integers(1, 5)))
    ]
    offers = [
        an_offer(
            f"offer-{number}",
            gpu=draw(st.sampled_from(["H100", "H200"])),
            country=draw(st.sampled_from(["DE", "FR", "US"])),
            evidence=draw(st.sampled_from([["soc2"], []])),
            usd_per_gpu_hour=draw(prices),
            gpus_available=draw(st.sampled_from([1, 2, 4, 5])),
            provider=draw(st.sampled_from(["p1", "p2", "p3"])),
            network=draw(st.sampled_from(["akash", "render"])),
        )
        for number in range(draw(st.integers(1, 5)))
    ]
    usd = st.integers(0, 120).map(lambda quarters: quarters / 4)
    budgets = {"research": draw(usd), "design": draw(usd)}
    per_provider = draw(st.dictionaries(st.sampled_from(["p1", "p2"]), usd, max_size=2))
    per_network = draw(st.dictionaries(st.sampled_from(["akash"]), usd, max_size=1))
    return orders, offers, budgets, Limits(gap=0.0, usd_per_provider=per_provider, usd_per_network=per_network)


@given(markets())
@settings(max_examples=60, deadline=None)
def test_a_plan_keeps_every_rule_and_costs_what_the_best_of_all_placements_costs(market: Any) -> None:
    orders, offers, budgets, limits = market
    result = planned(orders, offers, budgets, limits)
    by_order, by_offer = ({row[key]: row for row in rows} for rows, key in ((orders, "order_id"), (offers, "offer_id")))
    chosen = [(by_order[order], by_offer[offer]) for order, offer in where(result).items()]
    refused = [order for order in orders if order["order_id"] in result.refused]
    assert len(chosen) + len(refused) == len(orders)
    assert not broken(chosen, refused, budgets, limits)
    assert result.cost_usd == sum(cost_of(*pair) for pair in chosen) + sum(each["refusal_cost_usd"] for each in refused)
    best = least_cost(orders, offers, budgets, limits)
    assert result.cost_usd == pytest.approx(best, rel=1e-6)
    assert result.bound_usd <= best


@given(markets(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_rows_changes_nothing(market: Any, random: Any) -> None:
    orders, offers, budgets, limits = market
    shuffled = [random.sample(rows, len(rows)) for rows in (orders, offers)]
    centres = dict(random.sample(list(budgets.items()), len(budgets)))
    first, second = planned(orders, offers, budgets, limits), planned(*shuffled, centres, limits)
    assert first.assignments.equals(second.assignments)
    assert (first.cost_usd, first.bound_usd, first.refused) == (second.cost_usd, second.bound_usd, second.refused)


@pytest.mark.parametrize(
    ("order", "offer", "reasons"),
    [
        ({"gpu_any_of": ["H200"]}, {}, (Refusal.GPU,)),
        ({"min_gpu_memory_gib": 96}, {}, (Refusal.VRAM,)),
        ({"gpus_needed": 9}, {}, (Refusal.CAPACITY,)),
        ({"country_any_of": ["FR"]}, {}, (Refusal.COUNTRY,)),
        ({"evidence_all_of": ["hipaa"]}, {}, (Refusal.NO_EVIDENCE,)),
        ({"max_usd_per_gpu_hour": 1.99}, {}, (Refusal.PRICE_CAP,)),
        ({"hours": 600.0, "refusal_cost_usd": 1e4}, {}, (Refusal.BUDGET,)),
        ({"country_any_of": ["FR"], "min_gpu_memory_gib": 96}, {}, (Refusal.VRAM, Refusal.COUNTRY)),
    ],
)
def test_an_order_that_fits_nowhere_is_refused_with_the_fewest_requirements_to_relax(
    order: dict[str, Any], offer: dict[str, Any], reasons: tuple[Refusal, ...]
) -> None:
    far = an_offer("far", gpu="T4", gpu_memory_gib=16, country="US", evidence=[], usd_per_gpu_hour=0.1)
    refused = planned([an_order(**order)], [an_offer(**offer), far], {"research": 1000.0}).refused["order-1"]
    assert refused.reasons == reasons
    assert refused.relaxation is not None
    assert refused.relaxation.offer_id == "offer-1"
    assert refused.relaxation.cost_usd == 2.0 * order.get("gpus_needed", 1) * order.get("hours", 1.0)


def test_an_order_that_others_leave_no_room_for_says_what_ran_out() -> None:
    two = [an_order("a", gpus_needed=8, refusal_cost_usd=500.0), an_order("b", gpus_needed=8)]
    result = planned(two, [an_offer()])
    assert where(result) == {"b": "offer-1"}, "the dearer one to refuse is placed"
    assert result.refused["a"].reasons == (Refusal.CAPACITY,)


def test_an_order_is_refused_when_that_is_cheaper() -> None:
    assert planned([an_order(refusal_cost_usd=1.5)], [an_offer()]).refused["order-1"].reasons == (Refusal.DEARER,)


def test_replicas_stand_at_different_providers_and_the_last_one_says_why_it_does_not() -> None:
    replicas = [an_order(f"r{number}", apart="web") for number in range(3)]
    result = planned(replicas, [an_offer("x"), an_offer("y"), an_offer("z", provider="p2", usd_per_gpu_hour=9.0)])
    assert sorted(where(result).values()) in (["x", "z"], ["y", "z"])
    (refused,) = result.refused.values()
    assert refused.reasons == (Refusal.APART,)


def test_a_provider_gets_no_more_money_than_its_limit() -> None:
    orders = [an_order(f"o{number}") for number in range(3)]
    offers = [an_offer("cheap"), an_offer("dear", provider="p2", usd_per_gpu_hour=3.0)]
    result = planned(orders, offers, limits=Limits(gap=0.0, usd_per_provider={"p1": 4.0}))
    assert sorted(where(result).values()) == ["cheap", "cheap", "dear"]


@pytest.mark.parametrize(
    ("orders", "offers", "field"),
    [
        ([an_order(gpus_needed=0)], [an_offer()], "orders.gpus_needed"),
        ([an_order(hours=math.nan)], [an_offer()], "orders.hours"),
        ([an_order(), an_order()], [an_offer()], "orders.order_id"),
        ([an_order()], [an_offer(), an_offer()], "offers.offer_id"),
        ([an_order(cost_centre="nobody")], [an_offer()], "orders.cost_centre"),
        ([an_order()], [an_offer(usd_per_gpu_hour=-1.0)], "offers.usd_per_gpu_hour"),
        ([{"order_id": "x"}], [an_offer()], "orders.hours"),
    ],
)
def test_bad_tables_are_refused_with_the_column_and_the_value(orders: list, offers: list, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(orders, offers)
    assert field in [problem.field for problem in caught.value.problems]
