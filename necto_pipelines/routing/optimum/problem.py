"""The allocation problem as columns: orders, the pairs (order, offer) that fit each other, and all that is scarce.

Nothing here knows what makes a pair fit or how a placement is found.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from necto_pipelines.model.decision import Refusal

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """What pairs take that is no multiple of their cost: `usd` of each (order, offer)."""

    key: Ints
    """`order * offers + offer`, ascending"""
    usd: Floats
    offers: int

    @classmethod
    def of(cls, order: Ints, offer: Ints, usd: Floats, offers: int) -> "Drawn":
        """From pairs in any order, each once."""
        key = order.astype(np.int64) * offers + offer
        sequence = np.argsort(key)
        return cls(key[sequence], usd[sequence], offers)

    def amounts(self, order: Ints, offer: Ints) -> Floats:
        """What each pair takes; nothing where it is not listed. Arguments broadcast."""
        key = np.asarray(order, dtype=np.int64) * self.offers + offer
        if not len(self.key):
            return np.zeros(key.shape)
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[place] == key, self.usd[place], 0.0)


@dataclass(frozen=True)
class Scarcity:
    """A family of ceilings: a pair draws on the ceiling number `order_part[order] + offer_part[offer]`, or on none.

    None as a part counts as 0 everywhere; a negative part exempts its orders or offers. A placed pair takes
    `weight[order]`, times its cost when `of_cost`; or what `drawn` says of it. One shape serves them all: an offer's
    GPUs (key: offer), a budget (cost centre; of cost, or drawn), a provider's or network's largest share (tenant x
    provider), replicas kept apart (replica group x failure domain; weight 1, ceiling 1).
    """

    reason: Refusal
    """why an order is refused when nothing but this stands in its way"""
    order_part: Ints | None
    offer_part: Ints | None
    weight: Floats
    of_cost: bool
    ceiling: Floats
    drawn: Drawn | None = None

    def keys(self, order: Ints, offer: Ints) -> Ints:
        """The ceiling each pair draws on; `len(ceiling)` for none. Arguments broadcast, and so does the result."""
        parts = [
            part[index] for part, index in ((self.order_part, order), (self.offer_part, offer)) if part is not None
        ]
        exempt = np.logical_or.reduce(np.broadcast_arrays(*[part < 0 for part in parts]))
        return np.where(exempt, len(self.ceiling), sum(parts)).astype(np.int32)

    def draw(self, order: int, offer: int, cost: float) -> tuple[int, float]:
        """Ceiling and amount of one pair."""
        parts = (
            0 if self.order_part is None else int(self.order_part[order]),
            0 if self.offer_part is None else int(self.offer_part[offer]),
        )
        key, weight = len(self.ceiling) if min(parts) < 0 else sum(parts), float(self.weight[order])
        if self.drawn is not None:
            return key, float(self.drawn.amounts(np.array([order]), np.array([offer]))[0])
        return key, weight * cost if self.of_cost else weight

    def amounts(self, order: Ints, offer: Ints, cost: Floats) -> Floats:
        """What each pair takes. Arguments broadcast."""
        if self.drawn is not None:
            return self.drawn.amounts(order, offer)
        weight = self.weight[order]
        return weight * cost if self.of_cost else weight


@dataclass(frozen=True)
class Problem:
    """What is asked. Orders and offers are numbers here, in an order that does not depend on how they came in.

    Pairs of order i stand at `start[i]:start[i + 1]`, cheapest first.
    """

    units: Ints
    """GPUs each order takes of one offer"""
    refusal_cost: Floats
    """USD that not placing the order costs"""
    capacity: Ints
    """GPUs of each offer"""
    start: Ints
    offer: Ints
    cost: Floats
    """USD of each pair; never negative"""
    tail_cost: Floats
    """USD below which no fitting pair of the order is missing here; infinite when all are listed"""
    group: Ints
    """orders with the same number are placed all or none"""
    limits: tuple[Scarcity, ...] = ()
    """everything scarce besides the capacity of offers"""

    @property
    def orders(self) -> int:
        """How many orders there are."""
        return len(self.units)

    @property
    def offers(self) -> int:
        """How many offers there are."""
        return len(self.capacity)

    @cached_property
    def order(self) -> Ints:
        """The order of each pair."""
        return np.repeat(np.arange(self.orders, dtype=np.int32), np.diff(self.start))

    @cached_property
    def scarcities(self) -> tuple[Scarcity, ...]:
        """The offers' capacity, then the limits."""
        own = np.arange(self.offers, dtype=np.int32)
        weight, ceiling = self.units.astype(np.float64), self.capacity.astype(np.float64)
        return (Scarcity(Refusal.CAPACITY, None, own, weight, False, ceiling), *self.limits)

    @cached_property
    def groups(self) -> int:
        """How many groups there are; an order on its own is one."""
        return int(self.group.max(initial=-1)) + 1

    @cached_property
    def grouped(self) -> Bools:
        """Which orders share their fate with another."""
        return np.bincount(self.group, minlength=self.groups)[self.group] > 1

    @cached_property
    def group_refusal_cost(self) -> Floats:
        """USD that not placing each group costs."""
        return np.bincount(self.group, self.refusal_cost, minlength=self.groups).astype(np.float64)


def assemble(
    *,
    units: Ints,
    refusal_cost: Floats,
    capacity: Ints,
    order: Ints,
    offer: Ints,
    cost: Floats,
    tail_cost: Floats | None = None,
    group: Ints | None = None,
    limits: tuple[Scarcity, ...] = (),
) -> Problem:
    """A problem from pairs in any order (`order`, `offer`, `cost`: one entry each pair).

    Pairs that alone are more than a ceiling allows are left out. `group` numbers all-or-nothing groups with anything
    not negative; -1 is an order on its own. `refusal_cost` may express priorities: of two orders that compete for the
    last GPUs, the one dearer to refuse is placed.
    """
    count = len(units)
    fits = capacity[offer] >= units[order]
    for limit in limits:
        ceiling = np.append(limit.ceiling, np.inf)
        fits &= limit.amounts(order, offer, cost) <= ceiling[limit.keys(order, offer)]
    order, offer, cost = order[fits], offer[fits], cost[fits]
    if np.any((order[1:] < order[:-1]) | ((order[1:] == order[:-1]) & (cost[1:] < cost[:-1]))):
        sequence = np.lexsort((offer, cost, order))
        order, offer, cost = order[sequence], offer[sequence], cost[sequence]
    wanted = np.full(count, -1) if group is None else group
    alone = np.where(wanted < 0, np.arange(count) + wanted.max(initial=-1) + 1, wanted)
    return Problem(
        units=units,
        refusal_cost=refusal_cost,
        capacity=capacity,
        start=np.concatenate(([0], np.cumsum(np.bincount(order, minlength=count)))),
        offer=offer.astype(np.int32, copy=False),
        cost=cost,
        tail_cost=np.full(count, np.inf) if tail_cost is None else tail_cost,
        group=np.unique(alone, return_inverse=True)[1],
        limits=limits,
    )


def shortlist(problem: Problem, excess: Floats, width: int, reach: Floats) -> Ints:
    """Numbers of the pairs worth looking at: at most `width` an order, each with `excess` up to the order's `reach`.

    They come by order, least excess first; ties by cost, as the pairs stand.
    """
    near = np.flatnonzero(excess <= reach[problem.order])
    order = problem.order[near]
    near = near[np.lexsort((excess[near], order))]
    first = np.searchsorted(order, np.arange(problem.orders))
    return near[np.arange(len(near)) - first[order] < width]
