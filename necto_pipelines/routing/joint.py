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

_GAP_STEP: Final = Decimal("0.000001")
_BOUND_STEP: Final = Decimal("0.000001")
_ANOTHER_MACHINE: Final = frozenset({Refusal.GPU, Refusal.VRAM, Refusal.COMPUTE})
_NOT_FOR_AN_ORDER_TO_RELAX: Final = frozenset(
    {
        *(Refusal.OFFLINE, Refusal.VERSION, Refusal.NO_EVIDENCE, Refusal.NOT_AUDITED, Refusal.EVIDENCE_EXPIRED),
        *(Refusal.UPTIME, Refusal.SCORE, Refusal.STALE, Refusal.PLACE_FAILED, Refusal.FAILURE_DOMAIN),
    }
)


@dataclass(frozen=True)
class Relaxation:
    """Without these constraints the order, were it alone, fits this offer at this cost."""

    constraints: tuple[Refusal, ...]
    offer_id: str
    provider_name: str
    expected_usd: Decimal
    details: str
    """by how much each is missed"""


@dataclass(frozen=True)
class RefusedOrder:
    """Why the plan leaves an order out: how many offers each reason stands against, and the least to give up."""

    reasons: Mapping[Refusal, int]
    relax: Relaxation | None
    """None when there is no offer at all"""


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
    free = {row["offer_id"]: int(row["units_available"]) for row in records(offers)}
    assigned = assign(orders, candidates, free, rules)
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
        refused={p.order_id: _why(p.candidates) for p in assigned.allocations if p.chosen is None},
    )


def count_reasons(candidates: Sequence[Candidate]) -> dict[Refusal, int]:
    """How many of the offers each reason stands against, the commonest first; those that could serve are left out."""
    refused = (c for c in candidates if c.refusals != (Refusal.DEARER,))
    counts = Counter(reason for candidate in refused for reason in candidate.refusals)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _why(candidates: Sequence[Candidate]) -> RefusedOrder:
    nearest = min(candidates, key=_distance, default=None)
    if nearest is None:
        return RefusedOrder({}, None)
    relax = Relaxation(nearest.refusals, nearest.offer_id, nearest.provider_name, nearest.expected_usd, nearest.details)
    return RefusedOrder(count_reasons(candidates), relax)


def _distance(candidate: Candidate) -> tuple[int, int, int, Decimal, str]:
    """Fewest constraints first, of those that the order itself sets before any that the house or the provider does.

    Another GPU is another job: that is given up last of what the order sets.
    """
    others = sum(reason in _NOT_FOR_AN_ORDER_TO_RELAX for reason in candidate.refusals)
    machines = sum(reason in _ANOTHER_MACHINE for reason in candidate.refusals)
    return others, machines, len(candidate.refusals), candidate.weighed_usd, candidate.offer_id
