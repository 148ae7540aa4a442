"""The bids on a deployment: which may be taken, which is, and the lease that comes of it.

What is asked of the network before, and what happens when nobody bids, stands in `placing.py`.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from necto_pipelines.books.books import Actor, new_id
from necto_pipelines.failures import PermanentFailure, Refused
from necto_pipelines.model.decision import Candidate, Decision
from necto_pipelines.model.lease import EffectState, Lease
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState
from necto_pipelines.networks.port import Bid, Deployment, LeaseStatus, Network, Placement
from necto_pipelines.procurement.house_limits import Standing, broken_by
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.routing.strategies import bid_weight

BID_LOST: Final = frozenset({"bid_not_open", "price_cap", "wrong_region", "price_unknown"})
"""refusals that lose one bid and not the order: it was withdrawn, or another machine was given than was bid"""


@dataclass(frozen=True)
class Plan:
    """What placing an order needs to know, worked out once."""

    order: Order
    rest: Order
    """the order with the hours that are still to be delivered, and the dollars that are left for them"""
    decision: Decision
    chosen: Candidate
    network: Network
    placement: Placement
    content_hash: str
    actor: Actor

    @property
    def deployment_key(self) -> str:
        return f"{self.order.id}/{self.order.attempt}/deployment"


def standing_lease(runtime: Runtime, plan: Plan) -> Lease | None:
    """The lease of this attempt that is still alive in the books."""
    alive = runtime.books.leases(order_id=plan.order.id, states=[LeaseState.REQUESTED, LeaseState.ACTIVE])
    return next((lease for lease in alive if lease.attempt == plan.order.attempt), None)


def accept_again(runtime: Runtime, plan: Plan, deployment: Deployment, lease: Lease) -> Lease | None:
    """Finish a lease that was asked for when the run died, by asking again: the network makes no lease twice."""
    effect = runtime.books.effect(_lease_key(lease))
    if effect is None:
        raise PermanentFailure(f"lease {lease.id} was requested without an entry in the journal")
    bid = Bid(
        ref=str(effect.request["bid"]),
        provider=lease.provider,
        state="open",
        native_amount=lease.native_amount,
        native_unit=lease.native_unit,
        block_seconds=lease.block_seconds or Decimal(0),
        usd_per_hour=lease.usd_per_hour,
        raw_sha256=lease.raw_sha256,
    )
    return _ask(runtime, plan, deployment, bid, lease)


def acceptable_bids(runtime: Runtime, plan: Plan, deployment: Deployment) -> list[Bid]:
    """Bids from compliant providers below the ceiling, waited for as long as the settings say; best first.

    The best is the cheapest; under `balanced` each bid counts for more, the less its provider is reliable.
    """
    asked = [c for c in plan.decision.ranked if c.network == plan.network.name]
    allowed, strategy = {c.provider for c in asked}, plan.decision.strategy
    weights = {c.provider: bid_weight(strategy, c) for c in asked}
    tried = {
        lease.provider
        for lease in runtime.books.leases(order_id=plan.order.id, states=[LeaseState.FAILED])
        if lease.attempt == plan.order.attempt
    }
    settings = runtime.settings
    waited = 0.0
    while True:
        listing = plan.network.bids(deployment)
        good = [
            bid
            for bid in listing.rows
            if bid.provider in allowed - tried and bid.usd_per_hour <= plan.placement.max_usd_per_hour
        ]
        if (good and waited >= settings.bid_collect_s) or waited >= settings.bid_wait_s:
            break
        runtime.clock.sleep(settings.bid_poll_s)
        waited += settings.bid_poll_s
    for answer in listing.raw:
        runtime.warehouse.write_raw(answer.body)
    with runtime.books.change(plan.actor) as change:
        change.note(
            "bids.judged",
            {
                "seen": len(listing.rows),
                "acceptable": len(good),
                "ceiling_usd_per_hour": str(plan.placement.max_usd_per_hour),
            },
            subject={"order": plan.order.id, "deployment": deployment.ref},
            blobs=[{"name": "bids", "sha256": answer.sha256, "size": len(answer.body)} for answer in listing.raw],
        )
    return sorted(good, key=lambda bid: (bid.usd_per_hour * weights[bid.provider], bid.provider))


def accept(runtime: Runtime, plan: Plan, deployment: Deployment, bid: Bid) -> Lease | None:
    """Take one bid; None when it was withdrawn meanwhile, or when taking it would break a limit of the house."""
    lease = _lease_of(runtime, plan, deployment, bid)
    with runtime.books.change(plan.actor) as change:
        if broken := broken_by(lease, plan.rest, Standing.of(change.reads), runtime.settings):
            subject = {"order": plan.order.id, "deployment": deployment.ref}
            change.note("bid.passed_over", {"provider": bid.provider, "reason": broken}, subject=subject)
            return None
        change.open_lease(lease)
        change.begin_effect(
            _lease_key(lease),
            "create_lease",
            plan.order.id,
            plan.order.attempt,
            {"deployment": deployment.ref, "bid": bid.ref, "provider": bid.provider},
        )
    return _ask(runtime, plan, deployment, bid, lease)


def _ask(runtime: Runtime, plan: Plan, deployment: Deployment, bid: Bid, lease: Lease) -> Lease | None:
    """Ask the network for the lease and make it active; None when the bid is lost (`BID_LOST`)."""
    try:
        status = plan.network.lease(deployment, bid)
    except Refused as refusal:
        _fail_lease(runtime, plan, lease, refusal.code, str(refusal))
        if refusal.code in BID_LOST:
            return None
        raise
    return _activate(runtime, plan, lease, status)


def _fail_lease(runtime: Runtime, plan: Plan, lease: Lease, code: str, why: str) -> None:
    with runtime.books.change(plan.actor) as change:
        change.move_lease(lease.id, LeaseState.FAILED, close_reason=f"{code}: {why}"[:500])
        change.end_effect(_lease_key(lease), EffectState.FAILED, {"code": code})


def _activate(runtime: Runtime, plan: Plan, lease: Lease, status: LeaseStatus) -> Lease:
    started = status.opened_at or runtime.clock.now()
    runtime.warehouse.write_raw(status.raw.body)
    with runtime.books.change(plan.actor) as change:
        active = change.move_lease(
            lease.id,
            LeaseState.ACTIVE,
            started_at=started,
            ends_at=started + timedelta(hours=float(plan.rest.request.requirement.hours)),
        )
        change.end_effect(
            _lease_key(lease), EffectState.DONE, {"ref": lease.network_ref, "raw_sha256": status.raw.sha256}
        )
    return active


def _lease_of(runtime: Runtime, plan: Plan, deployment: Deployment, bid: Bid) -> Lease:
    names = {c.provider: c for c in plan.decision.candidates if c.network == plan.network.name}
    return Lease(
        id=new_id("lse", runtime.clock),
        order_id=plan.order.id,
        decision_id=plan.decision.id,
        attempt=plan.order.attempt,
        network=plan.network.name,
        provider=bid.provider,
        provider_name=names[bid.provider].provider_name,
        network_ref=deployment.ref,
        gpu_key=plan.chosen.gpu_key,
        gpu_count=plan.order.request.requirement.gpu.count,
        country=names[bid.provider].country,
        state=LeaseState.REQUESTED,
        usd_per_hour=bid.usd_per_hour,
        native_amount=bid.native_amount,
        native_unit=bid.native_unit,
        block_seconds=bid.block_seconds,
        mode=plan.network.mode,
        raw_sha256=bid.raw_sha256,
        started_at=None,
        ends_at=None,
        closed_at=None,
        replaces=failovers[-1].lease_id if (failovers := runtime.books.failovers(plan.order.id)) else None,
    )


def _lease_key(lease: Lease) -> str:
    return f"{lease.order_id}/{lease.attempt}/lease/{lease.provider}"
