"""Price orders without buying anything: against other rules, other budgets, or as they stood last month.

Reads tables and decides; writes nothing, claims nothing, asks no network. What is decided for real is `deciding`'s.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pandas as pd

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Candidate
from necto_pipelines.model.order import Order, OrderRequest, Policy
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.ceilings import CONVERSION_COST, holds_of
from necto_pipelines.procurement.deciding import fallback_for
from necto_pipelines.procurement.sdl_orders import check_sdl
from necto_pipelines.reliability.scoring import LeaseOutcome, hazards, score_reliability, survival
from necto_pipelines.routing.allocation import Allocation, Rules
from necto_pipelines.routing.joint import JointPlan, allocate_jointly
from necto_pipelines.routing.matching import Matcher, Terms
from necto_pipelines.routing.offer_columns import OfferColumns


@dataclass(frozen=True)
class House:
    """What the house brings to the question."""

    now: datetime
    policy: Policy
    """the house policy to judge by; each order's own is laid over it"""
    max_offer_age: timedelta
    account_networks: Collection[str] = ()
    """networks that charge an account in dollars: nothing is converted there"""
    bidding: Collection[str] = ()
    """networks whose providers answer a request with bids of their own"""
    outcomes: Sequence[LeaseOutcome] = ()
    """how our own leases fared"""


@dataclass(frozen=True)
class Answer:
    """What would become of one order."""

    order: Order
    policy: Policy
    """the house's and the order's together"""
    allocation: Allocation
    fallback: Candidate | None


@dataclass(frozen=True)
class WhatIf:
    """What would become of all orders, in the order in which they would be served."""

    answers: tuple[Answer, ...]
    plan: JointPlan
    planned_usd: Mapping[str, Decimal]
    """what is expected to be paid, by cost centre"""


def what_if(
    orders: Sequence[Order],
    offers: pd.DataFrame,
    evidence: pd.DataFrame,
    budgets: Mapping[str, Decimal],
    house: House,
) -> WhatIf:
    """Route `orders` together over `offers` (OFFERS) with `evidence` (EVIDENCE), within `budgets` (US dollars left).

    The same rules as for orders that are submitted: matching, compliance, expected cost, strategies. A budget is drawn
    on by what would be held, which is more than what is expected to be paid.
    """
    risks = hazards(score_reliability(evidence, house.outcomes))
    policies = {order.id: house.policy.tightened_by(order.request.policy) for order in orders}
    columns = OfferColumns(offers)
    matchers = {
        policy: Matcher(columns, score_providers(evidence, policy, now=house.now))
        for policy in dict.fromkeys(policies.values())
    }
    lasting: dict[Decimal, dict[tuple[str, str], Decimal]] = {}
    candidates = {}
    for order in orders:
        hours = order.request.requirement.hours
        if hours not in lasting:
            lasting[hours] = {provider: survival(risk, hours) for provider, risk in risks.items()}
        terms = Terms(
            now=house.now,
            policy=policies[order.id],
            max_offer_age=house.max_offer_age,
            conversion_cost=CONVERSION_COST,
            account_networks=house.account_networks,
            survival=lasting[hours],
        )
        candidates[order.id] = matchers[policies[order.id]].match(order, terms)
    draws = {order.id: holds_of(order, candidates[order.id], house.account_networks) for order in orders}
    plan = allocate_jointly(orders, candidates, offers, Rules(budgets=budgets, draws=draws))
    by_id = {order.id: order for order in orders}
    planned: dict[str, Decimal] = {}
    answers = []
    for placement in plan.placements:
        order, policy = by_id[placement.order_id], policies[placement.order_id]
        answers.append(Answer(order, policy, placement, fallback_for(policy, placement, house.bidding)))
        if placement.chosen:
            centre = order.request.cost_centre
            planned[centre] = planned.get(centre, Decimal(0)) + placement.chosen.expected_usd
    return WhatIf(tuple(answers), plan, dict(sorted(planned.items())))


def drafts(requests: Sequence[OrderRequest], now: datetime) -> list[Order]:
    """Orders as they would stand if they were submitted at `now`, all at once.

    Their ids come from what they say, so that the order in which they are written changes nothing. InvalidInput when
    one that brings an SDL document says otherwise than the document.
    """
    seen: dict[str, int] = {}
    orders = []
    for request in requests:
        check_sdl(request)
        digest = hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:16]
        seen[digest] = seen.get(digest, 0) + 1
        orders.append(
            Order(
                id=f"draft_{digest}" + (f"_{seen[digest]}" if seen[digest] > 1 else ""),
                request=request,
                state=OrderState.SUBMITTED,
                reason="",
                submitted_at=now,
                updated_at=now,
                next_attempt_at=None,
                attempt=1,
                run_id=None,
            )
        )
    return orders


def past_orders(orders: Sequence[Order], since: datetime) -> list[Order]:
    """Those submitted at or after `since`, however they ended; but for those their requester took back."""
    return [order for order in orders if order.submitted_at >= since and order.state is not OrderState.CANCELLED]
