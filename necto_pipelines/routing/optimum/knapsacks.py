"""A sharper bound: every offer as a knapsack of whole orders (Lagrangian relaxation of "each order once").

With a worth u for each order and prices for everything scarce but the offers' capacity, no placement costs less than

    sum over groups of min(sum of u, refusal cost) - sum over offers of its best knapsack - sum over ceilings of
    price x ceiling

where the best knapsack is the most that u - cost - prices can add up to over whole orders that fit into the offer
together. What `prices` prove lets orders be split over offers; here an offer's last GPUs can stay empty.
"""

import numpy as np

from necto_pipelines.routing.optimum.prices import Prices, bound, burdened, least, proved
from necto_pipelines.routing.optimum.problem import Floats, Ints, Problem

_LARGEST = 64
"""GPUs up to which a knapsack is solved exactly; above, an order may be split, which still bounds it"""
_PATIENCE = 5
"""steps without a better bound before the step length shrinks"""


class Knapsacks:
    """An ascent over the orders' worths that starts at what `prices` say each order costs at least."""

    def __init__(self, problem: Problem, prices: Prices) -> None:
        self.problem = problem
        self._cost = burdened(problem, prices, without_capacity=True)
        self._rents = np.concatenate(
            [price * each.ceiling for price, each in zip(prices.of[1:], problem.limits, strict=True)] or [np.zeros(0)]
        )
        burden = burdened(problem, prices)
        # A pair that is not listed has no positive value as long as the order is worth less than the tail costs.
        self._most = np.minimum(problem.tail_cost, 2 * problem.group_refusal_cost[problem.group])
        self.worth = np.minimum(least(problem, burden), self._most)
        self.bound = bound(problem, prices, burden)
        self._length = 0.3

    def climb(self, steps: int, target: float) -> None:
        """Take `steps` steps, their length set by the distance to `target` (USD: what some placement costs)."""
        problem, stalled = self.problem, 0
        worth, best, best_value = self.worth, self.worth, -np.inf
        for _ in range(steps):
            packed = _Packed(problem, self._cost, worth)
            of_groups = np.bincount(problem.group, worth, problem.groups)
            gains = np.minimum(of_groups, problem.group_refusal_cost)
            value = proved(gains, np.concatenate((packed.value, self._rents)))
            stalled = 0 if value > best_value else stalled + 1
            if value > best_value:
                best, best_value = worth, value
            if stalled >= _PATIENCE:
                worth, stalled = best, 0
                self._length *= 0.6
                continue
            placed = (of_groups < problem.group_refusal_cost)[problem.group]
            missing = np.where(placed, 1.0, 0.0) - packed.use
            missing[(worth >= self._most) & (missing > 0)] = 0.0
            scale = np.maximum(worth, 1e-9)
            norm = float((missing * missing * scale).sum())
            if norm == 0.0 or value >= target:
                break
            worth = np.clip(worth + self._length * (target - value) / norm * missing * scale, 0.0, self._most)
        self.worth, self.bound = best, max(self.bound, best_value)

    def reduced_costs(self) -> tuple[Floats, float]:
        """What each pair adds to the bound at least when it is forced into a placement, and that bound.

        A placement that costs less than bound + r holds no pair with a reduced cost of r or more.
        """
        packed = _Packed(self.problem, self._cost, self.worth)
        of_groups = np.bincount(self.problem.group, self.worth, self.problem.groups)
        gains = np.minimum(of_groups, self.problem.group_refusal_cost)
        value = proved(gains, np.concatenate((packed.value, self._rents)))
        own = self.worth[self.problem.order] - self._cost
        return np.maximum(0.0, packed.displaced(self.problem) - own), value


class _Packed:
    """The best knapsack of each offer for some worths: its value, and how often each order is in one."""

    def __init__(self, problem: Problem, cost: Floats, worth: Floats) -> None:
        value = worth[problem.order] - cost
        pairs = _useful(problem, np.flatnonzero(value > 0), value)
        self.value = np.zeros(problem.offers)
        self.use = np.zeros(problem.orders)
        self._tables: list[tuple[Ints, Floats]] = []
        offer, first, count = np.unique(problem.offer[pairs], return_index=True, return_counts=True)
        capacity = problem.capacity[offer]
        for size in np.unique(capacity):
            rows = np.flatnonzero(capacity == size)
            rows = rows[np.argsort(-count[rows], kind="stable")]
            pack = self._whole if size <= _LARGEST else self._split
            pack(problem, pairs, value, offer[rows], first[rows], count[rows], int(size))

    def displaced(self, problem: Problem) -> Floats:
        """The value each pair's offer loses when the pair's GPUs are taken from its knapsack."""
        result = np.zeros(len(problem.offer))
        loss = np.zeros((problem.offers, _LARGEST + 1))
        for offer, table in self._tables:
            size = table.shape[1] - 1
            loss[offer, : size + 1] = table[:, size:] - table[:, ::-1]
        units = problem.units[problem.order]
        small = units <= _LARGEST
        result[small] = loss[problem.offer[small], units[small]]
        return result

    def _whole(
        self, problem: Problem, pairs: Ints, value: Floats, offer: Ints, first: Ints, count: Ints, size: int
    ) -> None:
        """Dynamic programming over the items of all these offers at once; `table[row, c]`: best value of c GPUs."""
        table = np.zeros((len(offer), size + 1))
        taken = np.zeros((int(count.max()), len(offer), size + 1), dtype=bool)
        units = problem.units[problem.order[pairs]]
        for number in range(len(taken)):
            rows = int(np.searchsorted(-count, -number))
            items = first[:rows] + number
            for weight in np.unique(units[items]):
                some = np.flatnonzero(units[items] == weight)
                put = table[some, : size + 1 - weight] + value[pairs[items[some]], None]
                better = put > table[some, weight:]
                table[some, weight:] = np.where(better, put, table[some, weight:])
                taken[number, some, weight:] = better
        self.value[offer] = table[:, size]
        self._tables.append((offer, table))
        left = np.full(len(offer), size)
        for number in range(len(taken) - 1, -1, -1):
            rows = int(np.searchsorted(-count, -number))
            chosen = np.flatnonzero(taken[number, np.arange(rows), left[:rows]])
            items = first[chosen] + number
            np.add.at(self.use, problem.order[pairs[items]], 1.0)
            left[chosen] -= units[items]

    def _split(
        self, problem: Problem, pairs: Ints, value: Floats, offer: Ints, first: Ints, count: Ints, size: int
    ) -> None:
        """The knapsack with one order split: items by value per GPU until the offer is full."""
        for number, begin, length in zip(offer, first, count, strict=True):
            items = pairs[begin : begin + length]
            units = problem.units[problem.order[items]]
            items, units = (each[np.argsort(-value[items] / units, kind="stable")] for each in (items, units))
            share = np.clip((size - (np.cumsum(units) - units)) / units, 0.0, 1.0)
            self.value[number] = (share * value[items]).sum()
            np.add.at(self.use, problem.order[items], share)


def _useful(problem: Problem, pairs: Ints, value: Floats) -> Ints:
    """Pairs that a best knapsack may hold, by offer: of one size, only as many as fit, the most valuable."""
    offer, units = problem.offer[pairs], problem.units[problem.order[pairs]]
    by_value = np.lexsort((-value[pairs], units, offer))
    pairs, offer, units = pairs[by_value], offer[by_value], units[by_value]
    head = np.flatnonzero((np.diff(offer, prepend=-1) != 0) | (np.diff(units, prepend=-1) != 0))
    place = np.arange(len(pairs)) - np.repeat(head, np.diff(np.append(head, len(pairs))))
    return pairs[place < problem.capacity[offer] // units]
