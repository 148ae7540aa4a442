"""Part of the problem as a mixed-integer programme, for HiGHS: some orders are free, all others stay where they are."""

from dataclasses import dataclass

import highspy
import numpy as np

from necto_pipelines.routing.optimum.placement import NOWHERE, Placement
from necto_pipelines.routing.optimum.problem import Bools, Floats, Ints, Problem

_TOLERANCE = 1e-9
_ROUNDING = 1e-11
"""share of a ceiling on costs by which the programme may exceed it; a placement that does is not taken"""


@dataclass(frozen=True)
class Effort:
    """When a search ends. A limit of time makes the answer depend on the machine: measurements only."""

    relative_gap: float
    nodes: int
    time_limit_s: float = highspy.kHighsInf


def reoptimise(placement: Placement, free: Ints, pairs: Ints, effort: Effort) -> float:
    """Place the orders `free` anew on their pairs `pairs`, from what they and nobody else leave; never worse than now.

    All members of a group are free or none. Returns a lower bound, USD, on what the free orders cost with these pairs:
    as the solver proves it, within its tolerances.
    """
    problem = placement.problem
    now = placement.pair[free]
    pairs = np.unique(np.concatenate((pairs, now[now != NOWHERE])))
    before, cost_before = placement.pair.copy(), placement.cost
    placement.pair[free] = NOWHERE
    placement.recount()
    model = _Model(problem, free, pairs, placement.room)
    chosen, lower = model.solve(np.isin(pairs, now), now == NOWHERE, effort)
    placement.pair = before.copy()
    if chosen is not None:
        placement.pair[free] = NOWHERE
        placement.pair[problem.order[chosen]] = chosen
    if placement.cost >= cost_before or not placement.keeps_everything():
        placement.pair = before
    placement.recount()
    return lower


class _Model:
    """Columns: one for each pair, then one for refusing each group. Rows: each order once, then ceilings."""

    def __init__(self, problem: Problem, free: Ints, pairs: Ints, room: list[Floats]) -> None:
        self._pairs = pairs
        order, offer, cost = problem.order[pairs], problem.offer[pairs], problem.cost[pairs]
        groups, group = np.unique(problem.group[free], return_inverse=True)
        self._first_of_group = np.unique(group, return_index=True)[1]
        columns = np.arange(len(pairs))
        rows = [np.searchsorted(free, order), np.arange(len(free))]
        at = [columns, len(pairs) + group]
        values = [np.ones(len(pairs)), np.ones(len(free))]
        ceilings: list[Floats] = []
        height = len(free)
        for each, left in zip(problem.scarcities, room, strict=True):
            keys = np.broadcast_to(each.keys(order, offer), order.shape)
            bound = np.flatnonzero(keys < len(each.ceiling))
            used, row = np.unique(keys[bound], return_inverse=True)
            rows.append(height + row)
            at.append(columns[bound])
            values.append(each.amounts(order, offer, cost)[bound])
            # The room kept free for rounding is no room that a bound may deny.
            ceilings.append(left[used] + (_ROUNDING * each.ceiling[used] if each.of_cost else 0.0))
            height += len(used)
        self._costs = np.concatenate((cost, problem.group_refusal_cost[groups]))
        lower = np.concatenate((np.ones(len(free)), np.full(height - len(free), -highspy.kHighsInf)))
        upper = np.concatenate((np.ones(len(free)), *ceilings))
        entries = np.concatenate(rows), np.concatenate(at), np.concatenate(values)
        self._lp = _columnwise(*entries, self._costs, lower, upper)

    def solve(self, placed: Bools, refused: Bools, effort: Effort) -> tuple[Ints | None, float]:
        """The chosen pairs, None when nothing was found, and the proved bound. `placed`, `refused`: where to start."""
        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        options = {
            "output_flag": False,
            "threads": 1,
            "random_seed": 0,
            "mip_rel_gap": effort.relative_gap,
            "mip_abs_gap": 0.0,
            "mip_max_nodes": effort.nodes,
            "time_limit": effort.time_limit_s,
            # Strong branching costs many times what it saves here: placements come from the root.
            "mip_pscost_minreliable": 0,
            "mip_feasibility_tolerance": _TOLERANCE,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        }
        for name, value in options.items():
            highs.setOptionValue(name, value)
        highs.passModel(self._lp)
        start = highspy.HighsSolution()
        start.col_value = np.concatenate((placed, refused[self._first_of_group])).astype(np.float64).tolist()
        highs.setSolution(start)
        highs.run()
        info = highs.getInfo()
        if not np.isfinite(info.objective_function_value):
            return None, 0.0
        values = np.asarray(highs.getSolution().col_value)[: len(self._pairs)]
        return self._pairs[values > 0.5], float(info.mip_dual_bound)


def _columnwise(
    rows: Ints, columns: Ints, values: Floats, costs: Floats, lower: Floats, upper: Floats
) -> highspy.HighsLp:
    by_column = np.lexsort((rows, columns))
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(costs), len(lower)
    lp.col_cost_, lp.row_lower_, lp.row_upper_ = costs, lower, upper
    lp.col_lower_, lp.col_upper_ = np.zeros(len(costs)), np.ones(len(costs))
    lp.integrality_ = [highspy.HighsVarType.kInteger] * len(costs)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.concatenate(([0], np.cumsum(np.bincount(columns, minlength=len(costs)))))
    lp.a_matrix_.index_ = rows[by_column].astype(np.int32)
    lp.a_matrix_.value_ = values[by_column]
    return lp
