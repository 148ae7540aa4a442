"""The Dispersed adapter against the sandbox over a real socket: signatures, the life of a job, and lost replies."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.port import Bid, Deployment, Placement
from necto_pipelines.networks.render.adapter import DispersedNetwork
from necto_pipelines.networks.render.jobs import RenderJobs, RenderState
from necto_pipelines.sandbox.dispersed_access import PUBLIC_KEY, SECRET_KEY

pytestmark = pytest.mark.integration
HOUR_S = 3600


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: FrozenClock) -> Iterator[str]:
    with running_sandbox(clock) as url:
        switch(url, bigger=False)
        yield url


@pytest.fixture
def network(sandbox: str, clock: FrozenClock) -> Iterator[DispersedNetwork]:
    with opened(sandbox, clock) as adapter:
        yield adapter


@contextmanager
def opened(sandbox: str, clock: FrozenClock, secret: str = SECRET_KEY) -> Iterator[DispersedNetwork]:
    adapter = DispersedNetwork(
        base_url=f"{sandbox}/dispersed",
        public_key=PUBLIC_KEY,
        secret_key=SecretStr(secret),
        mode=SourceMode.SANDBOX,
        clock=clock,
        timeout_s=10,
        attempts=2,
    )
    yield adapter
    adapter.close_connections()


def switch(sandbox: str, **what: object) -> None:
    httpx.post(f"{sandbox}/dispersed/sandbox/switches", json=what).raise_for_status()


def order_fault(sandbox: str, method: str, path: str, action: str, **more: int) -> None:
    body = {"method": method, "path_prefix": f"/dispersed{path}", "action": action, **more}
    httpx.post(f"{sandbox}/sandbox/faults", json=body).raise_for_status()


def placement(order: str = "ord_1-1", model: str = "RTX5090", vram: int = 32, **changes: Any) -> Placement:
    facts: dict[str, Any] = {
        "token": order,
        "requirement": Requirement(gpu=GpuNeed(model=model), hours=Decimal(2)),
        "gpu_family": model,
        "vram_gib": vram,
        "max_usd_per_hour": Decimal(1),
        "deposit_usd": Decimal(2),
    }
    return Placement(**(facts | changes))


def only_bid(network: DispersedNetwork, deployment: Deployment) -> Bid:
    [bid] = network.bids(deployment).rows
    return bid


def test_offers_of_all_pages_are_read_and_the_unregistered_card_is_set_aside(network: DispersedNetwork) -> None:
    listing = network.offers()
    assert len(listing.rows) > 50
    assert len({offer.offer_id for offer in listing.rows}) == len(listing.rows)
    prices = {offer.gpu.key: offer.usd_per_gpu_hour for offer in listing.rows}
    assert prices["RTX4090-24GB"] == Decimal("0.35")
    assert prices["H200-141GB"] == Decimal(2)
    assert Decimal("0.45") <= prices["RTX5090-32GB"] <= Decimal("0.69")
    assert {offer.country for offer in listing.rows} == {"US", "CA", "JP", None}
    assert len(listing.quarantined) == 7
    assert all("A6000" in reason and "registry" in reason for _, reason in listing.quarantined)
    assert {row.provider for row in network.evidence().rows} == {offer.provider for offer in listing.rows}


def test_a_job_from_request_to_settlement_costs_its_rate_from_creation_on(
    network: DispersedNetwork, clock: FrozenClock
) -> None:
    created = clock.now()
    deployment = network.request(placement())
    assert deployment.content_hash == network.content_hash(placement())
    assert network.status(deployment.ref).state == "requested"
    bid = only_bid(network, deployment)
    leased = network.lease(deployment, bid)
    assert (leased.state, leased.provider, leased.native_amount) == ("active", bid.provider, bid.usd_per_hour)
    assert leased.opened_at == created < clock.now()
    assert leased.healthy is False

    clock.advance(2 * HOUR_S)
    running = network.status(deployment.ref)
    assert (running.state, running.healthy, running.closed_at) == ("active", True, None)

    closed = network.close(deployment.ref)
    assert (closed.state, closed.healthy, closed.opened_at) == ("closed", None, created)
    assert closed.closed_at is not None
    hours = Decimal((closed.closed_at - created).total_seconds()) / HOUR_S
    assert abs(closed.settled_native - bid.usd_per_hour * hours) <= Decimal("0.000001")
    clock.advance(HOUR_S)
    again = network.close(deployment.ref)
    assert (again.closed_at, again.settled_native) == (closed.closed_at, closed.settled_native)


def test_a_bigger_machine_is_given_back_and_refused_by_the_price_cap(
    sandbox: str, network: DispersedNetwork, clock: FrozenClock
) -> None:
    deployment = network.request(placement())
    bid = only_bid(network, deployment)
    switch(sandbox, bigger=True)
    with pytest.raises(Refused, match=r"6 GPUs costs 4\.14 USD/hour") as refusal:
        network.lease(deployment, bid)
    assert refusal.value.code == "price_cap"
    clock.advance(10)
    assert network.status(deployment.ref).state == "closed"
    assert network.bids(deployment).rows == ()
    with pytest.raises(Refused) as gone:
        network.lease(deployment, bid)
    assert gone.value.code == "bid_not_open"


def test_a_bigger_machine_that_was_assigned_before_the_bid_bids_its_own_price(
    sandbox: str, network: DispersedNetwork, clock: FrozenClock
) -> None:
    switch(sandbox, bigger=True)
    deployment = network.request(placement())
    clock.advance(120)
    assert only_bid(network, deployment).usd_per_hour == Decimal("4.14")


def test_a_job_that_takes_the_last_machine_keeps_its_bid(network: DispersedNetwork, clock: FrozenClock) -> None:
    in_japan = Requirement(gpu=GpuNeed(model="H200"), hours=Decimal(2), countries=("JP",))
    wanted = {"model": "H200", "vram": 141, "requirement": in_japan, "max_usd_per_hour": Decimal(3)}
    taken: list[Deployment] = []
    while any(o.country == "JP" and o.gpu.family == "H200" and o.units_available == 1 for o in network.offers().rows):
        taken.append(network.request(placement(f"ord_{len(taken)}-1", **wanted)))
        clock.advance(120)
    assert taken
    bid = only_bid(network, taken[-1])
    assert (bid.usd_per_hour, bid.provider) == (Decimal(2), "dispersed-jp-east-1")
    with pytest.raises(Refused, match="exactly 1 x H200") as refusal:
        network.request(placement("ord_99-1", **wanted))
    assert refusal.value.code == "no_offer"


def test_after_a_lost_reply_exactly_one_job_stands_and_can_be_leased(
    sandbox: str, network: DispersedNetwork, clock: FrozenClock
) -> None:
    network.request(placement("ord_1-1", model="RTX4090", vram=24))
    order_fault(sandbox, "POST", "/v1/jobs", "drop_reply")
    with pytest.raises(Unknown):
        network.request(placement("ord_2-1"))
    with opened(sandbox, clock) as another:  # a process that was killed remembers nothing
        [found] = another.find(another.content_hash(placement("ord_2-1")))
        assert another.lease(found, only_bid(another, found)).state == "active"
        another.close(found.ref)
        assert another.find(another.content_hash(placement("ord_2-1"))) == []


def test_a_lost_reply_to_a_cancel_is_asked_again(sandbox: str, network: DispersedNetwork) -> None:
    deployment = network.request(placement())
    order_fault(sandbox, "PUT", "/v1/jobs", "drop_reply")
    assert network.close(deployment.ref).state == "closed"


def test_a_read_survives_one_failure_because_each_attempt_is_signed_anew(
    sandbox: str, network: DispersedNetwork
) -> None:
    order_fault(sandbox, "GET", "/v1/compute/offers", "drop_reply")
    assert network.evidence().rows
    order_fault(sandbox, "GET", "/v1/compute/offers", "status", status=503, times=2)
    with pytest.raises(Unavailable):
        network.evidence()


def test_a_machine_taken_back_by_its_owner_fails_the_lease_and_is_paid_until_then(
    sandbox: str, network: DispersedNetwork, clock: FrozenClock
) -> None:
    deployment = network.request(placement())
    bid = only_bid(network, deployment)
    opened = network.lease(deployment, bid).opened_at
    assert opened is not None
    clock.advance(HOUR_S / 2 - (clock.now() - opened).total_seconds())
    switch(sandbox, fail_job=deployment.ref)
    status = network.close(deployment.ref)
    assert (status.state, status.settled_native) == ("failed", bid.usd_per_hour / 2)


def test_a_wrong_secret_is_refused_with_the_settings_to_look_at(sandbox: str, clock: FrozenClock) -> None:
    with (
        opened(sandbox, clock, secret="sk_wrong") as stranger,
        pytest.raises(Refused, match="NECTO_DISPERSED_SECRET_KEY") as refusal,
    ):
        stranger.offers()
    assert refusal.value.code == "invalid_signature"
    assert "sk_wrong" not in str(refusal.value)


def test_a_clock_that_is_wrong_is_refused(sandbox: str) -> None:
    late = FrozenClock(datetime(2026, 11, 22, 12, 6, tzinfo=UTC))
    with opened(sandbox, late) as network, pytest.raises(Refused, match="check the clock") as refusal:
        network.offers()
    assert refusal.value.code == "time_out_of_range"


def test_a_rendering_job_pauses_when_its_credits_run_out_and_goes_on_with_more(
    sandbox: str, clock: FrozenClock
) -> None:
    portal = RenderJobs(base_url=f"{sandbox}/render-jobs", clock=clock, timeout_s=10, attempts=2)
    order_body = {"method": "POST", "path_prefix": "/render-jobs/v1/jobs", "action": "drop_reply"}
    httpx.post(f"{sandbox}/sandbox/faults", json=order_body).raise_for_status()
    with pytest.raises(Unknown):
        portal.submit("ord_1-1", scene="hall.orbx", frames=100, tier=2, ob_hours=Decimal(3000))
    job = portal.find("ord_1-1")
    assert job is not None
    assert (job.state, job.estimate_eur) == (RenderState.UPLOADED, None)
    with pytest.raises(Refused) as early:
        portal.start(job.id)
    assert early.value.code == "not_estimated"
    clock.advance(60)
    assert portal.job(job.id).estimate_eur == Decimal("30.00")
    assert portal.top_up("top-1", Decimal(10)) == portal.top_up("top-1", Decimal(10)) == Decimal(10)
    assert portal.start(job.id).state is RenderState.QUEUED
    clock.advance(60 + HOUR_S)
    paused = portal.job(job.id)
    assert (paused.state, paused.spent_eur, portal.credit_eur()) == (RenderState.PAUSED_NO_CREDIT, 10, 0)
    assert 0 < paused.frames_done < 100
    portal.top_up("top-2", Decimal(40))
    clock.advance(HOUR_S)
    done = portal.job(job.id)
    assert (done.state, done.frames_done) == (RenderState.DONE, 100)
    assert done.spent_eur + portal.credit_eur() == 50
    portal.close_connections()
