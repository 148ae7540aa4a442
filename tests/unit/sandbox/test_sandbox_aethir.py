"""The simulated Aethir: who is let in, how it answers, what orders go through, and what survives a restart."""

import base64
import hashlib
import hmac
import itertools
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.sandbox.aethir_access import ACCESS_KEY, SECRET_KEY
from necto_pipelines.sandbox.aethir_table import rows

HOUR_S = 3600
NONCES = itertools.count()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HEADER = {"alg": "HS256", "typ": "CHK_OP"}
WANTED = {"spec": "h100-1x", "region": "eu-central", "mode": "ON_DEMAND", "hours": 4}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Tenant:
    """Calls of a tenant, signed here from the description of the token."""

    def __init__(self, sandbox: SandboxCaller) -> None:
        self.sandbox = sandbox

    def token(self, *, header: Any = None, secret: str = SECRET_KEY, **changes: Any) -> str:
        expires = int(self.sandbox.clock.now().timestamp() * 1000) + 60_000
        payload = {"ak": ACCESS_KEY, "exp": expires, "nonce": f"n{next(NONCES)}"} | changes
        signed = f"{b64(json.dumps(header or HEADER).encode())}.{b64(json.dumps(payload).encode())}"
        return f"{signed}.{b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"

    def call(self, method: str, path: str, *, token: str | None = None, **request: Any) -> httpx.Response:
        headers = {"x-ak": ACCESS_KEY, "x-op-token": token or self.token()}
        return self.sandbox.call(method, f"/aethir/v2/tenant/{path}", headers=headers, **request)

    def data(self, method: str, path: str, **request: Any) -> Any:
        body = self.call(method, path, **request).json()
        assert (body["code"], body["msg"]) == (135000, "OK"), body
        return body["data"]

    def create(self, **changes: Any) -> Any:
        return self.data("POST", "orders", json=WANTED | changes)

    def order(self, made: Any) -> Any:
        return self.data("GET", f"orders/{made['orderId']}")

    def code(self, method: str, path: str, **request: Any) -> int:
        response = self.call(method, path, **request)
        assert response.status_code == 200, "failures come as HTTP 200"
        body = response.json()
        assert isinstance(body["data"], str), "data is text on failure"
        return body["code"]  # type: ignore[no-any-return]

    def switch(self, **what: object) -> Any:
        return self.sandbox.post("/aethir/sandbox/switches", what)


@pytest.fixture
def tenant(sandbox: SandboxCaller) -> Tenant:
    return Tenant(sandbox)


# --- the gate -------------------------------------------------------------------------------------------------------


def test_a_good_token_is_let_in_and_every_answer_is_labelled(tenant: Tenant) -> None:
    response = tenant.call("GET", "inventory")
    assert response.headers["x-necto-simulated"] == "true"
    assert response.json()["data"]["simulated"] == "simulated, not Aethir's published API"


def test_calls_without_credentials_are_answered_as_the_real_console_did(sandbox: SandboxCaller) -> None:
    response = sandbox.call("GET", "/aethir/v2/tenant/inventory", headers={})
    assert response.status_code == 200
    assert response.json() == {"code": 135500, "msg": "The system is busy. Please try again later", "data": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "sk_other"},
        {"ak": "ak_other"},
        {"header": {"alg": "none", "typ": "CHK_OP"}},
        {"header": HEADER | {"kid": "1"}},
        {"exp": "soon"},
        {"exp": None},
        {"exp": 0},
        {"exp": 4_000_000_000_000},
        {"nonce": ""},
        {"nonce": 7},
    ],
)
def test_a_token_that_is_not_as_described_is_refused(tenant: Tenant, changes: dict[str, Any]) -> None:
    assert tenant.code("GET", "inventory", token=tenant.token(**changes)) == 135401


def test_a_token_is_good_until_its_last_millisecond(tenant: Tenant) -> None:
    now_ms = int(tenant.sandbox.clock.now().timestamp() * 1000)
    assert tenant.code("GET", "inventory", token=tenant.token(exp=now_ms)) == 135401
    assert tenant.data("GET", "inventory", token=tenant.token(exp=now_ms + 1))


def test_a_nonce_is_good_once(tenant: Tenant) -> None:
    token = tenant.token(nonce="same")
    assert tenant.data("GET", "inventory", token=token)
    assert tenant.code("GET", "inventory", token=token) == 135401
    assert tenant.code("GET", "inventory", token=tenant.token(nonce="same")) == 135401
    tenant.sandbox.clock.advance(61)
    assert tenant.data("GET", "inventory", token=tenant.token(nonce="same")), "forgotten when its token has expired"


def test_one_changed_byte_breaks_the_token(tenant: Tenant) -> None:
    token = tenant.token()
    for place in (0, len(token) // 2, len(token) - 1):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert tenant.code("GET", "inventory", token=changed) == 135401
    for padded in (f"{token}=", token.replace(".", "=.", 1), f"{token}.x", token.rpartition(".")[0], "x"):
        assert tenant.code("GET", "inventory", token=padded) == 135401
    assert tenant.data("GET", "inventory", token=token), "the token itself is good"


@pytest.mark.parametrize("ending", ["=", "lax"])
def test_a_payload_that_is_written_in_another_way_is_refused_though_it_is_signed(tenant: Tenant, ending: str) -> None:
    header, payload, _ = tenant.token(nonce="n" * 3).split(".")
    while len(payload) % 4 != 3:
        header, payload, _ = tenant.token(nonce="n" * (next(NONCES) + 1)).split(".")
    last = ALPHABET[ALPHABET.index(payload[-1]) + 1]  # its two lowest bits belong to no byte
    signed = f"{header}.{payload}=" if ending == "=" else f"{header}.{payload[:-1]}{last}"
    digest = b64(hmac.new(SECRET_KEY.encode(), signed.encode(), hashlib.sha256).digest())
    assert tenant.code("GET", "inventory", token=f"{signed}.{digest}") == 135401


@pytest.mark.parametrize("path", ["orders", "orders/ao_1/release"])
def test_nothing_is_done_for_a_refused_token(tenant: Tenant, path: str) -> None:
    assert tenant.code("POST", path, token="x.y.z", json=WANTED) == 135401
    assert tenant.data("GET", "orders")["total"] == 0


# --- orders ---------------------------------------------------------------------------------------------------------


def test_the_inventory_is_the_same_for_the_same_seed_and_dated_by_the_clock(tenant: Tenant) -> None:
    first, again = tenant.data("GET", "inventory"), tenant.data("GET", "inventory")
    assert first == again
    assert first["total"] == len(first["records"]) == len(rows(7))
    assert rows(7) != rows(8)
    assert {(row["quotedOn"], row["validUntil"]) for row in first["records"]} == {("2026-11-16", "2026-11-29")}
    tenant.sandbox.clock.advance(24 * HOUR_S)
    later = tenant.data("GET", "inventory")["records"]
    assert {row["quotedOn"] for row in later} == {"2026-11-23"}, "quoted anew each Monday"


def test_an_order_is_handed_over_runs_and_ends_with_its_hours(tenant: Tenant) -> None:
    made = tenant.create(clientRef="mine")
    assert set(made) == {"simulated", "orderId", "athRate", "lockedAt", "athAmount"}
    order = tenant.order(made)
    assert (order["status"], order["startedAt"], order["clientRef"]) == ("PROVISIONING", None, "mine")
    tenant.sandbox.clock.advance(181)
    order = tenant.order(made)
    assert order["status"] == "RUNNING"
    assert 30_000 <= order["startedAt"] - order["lockedAt"] <= 180_000
    tenant.sandbox.clock.advance(5 * HOUR_S)
    order = tenant.order(made)
    assert order["status"] == "COMPLETED"
    assert order["endedAt"] - order["startedAt"] == 4 * HOUR_S * 1000
    assert Decimal(made["athAmount"]) - Decimal(order["settledAth"]) <= Decimal("0.000001")


def test_the_rate_is_that_of_the_order_and_never_moves(tenant: Tenant) -> None:
    tenant.sandbox.post("/sandbox/prices", {"token": "ATH", "usd": "0.05"})
    made = tenant.create()
    tenant.sandbox.post("/sandbox/prices", {"token": "ATH", "usd": "0.5"})
    tenant.sandbox.clock.advance(6 * HOUR_S)
    order = tenant.order(made)
    assert (made["athRate"], order["athRate"], order["athAmount"]) == ("0.05", "0.05", made["athAmount"])
    assert Decimal(order["settledAth"]) == Decimal(order["usdPerHour"]) * 4 / Decimal("0.05")
    assert tenant.create()["athRate"] == "0.5"


def test_a_release_ends_the_order_once_and_gives_back_what_was_not_used(tenant: Tenant) -> None:
    full = Decimal(tenant.switch()["depositAth"])
    made = tenant.create()
    assert full - Decimal(tenant.switch()["depositAth"]) == Decimal(made["athAmount"])
    tenant.sandbox.clock.advance(2 * HOUR_S)
    released = tenant.data("POST", f"orders/{made['orderId']}/release", json={})
    assert released["status"] == "RELEASED"
    tenant.sandbox.clock.advance(HOUR_S)
    assert tenant.data("POST", f"orders/{made['orderId']}/release", json={}) == released
    assert 0 < Decimal(released["settledAth"]) < Decimal(made["athAmount"]) / 2
    assert full - Decimal(tenant.switch()["depositAth"]) == Decimal(released["settledAth"])


def test_an_order_released_before_its_handover_costs_nothing(tenant: Tenant) -> None:
    made = tenant.create()
    released = tenant.data("POST", f"orders/{made['orderId']}/release", json={})
    assert (released["startedAt"], released["settledAth"]) == (None, "0")


def test_the_same_reference_makes_a_second_order_and_the_list_shows_both(tenant: Tenant) -> None:
    first, second = tenant.create(clientRef="r"), tenant.create(clientRef="r", region="us-east")
    tenant.create(clientRef="other", region="ap-southeast")
    listed = tenant.data("GET", "orders", params={"clientRef": "r"})
    assert [row["orderId"] for row in listed["records"]] == [second["orderId"], first["orderId"]]
    assert listed["total"] == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"spec": "b300-8x"}, 135404),
        ({"region": "mars"}, 135404),
        ({"mode": "SPOT"}, 135404),
        ({"mode": "RESERVE"}, 135400),
        ({"hours": 0}, 135400),
        ({"hours": 4.5}, 135400),
        ({"hours": 9000}, 135400),
        ({"clientRef": ""}, 135400),
        ({"clientRef": 5}, 135400),
    ],
)
def test_a_wrong_order_is_refused_by_code(tenant: Tenant, changes: dict[str, Any], code: int) -> None:
    assert tenant.code("POST", "orders", json=WANTED | changes) == code
    assert tenant.code("POST", "orders", content=b"{") == 135400
    assert tenant.code("GET", "orders/none") == 135404


def test_units_are_sold_once_in_whichever_mode(tenant: Tenant) -> None:
    def units() -> dict[str, int]:
        found = tenant.data("GET", "inventory")["records"]
        mine = [row for row in found if (row["spec"], row["region"]) == ("h100-1x", "eu-central")]
        return {row["mode"]: row["units"] for row in mine}

    free = units()
    made = [tenant.create(mode="RESERVE", hours=24) for _ in range(free["RESERVE"])]
    assert units() == {"ON_DEMAND": 0, "RESERVE": 0}
    assert tenant.code("POST", "orders", json=WANTED) == 135409
    tenant.data("POST", f"orders/{made[0]['orderId']}/release", json={})
    assert units() == {"ON_DEMAND": 1, "RESERVE": 1}


def test_an_order_beyond_the_deposit_is_refused(tenant: Tenant) -> None:
    tenant.sandbox.post("/sandbox/prices", {"token": "ATH", "usd": "0.00001"})
    assert tenant.code("POST", "orders", json=WANTED) == 135402
    assert tenant.data("GET", "orders")["total"] == 0


def test_a_broken_machine_shows_and_is_not_paid(tenant: Tenant) -> None:
    made = tenant.create()
    tenant.switch(down=made["orderId"])
    assert tenant.order(made)["status"] == "PROVISIONING", "there is no machine yet that could break"
    tenant.sandbox.clock.advance(181)
    tenant.switch(down=made["orderId"])
    assert tenant.order(made)["status"] == "DOWN"
    tenant.sandbox.clock.advance(2 * HOUR_S)
    tenant.switch(up=made["orderId"])
    assert tenant.order(made)["status"] == "RUNNING"
    tenant.sandbox.clock.advance(HOUR_S)
    tenant.switch(down=made["orderId"])
    tenant.sandbox.clock.advance(9 * HOUR_S)
    order = tenant.order(made)
    assert order["status"] == "COMPLETED"
    paid = Decimal(order["settledAth"]) / Decimal(made["athAmount"]) * 4
    assert Decimal(1) <= paid < Decimal("1.1")


@pytest.mark.parametrize("switch", ["busy", "busy_after"])
def test_a_busy_system_answers_so_whether_or_not_it_did_what_was_asked(tenant: Tenant, switch: str) -> None:
    tenant.switch(**{switch: 1})
    assert tenant.code("POST", "orders", json=WANTED) == 135500
    assert tenant.data("GET", "orders")["total"] == (switch == "busy_after")


def test_orders_survive_a_restart(tenant: Tenant) -> None:
    made = tenant.create(clientRef="kept")
    tenant.sandbox.clock.advance(HOUR_S)
    tenant.switch(down=made["orderId"])
    before = tenant.order(made)
    tenant.sandbox.restart()
    assert tenant.order(made) == before
    tenant.switch(up=made["orderId"])
    assert tenant.order(made)["status"] == "RUNNING"


def test_a_switch_for_an_order_that_is_not_there_is_refused(sandbox: SandboxCaller) -> None:
    assert sandbox.call("POST", "/aethir/sandbox/switches", json={"down": "none"}).status_code == 404
