"""Screen and route: from pinned tables to a recorded decision for every order, with the reason of every refusal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pandas as pd

from necto_pipelines.books.books import Actor, new_id
from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import Candidate, Decision, InputPin, Refusal
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.routing.allocation import Allocation, allocate
from necto_pipelines.routing.matching import Terms, match

CONVERSION_COST: Final = Decimal("0.0070")
"""what stablecoin -> AKT -> ACT is expected to take: 10 bps fee, up to 30 bps slippage, 25 bps burn-mint spread
(AEP-76), 5 bps for the rounding of two swaps; what it really took is charged, not this"""
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
DEFAULT_PATIENCE: Final = timedelta(hours=24)
"""how long an order without a deadline waits for an offer"""


@dataclass(frozen=True)
class FrozenInputs:
    """The tables that a run reads, as they stood when it began, and the pins that name their bytes."""

    offers: pd.DataFrame
    evidence: pd.DataFrame
    comparison: pd.DataFrame
    pins: tuple[InputPin, ...]


def screen(runtime: Runtime, orders: Sequence[Order], inputs: FrozenInputs) -> dict[str, list[Candidate]]:
    """Hold each order against every offer: candidates by order id, ranked first, each refusal with its reason."""
    return {order.id: _candidates(runtime, order, inputs) for order in orders}


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
    free = {row["offer_id"]: int(row["units_available"]) for row in records(inputs.offers)}
    by_id = {order.id: order for order in orders}
    clouds = _cloud_prices(inputs.comparison)
    return [
        _record(runtime, by_id[allocation.order_id], allocation, inputs, clouds, actor)
        for allocation in allocate(orders, candidates, free)
    ]


def choice_of(runtime: Runtime, order: Order) -> tuple[Decision, Candidate]:
    """The newest decision of a routed order and the offer it chose."""
    decision = runtime.books.decisions(order.id)[-1]
    if decision.chosen is None:
        raise PermanentFailure(f"order {order.id} is {order.state} but its decision {decision.id} chose no offer")
    return decision, decision.chosen


def _candidates(runtime: Runtime, order: Order, inputs: FrozenInputs) -> list[Candidate]:
    policy = runtime.house_policy.tightened_by(order.request.policy)
    now = runtime.clock.now()
    terms = Terms(
        now=now,
        policy=policy,
        max_offer_age=timedelta(seconds=runtime.settings.catalog_max_age_s),
        conversion_cost=CONVERSION_COST,
        failed_providers={
            (lease.network, lease.provider)
            for lease in runtime.books.leases(order_id=order.id, states=[LeaseState.FAILED, LeaseState.CLOSED])
        },
    )
    return match(order, inputs.offers, score_providers(inputs.evidence, policy, now=now), terms)


def _record(
    runtime: Runtime,
    order: Order,
    allocation: Allocation,
    inputs: FrozenInputs,
    clouds: Mapping[str, Mapping[str, Decimal]],
    actor: Actor,
) -> Decision:
    chosen = allocation.chosen
    decision = Decision(
        id=new_id("dec", runtime.clock),
        order_id=order.id,
        attempt=order.attempt,
        chosen=chosen,
        candidates=allocation.candidates,
        inputs=inputs.pins,
        expected_usd=chosen.expected_usd if chosen else Decimal(0),
        clouds_usd_per_gpu_hour=dict(clouds.get(chosen.gpu_key, {})) if chosen else {},
    )
    now = runtime.clock.now()
    deadline = order.request.deadline or order.submitted_at + DEFAULT_PATIENCE
    with runtime.books.change(actor) as change:
        change.record_decision(decision)
        if deadline <= now:
            change.move_order(order.id, OrderState.REFUSED, reason=f"deadline_passed: it was {rfc3339(deadline)}")
            give_back(runtime.books, change, order.id)
        elif chosen:
            change.move_order(order.id, OrderState.ROUTED)
        elif _may_come(allocation.candidates):
            change.move_order(
                order.id, OrderState.WAITING, reason=_why_none(allocation), next_attempt_at=retry_at(runtime, order)
            )
        else:
            change.move_order(order.id, OrderState.REFUSED, reason=_why_none(allocation))
            give_back(runtime.books, change, order.id)
    return decision


def retry_at(runtime: Runtime, order: Order) -> datetime:
    """When a waiting order is tried again: soon at first, then ever later, a quarter of its age, an hour at most."""
    now = runtime.clock.now()
    least = timedelta(seconds=runtime.settings.retry_wait_s)
    return now + max(least, min((now - order.submitted_at) / 4, timedelta(hours=1)))


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


def _cloud_prices(comparison: pd.DataFrame) -> dict[str, dict[str, Decimal]]:
    prices: dict[str, dict[str, Decimal]] = {}
    for row in records(comparison):
        prices.setdefault(row["gpu_key"], {})[row["cloud"]] = row["cloud_usd_per_gpu_hour"]
    return prices
