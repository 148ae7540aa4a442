"""Give pending orders their offers. The seam for the joint optimum: all orders of a tick come in together.

Today's rule is plain: orders are served in the order of their deadlines and submission, each gets the cheapest
compliant offer that still has GPUs free after those before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from necto_pipelines.model.decision import Candidate, Refusal
from necto_pipelines.model.order import Order


@dataclass(frozen=True)
class Allocation:
    """What became of one order: the offer it gets, or None, and every candidate with its reasons."""

    order_id: str
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]


def allocate(
    orders: Sequence[Order], matches: Mapping[str, Sequence[Candidate]], free: Mapping[str, int]
) -> list[Allocation]:
    """Serve all orders together.

    `matches` holds the candidates of each order id, ranked first (`matching.match`); `free` the GPUs free per offer id.
    The candidates that could have served but were not the cheapest come back as `dearer_than_the_chosen`; one whose
    GPUs went to an order served earlier as `not_enough_gpus_free`.
    """
    left = dict(free)
    return [_serve(order, matches[order.id], left) for order in sorted(orders, key=_urgency)]


def _serve(order: Order, candidates: Sequence[Candidate], left: dict[str, int]) -> Allocation:
    count = order.request.requirement.gpu.count
    chosen: Candidate | None = None
    result: list[Candidate] = []
    for candidate in candidates:
        if candidate.refusals:
            result.append(candidate)
        elif left[candidate.offer_id] < count:
            result.append(
                candidate.model_copy(
                    update={
                        "refusals": (Refusal.CAPACITY,),
                        "rank": None,
                        "details": "taken by an order served earlier",
                    }
                )
            )
        elif chosen is None:
            chosen = candidate
            left[candidate.offer_id] -= count
            result.append(candidate)
        else:
            result.append(candidate.model_copy(update={"refusals": (Refusal.DEARER,)}))
    return Allocation(order.id, chosen, tuple(result))


def _urgency(order: Order) -> tuple[datetime, datetime, str]:
    return (order.request.deadline or datetime.max.replace(tzinfo=UTC), order.submitted_at, order.id)
