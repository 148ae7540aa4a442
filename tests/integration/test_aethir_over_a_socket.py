"""Aethir's adapter against the sandbox over a real socket: the life of an order, lost replies, and a whole purchase."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from support.procurement_world import ACTOR, World, procurement_world
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import PriceBasis, SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.networks.aethir.adapter import AethirNetwork
from necto_pipelines.networks.port import Bid, Deployment, Placement
from necto_pipelines.procurement.deciding import FrozenInputs, route, screen
from necto_pipelines.procurement.invoicing import issue_month
from necto_pipelines.procurement.settling import settle
from necto_pipelines.sandbox.aethir_access import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.integration
HOUR_S = 3600
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
AUDITOR = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def sandbox(clock: FrozenClock) -> Iterator[str]:
    with running_sandbox(clock) as url:
        yield url


@pytest.fixture
def network(sandbox: str, clock: FrozenClock) -> Iterator[AethirNetwork]:
    adapter = opened(sandbox, clock)
    yield adapter
    adapter.close_connections()


def opened(sandbox: str, clock: FrozenClock, secret: str = SECRET_KEY) -> AethirNetwork:
    return AethirNetwork(
        base_url=f"{sandbox}/aethir",
        access_key=ACCESS_KEY,
        secret_key=SecretStr(secret),
        clock=clock,
        timeout_s=10,
        attempts=2,
    )


def switch(sandbox: str, **what: object) -> dict[str, Any]:
    answer = httpx.post(f"{sandbox}/aethir/sandbox/switches", json=what).raise_for_status()
    return answer.json()  # type: ignore[no-any-return]


def order_fault(sandbox: str, method: str, path: str, action: str, **more: int) -> None:
    body = {"method": method, "path_prefix": f"/aethir{path}", "action": action, **more}
    httpx.post(f"{sandbox}/sandbox/faults", json=body).raise_for_status()


def placement(order: str = "ord_1-1", hours: int = 4, **changes: Any) -> Placement:
    facts: dict[str, Any] = {
        "token": order,
        "requirement": Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(hours)),
        "gpu_family": "H100",
        "vram_gib": 80,
        "max_usd_per_hour": Decimal(6),
        "deposit_usd": Decimal(24),
    }
    return Placement(**(facts | changes))


def only_bid(network: AethirNetwork, deployment: Deployment) -> Bid:
    [bid] = network.bids(deployment).rows
    return bid


def test_offers_are_private_quotes_with_an_honest_age(network: AethirNetwork, clock: FrozenClock) -> None:
    listing = network.offers()
    assert listing.quarantined == ()
    assert len({offer.offer_id for offer in listing.rows}) == len(listing.rows) == 30
    for offer in listing.rows:
        assert offer.price_basis is PriceBasis.PRIVATE_QUOTE
        assert offer.mode is SourceMode.SANDBOX
        assert "simulated, not Aethir's published API" in offer.source
        assert offer.observed_at == datetime(2026, 11, 16, tzinfo=UTC)
        assert offer.valid_until == datetime(2026, 11, 30, tzinfo=UTC)
        assert offer.gpus_per_unit == offer.max_gpus_per_order
        assert not offer.interruptible
    evidence = network.evidence()
    assert {row.provider for row in evidence.rows} == {offer.provider for offer in listing.rows}
    assert all(not row.audited_by and row.is_online is None for row in evidence.rows)


def test_an_order_runs_at_the_rate_of_its_moment_whatever_the_market_does(
    network: AethirNetwork, sandbox: str, clock: FrozenClock
) -> None:
    httpx.post(f"{sandbox}/sandbox/prices", json={"token": "ATH", "usd": "0.025"}).raise_for_status()
    made = network.request(placement())
    bid = only_bid(network, made)
    assert bid.native_unit == "ATH/hour"
    assert bid.native_amount == bid.usd_per_hour / Decimal("0.025")
    httpx.post(f"{sandbox}/sandbox/prices", json={"token": "ATH", "usd": "0.010"}).raise_for_status()
    lease = network.lease(made, bid)
    assert (lease.state, lease.healthy, lease.provider) == ("active", True, bid.provider)
    assert network.lease(made, bid).opened_at == lease.opened_at, "asking again makes no second lease"
    assert lease.opened_at is not None
    clock.advance((lease.opened_at + timedelta(hours=2) - clock.now()).total_seconds())
    closed = network.close(made.ref)
    assert closed.state == "closed"
    assert closed.native_amount == bid.native_amount
    assert closed.closed_at is not None
    hours = Decimal((closed.closed_at - lease.opened_at) // timedelta(milliseconds=1)) / 3_600_000
    assert abs(closed.settled_native - bid.native_amount * hours) < Decimal("0.01")
    again = network.close(made.ref)
    assert (again.closed_at, again.settled_native) == (closed.closed_at, closed.settled_native)
    assert network.bids(made).rows == ()
    with pytest.raises(Refused) as refusal:
        network.lease(made, bid)
    assert refusal.value.code == "bid_not_open"


def test_an_order_ends_by_itself_and_costs_no_more_than_was_fixed(network: AethirNetwork, clock: FrozenClock) -> None:
    made = network.request(placement())
    lease = network.lease(made, only_bid(network, made))
    clock.advance(30 * HOUR_S)
    ended = network.status(made.ref)
    assert (ended.state, ended.healthy) == ("closed", None)
    assert lease.opened_at is not None
    assert ended.closed_at == lease.opened_at + timedelta(hours=4)
    assert ended.settled_native == round(4 * ended.native_amount, 6)


def test_settled_is_what_was_owed_at_midnight_until_the_end(network: AethirNetwork, clock: FrozenClock) -> None:
    made = network.request(placement(hours=30))
    lease = network.lease(made, only_bid(network, made))
    assert lease.opened_at is not None
    clock.advance(6 * HOUR_S)
    assert network.status(made.ref).settled_native == 0
    clock.advance(8 * HOUR_S)
    hours = (datetime(2026, 11, 23, tzinfo=UTC) - lease.opened_at) / timedelta(hours=1)
    settled = network.status(made.ref).settled_native
    assert float(settled) == pytest.approx(float(lease.native_amount) * hours)


@pytest.mark.parametrize(("hours", "mode", "paid_hours"), [(4, "ON_DEMAND", 3), (26, "RESERVE", 14)])
def test_downtime_is_not_paid_and_shows_in_what_is_settled(
    network: AethirNetwork, sandbox: str, clock: FrozenClock, hours: int, mode: str, paid_hours: int
) -> None:
    made = network.request(placement(hours=hours))
    assert f'"mode":"{mode}"' in made.manifest, "reserving is cheaper where the order is long enough"
    lease = network.lease(made, only_bid(network, made))
    switch(sandbox, down=made.ref)
    broken = network.status(made.ref)
    assert (broken.state, broken.healthy) == ("active", False)
    clock.advance(HOUR_S - 5)
    switch(sandbox, up=made.ref)
    clock.advance(hours * HOUR_S)
    ended = network.status(made.ref)
    assert lease.opened_at is not None
    owed = Decimal(paid_hours)
    if mode == "RESERVE":  # the day it broke on is not paid at all: only what lies after midnight is
        end = lease.opened_at + timedelta(hours=hours)
        owed = Decimal((end - datetime(2026, 11, 23, tzinfo=UTC)) // timedelta(milliseconds=1)) / 3_600_000
    assert float(ended.settled_native) == pytest.approx(float(lease.native_amount * owed), rel=0.002)


@pytest.mark.parametrize("action", ["drop_reply", "busy_after"])
def test_a_lost_or_busy_reply_to_an_order_is_unknown_and_the_order_is_found_not_made_again(
    network: AethirNetwork, sandbox: str, clock: FrozenClock, action: str
) -> None:
    free = {offer.offer_id: offer.units_available for offer in network.offers().rows}
    if action == "drop_reply":
        order_fault(sandbox, "POST", "/v2/tenant/orders", action)
    else:
        switch(sandbox, busy=0)
        clock.advance(60)
        network.offers()
        switch(sandbox, busy_after=1)
    wanted = placement()
    with pytest.raises(Unknown):
        network.request(wanted)
    [found] = network.find(network.content_hash(wanted))
    assert found.state == "active"
    assert network.find(network.content_hash(placement("ord_2-1"))) == []
    network.close(found.ref)
    assert [each.state for each in network.find(network.content_hash(wanted))] == ["closed"]
    clock.advance(60)
    assert {offer.offer_id: offer.units_available for offer in network.offers().rows} == free


def test_a_busy_system_is_asked_again_where_a_call_may_be_repeated(
    network: AethirNetwork, sandbox: str, clock: FrozenClock
) -> None:
    switch(sandbox, busy=2)
    begun = clock.now()
    assert network.offers().rows
    assert clock.now() - begun >= timedelta(seconds=10), "one call in five seconds"
    clock.advance(60)
    switch(sandbox, busy=3)
    with pytest.raises(Unavailable, match="135500"):
        network.offers()


def test_a_wrong_secret_is_refused_by_code_and_not_by_http_status(sandbox: str, clock: FrozenClock) -> None:
    stranger = opened(sandbox, clock, secret="sk_other")
    with pytest.raises(Refused, match="token refused") as refusal:
        stranger.offers()
    assert refusal.value.code == "135401"
    assert "sk_other" not in str(refusal.value)
    stranger.close_connections()


@pytest.mark.parametrize(
    "changes",
    [
        {"max_usd_per_hour": Decimal(3)},
        {"gpu_family": "B200", "vram_gib": 192},
        {"requirement": Requirement(gpu=GpuNeed(model="H100", count=2), hours=Decimal(4))},
        {"requirement": Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(4), countries=("FR",))},
        {"requirement": Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(4), cpu_cores=Decimal(25))},
    ],
)
def test_what_nobody_quotes_is_not_ordered(network: AethirNetwork, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        network.request(placement(**changes))
    assert refusal.value.code == "no_offer"
    assert network.find(network.content_hash(placement(**changes))) == []


def test_a_unit_that_was_sold_meanwhile_is_no_offer(
    network: AethirNetwork, sandbox: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted_before = network._quotes()
    others = opened(sandbox, clock)
    for number in range(sum(offer.units_available for offer in network.offers().rows)):
        try:
            others.request(placement(f"other-{number}"))
        except Refused:
            break
    others.close_connections()
    monkeypatch.setattr(network, "_quotes", lambda: quoted_before)
    with pytest.raises(Refused, match="no unit is free") as refusal:
        network.request(placement())
    assert refusal.value.code == "no_offer"


# --- a whole purchase -----------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with procurement_world(tmp_path) as made:
        yield made


def inputs(world: World, *, audited: bool) -> FrozenInputs:
    """The tables of a catalog that holds Aethir alone; `audited` lends its sellers the evidence that nobody has."""
    plain = world.inputs()
    network, warehouse = world.runtime.networks["aethir"], world.runtime.warehouse
    offers, evidence = network.offers(), network.evidence()
    for answer in (*offers.raw, *evidence.raw):
        warehouse.write_raw(answer.body)
    proved: dict[str, object] = {
        "is_online": True,
        "is_valid_version": True,
        "audited_by": (AUDITOR,),
        "audited_attributes": (("location-region", "x", AUDITOR),),
        "uptime_7d": 1.0,
    }
    rows = [row.model_copy(update=proved if audited else {}) for row in evidence.rows]
    return FrozenInputs(OFFERS.frame(offers.rows), EVIDENCE.frame(rows), plain.comparison, plain.pins)


def routed(world: World, *, audited: bool) -> str:
    order, tables = world.submit(), inputs(world, audited=audited)
    route(world.runtime, [order], screen(world.runtime, [order], tables), tables, ACTOR)
    return order.id


def test_without_evidence_nothing_is_bought_there(world: World) -> None:
    order = world.runtime.books.order(routed(world, audited=False))
    assert order.state is OrderState.WAITING
    assert "no_evidence" in order.reason
    details = world.runtime.books.decisions(order.id)[-1].candidates
    assert "offer_too_old" not in {refusal for candidate in details for refusal in candidate.refusals}


@pytest.mark.parametrize("lost", [False, True])
def test_an_order_is_leased_run_closed_and_charged_in_ath_at_its_fixed_rate(world: World, lost: bool) -> None:
    order_id = routed(world, audited=True)
    if lost:
        order_fault(world.url, "POST", "/v2/tenant/orders", "drop_reply")
    assert world.pay(order_id).state is OrderState.FUNDED
    assert world.state()["swaps"] == [], "the account there was filled beforehand"
    order = world.place(order_id)
    assert order.state is OrderState.ACTIVE, order.reason
    (lease,) = world.runtime.books.leases()
    assert (lease.network, lease.state, lease.native_unit) == ("aethir", LeaseState.ACTIVE, "ATH/hour")
    httpx.post(f"{world.url}/sandbox/prices", json={"token": "ATH", "usd": "0.9"}).raise_for_status()
    world.clock.advance(5 * HOUR_S)
    closed = settle(world.runtime, lease, ACTOR)
    assert world.runtime.books.order(order_id).state is OrderState.COMPLETED
    assert closed.settled_native == round(4 * lease.native_amount, 6)
    (charge,) = world.runtime.books.charges(order_id=order_id)
    assert charge.amount_usd == 4 * lease.usd_per_hour
    (invoice,) = issue_month(world.runtime, "2026-11")
    assert invoice.total_usd == 4 * lease.usd_per_hour
    assert world.runtime.books.verify().ok
