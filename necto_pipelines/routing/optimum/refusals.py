"""Why a plan refuses an order, and the least that would have to be given up for it to be placed."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from necto_pipelines.model.decision import Refusal
from necto_pipelines.routing.optimum.candidates import REQUIREMENTS, Requirements
from necto_pipelines.routing.optimum.placement import Placement


@dataclass(frozen=True)
class Relaxation:
    """Without these requirements the order fits this offer, at this cost, were it the only order."""

    requirements: tuple[Refusal, ...]
    offer_id: str
    cost_usd: float


@dataclass(frozen=True)
class Refused:
    """`reasons`: what stands in the way at the offers that fit; when none does, at the one in `relaxation`."""

    reasons: tuple[Refusal, ...]
    relaxation: Relaxation | None = None


def why_refused(placement: Placement, requirements: Requirements, order: int, offer_ids: pa.ChunkedArray) -> Refused:
    """Explain why `order` (a number of the problem) stands nowhere in `placement`."""
    problem = placement.problem
    own = slice(int(problem.start[order]), int(problem.start[order + 1]))
    if own.start == own.stop:
        return _unfit(requirements, order, offer_ids, placement)
    if problem.cost[own].min() >= problem.refusal_cost[order]:
        return Refused((Refusal.DEARER,))
    pairs = np.arange(own.start, own.stop)
    reasons = []
    for room, each in zip(placement.room, problem.scarcities, strict=True):
        keys = np.broadcast_to(each.keys(problem.order[pairs], problem.offer[pairs]), pairs.shape)
        if np.any(each.amounts(problem.order[pairs], problem.offer[pairs], problem.cost[pairs]) > room[keys]):
            reasons.append(each.reason)
    return Refused(tuple(dict.fromkeys(reasons)) or (Refusal.DEARER,))


def _unfit(requirements: Requirements, order: int, offer_ids: pa.ChunkedArray, placement: Placement) -> Refused:
    """The fewest requirements that stand between the order and an offer; of those offers, the cheapest."""
    offers, wishes = requirements.offers, requirements.wishes
    fails = [np.any(offer & mine[order], axis=1) for offer, mine in requirements.parts]
    fails.append(offers.usd_per_gpu_hour > wishes.max_usd_per_gpu_hour[order])
    size = float(wishes.gpus[order] * wishes.hours[order])
    for each in placement.problem.limits:
        cost = size * offers.usd_per_gpu_hour
        here = np.full(len(cost), order)
        there = np.arange(len(cost))
        ceiling = np.append(each.ceiling, np.inf)[each.keys(here, there)]
        fails.append(each.amounts(here, there, cost) > ceiling)
    if not len(offers.gpus):
        return Refused((Refusal.CAPACITY,))
    names = (*REQUIREMENTS, Refusal.PRICE_CAP, *(each.reason for each in placement.problem.limits))
    table = np.stack(fails)
    nearest = int(np.lexsort((np.arange(table.shape[1]), offers.usd_per_gpu_hour, table.sum(axis=0)))[0])
    reasons = tuple(dict.fromkeys(name for name, failed in zip(names, table[:, nearest], strict=True) if failed))
    return Refused(
        reasons, Relaxation(reasons, offer_ids[nearest].as_py(), size * float(offers.usd_per_gpu_hour[nearest]))
    )
