"""Aethir's adapter against answers of the documented envelope, and everything that can go wrong with them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.aethir.adapter import AethirNetwork
from necto_pipelines.networks.port import Bid, Deployment, Network, Placement

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
INVENTORY, ORDERS, ORDER = "/v2/tenant/inventory", "/v2/tenant/orders", "/v2/tenant/orders/ao_1"
BUSY = {"code": 135500, "msg": "The system is busy. Please try again later", "data": ""}
"""as the live console answered on 2026-08-19 (networks notes, section 3)"""
PLACEMENT = Placement(
    "ord_1-1", Requirement(gpu=GpuNeed(model="H100"), hours=Decimal("3.5")), "H100", 80, Decimal(5), Decimal(20)
)
BID = Bid("ao_1", "acme-eu-1", "open", Decimal(100), "ATH/hour", Decimal(0), Decimal("2.5"), "")
STANDING = Deployment("ao_1", "hash", "", "active", raw=None)  # type: ignore[arg-type]


class Aethir:
    """Answers by method and path; the last answer of a list stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[Any]] = {}
        self.on("GET", INVENTORY, listed(quote()))
        self.on("GET", ORDER, ok(order()))

    def on(self, method: str, path: str, *answers: Any) -> None:
        self._answers[method, path] = list(answers)

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.method, each.url.path) == (method, path)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.method, request.url.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def ok(data: Any) -> dict[str, Any]:
    return {"code": 135000, "msg": "OK", "data": data}


def listed(*rows: Any) -> dict[str, Any]:
    return ok({"records": list(rows), "total": len(rows), "size": 50, "current": 1, "pages": 1})


def quote(**changes: Any) -> dict[str, Any]:
    return {
        "counterparty": "Acme",
        "contract": "C-1",
        "spec": "h100-1x",
        "gpuModel": "NVIDIA H100 SXM5 80GB",
        "gpusPerUnit": 1,
        "vramGib": 80,
        "cpuCores": "24",
        "memoryGib": "192",
        "diskGib": "1000",
        "region": "eu-1",
        "country": "DE",
        "mode": "ON_DEMAND",
        "usdPerGpuHour": "2.5",
        "minHours": "1",
        "units": 3,
        "quotedOn": "2026-11-16",
        "validFrom": "2026-11-16",
        "validUntil": "2026-11-29",
        "somethingNew": True,
    } | changes


def order(**changes: Any) -> dict[str, Any]:
    return {
        "orderId": "ao_1",
        "clientRef": None,
        "athRate": "0.025",
        "lockedAt": NOON_MS,
        "athAmount": "400",
        "provider": "acme-eu-1",
        "status": "RUNNING",
        "usdPerHour": "2.5",
        "startedAt": NOON_MS + 60_000,
        "endedAt": None,
        "settledAth": "0",
    } | changes


@pytest.fixture
def api() -> Aethir:
    return Aethir()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def network(api: Aethir, clock: FrozenClock) -> AethirNetwork:
    return AethirNetwork(
        base_url="https://aethir.example",
        access_key="ak_1",
        secret_key=SecretStr("sk_hidden"),
        clock=clock,
        attempts=2,
        transport=httpx.MockTransport(api),
    )


def test_it_is_a_network_that_is_simulated_and_paid_from_an_account(network: AethirNetwork) -> None:
    port: Network = network
    assert (port.name, port.mode, port.paid_in) == ("aethir", SourceMode.SANDBOX, "ATH")


# --- asking ---------------------------------------------------------------------------------------------------------


def test_odd_rows_are_set_aside_and_the_others_used(api: Aethir, network: AethirNetwork) -> None:
    expired = quote(region="eu-2", validUntil="2026-11-21")
    api.on("GET", INVENTORY, listed(quote(), quote(units=9), expired, quote(spec="odd", gpuModel="X1000"), 7))
    listing = network.offers()
    assert [offer.offer_id for offer in listing.rows] == ["aethir/h100-1x/eu-1/on_demand"]
    assert [what for what, _ in listing.quarantined] == [
        "odd",
        "row 4",
        "h100-1x/eu-1/on_demand",
        "h100-1x/eu-2/on_demand",
    ]


def test_both_headers_go_out_and_the_secret_does_not(api: Aethir, network: AethirNetwork) -> None:
    network.offers()
    [request] = api.requests
    assert request.headers["x-ak"] == "ak_1"
    assert request.headers["x-op-token"].count(".") == 2
    assert "sk_hidden" not in str(request.headers)


@pytest.mark.parametrize(
    "answer",
    [
        BUSY,
        ok("text where an object belongs"),
        ok({"records": [], "total": 3}),
        {"msg": "no code"},
        listed(7),
        httpx.Response(503, text="upstream down"),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.ReadTimeout("too late"),
    ],
)
def test_no_usable_answer_is_unavailable(api: Aethir, network: AethirNetwork, answer: Any) -> None:
    api.on("GET", INVENTORY, answer)
    with pytest.raises(Unavailable):
        network.offers()


def test_success_is_told_by_the_code_alone(api: Aethir, network: AethirNetwork) -> None:
    api.on("GET", INVENTORY, {"code": 135777, "msg": "not for you", "data": "text"})
    with pytest.raises(Refused, match="not for you") as refusal:
        network.offers()
    assert refusal.value.code == "135777"
    assert len(api.requests) == 1, "a refusal is not repeated"


def test_a_busy_system_is_asked_three_times_five_seconds_apart(
    api: Aethir, network: AethirNetwork, clock: FrozenClock
) -> None:
    api.on("GET", INVENTORY, BUSY)
    with pytest.raises(Unavailable, match="check the key pair"):
        network.evidence()
    assert len(api.requests) == 3
    assert clock.now() - NOON == timedelta(seconds=10)
    tokens = {request.headers["x-op-token"] for request in api.requests}
    assert len(tokens) == 3, "each attempt has a token of its own"


def test_what_was_asked_within_the_pace_is_not_asked_again(
    api: Aethir, network: AethirNetwork, clock: FrozenClock
) -> None:
    network.offers()
    network.evidence()
    assert len(api.requests) == 1
    clock.advance(5)
    network.offers()
    assert len(api.requests) == 2
    assert clock.now() - NOON == timedelta(seconds=5), "nobody waited"


# --- ordering -------------------------------------------------------------------------------------------------------


def test_the_cheapest_unit_that_fits_is_ordered_once_and_found_by_its_reference(
    api: Aethir, network: AethirNetwork
) -> None:
    api.on(
        "GET",
        INVENTORY,
        listed(
            quote(usdPerGpuHour="2.9"),
            quote(region="eu-2", usdPerGpuHour="1.0", units=0),
            quote(region="eu-3", usdPerGpuHour="0.1", gpusPerUnit=8),
            quote(region="eu-4", usdPerGpuHour="1.0", minHours="4"),
            quote(region="eu-5", usdPerGpuHour="2.8"),
            quote(region="eu-6", usdPerGpuHour="1.0", validUntil="2026-11-21"),
        ),
    )
    api.on("POST", ORDERS, ok(order()))
    made = network.request(PLACEMENT)
    [request] = api.sent("POST", ORDERS)
    ref = f"necto-{network.content_hash(PLACEMENT)}"
    assert json.loads(request.content) == {
        "spec": "h100-1x",
        "region": "eu-5",
        "mode": "ON_DEMAND",
        "hours": 4,
        "clientRef": ref,
    }
    assert json.loads(made.manifest) == json.loads(request.content)
    assert (made.ref, made.content_hash, made.state) == ("ao_1", network.content_hash(PLACEMENT), "active")
    ended = order(clientRef=ref, orderId="ao_0", status="RELEASED", endedAt=NOON_MS)
    api.on("GET", ORDERS, listed(order(clientRef=ref), ended, order(clientRef="another")))
    assert [(each.ref, each.state) for each in network.find(made.content_hash)] == [
        ("ao_1", "active"),
        ("ao_0", "closed"),
    ]
    [listing] = api.sent("GET", ORDERS)
    assert dict(listing.url.params) == {"clientRef": ref}


def test_the_content_is_that_of_one_order_and_attempt(network: AethirNetwork) -> None:
    other = Placement("ord_1-2", PLACEMENT.requirement, "H100", 80, Decimal(5), Decimal(20))
    dearer = Placement("ord_1-1", PLACEMENT.requirement, "H100", 80, Decimal(9), Decimal(20))
    assert network.content_hash(PLACEMENT) != network.content_hash(other)
    assert network.content_hash(PLACEMENT) == network.content_hash(dearer), "the cap may move between two attempts"


@pytest.mark.parametrize(
    "answer",
    [
        BUSY,
        ok("text"),
        ok({"orderId": "../../x", "athRate": "1", "lockedAt": 0, "athAmount": "1"}),
        httpx.Response(200, text="{"),
        httpx.Response(502),
        httpx.ReadTimeout("too late"),
    ],
)
def test_whatever_is_not_understood_of_an_order_leaves_it_unknown_and_it_is_never_repeated(
    api: Aethir, network: AethirNetwork, answer: Any
) -> None:
    api.on("POST", ORDERS, answer)
    with pytest.raises(Unknown):
        network.request(PLACEMENT)
    assert len(api.sent("POST", ORDERS)) == 1


@pytest.mark.parametrize(("code", "ours"), [(135409, "no_offer"), (135402, "135402")])
def test_a_refused_order_keeps_its_code_but_for_one_that_was_sold_out(
    api: Aethir, network: AethirNetwork, code: int, ours: str
) -> None:
    api.on("POST", ORDERS, {"code": code, "msg": "no", "data": ""})
    with pytest.raises(Refused) as refusal:
        network.request(PLACEMENT)
    assert refusal.value.code == ours


def test_a_list_with_an_order_that_cannot_be_read_is_not_used(api: Aethir, network: AethirNetwork) -> None:
    api.on("GET", ORDERS, listed(order(), order(status="DREAMING")))
    with pytest.raises(Unavailable, match="status"):
        network.find("hash")


# --- leasing --------------------------------------------------------------------------------------------------------


def test_the_one_bid_is_the_price_at_the_rate_of_the_order(network: AethirNetwork) -> None:
    [bid] = network.bids(STANDING).rows
    assert (bid.usd_per_hour, bid.native_amount, bid.native_unit) == (Decimal("2.5"), Decimal(100), "ATH/hour")
    assert bid.provider == "acme-eu-1"


def test_a_machine_is_waited_for(api: Aethir, network: AethirNetwork) -> None:
    waiting = ok(order(status="PROVISIONING", startedAt=None))
    api.on("GET", ORDER, waiting, waiting, ok(order()))
    status = network.lease(STANDING, BID)
    assert (status.state, status.healthy) == ("active", True)
    assert status.opened_at == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"usdPerHour": "2.6"}, "price_cap"),
        ({"athRate": "0.0249"}, "price_cap"),
        ({"status": "PROVISIONING", "startedAt": None}, "bid_not_open"),
    ],
)
def test_an_order_that_is_not_as_agreed_is_given_back(
    api: Aethir, network: AethirNetwork, told: dict[str, Any], code: str
) -> None:
    api.on("GET", ORDER, ok(order(**told)))
    api.on("POST", f"{ORDER}/release", ok(order(status="RELEASED", endedAt=NOON_MS)))
    with pytest.raises(Refused, match="was released") as refusal:
        network.lease(STANDING, BID)
    assert refusal.value.code == code
    assert len(api.sent("POST", f"{ORDER}/release")) == 1


@pytest.mark.parametrize("status", ["RELEASED", "COMPLETED", "FAILED"])
def test_an_order_that_has_ended_gives_no_lease(api: Aethir, network: AethirNetwork, status: str) -> None:
    api.on("GET", ORDER, ok(order(status=status, endedAt=NOON_MS)))
    with pytest.raises(Refused) as refusal:
        network.lease(STANDING, BID)
    assert refusal.value.code == "bid_not_open"
    assert network.bids(STANDING).rows == ()


@pytest.mark.parametrize(
    ("status", "state", "healthy"),
    [
        ("PROVISIONING", "requested", None),
        ("RUNNING", "active", True),
        ("DOWN", "active", False),
        ("RELEASED", "closed", None),
        ("COMPLETED", "closed", None),
        ("FAILED", "failed", None),
    ],
)
def test_each_status_is_told_in_our_words(
    api: Aethir, network: AethirNetwork, status: str, state: str, healthy: bool | None
) -> None:
    api.on("GET", ORDER, ok(order(status=status, settledAth="12.345678")))
    found = network.status("ao_1")
    assert (found.state, found.healthy, found.settled_native) == (state, healthy, Decimal("12.345678"))


@pytest.mark.parametrize(
    "told", [{"settledAth": "400.000001"}, {"settledAth": "0.0000001"}, {"athRate": "0"}, {"orderId": "ao_2"}]
)
def test_an_order_that_contradicts_what_was_fixed_is_not_read(
    api: Aethir, network: AethirNetwork, told: dict[str, Any]
) -> None:
    api.on("GET", ORDER, ok(order(**told)))
    with pytest.raises(Unavailable):
        network.status("ao_1")


@pytest.mark.parametrize("first", [BUSY, httpx.ReadTimeout("late"), httpx.Response(503)])
def test_a_release_may_be_repeated_and_is(api: Aethir, network: AethirNetwork, first: Any) -> None:
    api.on("POST", f"{ORDER}/release", first, ok(order(status="RELEASED", endedAt=NOON_MS, settledAth="1")))
    closed = network.close("ao_1")
    assert (closed.state, closed.closed_at, closed.settled_native) == ("closed", NOON, 1)


def test_every_call_keeps_the_pace(api: Aethir, network: AethirNetwork, clock: FrozenClock) -> None:
    calls: list[Callable[[], object]] = [lambda: network.bids(STANDING), lambda: network.status("ao_1")]
    for call in calls * 2:
        call()
    assert clock.now() - NOON == timedelta(seconds=15)
