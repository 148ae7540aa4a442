"""From tables of orders, offers and budgets to a plan: what goes where, what is refused and why, how good that is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from necto_pipelines.routing.optimum.placement import NOWHERE
from necto_pipelines.routing.optimum.questions import Limits, Question
from necto_pipelines.routing.optimum.refusals import Refused, why_refused
from necto_pipelines.routing.optimum.solver import Method, relative_gap, solve

_WIDENINGS = 3
"""how often orders that were refused although more offers fit them get eight times as many pairs"""


@dataclass(frozen=True)
class Plan:
    """The placement of all orders. `cost_usd` counts refused orders at their refusal cost."""

    assignments: pa.Table
    """order_id, offer_id, units, cost_usd; by order_id"""
    refused: Mapping[str, Refused]
    cost_usd: float
    bound_usd: float
    """no plan that keeps the same limits costs less"""
    gap: float
    method: Method


def plan(
    orders: pa.Table | pd.DataFrame,
    offers: pa.Table | pd.DataFrame,
    budgets: pa.Table | pd.DataFrame,
    *,
    limits: Limits | None = None,
) -> Plan:
    """Place all orders together at the least cost, and prove how far from the least it can be.

    Columns as in ORDER_COLUMNS, OFFER_COLUMNS and BUDGET_COLUMNS; an empty list in `gpu_any_of` or `country_any_of`
    allows all. Orders may have `group` (all orders of a group are placed or none) and `apart` (no two orders with the
    same name share a failure domain); offers may have `provider`, `network` and `failure_domain` (without it: the
    provider). The order of rows changes nothing. Raises InvalidInput for missing columns, ids that occur twice,
    unknown cost centres and numbers that are missing or below the least allowed.
    """
    limits = limits or Limits()
    question = Question.of(orders, offers, budgets, limits)
    most = question.first_width(limits.gap)
    for _ in range(1 + _WIDENINGS):
        problem = question.problem(most)
        solution = solve(problem, gap=limits.gap)
        worth_more = (solution.placement.pair == NOWHERE) & (problem.tail_cost < problem.refusal_cost)
        if not worth_more.any():
            break
        most = np.where(worth_more, 8 * most, most)
    chosen = solution.placement.pair
    placed, refused = np.flatnonzero(chosen != NOWHERE), np.flatnonzero(chosen == NOWHERE)
    cost = solution.placement.cost
    bound = min(solution.bound, cost)
    return Plan(
        assignments=pa.table(
            {
                "order_id": question.order_ids.take(pa.array(placed)),
                "offer_id": question.offer_ids.take(pa.array(problem.offer[chosen[placed]])),
                "units": problem.units[placed],
                "cost_usd": problem.cost[chosen[placed]],
            }
        ),
        refused={
            question.order_ids[order].as_py(): why_refused(
                solution.placement, question.requirements, order, question.offer_ids
            )
            for order in refused.tolist()
        },
        cost_usd=cost,
        bound_usd=bound,
        gap=relative_gap(cost, bound),
        method=solution.method,
    )
