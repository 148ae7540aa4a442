"""Hold one order against every offer: what it would cost there, and every reason why it cannot go there.

Offers are judged by column (`offer_columns`): a question is put to each value that stands in a column, once.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from necto_pipelines.model.decision import Candidate, ExpectedCost, Refusal
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.model.order import Order, Policy, Strategy
from necto_pipelines.model.tables import records
from necto_pipelines.routing.expected_cost import compute_of, risk_share, with_risk
from necto_pipelines.routing.offer_columns import Coded, Mask, OfferColumns, Rows, Value
from necto_pipelines.routing.strategies import ranking_usd
from necto_pipelines.routing.unchecked import unchecked


@dataclass(frozen=True)
class Terms:
    """What the house adds to an order's own wishes when it is matched."""

    now: datetime
    policy: Policy
    """the house policy tightened by the order's"""
    max_offer_age: timedelta
    conversion_cost: Decimal
    """share of the cost that turning stablecoin into the network's unit takes, for example 0.0065"""
    account_networks: Collection[str] = ()
    """networks that charge an account in dollars: nothing is converted there"""
    failed_providers: Collection[tuple[str, str]] = ()
    """(network, provider) that failed this order before"""
    resting: Mapping[str, str] = field(default_factory=dict)
    """offers in a domain where a lease of this order failed a short while ago, by id, with the reason"""
    unanswered: Collection[tuple[str, str]] = ()
    """(network, provider) that were asked for a binding price a moment ago and gave none that could be taken"""
    survival: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    """(network, provider) -> chance that a lease there outlasts the order's hours; without an entry: 0"""


_VERDICT: Final = ("network", "provider", "score", "compliant", "refusals", "details")
"""the columns of COMPLIANCE_SCORES that are read"""
_LOST: Final = Decimal(0)
"""chance that a lease lasts where nothing is known"""
_KEPT_ROWS: Final = 100_000
"""costs that are kept, about half a kilobyte each: orders of a batch often ask for the same GPUs and hours"""


def match(order: Order, offers: pd.DataFrame, scores: pd.DataFrame, terms: Terms) -> list[Candidate]:
    """One candidate for each row of `offers` (OFFERS), judged with `scores` (COMPLIANCE_SCORES under `terms.policy`).

    Ranked candidates come first, least by the policy's strategy first; ties go to the higher score, then to the smaller
    offer id, so that the same input always gives the same answer. Refused ones follow in the order of their ids. An
    offer whose provider has no row in `scores` is refused for want of evidence. For many orders make one `Matcher`.
    """
    return Matcher(OfferColumns(offers), scores).match(order, terms)


def expected_usd(order: Order, usd_per_gpu_hour: Decimal, conversion_cost: Decimal) -> Decimal:
    """What is paid for the whole order at that price, conversion included; whole cents, rounded up."""
    need = order.request.requirement
    return compute_of(usd_per_gpu_hour, need.gpu.count, need.hours, conversion_cost).paid_usd


class _Verdict(NamedTuple):
    """What compliance found of a provider; one that nobody judged is refused too."""

    score: int = 0
    refusals: tuple[Refusal, ...] = (Refusal.NO_EVIDENCE,)
    details: str = "nothing is known about this provider"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "_Verdict":
        if row["compliant"]:
            return cls(int(row["score"]), (), "")
        return cls(int(row["score"]), tuple(map(Refusal, row["refusals"].split(","))), row["details"] or "")


class _Misfits(NamedTuple):
    """The rows that one reason stands against, and the figures for each."""

    reason: Refusal
    rows: Rows
    texts: Sequence[str]


def _misfits(reason: Refusal, misfit: Mask, column: Coded[Value], write: Callable[[Value], str]) -> _Misfits:
    """Where `misfit` holds, with the figures that `write` gives for the row's value in `column`."""
    rows = np.flatnonzero(misfit)
    return _Misfits(reason, rows, column.texts(rows, write))


class Matcher:
    """Offers with what compliance says of their providers under one policy, to be held against many orders."""

    def __init__(self, offers: OfferColumns, scores: pd.DataFrame) -> None:
        """`scores` are COMPLIANCE_SCORES under the policy of all terms that are matched by."""
        self._offers = offers
        judged = {(row["network"], row["provider"]): row for row in records(scores[list(_VERDICT)])}
        verdicts = [_Verdict.of(judged[at]) if at in judged else _Verdict() for at in offers.place.values]
        self._verdicts = Coded(verdicts, offers.place.codes)
        self._scores: list[int] = self._verdicts.spread([verdict.score for verdict in verdicts])
        found = Coded.of([verdict.refusals for verdict in verdicts])
        self._refusals = Coded(found.values, found.codes[offers.place.codes])
        self._stakes = lru_cache(maxsize=1 + _KEPT_ROWS // (1 + len(offers.ids)))(partial(_stakes, offers))

    def match(self, order: Order, terms: Terms) -> list[Candidate]:
        """The candidates that `match` gives."""
        need, policy = order.request.requirement, terms.policy
        stakes = self._stakes(
            gpus=need.gpu.count,
            hours=need.hours,
            conversion_cost=terms.conversion_cost,
            account_networks=frozenset(terms.account_networks),
            survival=tuple(terms.survival.get(at, _LOST) for at in self._offers.place.values),
            risk_weight=policy.effective_risk_weight,
            strategy=policy.effective_strategy,
        )
        refusals, details = self._refused(order, terms, stakes.paid)
        columns = (stakes.paid_usd, self._scores, refusals, details, stakes.cost, stakes.ranked_usd, stakes.survival)
        rows = list(zip(self._offers.shown, *columns, strict=True))
        # Rows stand by offer id, and sorting keeps that order among equals.
        fit = sorted((row for row in rows if not row[3]), key=lambda row: (row[6], -row[2]))
        ranked = [_candidate(place, *row) for place, row in enumerate(fit, start=1)]
        return ranked + [_candidate(None, *row) for row in rows if row[3]]

    def _refused(self, order: Order, terms: Terms, paid: Coded[Decimal]) -> tuple[list[tuple[Refusal, ...]], list[str]]:
        """For each row every reason that stands against it, and the figures behind them."""
        details = [""] * len(self._offers.ids)
        # The reasons of a row as one number, a bit for each, and above them what compliance found: rows share few such
        # numbers, and each is spelled out once.
        bits = np.zeros(len(details), dtype=np.int64)
        reasons = []
        for number, misfits in enumerate((*_unfit(order, self._offers), *_unwanted(order, self._offers, terms, paid))):
            reasons.append(misfits.reason)
            bits[misfits.rows] |= 1 << number
            _append(details, misfits.rows, misfits.texts)
        refused = np.flatnonzero(self._verdicts.mask(lambda verdict: bool(verdict.details)))
        _append(details, refused, self._verdicts.texts(refused, lambda verdict: verdict.details))
        found, which = np.unique(bits | self._refusals.codes << len(reasons), return_inverse=True)
        spelled = [
            (*(reason for place, reason in enumerate(reasons) if number >> place & 1), *self._refusals.values[rest])
            for number in found.tolist()
            for rest in [number >> len(reasons)]
        ]
        return Coded(spelled, which).spread([tuple(dict.fromkeys(each)) for each in spelled]), details


def _append(details: list[str], rows: Rows, texts: Sequence[str]) -> None:
    for row, text in zip(rows.tolist(), texts, strict=True):
        details[row] = f"{details[row]}; {text}" if details[row] else text


@dataclass(frozen=True)
class _Stakes:
    """What stands at stake at each offer for orders of one shape: a value for each row, and what is paid once more."""

    paid: Coded[Decimal]
    paid_usd: Sequence[Decimal]
    cost: Sequence[ExpectedCost]
    ranked_usd: Sequence[Decimal]
    survival: Sequence[Decimal]


def _stakes(
    offers: OfferColumns,
    *,
    gpus: int,
    hours: Decimal,
    conversion_cost: Decimal,
    account_networks: frozenset[str],
    survival: Sequence[Decimal],
    risk_weight: Decimal,
    strategy: Strategy,
) -> _Stakes:
    """Reckoned once for each price and provider; `survival` is that of each place in `offers.place`."""
    shares = [Decimal(0) if network in account_networks else conversion_cost for network in offers.network.values]
    prices = offers.price.values
    computes = [compute_of(prices[price], gpus, hours, shares[network]) for price, network in offers.tariff.values]
    risks = [risk_share(chance, risk_weight) for chance in survival]
    costs = [with_risk(computes[tariff], risks[place]) for tariff, place in offers.stake.values]
    paid = [compute.paid_usd for compute in computes]
    owed = [paid[tariff] for tariff, _ in offers.stake.values]
    return _Stakes(
        paid=Coded(paid, offers.tariff.codes),
        paid_usd=offers.tariff.spread(paid),
        cost=offers.stake.spread(costs),
        ranked_usd=offers.stake.spread([ranking_usd(strategy, *each) for each in zip(owed, costs, strict=True)]),
        survival=offers.place.spread([round(chance, 6) for chance in survival]),
    )


def _candidate(
    rank: int | None,
    shown: Mapping[str, object],
    paid: Decimal,
    score: int,
    refusals: tuple[Refusal, ...],
    details: str,
    cost: ExpectedCost,
    ranked_usd: Decimal,
    survival: Decimal,
) -> Candidate:
    fields = {
        **shown,
        "expected_usd": paid,
        "score": score,
        "rank": rank,
        "refusals": refusals,
        "details": details,
        "cost": cost,
        "ranked_usd": ranked_usd,
        "survival": survival,
    }
    # Texts come from Arrow's typed columns, none of them missing (`OfferColumns`); figures are reckoned here.
    return unchecked(Candidate, fields)


def _unfit(order: Order, offers: OfferColumns) -> Iterator[_Misfits]:
    """What the machine lacks for the job."""
    need, count = order.request.requirement, order.request.requirement.gpu.count
    if model := need.gpu.model:
        differs = offers.gpu.mask(lambda gpu: model not in gpu)
        yield _misfits(Refusal.GPU, differs, offers.gpu, lambda gpu: f"{gpu[0]} is not {model}")
    if least := need.gpu.min_vram_gib:
        small = offers.vram.mask(lambda gib: gib < least)
        yield _misfits(Refusal.VRAM, small, offers.vram, lambda gib: f"{gib} GiB of {least} GiB")
    yield _misfits(
        Refusal.CAPACITY,
        offers.most_gpus < count,
        offers.free,
        lambda free: f"{free[0]} of {count} GPUs free, at most {free[1]} in one order",
    )
    other = offers.unit.mask(lambda unit: unit not in (None, count))
    yield _misfits(Refusal.UNIT, other, offers.unit, lambda unit: f"sold whole, with {unit} GPUs")
    short = offers.min_hours.mask(lambda hours: need.hours < (hours or 0))
    yield _misfits(
        Refusal.MIN_HOURS,
        short,
        offers.min_hours,
        lambda hours: f"{need.hours} h, at least {plain(hours)} h are sold",
    )
    asked = f"{plain(need.cpu_cores)}, {plain(need.memory_gib)} and {plain(need.disk_gib)} are asked"
    yield _misfits(
        Refusal.MACHINE,
        offers.smaller(need.cpu_cores, need.memory_gib, need.disk_gib),
        offers.machine,
        lambda free: f"free: {free[0]:g} cores, {free[1]:g} GiB memory, {free[2]:g} GiB disk; {asked}",
    )
    if not need.interruptible:
        rows = np.flatnonzero(offers.interruptible)
        yield _Misfits(Refusal.INTERRUPTIBLE, rows, ["its provider may take the capacity back"] * len(rows))


def _unwanted(order: Order, offers: OfferColumns, terms: Terms, paid: Coded[Decimal]) -> Iterator[_Misfits]:
    """What the order, the budget or the house does not allow."""
    request, countries, networks = order.request, order.request.requirement.countries, terms.policy.networks
    if networks:
        yield _misfits(
            Refusal.NETWORK,
            offers.network.mask(lambda network: network not in networks),
            offers.network,
            lambda network: f"network {network} is not among {', '.join(networks)}",
        )
    if countries:
        yield _misfits(
            Refusal.COUNTRY,
            offers.country.mask(lambda country: country not in countries),
            offers.country,
            lambda country: f"country {country or 'unknown'} is not among {', '.join(countries)}",
        )
    if (cap := request.max_usd_per_gpu_hour) is not None:
        yield _misfits(
            Refusal.PRICE_CAP,
            offers.above(cap),
            offers.price,
            lambda price: f"${price:.4f} per GPU-hour, at most ${cap} is allowed",
        )
    budget = request.budget_usd
    yield _misfits(
        Refusal.BUDGET,
        paid.mask(lambda usd: usd > budget),
        paid,
        lambda usd: f"${usd} for the order, the budget is ${budget}",
    )
    stale = Coded([_stale(*each, terms) for each in offers.validity.values], offers.validity.codes)
    yield _misfits(Refusal.STALE, stale.mask(bool), stale, str)
    failed = offers.of_places(terms.failed_providers)
    yield _misfits(Refusal.PLACE_FAILED, failed, offers.place, lambda _: "it failed this order before")
    resting = {row: why for row, why in offers.named(terms.resting).items() if not failed[row]}
    yield _Misfits(Refusal.FAILURE_DOMAIN, np.array([*resting], dtype=np.intp), [*resting.values()])
    silent = "asked for a binding price a moment ago: none at or below the fall-back offer's"
    asked = offers.of_places(terms.unanswered)
    yield _misfits(Refusal.NO_BID, asked, offers.place, lambda _: silent)


def _stale(basis: PriceBasis, observed_at: datetime, valid_until: datetime | None, terms: Terms) -> str:
    """Why the price no longer counts: the end of a private quote, whatever its age, and the age of any other."""
    if basis is PriceBasis.PRIVATE_QUOTE and valid_until is not None:
        return f"the quote held until {valid_until}" if terms.now >= valid_until else ""
    age = terms.now - observed_at
    return f"read {age} ago, at most {terms.max_offer_age} is allowed" if age > terms.max_offer_age else ""
