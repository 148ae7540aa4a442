"""Screen and route: from pinned tables to a recorded decision for every order, with the reason of every refusal."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pandas as pd

from necto_pipelines.books.books import Actor, new_id
from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.market.comparison import count_class, same_gpu_prices
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import Candidate, Decision, InputPin, Refusal
from necto_pipelines.model.money import plain
from necto_pipelines.model.order import Order, Policy, Strategy
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.procurement.ceilings import CONVERSION_COST, conversion_share, draws_of, may_be_freed
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.house_limits import Standing
from necto_pipelines.procurement.outcomes import lease_outcomes
from necto_pipelines.procurement.remaining import rest_of
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.reliability.scoring import hazards, score_reliability, survival
from necto_pipelines.routing.allocation import Allocation, Rules
from necto_pipelines.routing.failure_domains import resting_offers
from necto_pipelines.routing.joint import allocate_jointly
from necto_pipelines.routing.matching import Matcher, Terms
from necto_pipelines.routing.offer_columns import OfferColumns
from necto_pipelines.routing.strategies import fallback_of

LASTING: Final = frozenset(
    {
        Refusal.GPU,
        Refusal.VRAM,
        Refusal.UNIT,
        Refusal.MIN_HOURS,
        Refusal.COUNTRY,
        Refusal.NETWORK,
        Refusal.PRICE_CAP,
        Refusal.BUDGET,
        Refusal.INTERRUPTIBLE,
    }
)
"""refusals that follow from the order itself: time alone does not lift them"""
PASSING: Final = frozenset(
    {
        Refusal.CAPACITY,
        Refusal.STALE,
        Refusal.FAILURE_DOMAIN,
        Refusal.CONCENTRATION,
        Refusal.COST_CENTRE,
        Refusal.APART,
        Refusal.GROUP,
    }
)
"""refusals that time alone lifts"""
DEFAULT_PATIENCE: Final = timedelta(hours=24)
"""how long an order without a deadline waits for an offer"""
LONGEST_PAUSE: Final = timedelta(hours=1)
_MOST_DOUBLINGS: Final = 12
"""of a second this is more than the longest pause"""
NO_ACCEPTABLE_BID: Final = "no_acceptable_bid"
"""first word of the reason of an order that waits because nobody bid what could be taken"""
EXHAUSTED: Final = "budget_exhausted"
"""first word of the reason of an order that ends because what is left of its budget does not pay for the rest"""
OVER_BUDGET: Final = "over_budget"
"""first word of the reason of an order that ends because its cost centre's budget does not do, whoever gives back"""


@dataclass(frozen=True)
class FrozenInputs:
    """The tables that a run reads, as they stood when it began, and the pins that name their bytes."""

    offers: pd.DataFrame
    evidence: pd.DataFrame
    comparison: pd.DataFrame
    pins: tuple[InputPin, ...]


def screen(runtime: Runtime, orders: Sequence[Order], inputs: FrozenInputs) -> dict[str, list[Candidate]]:
    """Hold each order against every offer: candidates by order id, ranked first, each refusal with its reason."""
    risks = hazards(score_reliability(inputs.evidence, lease_outcomes(runtime.books, runtime.clock.now())))
    columns, now = OfferColumns(inputs.offers), runtime.clock.now()
    policies = {order.id: runtime.house_policy.tightened_by(order.request.policy) for order in orders}
    matchers = {
        policy: Matcher(columns, score_providers(inputs.evidence, policy, now=now))
        for policy in dict.fromkeys(policies.values())
    }
    return {order.id: _candidates(runtime, order, inputs, risks, matchers[policies[order.id]]) for order in orders}


def route(
    runtime: Runtime,
    orders: Sequence[Order],
    candidates: Mapping[str, Sequence[Candidate]],
    inputs: FrozenInputs,
    actor: Actor,
) -> list[Decision]:
    """Route all `orders` (submitted or waiting) together, record each decision, and move each order on.

    An order with an offer becomes routed. One without is refused when only its own wishes stand in the way, and waits
    when capacity or evidence may come back before its deadline.
    """
    by_id = {order.id: order for order in orders}
    draws = {order.id: draws_of(runtime, order, candidates[order.id]) for order in orders}
    plan = allocate_jointly(orders, candidates, inputs.offers, _rules(runtime, draws))
    clouds = same_gpu_prices(inputs.comparison)
    return [
        _record(runtime, by_id[allocation.order_id], allocation, inputs, clouds, draws[allocation.order_id], actor)
        for allocation in plan.placements
    ]


def _rules(runtime: Runtime, draws: Mapping[str, Mapping[str, Decimal]]) -> Rules:
    """The house's limits, what stands against them now, and what of each budget placing an order would hold."""
    settings, standing = runtime.settings, Standing.of(runtime.books)
    return Rules(
        budgets={budget.cost_centre: budget.available_usd for budget in runtime.books.budgets()},
        draws=draws,
        max_usd_per_provider=settings.max_usd_per_provider,
        max_usd_per_network=settings.max_usd_per_network,
        committed=standing.usd,
        standing=standing.apart,
    )


def choice_of(runtime: Runtime, order: Order) -> tuple[Decision, Candidate]:
    """The newest decision of a routed order and the offer it chose."""
    decision = runtime.books.decisions(order.id)[-1]
    if decision.chosen is None:
        raise PermanentFailure(f"order {order.id} is {order.state} but its decision {decision.id} chose no offer")
    return decision, decision.chosen


def _candidates(
    runtime: Runtime,
    order: Order,
    inputs: FrozenInputs,
    risks: Mapping[tuple[str, str], Decimal],
    matcher: Matcher,
) -> list[Candidate]:
    policy = runtime.house_policy.tightened_by(order.request.policy)
    now = runtime.clock.now()
    rest = rest_of(runtime, order)
    lost = [LeaseState.FAILED, LeaseState.CLOSING, LeaseState.CLOSED]
    recent = now - timedelta(seconds=runtime.settings.failure_domain_rest_s)
    failures = [failover for failover in runtime.books.failovers(order.id) if failover.decided_at > recent]
    terms = Terms(
        now=now,
        policy=policy,
        max_offer_age=timedelta(seconds=runtime.settings.catalog_max_age_s),
        conversion_cost=CONVERSION_COST,
        failed_providers={
            (lease.network, lease.provider) for lease in runtime.books.leases(order_id=order.id, states=lost)
        },
        account_networks=[network.name for network in runtime.networks.values() if not conversion_share(network)],
        resting=resting_offers(inputs.offers, inputs.evidence, failures),
        unanswered=_unanswered(runtime, order),
        survival={provider: survival(risk, rest.request.requirement.hours) for provider, risk in risks.items()},
    )
    return matcher.match(rest, terms)


def fallback_for(policy: Policy, allocation: Allocation, bidding: Collection[str]) -> Candidate | None:
    """The offer that `bid_and_wait` falls back on; None under any other strategy, and where there is none.

    `bidding` are the networks whose providers answer a request with bids of their own.
    """
    if policy.effective_strategy is not Strategy.BID_AND_WAIT or allocation.chosen is None:
        return None
    ranked = [c for c in allocation.candidates if not c.refusals or c.refusals == (Refusal.DEARER,)]
    return fallback_of(ranked, allocation.chosen, bidding)


def _unanswered(runtime: Runtime, order: Order) -> set[tuple[str, str]]:
    """Who was asked for bids by the attempt before this one, if none could be taken and a fall-back offer stands by."""
    decisions = runtime.books.decisions(order.id)
    if not decisions or decisions[-1].attempt != order.attempt - 1 or not order.reason.startswith(NO_ACCEPTABLE_BID):
        return set()
    chosen, fallback = decisions[-1].chosen, decisions[-1].fallback
    if chosen is None or fallback is None:
        return set()
    asked = {(c.network, c.provider) for c in decisions[-1].ranked if c.network == chosen.network}
    return asked - {(fallback.network, fallback.provider)}


def _record(
    runtime: Runtime,
    order: Order,
    allocation: Allocation,
    inputs: FrozenInputs,
    clouds: Mapping[tuple[str, int], Mapping[str, Decimal]],
    draws: Mapping[str, Decimal],
    actor: Actor,
) -> Decision:
    chosen = allocation.chosen
    bidding = [network.name for network in runtime.networks.values() if network.binding_bids]
    policy = runtime.house_policy.tightened_by(order.request.policy)
    decision = Decision(
        id=new_id("dec", runtime.clock),
        order_id=order.id,
        attempt=order.attempt,
        chosen=chosen,
        candidates=allocation.candidates,
        inputs=inputs.pins,
        strategy=policy.effective_strategy,
        fallback=fallback_for(policy, allocation, bidding),
        expected_usd=chosen.expected_usd if chosen else Decimal(0),
        clouds_usd_per_gpu_hour=dict(
            clouds.get((chosen.gpu_key, count_class(order.request.requirement.gpu.count)), {}) if chosen else {}
        ),
    )
    now = runtime.clock.now()
    deadline = _deadline(runtime, order)
    with runtime.books.change(actor) as change:
        change.record_decision(decision)
        if deadline <= now:
            change.move_order(order.id, OrderState.REFUSED, reason=f"deadline_passed: it was {rfc3339(deadline)}")
            give_back(change, order.id)
        elif chosen:
            change.move_order(order.id, OrderState.ROUTED)
        elif gone := _budget_gone(runtime, order, allocation) or _cost_centre_gone(runtime, order, allocation, draws):
            if runtime.books.leases(order_id=order.id, states=[LeaseState.CLOSING]):
                reason = f"lease_not_closed: until its cost is known, its deposit is kept; {gone}"
                change.move_order(order.id, OrderState.WAITING, reason=reason, next_attempt_at=retry_at(runtime, order))
            else:
                change.move_order(order.id, OrderState.REFUSED, reason=gone)
                give_back(change, order.id)
        elif _may_come(allocation.candidates):
            change.move_order(
                order.id, OrderState.WAITING, reason=_why_none(allocation), next_attempt_at=retry_at(runtime, order)
            )
        else:
            change.move_order(order.id, OrderState.REFUSED, reason=_why_none(allocation))
            give_back(change, order.id)
    return decision


def retry_at(runtime: Runtime, order: Order) -> datetime:
    """When a waiting order is tried again: soon at first, then ever later, a quarter of its age, an hour at most.

    After a failover the pause doubles with each try for the rest of the job, for the age says nothing then. The last
    try is at the deadline.
    """
    now = runtime.clock.now()
    least = timedelta(seconds=runtime.settings.retry_wait_s)
    pause = max(least, min((now - order.submitted_at) / 4, LONGEST_PAUSE))
    if failovers := runtime.books.failovers(order.id):
        tries = sum(decision.attempt > failovers[-1].attempt for decision in runtime.books.decisions(order.id))
        pause = min(least * (1 << min(tries, _MOST_DOUBLINGS)), max(least, LONGEST_PAUSE))
    return min(now + pause, max(_deadline(runtime, order), now + least))


def _deadline(runtime: Runtime, order: Order) -> datetime:
    """Until when an order may wait: as it says, else a day from its submission, or from when its last lease failed."""
    if order.request.deadline:
        return order.request.deadline
    failovers = runtime.books.failovers(order.id)
    return (failovers[-1].decided_at if failovers else order.submitted_at) + DEFAULT_PATIENCE


def _may_come(candidates: Sequence[Candidate]) -> bool:
    return any(not LASTING.intersection(candidate.refusals) for candidate in candidates)


def _why_none(allocation: Allocation) -> str:
    """How often each reason stood in the way, the commonest first; short enough for one line."""
    if not allocation.candidates:
        return "no_compliant_offer: the catalog holds no offer at all"
    reasons = [reason for candidate in allocation.candidates for reason in candidate.refusals]
    counts = sorted(((reasons.count(reason), reason) for reason in set(reasons)), key=lambda pair: (-pair[0], pair[1]))
    text = ", ".join(f"{reason} ({count})" for count, reason in counts[:4])
    return f"no_compliant_offer: none of {len(allocation.candidates)} offers serves it: {text}"


def _budget_gone(runtime: Runtime, order: Order, allocation: Allocation) -> str:
    """Why what is left of the budget does not pay for the rest of a job; empty when it does, or would soon."""
    rest = rest_of(runtime, order)
    dear = [candidate for candidate in allocation.candidates if set(candidate.refusals) == {Refusal.BUDGET}]
    soon = [candidate for candidate in allocation.candidates if PASSING.issuperset(candidate.refusals)]
    if rest is order or soon or not dear:
        return ""
    left, needed = max(rest.request.budget_usd, Decimal(0)), min(candidate.expected_usd for candidate in dear)
    hours = plain(round(rest.request.requirement.hours, 4))
    return f"{EXHAUSTED}: {left} USD is left of {order.request.budget_usd}, the remaining {hours} h cost {needed} USD"


def _cost_centre_gone(runtime: Runtime, order: Order, allocation: Allocation, draws: Mapping[str, Decimal]) -> str:
    """Why the cost centre's budget does not do even if all that is held in it came back; empty when it might."""
    if not any(set(c.refusals) == {Refusal.COST_CENTRE} for c in allocation.candidates):
        return ""
    standing = runtime.books.hold(order.id)
    least = min(draws.values()) + (standing.usd if standing and standing.state == "held" else Decimal(0))
    budget = runtime.books.budget(order.request.cost_centre)
    if may_be_freed(budget, least):
        return ""
    word = OVER_BUDGET if rest_of(runtime, order) is order else EXHAUSTED
    left = budget.limit_usd - budget.spent_usd
    return f"{word}: {least} USD have to be held, {left} of cost centre {budget.cost_centre} is not spent"
