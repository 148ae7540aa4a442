"""Which offers fit which orders, found on columns: every requirement becomes bits, a pair fits when none collide.

An offer's word has the bits of what it is (GPU, country, memory and size up to its own) and of the evidence it lacks;
an order's word has the bits of what it cannot take. Offers are read cheapest first, so an order's cap on the price is
a place in that list, and its cheapest fitting offers are the first ones found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from necto_pipelines.model.decision import Refusal
from necto_pipelines.routing.optimum.problem import Floats, Ints

Words = npt.NDArray[np.uint64]
_CELLS = 1 << 21
"""pairs tested at a time: a few MB, which stay in the processor's cache"""
_FIRST_OFFERS = 4096
"""offers of the first block; most orders find enough candidates among the cheapest"""


@dataclass(frozen=True)
class Sets:
    """One set of codes for each row of a table: `code[k]` belongs to the set of row `row[k]`."""

    row: Ints
    code: Ints


@dataclass(frozen=True)
class Offers:
    """Columns of offers, one entry each offer. Names are codes from 0; `Wishes` uses the same ones."""

    gpu: Ints
    memory_gib: Floats
    country: Ints
    evidence: Sets
    usd_per_gpu_hour: Floats
    gpus: Ints


@dataclass(frozen=True)
class Wishes:
    """Columns of what orders need, one entry each order.

    An offer serves that is one of each `any_of` and has all of each `all_of`; an empty set asks for nothing.
    """

    gpus: Ints
    gpu_any_of: Sets
    memory_gib: Floats
    country_any_of: Sets
    evidence_all_of: Sets
    hours: Floats
    max_usd_per_gpu_hour: Floats


@dataclass(frozen=True)
class Pairs:
    """Fitting pairs, by order and then by cost. No fitting pair that is missing costs less than the `tail_cost`."""

    order: Ints
    offer: Ints
    cost: Floats
    tail_cost: Floats


REQUIREMENTS = (Refusal.GPU, Refusal.VRAM, Refusal.CAPACITY, Refusal.COUNTRY, Refusal.NO_EVIDENCE)
"""what is tested by bits, in the order of `Requirements.parts`"""


class Requirements:
    """Offers and orders as bits. A pair fits when no word of the order collides with the offer's."""

    def __init__(self, offers: Offers, wishes: Wishes) -> None:
        self.offers, self.wishes = offers, wishes
        self.parts: list[tuple[Words, Words]] = [
            _one_of(offers.gpu, wishes.gpu_any_of, len(wishes.gpus)),
            _at_least(offers.memory_gib, wishes.memory_gib),
            _at_least(offers.gpus, wishes.gpus),
            _one_of(offers.country, wishes.country_any_of, len(wishes.gpus)),
            _all_of(offers.evidence, wishes.evidence_all_of, len(offers.gpus), len(wishes.gpus)),
        ]
        """for each requirement: bits of the offers, bits the orders cannot take; one row each"""

    def pairs(self, most: Ints) -> Pairs:
        """The cheapest fitting offers of each order, `most[order]` of them."""
        wishes, price = self.wishes, self.offers.usd_per_gpu_hour
        cheapest_first = np.argsort(price, kind="stable")
        count = len(wishes.gpus)
        found: list[tuple[Ints, Ints]] = []
        words = _packed(self.parts[1:])
        tail = np.full(count, np.inf)
        gpu_bits, gpu_refused = self.parts[0]
        for rows in _alike(gpu_refused):
            kinds = cheapest_first[~np.any(gpu_bits[cheapest_first] & gpu_refused[rows[0]], axis=1)]
            ends = np.searchsorted(price[kinds], wishes.max_usd_per_gpu_hour[rows], side="right")
            found.extend(self._search(rows, kinds, ends, words, most, tail))
        order = np.concatenate([each for each, _ in found] or [np.zeros(0, np.int32)])
        offer = np.concatenate([each for _, each in found] or [np.zeros(0, np.int32)])
        # Blocks of one order come in the order of prices, so a stable sort by order alone keeps that.
        sequence = np.argsort(order, kind="stable")
        order, offer = order[sequence], offer[sequence]
        size = wishes.gpus * wishes.hours
        return Pairs(order, offer, size[order] * price[offer], size * tail)

    def _search(
        self, rows: Ints, kinds: Ints, ends: Ints, words: tuple[Words, Words], most: Ints, tail: Floats
    ) -> Iterator[tuple[Ints, Ints]]:
        """Pairs of the orders `rows` with the offers `kinds`, of which each order sees the first `ends`."""
        price = self.offers.usd_per_gpu_hour
        offer_bits, order_bits = words[0][:, kinds], words[1]
        got, begin, width = np.zeros(len(tail), dtype=np.int64), 0, _FIRST_OFFERS
        while len(rows) and begin < len(kinds):
            end = min(begin + width, len(kinds))
            step = max(1, _CELLS // (end - begin))
            for low in range(0, len(rows), step):
                some = rows[low : low + step]
                free = np.arange(begin, end) < ends[low : low + step, None]
                for mine, theirs in zip(order_bits, offer_bits, strict=True):
                    free &= (theirs[begin:end] & mine[some, None]) == 0
                at, column = np.nonzero(free)
                counts = np.bincount(at, minlength=len(some))
                place = np.arange(len(at)) - (np.cumsum(counts) - counts)[at] + got[some][at]
                allowed = most[some][at]
                first_left_out = np.flatnonzero(place == allowed)
                tail[some[at[first_left_out]]] = price[kinds[begin + column[first_left_out]]]
                kept = place < allowed
                got[some] += counts
                yield some[at[kept]].astype(np.int32), kinds[begin + column[kept]].astype(np.int32)
            more = (got[rows] <= most[rows]) & (ends > end)
            rows, ends, begin, width = rows[more], ends[more], end, width * 2


def _one_of(have: Ints, any_of: Sets, orders: int) -> tuple[Words, Words]:
    size = int(max(have.max(initial=0), any_of.code.max(initial=0))) + 1
    wanted = _bits(any_of, orders, size)
    wanted[~wanted.any(axis=1)] = ~np.uint64(0)
    return _bits(Sets(np.arange(len(have)), have), len(have), size), ~wanted


def _at_least(have: Floats | Ints, need: Floats | Ints) -> tuple[Words, Words]:
    levels, level = np.unique(need, return_inverse=True)
    row, code = np.nonzero(have[:, None] < levels)
    return _bits(Sets(row, code), len(have), len(levels)), _bits(
        Sets(np.arange(len(need)), level), len(need), len(levels)
    )


def _all_of(have: Sets, all_of: Sets, offers: int, orders: int) -> tuple[Words, Words]:
    size = int(max(have.code.max(initial=0), all_of.code.max(initial=0))) + 1
    return ~_bits(have, offers, size), _bits(all_of, orders, size)


def _bits(sets: Sets, rows: int, size: int) -> Words:
    """A row of words for each set, `size` bits used."""
    words = np.zeros((rows, size // 64 + 1), dtype=np.uint64)
    np.bitwise_or.at(words, (sets.row, sets.code // 64), np.uint64(1) << (sets.code % 64).astype(np.uint64))
    return words


def _packed(parts: Sequence[tuple[Words, Words]]) -> tuple[Words, Words]:
    """The parts' words side by side, with as few words as the bits need that any order tests."""
    offers, orders = ([np.zeros(len(side), dtype=np.uint64)] for side in parts[0])
    used = 0
    for of_offers, of_orders in parts:
        for offer, order in zip(of_offers.T, of_orders.T, strict=True):
            tested = np.bitwise_or.reduce(order, initial=np.uint64(0)) & np.bitwise_or.reduce(
                offer, initial=np.uint64(0)
            )
            length = int(tested).bit_length()
            if used + length > 64:
                offers.append(np.zeros(len(offer), dtype=np.uint64))
                orders.append(np.zeros(len(order), dtype=np.uint64))
                used = 0
            if length:
                offers[-1] |= (offer & tested) << np.uint64(used)
                orders[-1] |= (order & tested) << np.uint64(used)
            used += length
    return np.stack(offers), np.stack(orders)


def _any_bits(words: Words) -> np.uint64:
    return np.uint64(np.bitwise_or.reduce(words, initial=np.uint64(0)))


def _alike(words: Words) -> list[Ints]:
    """Rows with the same words, together."""
    _, kind = np.unique(words, axis=0, return_inverse=True)
    by_kind = np.argsort(kind, kind="stable")
    return np.split(by_kind, np.cumsum(np.bincount(kind))[:-1]) if len(kind) else []
