"""How prices of several sources become one, or none: a pure rule, with a reason for every price that does not count."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Final

from necto_pipelines.market.oracles.port import USD_STEP, age_fault
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import TokenPrice

MIN_PUBLISHERS: Final = 2
"""publishers that must agree before anything is paid by a price"""
TIMED_BESIDE_UNTIMED: Final = 2
"""a price without a time counts only beside this many that have one"""
_BPS: Final = Decimal(10_000)


@dataclass(frozen=True)
class Rules:
    """When prices count, and when they agree."""

    max_age_s: float
    max_deviation_bps: int
    """prices that count may lie this far apart, hundredths of a percent of their median"""
    min_publishers: int = MIN_PUBLISHERS


@dataclass(frozen=True)
class Vote:
    """What one source says of one token. `price.used` and `price.reason` come from the source, then from `agree`."""

    source: str
    publisher: str
    price: TokenPrice

    def unused(self, reason: str) -> "Vote":
        """The same vote, not counted."""
        return replace(self, price=self.price.model_copy(update={"used": False, "reason": reason}))


@dataclass(frozen=True)
class Outcome:
    """The votes as they were counted, and either a price or why there is none."""

    votes: tuple[Vote, ...]
    usd: Decimal | None
    published_at: datetime | None
    """the oldest time among the prices used: no price used is older"""
    refusal: str

    @property
    def used(self) -> tuple[Vote, ...]:
        """The votes the price rests on."""
        return tuple(vote for vote in self.votes if vote.price.used)


def agree(votes: Iterable[Vote], *, now: datetime, rules: Rules) -> Outcome:
    """What the votes on one token come to at `now`; their order does not matter.

    1. A vote that its own source does not vouch for, that is older than `max_age_s` or that comes from the future does
       not count.
    2. A publisher has one vote: the newest of those with a time, else the newest.
    3. A vote without a time counts only beside `TIMED_BESIDE_UNTIMED` votes with one, and is nobody's second witness.
    4. With fewer than `min_publishers` votes with a time there is no price (`token_price_too_few`).
    5. The price is the median of the votes that count: of an even number, the mean of the two in the middle.
    6. A vote further than half of `max_deviation_bps` from the median disagrees and is not used, so that no two used
       votes lie further apart than `max_deviation_bps`.
    7. Unless more than half of the votes that count, and at least `min_publishers` with a time, agree, there is no
       price (`token_price_disagrees`) and none of them is used.

    The price lies between the lowest and the highest vote used: by 7 one is used on either side of the median.
    """
    fresh, idle = _split(sorted(votes, key=_order), lambda vote: _fault(vote, now, rules))
    chosen = _one_each(fresh)
    counted, passed_over = _split(fresh, lambda vote: _passed_over(vote, chosen))
    if _timed(counted) < rules.min_publishers:
        refusal = (
            f"token_price_too_few: {_timed(counted)} of at least {rules.min_publishers} publishers have a usable price"
            f"{_figures(counted)}{_reasons(idle)}"
        )
        return _refused(counted, [*passed_over, *idle], "too few others to compare with", refusal)
    middle = median(vote.price.usd for vote in counted).quantize(USD_STEP)
    used, wild = _split(counted, lambda vote: _deviation(vote, middle, rules))
    if _timed(used) < rules.min_publishers or 2 * len(used) <= len(counted):
        prices = [vote.price.usd for vote in counted]
        refusal = (
            f"token_price_disagrees: {(max(prices) - min(prices)) / middle * _BPS:.0f} bps lie between the sources, at "
            f"most {rules.max_deviation_bps} are allowed{_figures(counted)}"
        )
        return _refused(used, [*wild, *passed_over, *idle], "the sources disagree", refusal)
    oldest = min(vote.price.published_at for vote in used if vote.price.timed)
    return Outcome(tuple(sorted([*used, *wild, *passed_over, *idle], key=_order)), middle, oldest, "")


def _split(votes: Iterable[Vote], fault_of: Callable[[Vote], str]) -> tuple[list[Vote], list[Vote]]:
    """The votes without a fault, and the others marked with theirs."""
    good, bad = [], []
    for vote in votes:
        if fault := fault_of(vote):
            bad.append(vote.unused(fault))
        else:
            good.append(vote)
    return good, bad


def _fault(vote: Vote, now: datetime, rules: Rules) -> str:
    if not vote.price.used:
        return vote.price.reason or "its source does not vouch for it"
    return age_fault(vote.price, now=now, max_age_s=rules.max_age_s)


def _one_each(votes: Iterable[Vote]) -> list[Vote]:
    by_publisher: dict[str, Vote] = {}
    for vote in votes:
        rival = by_publisher.setdefault(vote.publisher, vote)
        by_publisher[vote.publisher] = max(rival, vote, key=lambda each: (each.price.timed, each.price.published_at))
    return list(by_publisher.values())


def _passed_over(vote: Vote, chosen: Sequence[Vote]) -> str:
    for other in chosen:
        if other.publisher == vote.publisher and other is not vote:
            return f"{vote.publisher} speaks through {other.source}"
    if not vote.price.timed and _timed(chosen) < TIMED_BESIDE_UNTIMED:
        return f"it states no time, so it counts only beside {TIMED_BESIDE_UNTIMED} prices that do"
    return ""


def _deviation(vote: Vote, middle: Decimal, rules: Rules) -> str:
    off = abs(vote.price.usd - middle)
    if 2 * off * _BPS <= rules.max_deviation_bps * middle:
        return ""
    return (
        f"token_price_disagrees: {off / middle * _BPS:.0f} bps off the median {plain(middle)}; at most "
        f"{Decimal(rules.max_deviation_bps) / 2:g} are allowed"
    )


def _refused(counted: Iterable[Vote], others: Iterable[Vote], reason: str, refusal: str) -> Outcome:
    votes = sorted([*(vote.unused(reason) for vote in counted), *others], key=_order)
    return Outcome(tuple(votes), None, None, refusal)


def _timed(votes: Iterable[Vote]) -> int:
    return sum(vote.price.timed for vote in votes)


def _figures(votes: Sequence[Vote]) -> str:
    """The prices at issue, for the person who reads the refusal."""
    said = ", ".join(f"{vote.source} {plain(vote.price.usd)}" for vote in votes)
    return f" ({said})" if said else ""


def _reasons(votes: Sequence[Vote]) -> str:
    return "".join(f"; {vote.source} does not count: {vote.price.reason}" for vote in votes)


def _order(vote: Vote) -> tuple[str, str, Decimal, datetime]:
    return vote.publisher, vote.source, vote.price.usd, vote.price.published_at
