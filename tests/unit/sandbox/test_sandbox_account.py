"""The simulated account: tokens, funding, usage, and who has room for a job."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.sandbox_app import SandboxCaller, gpu_sdl

from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.akash.screening import screening_request

DAY_S = 86_400
GRANULAR = {"access": "granular", "permissions": [{"provider": "akash1p", "access": "scoped", "scope": ["status"]}]}


def owner(sandbox: SandboxCaller) -> str:
    user = sandbox.get("/akash/v1/user/me")["data"]
    [wallet] = sandbox.get("/akash/v1/wallets", userId=user["id"])["data"]
    address: str = wallet["address"]
    return address


def refused(sandbox: SandboxCaller, method: str, path: str, **request: Any) -> dict[str, Any]:
    answer = sandbox.call(method, path, **request)
    assert answer.status_code == 400, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_stranger_has_no_wallet(sandbox: SandboxCaller) -> None:
    assert sandbox.get("/akash/v1/wallets", userId="someone")["data"] == []
    assert refused(sandbox, "GET", "/akash/v1/wallets")["data"][0]["path"] == ["userId"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/akash/v1/wallets"),
        ("POST", "/akash/v1/create-jwt-token"),
        ("GET", "/akash/v2/deployment-settings/1"),
        ("PATCH", "/akash/v2/deployment-settings/1"),
    ],
)
def test_the_account_is_for_its_tenant_alone(sandbox: SandboxCaller, method: str, path: str) -> None:
    assert sandbox.call(method, path, headers={}).status_code == 401


def test_a_token_names_its_tenant_its_time_and_its_uses(sandbox: SandboxCaller) -> None:
    token = sandbox.post("/akash/v1/create-jwt-token", {"data": {"ttl": 60, "leases": GRANULAR}})["data"]["token"]
    header, claims, _ = (part + "=" * (-len(part) % 4) for part in token.split("."))
    said = json.loads(base64.urlsafe_b64decode(claims))
    assert json.loads(base64.urlsafe_b64decode(header))["alg"] == "ES256K"
    assert (said["iss"], said["version"], said["leases"]) == (owner(sandbox), "v1", GRANULAR)
    assert said["exp"] - said["nbf"] == 60


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"ttl": 0, "leases": GRANULAR}, ["data", "ttl"]),
        ({"ttl": 60}, ["data", "leases"]),
        ({"ttl": 60, "leases": {"access": "some"}}, ["data", "leases", "access"]),
        ({"ttl": 60, "leases": {"access": "granular"}}, ["data", "leases", "permissions"]),
        (
            {"ttl": 60, "leases": GRANULAR | {"permissions": [GRANULAR["permissions"][0] | {"scope": ["all"]}]}},  # type: ignore[index,operator]
            ["permissions", "0", "scope"],
        ),
    ],
)
def test_a_token_for_nothing_the_service_knows_is_refused(
    sandbox: SandboxCaller, data: dict[str, Any], path: list[str]
) -> None:
    body = refused(sandbox, "POST", "/akash/v1/create-jwt-token", json={"data": data})
    assert body["data"][0]["path"] == path


def test_funding_is_off_until_it_is_switched_on_and_then_says_what_a_day_takes(sandbox: SandboxCaller) -> None:
    dseq, bid = sandbox.leased()
    path = f"/akash/v2/deployment-settings/{dseq}"
    before = sandbox.get(path)["data"]
    assert (before["autoTopUpEnabled"], before["estimatedTopUpAmount"]) == (False, 0)
    sandbox.clock.advance(60)
    after = sandbox.call("PATCH", path, json={"data": {"autoTopUpEnabled": True}}).json()["data"]
    assert after["autoTopUpEnabled"] is True
    assert after["estimatedTopUpAmount"] == int(float(bid["price"]["amount"]) * 600 * 24)
    assert after["createdAt"] < after["updatedAt"]
    assert sandbox.get(path)["data"] == after


def test_usage_adds_up_to_what_the_leases_cost(sandbox: SandboxCaller) -> None:
    address = owner(sandbox)
    dseq, _ = sandbox.leased(deposit=100)
    sandbox.clock.advance(DAY_S)
    sandbox.call("DELETE", f"/akash/v1/deployments/{dseq}")
    sandbox.clock.advance(2 * DAY_S)
    days = sandbox.get("/akash/v1/usage/history", address=address)
    assert len(days) == 31
    assert [day["activeDeployments"] for day in days[-4:]] == [1, 1, 0, 0]
    [paid] = sandbox.standing(dseq)["escrow_account"]["state"]["transferred"]
    assert days[-1]["totalUsdSpent"] == pytest.approx(float(paid["amount"]) / 1e6, abs=0.001)
    assert sum(day["dailyUsdSpent"] for day in days) == pytest.approx(days[-1]["totalUsdSpent"], abs=0.001)
    stats = sandbox.get("/akash/v1/usage/history/stats", address=address)
    assert stats["totalSpent"] == pytest.approx(days[-1]["totalUsdSpent"], abs=0.001)
    assert stats["totalDeployments"] == 1


def test_usage_begins_with_what_was_spent_before(sandbox: SandboxCaller) -> None:
    address = owner(sandbox)
    sandbox.leased(deposit=100)
    sandbox.clock.advance(2 * DAY_S)
    [day] = sandbox.get("/akash/v1/usage/history", address=address, startDate="2026-11-24", endDate="2026-11-24")
    assert 0 < day["dailyUsdSpent"] < day["totalUsdSpent"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "Validation error"),
        ({"address": "akash1nobody"}, "Invalid address format"),
        ({"address": "OWNER", "startDate": "yesterday"}, "Validation error"),
        ({"address": "OWNER", "startDate": "2026-11-20", "endDate": "2026-11-19"}, "Validation error"),
    ],
)
def test_usage_needs_an_address_and_days_in_order(sandbox: SandboxCaller, params: dict[str, str], message: str) -> None:
    asked = {name: owner(sandbox) if value == "OWNER" else value for name, value in params.items()}
    assert refused(sandbox, "GET", "/akash/v1/usage/history", params=asked)["message"] == message


# --- bid screening --------------------------------------------------------------------------------------------------


def screened(sandbox: SandboxCaller, **asked: Any) -> list[dict[str, Any]]:
    [group] = sdl.groups_of(gpu_sdl(**asked))
    rows: list[dict[str, Any]] = sandbox.post("/akash/v1/bid-screening", screening_request(group))["providers"]
    return rows


def test_whoever_has_room_would_bid(sandbox: SandboxCaller) -> None:
    fitting = {row["owner"] for row in screened(sandbox)}
    made = sandbox.create(gpu_sdl(amount="1000000"))
    sandbox.clock.advance(61)
    assert fitting == {bid["id"]["provider"] for bid in sandbox.bids(made["dseq"])} != set()


def test_room_that_others_hold_is_not_offered(sandbox: SandboxCaller) -> None:
    before = {row["owner"] for row in screened(sandbox, gpus=4)}
    made = sandbox.create(gpu_sdl(gpus=4))
    sandbox.clock.advance(61)
    bids = {bid["id"]["provider"] for bid in sandbox.bids(made["dseq"])}
    assert bids
    assert {row["owner"] for row in screened(sandbox, gpus=4)} == before - bids


def test_the_price_plays_no_part(sandbox: SandboxCaller) -> None:
    assert screened(sandbox, amount="1") == screened(sandbox)


def test_days_of_incidents_hold_the_downtime_of_the_week(sandbox: SandboxCaller) -> None:
    uptime = {row["owner"]: row["uptime7d"] for row in sandbox.providers()}
    for row in screened(sandbox, model="rtx5090"):
        down_s = sum(day["downtimeSeconds"] for day in row["incidents"])
        assert down_s == pytest.approx((1 - uptime[row["owner"]]) * 7 * DAY_S, abs=1)
        assert all(0 < day["downtimeSeconds"] <= DAY_S for day in row["incidents"])


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    body = json.loads(json.dumps(screening_request(sdl.groups_of(gpu_sdl())[0])))
    change(body)
    return body  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "body",
    [
        changed(lambda body: body.update(timezone="Etc/UTC")),
        changed(lambda body: body.update(timezone="UTC")),
        changed(lambda body: body.pop("timezone")),
        changed(lambda body: body.update(resources=[])),
        changed(lambda body: body["resources"][0]["price"].update(amount="4895.83")),
        changed(lambda body: body["resources"][0]["resource"].pop("gpu")),
        changed(lambda body: body["resources"][0]["resource"]["memory"].update(quantity={"val": "32Gi"})),
    ],
)
def test_a_request_the_service_would_not_take_is_refused(sandbox: SandboxCaller, body: dict[str, Any]) -> None:
    refused(sandbox, "POST", "/akash/v1/bid-screening", json=body)
