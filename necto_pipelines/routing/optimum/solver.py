"""From a problem to a placement and its bound: which method, how much of it, and when it is good enough.

Every stop is a count or a gap, never the clock, so the same problem always gets the same answer.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from necto_pipelines.routing.optimum.knapsacks import Knapsacks
from necto_pipelines.routing.optimum.milp import Effort, reoptimise
from necto_pipelines.routing.optimum.placement import NOWHERE, Choices, Placement
from necto_pipelines.routing.optimum.prices import Ascent, Prices, burdened, least
from necto_pipelines.routing.optimum.problem import Bools, Floats, Ints, Problem, shortlist
from necto_pipelines.routing.optimum.search import construct, improve

EXACT_ORDERS = 1_200
"""orders up to which the whole problem is one integer programme"""
_WHOLE_PAIRS = 3_000
"""pairs up to which that programme holds all of them; above, those that a better placement could hold"""
_CLIMBS = ((30, 0.6), (40, 0.4), (60, 0.3), (80, 0.2))
"""steps and reach of the ascent between two fresh short lists, as long as no good placement is known"""
_CLIMBS_TO_TARGET = ((80, 0.15), (100, 0.1), (100, 0.1))
"""the same once there is one, whose cost says how far the bound can rise"""
_WIDE, _MORE_CLIMBS, _STANDSTILL = 0.02, 20, 2e-3
"""a gap above which the ascent goes on, how often, and the rise of the bound that ends it; for scarce markets"""
_WIDTH, _REACH = 64, 0.3
"""pairs an order that the search moves over, and how far their burden may exceed the least"""
_ROUNDS = 5
_NARROW = 12
"""pairs an order, on average, of the programme that looks for a placement before one proves it"""
_ROUNDS_NARROW = ((40, Effort(0.0, nodes=1)), (40, Effort(0.0, nodes=20)))
"""steps of the knapsacks' ascent and the effort of that programme, in turn"""
_PROOFS, _PROOF_NODES, _PROOF_PAIRS = 3, 500, 60
"""attempts to prove the optimum, each with a better bound and so fewer pairs; nodes, and most pairs an order"""
_REPAIRED_ORDERS = 12_000
"""neighbourhoods solved anew, times all orders: a larger problem affords fewer"""
_REPAIRS, _REPAIR_ORDERS, _REPAIR_WIDTH = (2, 8), 400, 6
"""fewest and most neighbourhoods, orders of one, and pairs an order in it"""
_SOLVER_ERROR = 1e-6
"""share of the solver's bound, and of 1/1000 of all refusal costs, left for its tolerances of 1e-9"""

Method = Literal["exact", "bounded"]


@dataclass(frozen=True)
class Solution:
    """`pair`: the pair of each order or NOWHERE. No placement costs less than `bound` USD."""

    placement: Placement
    bound: float

    @property
    def gap(self) -> float:
        """(cost - bound) / cost."""
        return relative_gap(self.placement.cost, self.bound)

    @property
    def method(self) -> Method:
        """exact: the placement is a cheapest one, within the solver's tolerances."""
        return "exact" if self.gap <= 3 * _SOLVER_ERROR else "bounded"


def relative_gap(cost: float, bound: float) -> float:
    """(cost - bound) / cost; 0 when nothing costs anything."""
    return (cost - bound) / cost if cost > 0 else 0.0


def solve(problem: Problem, *, gap: float) -> Solution:
    """Place the orders so that the sum of their costs is within `gap` of the bound, or as near as the method comes."""
    ascent = Ascent(problem)
    if (solution := Solution(_cheapest_each(problem), ascent.bound)).gap <= gap or not len(problem.cost):
        return solution
    for steps, reach in _CLIMBS:
        ascent.climb(steps, float(problem.refusal_cost.sum()), reach)
    choices, excess, worth = _choices(problem, ascent.prices)
    placement = construct(problem, choices)
    improve(placement, choices, rounds=0)
    if (solution := Solution(placement, ascent.bound)).gap <= gap:
        return solution
    for steps, reach in _CLIMBS_TO_TARGET:
        ascent.climb(steps, placement.cost, reach)
    for _ in range(_MORE_CLIMBS):
        before = ascent.bound
        if relative_gap(placement.cost, before) <= _WIDE:
            break
        ascent.climb(*_CLIMBS[-1][:1], placement.cost, _REACH)
        if ascent.bound - before <= _STANDSTILL * before:
            break
    choices, excess, worth = _choices(problem, ascent.prices)
    placement = construct(problem, choices)
    improve(placement, choices, rounds=_ROUNDS)
    if (solution := Solution(placement, ascent.bound)).gap <= gap:
        return solution
    if problem.orders <= EXACT_ORDERS:
        return _prove(solution, Knapsacks(problem, ascent.prices), gap)
    _repair(placement, excess, worth, solution.bound, gap)
    return Solution(placement, ascent.bound)


def _cheapest_each(problem: Problem) -> Placement:
    """Every order at its cheapest offer, when there is room for that; else nothing placed."""
    first = problem.start[:-1]
    has = np.diff(problem.start) > 0
    cheap = np.append(problem.cost, np.inf)[np.where(has, first, -1)] < problem.refusal_cost
    placement = Placement(problem, np.where(has & cheap, first, NOWHERE))
    return placement if placement.keeps_everything() else Placement(problem)


def _choices(problem: Problem, prices: Prices) -> tuple[Choices, Floats, Floats]:
    """What the search moves over, each pair's excess over the least burden of its order, and those least burdens."""
    burden = burdened(problem, prices)
    worth = least(problem, burden)
    excess = burden - worth[problem.order]
    reach = np.where(np.isfinite(worth), _REACH * worth, 0.0)
    return Choices.of(problem, shortlist(problem, excess, _WIDTH, reach), burden), excess, worth


def _prove(solution: Solution, knapsacks: Knapsacks, gap: float) -> Solution:
    """Sharpen the bound and the placement in turn until they meet, or nothing more comes of it."""
    placement, problem, bound = solution.placement, solution.placement.problem, solution.bound
    for steps, effort in _ROUNDS_NARROW if len(problem.cost) > _WHOLE_PAIRS else ():
        knapsacks.climb(steps, placement.cost)
        reduced, value = knapsacks.reduced_costs()
        near = reduced <= _smallest(reduced, _NARROW * problem.orders)
        bound = max(bound, _place_on(placement, knapsacks, near, reduced, value, replace(effort, relative_gap=gap / 4)))
        if not gap < relative_gap(placement.cost, bound) < _WIDE:
            return Solution(placement, bound)
    for _ in range(_PROOFS):
        reduced, value = knapsacks.reduced_costs()
        # What costs no less than the placement at hand need not be looked at.
        most = _smallest(reduced, max(_WHOLE_PAIRS, _PROOF_PAIRS * problem.orders))
        kept = reduced <= min(placement.cost - value, most)
        effort = Effort(relative_gap=max(1e-7, gap / 4), nodes=_PROOF_NODES)
        bound = max(bound, _place_on(placement, knapsacks, kept, reduced, value, effort))
        if relative_gap(placement.cost, bound) <= max(gap, 3 * _SOLVER_ERROR):
            break
        knapsacks.climb(_ROUNDS_NARROW[-1][0], placement.cost)
    return Solution(placement, min(bound, placement.cost))


def _place_on(
    placement: Placement, knapsacks: Knapsacks, kept: Bools, reduced: Floats, value: float, effort: Effort
) -> float:
    """Place all orders anew on the pairs `kept`; the bound that this and the other pairs' reduced costs prove."""
    problem = placement.problem
    lower = reoptimise(placement, np.arange(problem.orders), np.flatnonzero(kept), effort)
    lower -= _SOLVER_ERROR * (abs(lower) + 1e-3 * float(problem.refusal_cost.sum()))
    # A placement with a pair that was left out costs at least this much.
    outside = value + float(reduced[~kept].min(initial=np.inf))
    outside = min(outside, value + float((problem.tail_cost - knapsacks.worth).min(initial=np.inf)))
    return max(value, min(lower, outside))


def _smallest(values: Floats, count: int) -> float:
    """The `count`-th smallest value, infinite when there are no more than that."""
    return float(np.partition(values, count - 1)[count - 1]) if count < len(values) else np.inf


def _repair(placement: Placement, excess: Floats, worth: Floats, bound: float, gap: float) -> None:
    """Where orders stand far above what the prices say, solve them anew together with all that compete with them."""
    problem = placement.problem
    reach = np.where(np.isfinite(worth), 0.03 * worth, 0.0)
    near = shortlist(problem, excess, _REPAIR_WIDTH, reach)
    done = problem.grouped.copy()
    wide = relative_gap(placement.cost, bound) > _WIDE
    for _ in range(_REPAIRS[1] if wide else int(np.clip(_REPAIRED_ORDERS // problem.orders, *_REPAIRS))):
        if relative_gap(placement.cost, bound) <= gap:
            return
        placed = placement.pair != NOWHERE
        loss = np.where(placed, excess[placement.pair], problem.refusal_cost - np.minimum(worth, problem.refusal_cost))
        loss[done] = -1.0
        seed = int(loss.argmax())
        if loss[seed] <= 0:
            return
        free = _rivals(problem, near, seed, ~problem.grouped)
        done[free] = True
        chosen = near[np.isin(problem.order[near], free)]
        reoptimise(placement, free, chosen, Effort(relative_gap=5e-4, nodes=50))


def _rivals(problem: Problem, near: Ints, seed: int, allowed: Bools) -> Ints:
    """The order `seed` and those nearest to it by offers they both want, up to `_REPAIR_ORDERS`."""
    order, offer = problem.order[near], problem.offer[near]
    chosen, offers = np.zeros(problem.orders, dtype=bool), np.zeros(problem.offers, dtype=bool)
    chosen[seed] = True
    while (count := int(chosen.sum())) < _REPAIR_ORDERS:
        offers[offer[chosen[order]]] = True
        fresh = np.unique(order[offers[offer] & ~chosen[order] & allowed[order]])[: _REPAIR_ORDERS - count]
        if not len(fresh):
            break
        chosen[fresh] = True
    return np.flatnonzero(chosen)
