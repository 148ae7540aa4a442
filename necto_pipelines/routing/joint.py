"""All orders over all offers under their budgets: the plan, what it costs, and how far it can be from the least.

What is asked of every plan stands in `allocation.py`; this says what a person or a run wants to know of one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final

import pandas as pd

from necto_pipelines.model.decision import Candidate, Refusal
from necto_pipelines.model.order import Order
from necto_pipelines.model.tables import records
from necto_pipelines.routing.allocation import Allocation, Rules, assign
from necto_pipelines.routing.relaxing import Relaxation, Room, relaxations

_GAP_STEP: Final = Decimal("0.000001")
_BOUND_STEP: Final = Decimal("0.000001")


@dataclass(frozen=True)
class RefusedOrder:
    """Why the plan leaves an order out: how many offers each reason stands against, and what could be given up."""

    reasons: Mapping[Refusal, int]
    relaxations: tuple[Relaxation, ...]
    """the least to give up first; empty when there is no offer at all"""

    @property
    def relax(self) -> Relaxation | None:
        """The least to give up."""
        return next(iter(self.relaxations), None)


@dataclass(frozen=True)
class JointPlan:
    """What becomes of all orders. Costs are what offers are ranked by (`Candidate.weighed_usd`), of placed orders."""

    method: str
    cost_usd: Decimal
    bound_usd: Decimal
    """no plan that serves orders of the same worth costs less"""
    gap: Decimal
    """(cost - bound) / cost; 0 is a proof that nothing is cheaper"""
    placements: tuple[Allocation, ...]
    """every order with what it gets or None, in the order in which they were served"""
    refused: Mapping[str, RefusedOrder]
    """by order id"""


def allocate_jointly(
    orders: Sequence[Order],
    candidates: Mapping[str, Sequence[Candidate]],
    offers: pd.DataFrame,
    rules: Rules | None = None,
) -> JointPlan:
    """Place all orders over `offers` (OFFERS) by `rules`. The order in which orders and offers come changes nothing.

    `candidates` are those of `matching.match` by order id.
    """
    free = {row["offer_id"]: int(row["units_available"]) for row in records(offers[["offer_id", "units_available"]])}
    assigned = assign(orders, candidates, free, rules)
    by_id = {order.id: order for order in orders}
    room = Room(by_id, assigned.allocations, offers, rules or Rules())
    chosen = [placement.chosen for placement in assigned.allocations if placement.chosen]
    cost = sum((candidate.weighed_usd for candidate in chosen), Decimal(0))
    # Down to whole millionths, so that the bound stays one.
    bound = Decimal(assigned.bound_usd).quantize(_BOUND_STEP, rounding=ROUND_DOWN)
    proved = assigned.method == "exact" or bound > cost
    return JointPlan(
        method=assigned.method,
        cost_usd=cost,
        bound_usd=cost if proved else bound,
        gap=Decimal(0) if proved else ((cost - bound) / cost).quantize(_GAP_STEP),
        placements=assigned.allocations,
        refused={
            p.order_id: RefusedOrder(count_reasons(p.candidates), relaxations(by_id[p.order_id], p.candidates, room))
            for p in assigned.allocations
            if p.chosen is None
        },
    )


def count_reasons(candidates: Sequence[Candidate]) -> dict[Refusal, int]:
    """How many of the offers each reason stands against, the commonest first; those that could serve are left out."""
    refused = (c for c in candidates if c.refusals != (Refusal.DEARER,))
    counts = Counter(reason for candidate in refused for reason in candidate.refusals)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
