"""Prices of everything scarce, and the lower bound they prove (Lagrangian relaxation of all ceilings).

For any prices not below zero, no placement costs less than

    sum over groups of min(refusal cost, sum over orders of min over pairs of (cost + prices of what the pair takes))
    - sum over ceilings of price x ceiling

A subgradient ascent looks for prices with a high bound; how well it does changes the bound, never its truth.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from necto_pipelines.routing.optimum.problem import Floats, Ints, Problem, shortlist

ROUNDING = 1e-11
"""Share of all summed magnitudes by which a bound is lowered: each term has a few dozen roundings of 1.1e-16, the sum
itself is exact."""
_MEMORY = 0.7
"""share of the last direction that a step keeps; damps the zigzag of plain subgradients"""
_NEAR = 1.05
"""multiple of the best bound that steps aim at while what is known to be possible is further away"""
_PATIENCE = 15
"""steps without a better bound before the step length shrinks"""


@dataclass(frozen=True)
class Prices:
    """USD per amount of each ceiling, by scarcity."""

    of: tuple[Floats, ...]

    @classmethod
    def free(cls, problem: Problem) -> "Prices":
        """Everything at no price."""
        return cls(tuple(np.zeros(len(each.ceiling)) for each in problem.scarcities))


def burdened(problem: Problem, prices: Prices, *, without_capacity: bool = False) -> Floats:
    """Each pair's cost plus the price of what it takes."""
    total = problem.cost.copy()
    for number, scarcity in enumerate(problem.scarcities):
        if (number == 0 and without_capacity) or not prices.of[number].any():
            continue
        keys = scarcity.keys(problem.order, problem.offer)
        total += np.append(prices.of[number], 0.0)[keys] * scarcity.amounts(problem.order, problem.offer, problem.cost)
    return total


def least(problem: Problem, burden: Floats) -> Floats:
    """The least burden of each order over its pairs, those not listed included; infinite when it has none."""
    result = problem.tail_cost.copy()
    has = np.flatnonzero(np.diff(problem.start))
    if len(has):
        result[has] = np.minimum(result[has], np.minimum.reduceat(burden, problem.start[has]))
    return result


def bound(problem: Problem, prices: Prices, burden: Floats | None = None) -> float:
    """The lower bound these prices prove over every fitting pair, rounded down."""
    worth = least(problem, burdened(problem, prices) if burden is None else burden)
    of_groups = np.minimum(np.bincount(problem.group, worth, problem.groups), problem.group_refusal_cost)
    rents = np.concatenate([price * each.ceiling for price, each in zip(prices.of, problem.scarcities, strict=True)])
    return proved(of_groups, rents)


def proved(gains: Floats, losses: Floats) -> float:
    """sum(gains) - sum(losses), rounded down so far that no floating-point error can lift it above the true value."""
    plus, minus = gains[gains != 0], losses[losses != 0]
    total, size = math.fsum(plus) - math.fsum(minus), math.fsum(np.abs(plus)) + math.fsum(np.abs(minus))
    return total - ROUNDING * size


@dataclass
class _Grid:
    """The short list of every order as rows of equal length, so that one step of the ascent is a few array operations.

    The last place of a row stands for all pairs that are not on the list: at the least of their burdens, and without
    any ceiling. Without it the prices of the listed offers would rise until the order seems better refused.
    """

    cost: Floats
    keys: list[Ints]
    amounts: list[Floats]
    burden: Floats
    spare: Floats
    """room to calculate in"""

    @classmethod
    def of(cls, problem: Problem, pairs: Ints, width: int, unlisted: Floats) -> "_Grid":
        order = problem.order[pairs]
        place = np.arange(len(pairs)) - np.searchsorted(order, np.arange(problem.orders))[order]
        cost, offer = (
            np.full((problem.orders, width + 1), np.inf),
            np.zeros((problem.orders, width + 1), dtype=np.int32),
        )
        cost[order, place], offer[order, place] = problem.cost[pairs], problem.offer[pairs]
        cost[:, -1] = unlisted
        row = np.arange(problem.orders)[:, None]
        finite = np.where(np.isfinite(cost), cost, 0.0)
        # A scarcity that does not look at the offer has one key an order: a column broadcasts over the row.
        listed = np.ones(width + 1)
        listed[-1] = 0.0
        return cls(
            cost,
            [each.keys(row, offer if each.offer_part is not None else offer[:, :1]) for each in problem.scarcities],
            [each.amounts(row, offer, finite) * listed for each in problem.scarcities],
            np.empty_like(cost),
            np.empty_like(cost),
        )


class Ascent:
    """Subgradient steps towards better prices. `prices` are the best so far, `bound` what they prove."""

    def __init__(self, problem: Problem, *, width: int = 40) -> None:
        self.problem, self._width = problem, width
        self.prices = self._at = Prices.free(problem)
        self.bound = bound(problem, self.prices)
        self._length = 1.0
        self._sizes = np.cumsum([len(each.ceiling) for each in problem.scarcities])[:-1]
        self._ceilings = np.concatenate([each.ceiling for each in problem.scarcities])
        self._scale = np.concatenate(_scales(problem))

    def climb(self, steps: int, target: float, reach: float) -> None:
        """Take `steps` steps, their length set by the distance to `target` (USD: what some placement costs).

        A pair is on the short lists when its burden exceeds its order's least by at most the share `reach`. What the
        steps reach there is proved, or not, over all pairs afterwards.
        """
        burden = burdened(self.problem, self._at)
        worth = least(self.problem, burden)
        if len(burden) <= self._width * self.problem.orders:
            reach = np.inf
        near = np.where(np.isfinite(worth) & (worth > 0), reach * np.maximum(worth, 1e-9), 0.0)
        pairs = shortlist(self.problem, burden - worth[self.problem.order], self._width, near)
        unlisted = burden
        unlisted[pairs] = np.inf
        self._steps(_Grid.of(self.problem, pairs, self._width, least(self.problem, unlisted)), steps, target)
        if (reached := bound(self.problem, self._at)) > self.bound:
            self.prices, self.bound = self._at, reached

    def _steps(self, grid: _Grid, steps: int, target: float) -> None:
        price = best = np.concatenate(self._at.of)
        best_value, stalled, direction = -math.inf, 0, np.zeros(len(price))
        for _ in range(steps):
            value, use = self._relaxed(grid, price)
            excess = use - self._ceilings
            excess[(price <= 0) & (excess < 0)] = 0
            stalled = 0 if value > best_value + 1e-5 * abs(best_value) else stalled + 1
            if value > best_value:
                best_value, best = value, price
            if stalled > _PATIENCE:
                price, direction, stalled = best, np.zeros(len(price)), 0
                self._length *= 0.7
                continue
            direction = excess + _MEMORY * direction
            direction[(price <= 0) & (direction < 0)] = 0
            step = direction * self._scale
            if not (norm := float((direction * step).sum())):
                break
            # Far from any placement known, the goal stays near: a far one would throw the prices about.
            missing = max(min(target, _NEAR * best_value) - value, 1e-6 * abs(target))
            price = np.maximum(0.0, price + self._length * missing / norm * step)
        self._at = Prices(tuple(np.split(best, self._sizes)))

    def _relaxed(self, grid: _Grid, price: Floats) -> tuple[float, Floats]:
        """The value of the relaxed problem at these prices over the short lists, and what its solution uses."""
        problem, rows = self.problem, np.arange(self.problem.orders)
        split = [np.append(each, 0.0) for each in np.split(price, self._sizes)]
        burden = grid.burden
        np.copyto(burden, grid.cost)
        for each, keys, amounts in zip(split, grid.keys, grid.amounts, strict=True):
            if not each.any():
                continue
            if keys.shape == burden.shape:
                np.take(each, keys, out=grid.spare, mode="clip")
                np.multiply(grid.spare, amounts, out=grid.spare)
            else:
                np.multiply(each[keys], amounts, out=grid.spare)
            np.add(burden, grid.spare, out=burden)
        chosen = burden.argmin(axis=1)
        of_groups = np.bincount(problem.group, burden[rows, chosen], problem.groups)
        placed = (of_groups < problem.group_refusal_cost)[problem.group]
        value = float(np.minimum(of_groups, problem.group_refusal_cost).sum() - (price * self._ceilings).sum())
        use = [
            np.bincount(_taken(keys, rows, chosen)[placed], _taken(amounts, rows, chosen)[placed], minlength=len(each))[
                :-1
            ]
            for each, keys, amounts in zip(split, grid.keys, grid.amounts, strict=True)
        ]
        return value, np.concatenate(use)


def _taken(grid: npt.NDArray[Any], rows: Ints, chosen: Ints) -> npt.NDArray[Any]:
    return grid[:, 0] if grid.shape[1] == 1 else grid[rows, chosen]


def _scales(problem: Problem) -> list[Floats]:
    """How far a price moves for each amount over its ceiling: the usual USD per amount, by the root of the ceiling."""
    result = []
    for scarcity in problem.scarcities:
        keys, size = scarcity.keys(problem.order, problem.offer), len(scarcity.ceiling) + 1
        keys = np.broadcast_to(keys, problem.order.shape)
        usd = np.bincount(keys, problem.cost, size)[:-1]
        amount = np.bincount(keys, scarcity.amounts(problem.order, problem.offer, problem.cost), size)[:-1]
        usual = np.divide(usd, amount, out=np.zeros(size - 1), where=amount > 0)
        result.append(usual / np.sqrt(np.maximum(scarcity.ceiling, 1e-3)))
    return result
