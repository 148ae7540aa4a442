"""The Akash adapter against the sandbox over a real socket: the whole life of a deployment, and lost replies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.akash.opening import SANDBOX_API_KEY
from necto_pipelines.networks.port import Bid, Deployment, Placement

pytestmark = pytest.mark.integration
HOUR_S = 3600


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: FrozenClock) -> Iterator[str]:
    with running_sandbox(clock) as url:
        yield url


@pytest.fixture
def network(sandbox: str, clock: FrozenClock) -> Iterator[AkashNetwork]:
    adapter = AkashNetwork(
        base_url=f"{sandbox}/akash",
        api_key=SANDBOX_API_KEY,
        mode=SourceMode.SANDBOX,
        clock=clock,
        timeout_s=10,
        attempts=2,
    )
    yield adapter
    adapter.close_connections()


def placement(**changes: Any) -> Placement:
    facts: dict[str, Any] = {
        "token": "ord_1/1",
        "requirement": Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(2)),
        "gpu_family": "H100",
        "vram_gib": 80,
        "max_usd_per_hour": Decimal(4),
        "deposit_usd": Decimal(10),
    }
    return Placement(**(facts | changes))


def cheapest_bid(network: AkashNetwork, clock: FrozenClock, deployment: Deployment) -> Bid:
    clock.advance(60)
    return min(network.bids(deployment).rows, key=lambda bid: bid.usd_per_hour)


def order_fault(sandbox: str, method: str, path: str, action: str, **more: int) -> None:
    body = {"method": method, "path_prefix": f"/akash{path}", "action": action, **more}
    httpx.post(f"{sandbox}/sandbox/faults", json=body).raise_for_status()


def state(sandbox: str) -> dict[str, Any]:
    facts: dict[str, Any] = httpx.get(f"{sandbox}/sandbox/state").json()
    return facts


def test_a_deployment_from_request_to_settlement_costs_its_rate_times_its_blocks(
    sandbox: str, network: AkashNetwork, clock: FrozenClock
) -> None:
    expected_hash = network.content_hash(placement())
    deployment = network.request(placement())
    assert deployment.content_hash == expected_hash
    assert network.bids(deployment).rows == ()
    assert network.status(deployment.ref).state == "requested"

    bid = cheapest_bid(network, clock, deployment)
    assert Decimal(0) < bid.usd_per_hour <= Decimal(4)
    leased = network.lease(deployment, bid)
    assert (leased.state, leased.provider, leased.native_amount) == ("active", bid.provider, bid.native_amount)
    assert leased.opened_at is not None
    assert abs((leased.opened_at - clock.now()).total_seconds()) < 10

    clock.advance(2 * HOUR_S)
    running = network.status(deployment.ref)
    assert (running.state, running.healthy, running.closed_at) == ("active", True, None)

    closed = network.close(deployment.ref)
    assert (closed.state, closed.opened_at) == ("closed", leased.opened_at)
    assert closed.closed_at is not None
    assert abs((closed.closed_at - clock.now()).total_seconds()) < 10
    [lease] = httpx.get(
        f"{sandbox}/akash/v1/deployments/{deployment.ref}",
        headers={"x-api-key": SANDBOX_API_KEY.get_secret_value()},
    ).json()["data"]["leases"]
    blocks = int(lease["closed_on"]) - int(lease["created_at"])
    assert blocks > 1000
    assert abs(closed.settled_native - bid.native_amount * blocks) <= 1
    # The dollars told with the bid are the dollars settled, but for the jitter of single blocks.
    hours = Decimal((closed.closed_at - closed.opened_at).total_seconds()) / HOUR_S
    assert abs(closed.settled_native / 10**6 / (bid.usd_per_hour * hours) - 1) < Decimal("0.001")

    again = network.close(deployment.ref)
    assert (again.state, again.settled_native) == ("closed", closed.settled_native)


def test_offers_and_evidence_tell_the_same_providers(network: AkashNetwork) -> None:
    offers, evidence = network.offers(), network.evidence()
    assert len(offers.rows) > 10
    assert len({offer.offer_id for offer in offers.rows}) == len(offers.rows)
    assert {offer.provider for offer in offers.rows} <= {row.provider for row in evidence.rows}
    assert any(row.audited_by for row in evidence.rows)
    assert all(offer.country for offer in offers.rows)


def test_after_a_lost_reply_exactly_one_deployment_stands_and_can_be_leased(
    sandbox: str, network: AkashNetwork, clock: FrozenClock
) -> None:
    content_hash = network.content_hash(placement(token="ord_2/1"))
    network.request(placement(token="ord_1/1"))
    clock.advance(1)
    order_fault(sandbox, "POST", "/v1/deployments", "drop_reply")
    with pytest.raises(Unknown):
        network.request(placement(token="ord_2/1"))
    [found] = network.find(content_hash)
    assert [row["hash"] for row in state(sandbox)["deployments"]].count(content_hash) == 1
    assert network.lease(found, cheapest_bid(network, clock, found)).state == "active"


def test_a_lease_whose_reply_was_lost_is_not_made_twice(
    sandbox: str, network: AkashNetwork, clock: FrozenClock
) -> None:
    deployment = network.request(placement())
    bid = cheapest_bid(network, clock, deployment)
    order_fault(sandbox, "POST", "/v1/leases", "drop_reply")
    assert network.lease(deployment, bid).provider == bid.provider
    assert len(state(sandbox)["leases"]) == 1


def test_a_bid_that_waited_too_long_is_gone(network: AkashNetwork, clock: FrozenClock) -> None:
    deployment = network.request(placement())
    bid = cheapest_bid(network, clock, deployment)
    clock.advance(600)
    with pytest.raises(Refused) as failure:
        network.lease(deployment, bid)
    assert failure.value.code == "bid_not_open"


def test_a_lease_at_a_provider_that_went_away_is_active_but_not_known_to_be_healthy(
    sandbox: str, network: AkashNetwork, clock: FrozenClock
) -> None:
    deployment = network.request(placement())
    bid = cheapest_bid(network, clock, deployment)
    network.lease(deployment, bid)
    clock.advance(HOUR_S)
    assert network.status(deployment.ref).healthy is True
    httpx.post(f"{sandbox}/sandbox/providers", json={"provider": bid.provider, "online": False}).raise_for_status()
    status = network.status(deployment.ref)
    assert (status.state, status.healthy) == ("active", None)


def test_a_lease_whose_escrow_ran_dry_has_failed_and_cost_no_more_than_its_deposit(
    network: AkashNetwork, clock: FrozenClock
) -> None:
    deployment = network.request(placement(deposit_usd=Decimal(1)))
    network.lease(deployment, cheapest_bid(network, clock, deployment))
    clock.advance(2 * HOUR_S)
    status = network.status(deployment.ref)
    assert (status.state, status.settled_native) == ("failed", Decimal(1_000_000))
    assert network.close(deployment.ref).settled_native == status.settled_native


def test_a_deposit_that_cannot_be_paid_is_refused(network: AkashNetwork) -> None:
    with pytest.raises(Refused):
        network.request(placement(deposit_usd=Decimal(10_000_000)))


def test_a_read_survives_one_failure_and_not_two(sandbox: str, network: AkashNetwork) -> None:
    order_fault(sandbox, "GET", "/v1/providers", "status", status=503, times=1)
    assert network.evidence().rows
    order_fault(sandbox, "GET", "/v1/providers", "status", status=503, times=2)
    with pytest.raises(Unavailable):
        network.evidence()
