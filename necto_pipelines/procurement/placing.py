"""Place a funded order: create the deployment, take the cheapest compliant bid, and see the job run.

Networks do not make creation idempotent, so each act is written down before it is tried, and after a crash or a lost
reply it is looked for at the network before it is tried again.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from necto_pipelines.books.books import Actor
from necto_pipelines.failures import PermanentFailure, Refused, Unavailable, Unknown
from necto_pipelines.model.health import Health, LeaseHealth
from necto_pipelines.model.lease import EffectState, Lease
from necto_pipelines.model.money import cents_up
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.networks.port import Deployment, Placement
from necto_pipelines.procurement.bidding import Plan, accept, accept_again, acceptable_bids, standing_lease
from necto_pipelines.procurement.ceilings import ceiling_of, conversion_share
from necto_pipelines.procurement.deciding import NO_ACCEPTABLE_BID, choice_of, retry_at
from necto_pipelines.procurement.remaining import rest_of
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.settling import close_lease

IN_FLIGHT: Final = timedelta(minutes=2)
"""a create that is not listed yet may still arrive this long after it was sent: time-outs of both sides together"""
SOLD_OUT: Final = "no_offer"
"""refusal of a create whose machine was sold meanwhile: the order is routed anew"""


def place(runtime: Runtime, order: Order, actor: Actor) -> Lease | None:
    """Bring a funded or half-placed order to an active lease; None when no acceptable bid came and the order waits.

    Safe to call again after a crash at any point: one deployment, one lease.
    """
    plan = _plan(runtime, order, actor)
    if order.state is OrderState.FUNDED:
        with runtime.books.change(actor) as change:
            change.move_order(order.id, OrderState.PLACING)
    standing = standing_lease(runtime, plan)
    if standing and standing.state is LeaseState.ACTIVE:
        return standing
    try:
        deployment = _deploy(runtime, plan)
    except Refused as refusal:
        if refusal.code != SOLD_OUT:
            raise
        with runtime.books.change(actor) as change:
            change.end_effect(plan.deployment_key, EffectState.FAILED, {"code": refusal.code})
        _wait_for_another(runtime, order, f"{SOLD_OUT}: {refusal}", actor)
        return None
    if deployment is None:
        _wait_for_another(runtime, order, "deployment_gone: the network has closed the deployment", actor)
        return None
    if standing and (accepted := accept_again(runtime, plan, deployment, standing)):
        return accepted
    for bid in acceptable_bids(runtime, plan, deployment):
        if lease := accept(runtime, plan, deployment, bid):
            return lease
    _give_up(runtime, plan, deployment, f"{NO_ACCEPTABLE_BID}: no compliant provider bid below the ceiling in time")
    return None


def confirm(runtime: Runtime, order: Order, lease: Lease, actor: Actor) -> bool:
    """Wait until the provider says the job runs, then make the order active.

    A lease that stays unhealthy is closed and paid for what it used, and the order waits for another placement.
    """
    network = runtime.networks[lease.network]
    polls = max(1, round(runtime.settings.ready_wait_s / runtime.settings.bid_poll_s))
    for _ in range(polls):
        status = network.status(lease.network_ref)
        if status.healthy:
            with runtime.books.change(actor) as change:
                change.move_order(order.id, OrderState.ACTIVE)
                change.record_health(_seen_healthy(runtime, lease))
            return True
        if status.state in ("closed", "failed"):
            break
        runtime.clock.sleep(runtime.settings.bid_poll_s)
    close_lease(runtime, lease, "never_ready: the provider did not report the job running in time", actor)
    _wait_for_another(runtime, order, f"never_ready: {lease.provider_name} took the lease but never ran the job", actor)
    return False


def _seen_healthy(runtime: Runtime, lease: Lease) -> LeaseHealth:
    """The first health of a lease. Its hours count from its start, as its price does."""
    since = lease.started_at or runtime.clock.now()
    return LeaseHealth(lease_id=lease.id, health=Health.HEALTHY, since=since, ill_since=None, healthy_seconds=0)


def _plan(runtime: Runtime, order: Order, actor: Actor) -> Plan:
    decision, chosen = choice_of(runtime, order)
    network = runtime.networks[chosen.network]
    family, vram = chosen.gpu_key.rsplit("-", 1)
    rest = rest_of(runtime, order)
    share = conversion_share(network)
    ceiling = ceiling_of(rest, chosen.usd_per_gpu_hour, share)
    if decision.fallback:  # a bid that costs more than the offer which is there anyway is not worth taking
        hourly = decision.fallback.expected_usd / (1 + share) / rest.request.requirement.hours
        ceiling = replace(ceiling, usd_per_hour=min(ceiling.usd_per_hour, hourly))
    placement = Placement(
        token=f"{order.id}-{order.attempt}",
        requirement=rest.request.requirement,
        gpu_family=family,
        vram_gib=int(vram.removesuffix("GB")),
        max_usd_per_hour=ceiling.usd_per_hour,
        deposit_usd=ceiling.deposit_usd,
    )
    return Plan(order, rest, decision, chosen, network, placement, network.content_hash(placement), actor)


def _deploy(runtime: Runtime, plan: Plan) -> Deployment | None:
    """The open deployment of this attempt: found when it was made before, created exactly once otherwise.

    None when it was made and is no longer open.
    """
    request: dict[str, object] = {
        "network": plan.network.name,
        "content_hash": plan.content_hash,
        "token": plan.placement.token,
    }
    if plan.network.paid_in == "ACT":
        request["deposit_usd"] = f"{cents_up(plan.placement.deposit_usd):f}"
    with runtime.books.change(plan.actor) as change:
        effect, begun = change.begin_effect(
            plan.deployment_key, "create_deployment", plan.order.id, plan.order.attempt, request
        )
    deployment = None if begun else _found(plan)
    if effect.state is EffectState.DONE:
        return deployment
    if deployment is None:
        if not begun and runtime.clock.now() - effect.begun_at < IN_FLIGHT:
            raise Unknown(f"order {plan.order.id}: a create may still be in flight; looked for again after {IN_FLIGHT}")
        deployment = _create(plan)
    runtime.warehouse.write_raw(deployment.raw.body)
    outcome = {
        "ref": deployment.ref,
        "content_hash": deployment.content_hash,
        "raw_sha256": deployment.raw.sha256,
    }
    with runtime.books.change(plan.actor) as change:
        change.end_effect(plan.deployment_key, EffectState.DONE, outcome)
    return deployment


def _create(plan: Plan) -> Deployment:
    try:
        return plan.network.request(plan.placement)
    except Unknown:
        # The reply was lost. If the deployment stands, it is listed with our token in its content.
        if found := _found(plan):
            return found
        raise


def _found(plan: Plan) -> Deployment | None:
    """The deployment that carries our token, if it stands at the network. More than one must never be."""
    found = [d for d in plan.network.find(plan.content_hash) if d.state != "closed"]
    if len(found) > 1:
        refs = ", ".join(d.ref for d in found)
        raise PermanentFailure(f"order {plan.order.id}: {len(found)} open deployments carry its token ({refs})")
    return found[0] if found else None


def _give_up(runtime: Runtime, plan: Plan, deployment: Deployment, reason: str) -> None:
    """Close what stands at the network so that no deposit stays locked, and let the order wait."""
    try:
        plan.network.close(deployment.ref)
    except Unavailable as error:
        raise Unavailable(f"{reason}; closing deployment {deployment.ref} failed too: {error}") from error
    _wait_for_another(runtime, plan.order, reason, plan.actor, at_once=plan.decision.fallback is not None)


def _wait_for_another(runtime: Runtime, order: Order, reason: str, actor: Actor, *, at_once: bool = False) -> None:
    """Let the order be routed anew as a further attempt: later, or `at_once` when a fall-back offer stands by."""
    later = runtime.clock.now() if at_once else retry_at(runtime, order)
    with runtime.books.change(actor) as change:
        change.move_order(order.id, OrderState.WAITING, reason=reason, next_attempt_at=later, new_attempt=True)
