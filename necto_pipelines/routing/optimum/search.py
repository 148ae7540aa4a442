"""Good placements: built from prices, then improved until no simple move saves anything.

`construct` builds one; `improve` moves orders to cheaper offers with room (`_shift`), and where there is no room, moves
others out of the way (`_displace`).
"""

import numpy as np

from necto_pipelines.routing.optimum.placement import NOWHERE, Choices, Placement
from necto_pipelines.routing.optimum.problem import Floats, Ints, Problem

_LEAST_SAVING = 1e-9
"""USD; a smaller saving is rounding"""


def construct(problem: Problem, choices: Choices) -> Placement:
    """Place orders on the pairs of least burden, large orders first, rounds of bids until nothing fits any more."""
    placement = Placement(problem)
    for group in _groups_by_size(problem):
        place_group(placement, choices, group)
    alone = ~problem.grouped[choices.order]
    # First the orders that are worth what they take away from others, then whatever else there is room for.
    for worthy in (choices.burden, choices.cost):
        _bid(placement, choices, np.flatnonzero(alone & (worthy < problem.refusal_cost[choices.order])))
    return placement


def _bid(placement: Placement, choices: Choices, pairs: Ints) -> None:
    """Place orders by bids for their first fitting pair among `pairs`, the orders with most GPUs and regret first."""
    problem = placement.problem
    while True:
        pairs = pairs[placement.pair[choices.order[pairs]] == NOWHERE]
        pairs = pairs[placement.fits(choices)[pairs]]
        if not len(pairs):
            return
        order, burden = choices.order[pairs], choices.burden[pairs]
        head = np.flatnonzero(np.diff(order, prepend=-1))
        # Pairs stand by burden: the one after an order's first is its second choice.
        second = np.append(burden, np.inf)[head + 1]
        alone = np.append(np.diff(head), len(order) - head[-1]) == 1
        second = np.where(alone, np.inf, second)
        regret = np.minimum(second, problem.refusal_cost[order[head]]) - burden[head]
        first = np.lexsort((order[head], -regret, -problem.units[order[head]]))
        placement.move_many(choices, pairs[head[first]])


def improve(placement: Placement, choices: Choices, *, rounds: int) -> None:
    """Move orders for as long as that saves money, in at most `rounds` rounds of displacements."""
    for number in range(rounds + 1):
        while _shift(placement, choices):
            pass
        for group in _groups_by_size(placement.problem):
            if placement.pair[group[0]] == NOWHERE:
                place_group(placement, choices, group)
        if number == rounds or not _displace(placement, choices):
            return


def place_group(placement: Placement, choices: Choices, group: Ints) -> bool:
    """Place all orders of the group where the burden is least, or none, or none too when refusing them is cheaper."""
    problem = placement.problem
    before, room = placement.pair.copy(), [each.copy() for each in placement.room]
    for order in group[np.argsort(-problem.units[group], kind="stable")]:
        if not placement.settle(choices, int(order), by_cost=False):
            break
    else:
        if problem.cost[placement.pair[group]].sum() < problem.refusal_cost[group].sum():
            return True
    placement.pair, placement.room = before, room
    return False


def _groups_by_size(problem: Problem) -> list[Ints]:
    """Groups of more than one order, most GPUs first."""
    members = np.flatnonzero(problem.grouped)
    if not len(members):
        return []
    by_group = members[np.argsort(problem.group[members], kind="stable")]
    groups = np.split(by_group, np.flatnonzero(np.diff(problem.group[by_group])) + 1)
    return sorted(groups, key=lambda group: (-int(problem.units[group].sum()), int(group[0])))


def _shift(placement: Placement, choices: Choices) -> int:
    """Every order that has a cheaper offer with room goes there; the largest saving per GPU first."""
    problem = placement.problem
    saving = placement.costs[choices.order] - choices.cost
    movable = ~problem.grouped | (placement.pair != NOWHERE)
    good = np.flatnonzero((saving > _LEAST_SAVING) & movable[choices.order] & placement.fits(choices))
    if not len(good):
        return 0
    order = choices.order[good]
    good = good[np.lexsort((-saving[good], order))]
    good = good[np.flatnonzero(np.diff(choices.order[good], prepend=-1))]
    order = choices.order[good]
    return placement.move_many(choices, good[np.lexsort((order, -saving[good] / problem.units[order]))])


def _displace(placement: Placement, choices: Choices) -> int:
    """Put orders where they cost less by moving others out of their way, while the whole saves money.

    First an estimate on columns: what it costs each order to leave its offer for one with room, and so what the
    cheapest leave of enough GPUs costs at each offer. Then the promising ones are tried one by one.
    """
    problem = placement.problem
    saving = placement.costs[choices.order] - choices.cost
    movable = ~problem.grouped | (placement.pair != NOWHERE)
    leave = _cost_of_leaving(placement, choices, saving)
    placed = np.flatnonzero((placement.pair != NOWHERE) & np.isfinite(leave))
    at = problem.offer[placement.pair[placed]]
    by_offer = np.lexsort((placed, leave[placed] / problem.units[placed], at))
    placed, at = placed[by_offer], at[by_offer]
    ends = np.searchsorted(at, np.arange(problem.offers + 1))
    units, usd = (np.concatenate(([0], np.cumsum(each))) for each in (problem.units[placed], leave[placed]))
    wanted = np.flatnonzero((saving > _LEAST_SAVING) & movable[choices.order])
    offer = choices.offer[wanted]
    need = problem.units[choices.order[wanted]] - placement.room[0][offer]
    last = np.searchsorted(units, units[ends[offer]] + need)
    possible = (last <= ends[offer + 1]) & (last > ends[offer])
    wanted, offer, last = wanted[possible], offer[possible], last[possible]
    gain = saving[wanted] - (usd[last] - usd[ends[offer]])
    best = np.lexsort((wanted, -gain))
    best = best[gain[best] > _LEAST_SAVING]
    done, touched = 0, np.zeros(problem.orders, dtype=bool)
    for number in best:
        choice = wanted[number]
        leaving = placed[ends[offer[number]] : last[number]]
        order = choices.order[choice]
        if touched[order] or touched[leaving].any() or order in leaving:
            continue
        if _exchange(placement, choices, int(choice), leaving):
            touched[order], touched[leaving] = True, True
            done += 1
    placement.recount()
    return done


def _cost_of_leaving(placement: Placement, choices: Choices, saving: Floats) -> Floats:
    """USD it costs each order to go from where it stands to its cheapest other offer with room, or to be refused."""
    problem = placement.problem
    elsewhere = placement.fits(choices) & (choices.pair != placement.pair[choices.order])
    extra = np.where(elsewhere, -saving, np.inf)
    result = np.where(problem.grouped, np.inf, problem.refusal_cost - placement.costs)
    has = np.flatnonzero(np.diff(choices.first))
    if len(has):
        result[has] = np.minimum(result[has], np.minimum.reduceat(extra, choices.first[has]))
    return result


def _exchange(placement: Placement, choices: Choices, choice: int, leaving: Ints) -> bool:
    """Do it when it saves: the order of `choice` goes there, those `leaving` go to their best place then."""
    problem, order = placement.problem, int(choices.order[choice])
    moved = np.append(order, leaving)
    before = placement.pair[moved]
    costs = placement.costs_of(moved).sum()
    for each in moved:
        placement.lift(int(each))
    placement.stand(order, int(choices.pair[choice]))
    torn = False
    for each in leaving[np.lexsort((leaving, -problem.units[leaving]))]:
        torn |= not placement.settle(choices, int(each), by_cost=True) and bool(problem.grouped[each])
    fits = all(room[keys[choice]] >= 0 for room, keys in zip(placement.room, choices.keys, strict=True))
    if fits and not torn and placement.costs_of(moved).sum() < costs - _LEAST_SAVING:
        return True
    for each in moved:
        placement.lift(int(each))
    for each, pair in zip(moved, before, strict=True):
        placement.stand(int(each), int(pair))
    return False
