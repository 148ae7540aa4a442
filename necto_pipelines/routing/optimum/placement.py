"""A placement, and what is left under every ceiling. How a good one is found stands in `search`."""

import math
from dataclasses import dataclass

import numpy as np

from necto_pipelines.routing.optimum.problem import Bools, Floats, Ints, Problem

NOWHERE = -1
_SLACK = 1e-12
"""share of a ceiling on costs that is left empty, because sums of costs are rounded"""


@dataclass(frozen=True)
class Choices:
    """The pairs a search looks at, by order and then by preference, with what they take of everything scarce."""

    pair: Ints
    order: Ints
    offer: Ints
    cost: Floats
    burden: Floats
    keys: list[Ints]
    amounts: list[Floats]
    first: Ints
    """where each order's pairs begin, and the end"""

    @classmethod
    def of(cls, problem: Problem, pairs: Ints, burden: Floats) -> "Choices":
        """The pairs numbered `pairs`; `burden` is that of all pairs of the problem."""
        order, offer, cost = problem.order[pairs], problem.offer[pairs], problem.cost[pairs]
        return cls(
            pairs,
            order,
            offer,
            cost,
            burden[pairs],
            [np.broadcast_to(each.keys(order, offer), order.shape) for each in problem.scarcities],
            [each.amounts(order, offer, cost) for each in problem.scarcities],
            np.searchsorted(order, np.arange(problem.orders + 1)),
        )


class Placement:
    """Where each order stands (`pair`: a number of the problem, or NOWHERE) and what is left under each ceiling."""

    def __init__(self, problem: Problem, pair: Ints | None = None) -> None:
        self.problem = problem
        self.pair = np.full(problem.orders, NOWHERE) if pair is None else pair.copy()
        self.room: list[Floats] = []
        self.recount()

    def recount(self) -> None:
        """Work out what is left anew, so that rounding of many small changes does not add up."""
        placed = np.flatnonzero(self.pair != NOWHERE)
        pair = self.pair[placed]
        order, offer, cost = self.problem.order[pair], self.problem.offer[pair], self.problem.cost[pair]
        self.room = []
        for each in self.problem.scarcities:
            keys = np.broadcast_to(each.keys(order, offer), order.shape)
            used = np.bincount(keys, each.amounts(order, offer, cost), len(each.ceiling) + 1)[:-1]
            ceiling = each.ceiling * (1 - _SLACK) if each.of_cost else each.ceiling
            self.room.append(np.append(ceiling - used, np.inf))

    @property
    def costs(self) -> Floats:
        """USD of each order: of its pair, or of refusing it."""
        return self.costs_of(np.arange(self.problem.orders))

    def costs_of(self, orders: Ints) -> Floats:
        """USD of some orders."""
        pair = self.pair[orders]
        costs, placed = self.problem.refusal_cost[orders], pair != NOWHERE
        costs[placed] = self.problem.cost[pair[placed]]
        return costs

    @property
    def cost(self) -> float:
        """USD of all orders together."""
        return math.fsum(self.costs)

    def keeps_everything(self) -> bool:
        """Whether no ceiling is exceeded, summed exactly, and no group is torn."""
        problem, placed = self.problem, self.pair != NOWHERE
        whole = np.bincount(problem.group, placed, problem.groups)
        if np.any((whole > 0) & (whole < np.bincount(problem.group, minlength=problem.groups))):
            return False
        pair = self.pair[placed]
        order, offer, cost = problem.order[pair], problem.offer[pair], problem.cost[pair]
        for each in problem.scarcities:
            keys = np.broadcast_to(each.keys(order, offer), order.shape)
            amounts = each.amounts(order, offer, cost)
            used = np.bincount(keys, amounts, len(each.ceiling) + 1)[:-1]
            for key in np.flatnonzero(used > each.ceiling * (1 - 1e-9)):
                if math.fsum(amounts[keys == key]) > each.ceiling[key]:
                    return False
        return True

    def taken(self, choices: Choices) -> tuple[list[Ints], list[Floats]]:
        """Keys and amounts of where each order stands now, one for each pair of `choices`."""
        pair, problem = self.pair, self.problem
        order, nowhere = np.arange(problem.orders), self.pair == NOWHERE
        offer, cost = problem.offer[pair], problem.cost[pair]
        keys, amounts = [], []
        for each in problem.scarcities:
            key = np.broadcast_to(each.keys(order, offer), order.shape)
            keys.append(np.where(nowhere, -1, key)[choices.order])
            amounts.append(np.where(nowhere, 0.0, each.amounts(order, offer, cost))[choices.order])
        return keys, amounts

    def fits(self, choices: Choices) -> Bools:
        """Which pairs of `choices` their orders could move to from where they stand."""
        keys, amounts = self.taken(choices)
        fits: Bools = np.logical_and.reduce(
            [
                amount <= room[key] + np.where(key == old, back, 0.0)
                for room, key, amount, old, back in zip(
                    self.room, choices.keys, choices.amounts, keys, amounts, strict=True
                )
            ]
        )
        return fits

    def lift(self, order: int) -> None:
        """Take the order away from where it stands."""
        pair = int(self.pair[order])
        if pair != NOWHERE:
            for room, each in zip(self.room, self.problem.scarcities, strict=True):
                key, amount = each.draw(order, int(self.problem.offer[pair]), float(self.problem.cost[pair]))
                room[key] += amount
            self.pair[order] = NOWHERE

    def stand(self, order: int, pair: int) -> None:
        """Put an order that stands nowhere on a pair, whether or not it fits."""
        if pair != NOWHERE:
            for room, each in zip(self.room, self.problem.scarcities, strict=True):
                key, amount = each.draw(order, int(self.problem.offer[pair]), float(self.problem.cost[pair]))
                room[key] -= amount
            self.pair[order] = pair

    def settle(self, choices: Choices, order: int, *, by_cost: bool) -> bool:
        """Put an order that stands nowhere on its first pair with room, or the cheapest; False when there is none."""
        own = slice(int(choices.first[order]), int(choices.first[order + 1]))
        fits = np.logical_and.reduce(
            [
                amount[own] <= room[key[own]]
                for room, key, amount in zip(self.room, choices.keys, choices.amounts, strict=True)
            ]
        )
        if not fits.any():
            return False
        best = int(np.where(fits, choices.cost[own], np.inf).argmin() if by_cost else fits.argmax())
        self.stand(order, int(choices.pair[own][best]))
        return True

    def move_many(self, choices: Choices, wanted: Ints) -> int:
        """Of the moves to the pairs `choices[wanted]`, one an order, do those that fit one after another.

        What a move leaves behind is not counted as free for the others. Returns how many were done.
        """
        old_keys, old_amounts = self.taken(choices)
        fits = np.ones(len(wanted), dtype=bool)
        for number, room in enumerate(self.room):
            key = choices.keys[number][wanted]
            own = np.where(key == old_keys[number][wanted], old_amounts[number][wanted], 0.0)
            # What a move gives back may not come about when another ceiling forbids it: it counts for itself only.
            more = np.maximum(choices.amounts[number][wanted] - own, 0.0)
            by_key = np.argsort(key, kind="stable")
            total = np.cumsum(more[by_key])
            head = np.flatnonzero(np.diff(key[by_key], prepend=-2))
            before = np.repeat(total[head] - more[by_key][head], np.diff(np.append(head, len(by_key))))
            fits[by_key] &= (total - before <= room[key[by_key]]) | (more[by_key] == 0)
        done = wanted[fits]
        self.pair[choices.order[done]] = choices.pair[done]
        self.recount()
        return len(done)
