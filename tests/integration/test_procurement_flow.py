"""Buying against the sandbox over a real socket: every step, every crash point, every lost reply."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from support.books_steps import events
from support.procurement_world import ACTOR, World, procurement_world

from necto_pipelines.model.answer import Listing
from necto_pipelines.model.lease import EffectState
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.networks.port import Bid, Deployment
from necto_pipelines.procurement.invoicing import invoice_files, issue_month
from necto_pipelines.procurement.proof_bundle import trace
from necto_pipelines.procurement.sdl_orders import order_from_sdl
from necto_pipelines.procurement.settling import due_leases, settle
from necto_pipelines.procurement.submission import submit

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with procurement_world(tmp_path) as made:
        yield made


def test_an_order_becomes_a_lease_an_invoice_and_a_proof(world: World) -> None:
    order = world.procure(world.submit().id)
    assert order.state is OrderState.ACTIVE, order.reason
    (lease,) = world.runtime.books.leases()
    assert lease.state is LeaseState.ACTIVE
    assert lease.usd_per_hour <= Decimal(25) / 4
    world.clock.advance(4 * 3600)
    assert [due.id for due in due_leases(world.runtime, world.clock.now())] == [lease.id]
    closed = settle(world.runtime, lease, ACTOR)
    assert closed.state is LeaseState.CLOSED
    assert world.runtime.books.order(order.id).state is OrderState.COMPLETED
    (invoice,) = issue_month(world.runtime, "2026-11")
    files = invoice_files(world.runtime, invoice)
    assert all(path.stat().st_size > 0 for path in (files.json, files.csv, files.pdf))
    assert invoice.total_usd == sum(line.amount_usd for line in invoice.lines)
    assert issue_month(world.runtime, "2026-11") == [invoice]
    bundle = trace(world.runtime, invoice.number)
    assert bundle.ok
    kinds = {hop.kind for hop in bundle.hops}
    assert {"invoice", "line", "charge", "lease", "decision", "data", "raw answer", "conversion"} <= kinds
    world.runtime.books.sign()
    assert world.runtime.books.verify().ok
    state = world.state()
    assert len(state["deployments"]) == len(state["leases"]) == 1
    assert len(state["swaps"]) == 2


def test_the_cheapest_binding_bid_of_a_compliant_provider_wins(world: World) -> None:
    order = world.procure(world.submit().id)
    (lease,) = world.runtime.books.leases()
    decision = world.runtime.books.decisions(order.id)[-1]
    assert lease.provider in {candidate.provider for candidate in decision.ranked}
    refused = {c.provider for c in decision.candidates if c not in decision.ranked}
    assert refused, "the sandbox has unaudited and offline providers with H100s"
    assert lease.provider not in refused


def test_a_stale_token_price_stops_the_conversion_and_the_order_waits_with_that_reason(world: World) -> None:
    httpx.post(f"{world.url}/sandbox/prices", json={"frozen": True}).raise_for_status()
    world.clock.advance(world.runtime.settings.token_price_max_age_s + 120)
    order = world.submit()
    world.route(order.id)
    order = world.pay(order.id)
    assert order.state is OrderState.WAITING
    assert order.reason.startswith("stale: ")
    assert "AKT" in order.reason
    assert order.next_attempt_at is not None
    assert world.state()["swaps"] == []
    httpx.post(f"{world.url}/sandbox/prices", json={"frozen": False}).raise_for_status()
    world.clock.advance(120)
    assert world.procure(order.id).state is OrderState.ACTIVE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/rail/v1/swaps"),
        ("POST", "/akash/v1/deployments"),
        ("POST", "/akash/v1/leases"),
    ],
)
def test_a_lost_reply_never_makes_a_second_effect(world: World, method: str, path: str) -> None:
    world.fault(method, path, "drop_reply")
    order = world.submit()
    world.procure(order.id)
    world.clock.advance(300)
    for _ in range(3):
        order = world.runtime.books.order(order.id)
        if order.state is OrderState.ACTIVE:
            break
        world.clock.advance(300)
        world.procure(order.id)
    assert order.state is OrderState.ACTIVE, order.reason
    state = world.state()
    assert len(state["swaps"]) == 2
    assert len([d for d in state["deployments"] if d["state"] == "active"]) == 1
    assert len(state["deployments"]) == 1
    assert len(state["leases"]) == 1
    assert all(effect.state is not EffectState.INTENT for effect in world.runtime.books.effects(order.id))


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize("fatal", range(1, 14))
def test_a_run_killed_at_any_commit_is_taken_up_without_a_second_effect(
    world: World, fatal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies right before its n-th commit; the next run goes on from the books and the network."""
    order = world.submit()
    books = world.runtime.books
    genuine, count = type(books).change, 0

    def dying(self, actor):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        if count == fatal:
            raise Killed
        return genuine(self, actor)

    with monkeypatch.context() as patch:
        patch.setattr(type(books), "change", dying)
        try:
            world.procure(order.id)
        except Killed:
            pass
        else:
            assert count < fatal, "the run outlived its death"
    for _ in range(4):
        if books.order(order.id).state is OrderState.ACTIVE:
            break
        world.clock.advance(200)
        if books.order(order.id).state in (OrderState.SUBMITTED, OrderState.WAITING):
            world.route(order.id)
        world.pay(order.id)
        world.place(order.id)
    assert books.order(order.id).state is OrderState.ACTIVE, books.order(order.id).reason
    state = world.state()
    assert len(state["swaps"]) == 2
    assert len(state["deployments"]) == 1
    assert len(state["leases"]) == 1
    assert len([lease for lease in books.leases() if lease.state is LeaseState.ACTIVE]) == 1
    books.sign()
    assert books.verify().ok


def test_an_order_that_no_bid_fits_gives_its_deposit_back_and_waits(world: World) -> None:
    # The market's list price fits below the cap, but no provider's own bid does: it includes CPU, memory and disk.
    need = {"gpu": {"model": "H100"}, "hours": 4, "cpu_cores": 32, "memory_gib": 300, "disk_gib": 500}
    order = world.submit(max_usd_per_gpu_hour="2.60", requirement=need)
    world.route(order.id)
    world.pay(order.id)
    order = world.place(order.id)
    assert order.state is OrderState.WAITING
    assert order.reason.startswith("no_acceptable_bid")
    assert order.attempt == 2
    assert all(d["state"] == "closed" for d in world.state()["deployments"])


def test_an_order_beyond_what_others_leave_of_its_cost_centre_waits_before_anything_is_paid(world: World) -> None:
    first, second = world.submit(), world.submit()
    with world.runtime.books.change(ACTOR) as change:
        change.set_budget("research", Decimal(15))
    world.route(first.id)
    world.pay(first.id)
    world.route(second.id)
    waits = world.runtime.books.order(second.id)
    assert waits.state is OrderState.WAITING
    assert "cost_centre_budget_taken" in waits.reason
    assert len(world.state()["swaps"]) == 2


def test_an_order_beyond_its_cost_centre_is_refused_before_anything_is_paid(world: World) -> None:
    order = world.submit()
    with world.runtime.books.change(ACTOR) as change:
        change.set_budget("research", Decimal(12))
    world.route(order.id)
    refused = world.runtime.books.order(order.id)
    assert refused.state is OrderState.REFUSED
    assert refused.reason.startswith("over_budget: ")
    assert world.runtime.books.decisions(order.id)[-1].ranked == ()
    assert not world.state()["swaps"]


def test_orders_routed_together_stay_within_the_budget_they_share(world: World) -> None:
    first, second = world.submit(), world.submit()
    with world.runtime.books.change(ACTOR) as change:
        change.set_budget("research", Decimal(15))
    world.route(first.id, second.id)
    states = [world.runtime.books.order(each.id).state for each in (first, second)]
    assert sorted(states) == [OrderState.ROUTED, OrderState.WAITING]


def test_a_replica_takes_no_bid_where_another_one_stands_though_no_plan_chose_that_place(world: World) -> None:
    orders = [world.submit(apart="web"), world.submit(apart="web")]
    world.route(*(order.id for order in orders))
    decisions = [world.runtime.books.decisions(order.id)[-1] for order in orders]
    planned = {decision.chosen.provider for decision in decisions if decision.chosen}
    third = next(c.provider for c in decisions[0].ranked if c.network == "akash" and c.provider not in planned)
    akash = world.runtime.networks["akash"]
    genuine = akash.bids

    def only_third(deployment: Deployment) -> Listing[Bid]:
        listing = genuine(deployment)
        return replace(listing, rows=tuple(replace(bid, provider=third) for bid in listing.rows[:1]))

    for order in orders:
        world.pay(order.id)
    akash.bids = lambda deployment: replace(  # type: ignore[method-assign]
        listing := genuine(deployment), rows=tuple(bid for bid in listing.rows if bid.provider == third)
    )
    first = world.place(orders[0].id)
    akash.bids = only_third  # type: ignore[method-assign]
    second = world.place(orders[1].id)
    assert first.state is OrderState.ACTIVE
    assert second.reason.startswith("no_acceptable_bid")
    (leaf,) = [event for event in events(world.runtime.books) if event["type"] == "bid.passed_over"]
    assert leaf["body"]["provider"] == third
    assert "a replica of web" in leaf["body"]["reason"]


def test_a_hold_that_another_run_made_impossible_lets_the_order_wait(world: World) -> None:
    first, second = world.submit(), world.submit()
    world.route(first.id)
    world.route(second.id)
    with world.runtime.books.change(ACTOR) as change:
        change.set_budget("research", Decimal(15))
    world.pay(first.id)
    waits = world.pay(second.id)
    assert (waits.state, waits.reason.partition(":")[0]) == (OrderState.WAITING, "cost_centre_budget_taken")


def test_a_lease_that_never_runs_is_closed_charged_and_placed_elsewhere(world: World) -> None:
    order = world.submit()
    world.route(order.id)
    world.pay(order.id)
    genuine = world.runtime.networks["akash"].status

    def never_ready(ref: str):  # type: ignore[no-untyped-def]
        return replace(genuine(ref), healthy=False)

    world.runtime.networks["akash"].status = never_ready  # type: ignore[method-assign]
    order = world.place(order.id)
    assert order.state is OrderState.WAITING
    assert order.reason.startswith("never_ready")
    (lease,) = world.runtime.books.leases()
    assert lease.state is LeaseState.CLOSED
    assert all(d["state"] == "closed" for d in world.state()["deployments"])
    world.runtime.networks["akash"].status = genuine  # type: ignore[method-assign]
    world.clock.advance(300)
    assert world.procure(order.id).state is OrderState.ACTIVE
    first, second = world.runtime.books.leases()
    assert first.provider != second.provider


def test_an_order_that_ends_without_a_lease_gives_back_all_but_what_conversions_cost(world: World) -> None:
    order = world.submit()
    world.route(order.id)
    world.pay(order.id)
    world.fault("POST", "/akash/v1/deployments", "status", status=400)
    order = world.place(order.id)
    assert order.state is OrderState.FAILED
    assert order.reason.startswith("refused")
    conversions = world.runtime.books.conversions(order.id)
    cost = sum(round(c.fee_usd, 2) + round(c.slippage_usd, 2) for c in conversions)
    budget = world.runtime.books.budget("research")
    assert budget.held_usd == 0
    assert budget.spent_usd == cost > 0


SDL = """\
version: "2.0"
services:
  train: {image: ghcr.io/acme/train:1, expose: [{port: 8080, as: 80, to: [{global: true}]}]}
  cache: {image: redis, expose: [{port: 6379, to: [{service: train}]}]}
profiles:
  compute:
    big:
      resources:
        cpu: {units: 8}
        memory: {size: 32Gi}
        storage: {size: 50Gi}
        gpu: {units: 1, attributes: {vendor: {nvidia: [{model: h100, ram: 80Gi}]}}}
    small: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}
  placement:
    anywhere: {pricing: {big: {denom: uact, amount: 8000}, small: {denom: uact, amount: 500}}}
deployment:
  train: {anywhere: {profile: big, count: 1}}
  cache: {anywhere: {profile: small, count: 1}}
"""


def test_an_order_that_brings_an_sdl_document_is_placed_as_the_document_says(world: World) -> None:
    fields = {"name": "finetune", "cost_centre": "research", "budget_usd": "40"}
    request = order_from_sdl(SDL, fields, hours="4")
    order = world.procure(submit(world.runtime.books, request, ACTOR).id)
    assert order.state is OrderState.ACTIVE, order.reason
    (lease,) = world.runtime.books.leases()
    assert lease.network == "akash"
    assert lease.usd_per_hour <= Decimal("5.2")  # 8500 uact in each of 600 to 613 blocks
    assert world.runtime.networks["akash"].status(lease.network_ref).healthy


def test_a_lost_reply_to_an_sdl_order_is_reconciled_and_nothing_is_placed_twice(world: World) -> None:
    world.fault("POST", "/akash/v1/deployments", "drop_reply")
    request = order_from_sdl(SDL, {"name": "x", "cost_centre": "research", "budget_usd": "40"}, hours="4")
    order = world.procure(submit(world.runtime.books, request, ACTOR).id)
    for _ in range(3):
        order = world.procure(order.id) if order.state is not OrderState.ACTIVE else order
    assert order.state is OrderState.ACTIVE, order.reason
    assert len(world.state()["deployments"]) == 1
