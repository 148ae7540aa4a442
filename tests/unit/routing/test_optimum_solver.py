"""The bounds and the search on drawn problems of pairs, each way of solving taken on purpose."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from necto_pipelines.model.decision import Refusal
from necto_pipelines.routing.optimum import solver
from necto_pipelines.routing.optimum.knapsacks import Knapsacks
from necto_pipelines.routing.optimum.placement import NOWHERE, Placement
from necto_pipelines.routing.optimum.prices import Ascent, Prices, bound
from necto_pipelines.routing.optimum.problem import Problem, Scarcity, assemble


def problem_of(
    units: list[int],
    capacity: list[int],
    cost: list[list[float | None]],
    refusal_cost: list[float],
    budget: float | None = None,
    group: list[int] | None = None,
) -> Problem:
    """`cost[order][offer]`: None where they do not fit; one budget over all orders."""
    pairs = [(i, j, usd) for i, row in enumerate(cost) for j, usd in enumerate(row) if usd is not None]
    order, offer, usd = (np.array(column) for column in zip(*pairs, strict=True)) if pairs else (np.zeros(0),) * 3
    everyone = np.zeros(len(units), dtype=np.int64)
    limits = (
        ()
        if budget is None
        else (Scarcity(Refusal.BUDGET, everyone, None, np.ones(len(units)), True, np.array([budget])),)
    )
    return assemble(
        units=np.array(units),
        refusal_cost=np.array(refusal_cost, dtype=float),
        capacity=np.array(capacity),
        order=order.astype(np.int64),
        offer=offer.astype(np.int64),
        cost=usd.astype(float),
        group=None if group is None else np.array(group),
        limits=limits,
    )


def least_cost(problem: Problem) -> float:
    choices = [[NOWHERE, *range(problem.start[i], problem.start[i + 1])] for i in range(problem.orders)]
    tried = (Placement(problem, np.array(picked)) for picked in product(*choices))
    return min(placement.cost for placement in tried if placement.keeps_everything())


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    orders, offers = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    usd = st.integers(0, 40).map(lambda quarters: quarters / 4)
    return problem_of(
        draw(st.lists(st.sampled_from([1, 2, 3, 4, 70]), min_size=orders, max_size=orders)),
        draw(st.lists(st.sampled_from([1, 2, 4, 5, 80]), min_size=offers, max_size=offers)),
        [[draw(st.one_of(st.none(), usd)) for _ in range(offers)] for _ in range(orders)],
        draw(st.lists(st.sampled_from([0.0, 3.0, 30.0, 1000.0]), min_size=orders, max_size=orders)),
        draw(st.one_of(st.none(), usd.map(lambda each: 3 * each))),
        draw(st.lists(st.sampled_from([-1, -1, 0]), min_size=orders, max_size=orders)),
    )


@pytest.mark.parametrize("way", ["whole", "knapsacks", "repairs"])
@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_every_way_of_solving_keeps_the_ceilings_and_never_claims_more_than_the_optimum(
    way: str, problem: Problem
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        if way == "knapsacks":
            patched.setattr(solver, "_WHOLE_PAIRS", 0)
        if way == "repairs":
            patched.setattr(solver, "EXACT_ORDERS", 0)
        solution = solver.solve(problem, gap=0.0)
    best = least_cost(problem)
    assert solution.placement.keeps_everything()
    assert solution.bound <= best <= solution.placement.cost
    if way != "repairs":
        assert solution.placement.cost == pytest.approx(best, rel=1e-6)


@given(problem=problems(), data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_prices_and_any_worths_prove_a_bound_that_is_true(problem: Problem, data: Any) -> None:
    """However badly the ascent does, what it says holds: neither bound may rest on the prices being good."""
    best, usd = least_cost(problem), st.floats(0, 50)

    def drawn(length: int) -> np.ndarray:
        return np.array(data.draw(st.lists(usd, min_size=length, max_size=length)))

    prices = Prices(tuple(drawn(len(each.ceiling)) for each in problem.scarcities))
    assert bound(problem, prices) <= best
    knapsacks = Knapsacks(problem, prices)
    knapsacks.worth = np.minimum(drawn(problem.orders), problem.tail_cost)
    reduced, value = knapsacks.reduced_costs()
    assert value <= best
    knapsacks.climb(5, best)
    assert knapsacks.bound <= best
    for pair in range(len(problem.cost)):
        forced = least_cost_with(problem, pair)
        assert value + reduced[pair] <= forced + 1e-9 * (1 + abs(value))


def least_cost_with(problem: Problem, pair: int) -> float:
    choices = [
        [pair] if problem.order[pair] == i else [NOWHERE, *range(problem.start[i], problem.start[i + 1])]
        for i in range(problem.orders)
    ]
    tried = (Placement(problem, np.array(picked)) for picked in product(*choices))
    return min((each.cost for each in tried if each.keeps_everything()), default=np.inf)


@given(problem=problems(), width=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_short_lists_change_how_far_the_ascent_comes_but_not_that_it_is_true(problem: Problem, width: int) -> None:
    ascent = Ascent(problem, width=width)
    for _ in range(3):
        ascent.climb(10, 100.0, 0.1)
    assert ascent.bound <= least_cost(problem)


def test_whole_orders_in_knapsacks_prove_more_than_prices_can() -> None:
    """Two orders of 2 GPUs cannot share an offer of 3, though one and a half could: the other one costs 10."""
    problem = problem_of([2, 2], [3, 8], [[1.0, 10.0], [1.0, 10.0]], [1000.0, 1000.0])
    ascent = Ascent(problem)
    for _ in range(5):
        ascent.climb(100, 11.0, 1.0)
    knapsacks = Knapsacks(problem, ascent.prices)
    knapsacks.climb(100, 11.0)
    assert ascent.bound < 7.0
    assert knapsacks.bound == pytest.approx(11.0, rel=1e-3)


def test_a_bound_counts_pairs_that_are_not_listed_at_what_they_cost_at_least() -> None:
    listed = problem_of([1], [1], [[5.0]], [1000.0])
    cut = Problem(**{**vars(listed), "tail_cost": np.array([2.0])})
    assert bound(listed, Prices.free(listed)) == pytest.approx(5.0)
    assert bound(cut, Prices.free(cut)) == pytest.approx(2.0)


def test_a_market_of_hundreds_of_orders_comes_within_a_thousandth_without_an_integer_programme_of_all() -> None:
    random = np.random.default_rng(7)
    units, capacity = random.choice([1, 2, 4], 300), random.choice([1, 2, 4, 8], 250)
    price = random.lognormal(0, 0.4, 250)
    cost = np.where(
        random.random((300, 250)) < 0.2, random.uniform(1, 40, 300)[:, None] * units[:, None] * price, np.nan
    )
    rows = [[None if np.isnan(usd) else float(usd) for usd in row] for row in cost]
    problem = problem_of(units.tolist(), capacity.tolist(), rows, [1e4] * 300, budget=1e6)
    solution = solver.solve(problem, gap=1e-3)
    assert solution.placement.keeps_everything()
    assert solution.gap <= 1e-3
    assert np.all(solution.placement.pair != NOWHERE)


@pytest.mark.parametrize("whole_pairs", [0, 3_000])
@given(problem=problems(), width=st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_what_is_not_listed_never_costs_less_than_the_bound(whole_pairs: int, problem: Problem, width: int) -> None:
    """Solved over each order's cheapest pairs only, the bound holds for the whole problem."""
    place = np.arange(len(problem.cost)) - problem.start[problem.order]
    tail, kept = np.full(problem.orders, np.inf), place < width
    tail[problem.order[place == width]] = problem.cost[place == width]
    cut = assemble(
        units=problem.units,
        refusal_cost=problem.refusal_cost,
        capacity=problem.capacity,
        order=problem.order[kept],
        offer=problem.offer[kept],
        cost=problem.cost[kept],
        tail_cost=tail,
        group=problem.group,
        limits=problem.limits,
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(solver, "_WHOLE_PAIRS", whole_pairs)
        assert solver.solve(cut, gap=0.0).bound <= least_cost(problem)


def test_an_integer_programme_over_listed_pairs_does_not_speak_for_the_others() -> None:
    """Of two orders one must be refused on the listed pairs; the other offer, at 6 dollars, is not listed."""
    listed = problem_of([1, 1], [1, 1], [[5.0, None], [5.0, None]], [1000.0, 1000.0])
    cut = Problem(**{**vars(listed), "tail_cost": np.array([6.0, 6.0])})
    solution = solver.solve(cut, gap=0.0)
    assert solution.placement.cost == 1005.0
    assert solution.bound <= 11.0
