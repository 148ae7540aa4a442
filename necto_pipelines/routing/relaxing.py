"""What an order that a plan leaves out could give up, and what each way would cost.

A way is an offer with everything that stands against it: what the order, the house and the provider say, and what the
other orders of the plan leave too little of. Whoever takes a whole machine or the least time that is sold pays for it,
so the cost of a way is that of the order as it would then be. Why an offer is refused at all is for `matching` and
`allocation` to say.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import pandas as pd

from necto_pipelines.model.decision import Candidate, Refusal
from necto_pipelines.model.money import cents_up, plain
from necto_pipelines.model.order import Order
from necto_pipelines.model.tables import records
from necto_pipelines.routing.allocation import Allocation, Rules

MOST: Final = 5
"""ways that are listed of one order"""
_ANOTHER_MACHINE: Final = frozenset({Refusal.GPU, Refusal.VRAM, Refusal.COMPUTE})
_NOT_FOR_AN_ORDER_TO_RELAX: Final = frozenset(
    {
        *(Refusal.OFFLINE, Refusal.VERSION, Refusal.NO_EVIDENCE, Refusal.NOT_AUDITED, Refusal.EVIDENCE_EXPIRED),
        *(Refusal.UPTIME, Refusal.SCORE, Refusal.STALE, Refusal.PLACE_FAILED, Refusal.FAILURE_DOMAIN),
    }
)
_SOLD: Final = ("offer_id", "units_available", "max_gpus_per_order", "gpus_per_unit", "min_hours")
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True)
class Relaxation:
    """Without these constraints the order fits this offer at this cost, and there is no cheaper one that it fits."""

    constraints: tuple[Refusal, ...]
    offer_id: str
    network: str
    provider_name: str
    gpu_key: str
    expected_usd: Decimal
    """what the whole order costs there, with all GPUs and hours that have to be bought"""
    details: str
    """by how much each is missed"""
    missing_usd: Mapping[Refusal, Decimal] = field(default_factory=dict)
    """dollars that each limit on money lacks: `PRICE_CAP` per GPU-hour, any other for the whole order"""


@dataclass(frozen=True)
class _Way:
    """One offer, and the whole set of what keeps the order from it."""

    constraints: Mapping[Refusal, str]
    """in the order in which they were found, each with a text where `candidate.details` has none of it"""
    candidate: Candidate
    expected_usd: Decimal
    weighed_usd: Decimal
    missing_usd: Mapping[Refusal, Decimal]

    @property
    def distance(self) -> tuple[int, int, int, Decimal, int, str]:
        """Fewest constraints first, of those that the order itself sets before any that the house or the provider does.

        Another GPU is another job: that is given up last of what the order sets.
        """
        others = sum(reason in _NOT_FOR_AN_ORDER_TO_RELAX for reason in self.constraints)
        machines = sum(reason in _ANOTHER_MACHINE for reason in self.constraints)
        one = self.candidate
        return others, machines, len(self.constraints), self.weighed_usd, -one.score, one.offer_id

    def as_relaxation(self) -> Relaxation:
        return Relaxation(
            tuple(self.constraints),
            self.candidate.offer_id,
            self.candidate.network,
            self.candidate.provider_name,
            self.candidate.gpu_key,
            self.expected_usd,
            "; ".join(text for text in (self.candidate.details, *self.constraints.values()) if text),
            self.missing_usd,
        )


class Room:
    """What a plan leaves: GPUs at each offer, dollars in cost centres and at places, and where replicas stand."""

    def __init__(
        self, orders: Mapping[str, Order], placements: Iterable[Allocation], offers: pd.DataFrame, rules: Rules
    ) -> None:
        """`orders` by id, with all that `placements` name; `offers` (OFFERS)."""
        self._rules = rules
        self._sold: dict[str, dict[str, Any]] = {row["offer_id"]: row for row in records(offers[list(_SOLD)])}
        self._gpus: dict[str, int] = {}
        self._centres: dict[str, Decimal] = {}
        self._held: dict[tuple[str, str], Decimal] = {}
        self._replicas = {name: set(places) for name, places in rules.standing.items()}
        for place, usd in rules.committed.items():
            self._hold(place, usd)
        for placement in placements:
            if chosen := placement.chosen:
                request, place = orders[placement.order_id].request, (chosen.network, chosen.provider)
                self._gpus[chosen.offer_id] = self._gpus.get(chosen.offer_id, 0) + request.requirement.gpu.count
                centre, usd = request.cost_centre, self._drawn(placement.order_id, chosen, chosen.weighed_usd)
                self._centres[centre] = self._centres.get(centre, _NOTHING) + usd
                self._hold(place, chosen.weighed_usd)
                if request.apart:
                    self._replicas.setdefault(request.apart, set()).add(place)

    def sold(self, candidate: Candidate) -> Mapping[str, Any]:
        """How the offer is sold: its columns `_SOLD`."""
        return self._sold[candidate.offer_id]

    def short(self, order: Order, candidate: Candidate, gpus: int, usd: Decimal) -> Iterator[tuple[Refusal, str]]:
        """What the other orders leave too little of for `order` at the offer, with the figures."""
        left = int(self.sold(candidate)["units_available"]) - (taken := self._gpus.get(candidate.offer_id, 0))
        if taken and left < gpus:
            yield Refusal.CAPACITY, f"{left} of {gpus} GPUs are left by other orders of the plan"
        for reason, lacking in self.missing(order, candidate, usd).items():
            where = (
                f"cost centre {order.request.cost_centre}" if reason is Refusal.COST_CENTRE else "limit of the place"
            )
            yield reason, f"${lacking} missing in the {where}"
        if order.request.apart and (candidate.network, candidate.provider) in self._replicas.get(
            order.request.apart, ()
        ):
            yield Refusal.APART, "a replica that it must stand apart from is there"

    def missing(self, order: Order, candidate: Candidate, usd: Decimal) -> dict[Refusal, Decimal]:
        """By how many dollars the order, ranked by `usd`, overruns what the plan leaves; only where it does."""
        rules, centre, found = self._rules, order.request.cost_centre, {}
        if centre in rules.budgets:
            left = max(_NOTHING, rules.budgets[centre] - self._centres.get(centre, _NOTHING))
            found[Refusal.COST_CENTRE] = self._drawn(order.id, candidate, usd) - left
        over = [
            usd - max(_NOTHING, most - self._held.get(place, _NOTHING))
            for most, place in (
                (rules.max_usd_per_provider, (candidate.network, candidate.provider)),
                (rules.max_usd_per_network, (candidate.network, "")),
            )
            if most is not None
        ]
        if over:
            found[Refusal.CONCENTRATION] = max(over)
        return {reason: lacking for reason, lacking in found.items() if lacking > 0}

    def _drawn(self, order_id: str, candidate: Candidate, usd: Decimal) -> Decimal:
        """What the order takes of its budget there: what the rules say, which they do of offers that fit alone."""
        return self._rules.draws.get(order_id, {}).get(candidate.offer_id, usd)

    def _hold(self, place: tuple[str, str], usd: Decimal) -> None:
        for name in (place, (place[0], "")):
            self._held[name] = self._held.get(name, _NOTHING) + usd


def relaxations(order: Order, candidates: Sequence[Candidate], room: Room) -> tuple[Relaxation, ...]:
    """Up to `MOST` ways to serve a refused order, the least to give up first; none when there is no offer.

    No way holds all constraints of another, for giving up more would then be for nothing. Each comes with the offer
    that the order's strategy ranks best among those it opens.
    """
    ways = sorted((_way(order, candidate, room) for candidate in candidates), key=lambda way: way.distance)
    found: list[tuple[frozenset[Refusal], _Way]] = []
    for way in ways:
        given_up = frozenset(way.constraints)
        if not any(less <= given_up for less, _ in found):
            found.append((given_up, way))
        if len(found) == MOST:
            break
    return tuple(way.as_relaxation() for _, way in found)


def _way(order: Order, candidate: Candidate, room: Room) -> _Way:
    request, need = order.request, order.request.requirement
    constraints = dict.fromkeys(candidate.refusals, "")
    gpus, hours, paid, weighed = need.gpu.count, need.hours, candidate.expected_usd, candidate.weighed_usd
    sold = room.sold(candidate)
    if Refusal.UNIT in constraints or Refusal.MIN_HOURS in constraints:
        gpus, hours = sold["gpus_per_unit"] or gpus, max(hours, sold["min_hours"] or _NOTHING)
        growth = gpus * hours / (need.gpu.count * need.hours)
        paid = _paid(candidate, gpus, hours, growth)
        weighed = paid + (candidate.weighed_usd - candidate.expected_usd) * growth
        for reason, holds, text in (
            (Refusal.CAPACITY, gpus > min(sold["units_available"], sold["max_gpus_per_order"]), f"{gpus} GPUs needed"),
            (Refusal.BUDGET, paid > request.budget_usd, f"the budget is ${request.budget_usd}"),
        ):
            if not holds:
                constraints.pop(reason, None)
            elif reason not in constraints:
                constraints[reason] = text
        last = next(reversed(constraints))
        constraints[last] = "; ".join(
            filter(None, (constraints[last], f"{gpus} GPUs for {plain(hours)} h cost ${paid}"))
        )
    for reason, text in room.short(order, candidate, gpus, weighed):
        constraints.setdefault(reason, text)
    missing = {reason: usd for reason, usd in room.missing(order, candidate, weighed).items() if reason in constraints}
    if Refusal.BUDGET in constraints:
        missing[Refusal.BUDGET] = paid - request.budget_usd
    if Refusal.PRICE_CAP in constraints and request.max_usd_per_gpu_hour is not None:
        missing[Refusal.PRICE_CAP] = candidate.usd_per_gpu_hour - request.max_usd_per_gpu_hour
    return _Way(constraints, candidate, paid, weighed, missing)


def _paid(candidate: Candidate, gpus: int, hours: Decimal, growth: Decimal) -> Decimal:
    """What more GPUs or hours cost; its share of conversion is that of the candidate."""
    if candidate.cost is None:
        return cents_up(candidate.expected_usd * growth)
    share = candidate.cost.conversion_usd / candidate.cost.compute_usd
    return cents_up(candidate.usd_per_gpu_hour * gpus * hours * (1 + share))
