"""Give pending orders their offers, all orders together: as many as can be served, at the least cost in all.

An offer's GPUs, cost centres' budgets, limits on what may stand at one provider or network, replicas that stay apart
and groups that are served whole or not at all are one problem; `optimum` solves it and proves how good the answer is.
Money is in floating point here: what is paid and held is reckoned again, exactly, where it is paid and held.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

import numpy as np

from necto_pipelines.model.decision import Candidate, Refusal
from necto_pipelines.model.order import Order
from necto_pipelines.routing.optimum.placement import NOWHERE, Placement
from necto_pipelines.routing.optimum.problem import Drawn, Floats, Ints, Scarcity, assemble
from necto_pipelines.routing.optimum.solver import Method, solve

Provider = tuple[str, str]
"""network and provider"""
EXACTLY: Final = 100
"""orders up to which the plan is a proved optimum; more are within `GAP` of one, or as near as the method comes"""
GAP: Final = 5e-4
_MICRO: Final = 1_000_000
"""parts of a dollar in which budgets are reckoned with"""
_TEXT: Final = {
    Refusal.CAPACITY: "{left:.0f} of {wanted:.0f} GPUs are left by other orders of the plan",
    Refusal.COST_CENTRE: "${wanted:.2f} to be held for the order, ${left:.2f} is left in the cost centre",
    Refusal.CONCENTRATION: "${wanted:.2f} for the order, ${left:.2f} more may stand at this provider or network",
    Refusal.APART: "a replica that it must stand apart from is there",
    Refusal.GROUP: "not all orders of its group can be served",
}


@dataclass(frozen=True)
class Rules:
    """What the house lays over all orders of a plan. Dollars but for `draws` are those expected to be paid."""

    budgets: Mapping[str, Decimal] = field(default_factory=dict)
    """what is left per cost centre; one that is not named has no limit"""
    draws: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    """order id -> offer id -> what of its budget placing the order there takes; without: what it is ranked by"""
    max_usd_per_provider: Decimal | None = None
    max_usd_per_network: Decimal | None = None
    committed: Mapping[Provider, Decimal] = field(default_factory=dict)
    """what stands at each provider already, towards both limits"""
    standing: Mapping[str, Collection[Provider]] = field(default_factory=dict)
    """name of `apart` -> where replicas of that name stand already"""


@dataclass(frozen=True)
class Allocation:
    """What became of one order: the offer it gets, or None, and every candidate with its reasons."""

    order_id: str
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Assigned:
    """All orders, the most urgent first. Costs are what offers are ranked by, of the orders that are served."""

    allocations: tuple[Allocation, ...]
    cost_usd: float
    bound_usd: float
    """no plan that serves orders of the same worth costs less"""
    method: Method


def assign(
    orders: Sequence[Order],
    matches: Mapping[str, Sequence[Candidate]],
    free: Mapping[str, int],
    rules: Rules | None = None,
) -> Assigned:
    """Serve all orders together. The order in which orders and candidates come in changes nothing.

    `matches` holds the candidates of each order id, ranked first (`matching.match`); `free` the GPUs free per offer id.
    To serve an order is worth more than all that could be saved by leaving it out; where not all can be served, the
    more urgent ones weigh more. A candidate that could have served and was not chosen comes back with the reason why.
    """
    rules = rules or Rules()
    served = sorted(orders, key=_urgency)
    fitting = [[c for c in matches[order.id] if not c.refusals] for order in served]
    places = {c.offer_id: (c.network, c.provider) for each in fitting for c in each}
    numbers = {offer_id: number for number, offer_id in enumerate(sorted(places))}
    where = [places[offer_id] for offer_id in numbers]
    units = np.array([order.request.requirement.gpu.count for order in served], dtype=np.int64)
    groups = sorted({order.request.group for order in served if order.request.group})
    problem = assemble(
        units=units,
        refusal_cost=_refusal_costs(fitting),
        capacity=np.array([free[offer_id] for offer_id in numbers], dtype=np.int64),
        order=np.repeat(np.arange(len(served)), [len(each) for each in fitting]),
        offer=np.array([numbers[c.offer_id] for each in fitting for c in each], dtype=np.int64),
        cost=np.array([float(c.weighed_usd) for each in fitting for c in each], dtype=np.float64),
        group=_places([order.request.group or "" for order in served], groups),
        limits=_limits(served, where, rules, _drawn(served, fitting, numbers, rules.draws)),
    )
    solution = solve(problem, gap=0 if len(served) <= EXACTLY else GAP)
    pairs = solution.placement.pair
    seats = [int(problem.offer[pair]) if pair != NOWHERE else None for pair in pairs.tolist()]
    spared = float(problem.refusal_cost[pairs == NOWHERE].sum())
    total = float(problem.cost[pairs[pairs != NOWHERE]].sum())
    return Assigned(
        allocations=tuple(
            _allocation(served[number], matches[served[number].id], _Seat(number, seat, numbers, solution.placement))
            for number, seat in enumerate(seats)
        ),
        cost_usd=total,
        bound_usd=max(0.0, min(total, solution.bound - spared)),
        method=solution.method,
    )


@dataclass(frozen=True)
class _Seat:
    """Where the plan puts an order, and what else there would have been room for."""

    order: int
    offer: int | None
    numbers: Mapping[str, int]
    placement: Placement

    def has(self, candidate: Candidate) -> bool:
        """True when this is the order's place."""
        return self.offer is not None and self.numbers.get(candidate.offer_id) == self.offer

    def obstacle(self, candidate: Candidate, chosen: Candidate | None) -> tuple[Refusal, str] | None:
        """What the rest of the plan leaves too little of for the order to move to `candidate`, and the figures."""
        for limit, room in zip(self.placement.problem.scarcities, self.placement.room, strict=True):
            key, amount = limit.draw(self.order, self.numbers[candidate.offer_id], float(candidate.weighed_usd))
            left = float(room[key])
            if chosen is not None and self.offer is not None:
                own_key, own_amount = limit.draw(self.order, self.offer, float(chosen.weighed_usd))
                left += own_amount if own_key == key else 0.0
            if amount > left:
                unit = _MICRO if limit.reason is Refusal.COST_CENTRE else 1
                return limit.reason, _TEXT[limit.reason].format(left=max(0.0, left) / unit, wanted=amount / unit)
        return None


def _allocation(order: Order, candidates: Sequence[Candidate], seat: _Seat) -> Allocation:
    chosen = next((c for c in candidates if not c.refusals and seat.has(c)), None)
    return Allocation(order.id, chosen, tuple(_judged(candidate, chosen, seat) for candidate in candidates))


def _judged(candidate: Candidate, chosen: Candidate | None, seat: _Seat) -> Candidate:
    """A candidate that could have served and was not chosen gets its reason; what others take has no rank."""
    if candidate.refusals or candidate is chosen:
        return candidate
    obstacle = seat.obstacle(candidate, chosen)
    if obstacle is None and chosen is not None:
        details = f"${candidate.weighed_usd} for the order, the chosen ${chosen.weighed_usd}"
        return candidate.model_copy(update={"refusals": (Refusal.DEARER,), "details": details})
    # With room, and yet not placed: the rest of its group has none.
    reason, details = obstacle or (Refusal.GROUP, _TEXT[Refusal.GROUP])
    return candidate.model_copy(update={"refusals": (reason,), "details": details, "rank": None})


def _refusal_costs(fitting: Sequence[Sequence[Candidate]]) -> Floats:
    """More for any order than all orders together can cost; up to twice that for the most urgent."""
    dearest = sum(max((float(c.weighed_usd) for c in each), default=0.0) for each in fitting)
    urgency = 2 - np.arange(len(fitting)) / max(1, len(fitting))
    return np.asarray((1 + 2 * dearest) * urgency, dtype=np.float64)


def _drawn(
    orders: Sequence[Order],
    fitting: Sequence[Sequence[Candidate]],
    numbers: Mapping[str, int],
    draws: Mapping[str, Mapping[str, Decimal]],
) -> Drawn:
    """What each pair takes of a budget, in whole millionths of a dollar, so that sums of them are exact."""
    rows = [
        (place, numbers[c.offer_id], draws.get(order.id, {}).get(c.offer_id, c.weighed_usd))
        for place, (order, each) in enumerate(zip(orders, fitting, strict=True))
        for c in each
    ]
    return Drawn.of(
        np.array([place for place, _, _ in rows], dtype=np.int64),
        np.array([number for _, number, _ in rows], dtype=np.int64),
        np.array([float((usd * _MICRO).to_integral_value(ROUND_CEILING)) for _, _, usd in rows]),
        max(1, len(numbers)),
    )


def _limits(orders: Sequence[Order], where: Sequence[Provider], rules: Rules, drawn: Drawn) -> tuple[Scarcity, ...]:
    """Budgets, what may stand at one place, and replicas apart, in the optimiser's terms."""
    once = np.ones(len(orders))
    limits: list[Scarcity] = []
    centres = sorted(rules.budgets)
    if centres:
        part = _places([order.request.cost_centre for order in orders], centres)
        left = [max(Decimal(0), rules.budgets[name]) * _MICRO for name in centres]
        ceiling = np.array([float(usd.to_integral_value(ROUND_FLOOR)) for usd in left])
        limits.append(Scarcity(Refusal.COST_CENTRE, part, None, once, False, ceiling, drawn))
    for most, names in (
        (rules.max_usd_per_provider, list(where)),
        (rules.max_usd_per_network, [(network, "") for network, _ in where]),
    ):
        if most is not None:
            known = sorted(set(names))
            ceiling = np.array([max(0.0, float(most - _held(rules.committed, name))) for name in known])
            limits.append(Scarcity(Refusal.CONCENTRATION, None, _places(names, known), once, True, ceiling))
    replicas = sorted({order.request.apart for order in orders if order.request.apart})
    if replicas:
        domains = sorted(set(where))
        ceiling = np.array([float(at not in rules.standing.get(name, ())) for name in replicas for at in domains])
        own = _places([order.request.apart or "" for order in orders], replicas)
        part = np.where(own < 0, -1, own * len(domains))
        limits.append(Scarcity(Refusal.APART, part, _places(list(where), domains), once, False, ceiling))
    return tuple(limits)


def _held(committed: Mapping[Provider, Decimal], name: Provider) -> Decimal:
    """What stands at a provider, or, where `name` is a network alone, at all of its providers."""
    network, provider = name
    return sum((usd for at, usd in committed.items() if at[0] == network and provider in ("", at[1])), Decimal(0))


def _places(names: Sequence[object], known: Sequence[object]) -> Ints:
    """Each name's place among the known ones; -1 for none."""
    index = {name: place for place, name in enumerate(known)}
    return np.array([index.get(name, -1) for name in names], dtype=np.int64)


def _urgency(order: Order) -> tuple[datetime, datetime, str]:
    return (order.request.deadline or datetime.max.replace(tzinfo=UTC), order.submitted_at, order.id)
