"""What the simulated Console API answers to wrong calls, its paging, its switches, and its memory."""

import base64
import hashlib
import json
import os
from typing import Any

import pytest
from support.sandbox_app import KEY, SandboxCaller, gpu_sdl

from necto_pipelines.model.clock import parse_rfc3339

TENANT_ROUTES = [
    ("GET", "/v1/user/me"),
    ("GET", "/v1/balances"),
    ("POST", "/v1/deployments"),
    ("GET", "/v1/deployments"),
    ("GET", "/v1/deployments/1"),
    ("DELETE", "/v1/deployments/1"),
    ("GET", "/v1/bids?dseq=1"),
    ("GET", "/v1/bids/1"),
    ("POST", "/v1/leases"),
]


def refusal(sandbox: SandboxCaller, method: str, path: str, **request: Any) -> tuple[int, dict]:
    response = sandbox.call(method, path, **request)
    return response.status_code, response.json()


@pytest.mark.parametrize(("method", "path"), TENANT_ROUTES)
def test_a_tenants_calls_need_a_key(sandbox: SandboxCaller, method: str, path: str) -> None:
    expected = {"error": "UnauthorizedError", "message": "Unauthorized", "code": "unauthorized", "type": "client_error"}

    assert refusal(sandbox, method, f"/akash{path}", headers={}) == (401, expected)


@pytest.mark.parametrize("path", ["/v1/user/me", "/v1/gpu-prices"])
def test_a_wrong_key_is_refused_even_where_none_is_needed(sandbox: SandboxCaller, path: str) -> None:
    status, body = refusal(sandbox, "GET", f"/akash{path}", headers={"x-api-key": "ac.sk.sandbox.1"})

    assert (status, body["message"], body["code"]) == (401, "Invalid API key", "unauthorized")


def test_two_kinds_of_credentials_exclude_each_other(sandbox: SandboxCaller) -> None:
    status, body = refusal(sandbox, "GET", "/akash/v1/user/me", headers=KEY | {"authorization": "Bearer x"})

    assert (status, body["error"], body["code"]) == (400, "BadRequestError", "bad_request")
    assert body["message"] == "Authorization and X-Api-Key headers are mutually exclusive"


@pytest.mark.parametrize(
    ("method", "path", "body", "issue"),
    [
        ("POST", "deployments", {}, ("invalid_type", ["data"], "Required")),
        ("POST", "deployments", {"data": {"deposit": 5}}, ("invalid_type", ["data", "sdl"], "Required")),
        ("POST", "deployments", {"data": {"sdl": "x"}}, ("invalid_type", ["data", "deposit"], "Required")),
        (
            "POST",
            "deployments",
            {"data": {"sdl": "x", "deposit": "5"}},
            ("invalid_type", ["data", "deposit"], "Expected number, received string"),
        ),
        ("POST", "leases", {"leases": []}, ("invalid_type", ["manifest"], "Required")),
        ("POST", "leases", {"manifest": "[]", "leases": [{}]}, ("invalid_type", ["leases", "0", "dseq"], "Required")),
        ("GET", "bids", None, ("invalid_type", ["dseq"], "Required")),
        ("GET", "bids?dseq=x1", None, ("invalid_string", ["dseq"], "Invalid")),
        ("GET", "deployments/x1", None, ("invalid_string", ["dseq"], "Invalid")),
        ("GET", "deployments?skip=-1", None, ("too_small", ["skip"], "Number must be greater than or equal to 0")),
        ("GET", "deployments?limit=0", None, ("too_small", ["limit"], "Number must be greater than or equal to 1")),
        ("GET", "deployments?limit=many", None, ("invalid_type", ["limit"], "Expected number, received nan")),
        ("GET", "blocks?limit=101", None, ("too_big", ["limit"], "Number must be less than or equal to 100")),
        ("GET", "providers?scope=some", None, ("invalid_enum_value", ["scope"], "Expected 'all' | 'trial'")),
    ],
)
def test_a_call_of_the_wrong_shape_names_the_field(
    sandbox: SandboxCaller, method: str, path: str, body: Any, issue: tuple[str, list[str], str]
) -> None:
    status, answer = refusal(sandbox, method, f"/akash/v1/{path}", **({"json": body} if body is not None else {}))

    assert status == 400
    assert (answer["message"], answer["code"], answer["type"]) == ("Validation error", *["validation_error"] * 2)
    assert answer["data"] == [{"code": issue[0], "path": issue[1], "message": issue[2]}]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"data": {"deposit": NaN}}', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(sandbox: SandboxCaller, body: bytes) -> None:
    status, _ = refusal(sandbox, "POST", "/akash/v1/deployments", content=body)

    assert status == 400


@pytest.mark.parametrize(
    ("sdl", "deposit", "status", "message"),
    [
        ("version: '2.0'", 5, 400, "Invalid SDL"),
        (gpu_sdl(denom="uakt"), 5, 400, "Invalid coin denominations"),
        (gpu_sdl(), 0.49, 400, "Deposit too low"),
        (gpu_sdl(), -5, 400, "Deposit too low"),
        (gpu_sdl(), 10_000.01, 402, "Insufficient balance"),
    ],
)
def test_a_deployment_is_refused_for_a_reason(
    sandbox: SandboxCaller, sdl: str, deposit: float, status: int, message: str
) -> None:
    got, body = refusal(sandbox, "POST", "/akash/v1/deployments", json={"data": {"sdl": sdl, "deposit": deposit}})

    assert got == status
    assert message in body["message"]
    assert sandbox.get("/sandbox/state")["deployments"] == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/deployments/7"), ("DELETE", "/v1/deployments/7"), ("GET", "/v1/no-such-thing")]
)
def test_what_is_not_there_is_not_found(sandbox: SandboxCaller, method: str, path: str) -> None:
    status, body = refusal(sandbox, method, f"/akash{path}")

    assert (status, body["code"], body["error"]) == (404, "not_found", "NotFoundError")


def test_a_lease_on_a_closed_deployment_is_refused(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    bid = sandbox.bids(made["dseq"])[0]
    sandbox.call("DELETE", f"/akash/v1/deployments/{made['dseq']}")

    response = sandbox.lease(made, bid)

    assert (response.status_code, response.json()["message"]) == (400, "Deployment closed")


def test_a_deployment_without_bids_has_an_empty_list(sandbox: SandboxCaller) -> None:
    assert sandbox.bids("12345") == []
    assert sandbox.get("/akash/v1/bids/12345") == {"data": []}


def test_the_list_of_deployments_is_paged_and_holds_active_ones_only(sandbox: SandboxCaller) -> None:
    made = [sandbox.create()["dseq"] for _ in range(5)]
    sandbox.call("DELETE", f"/akash/v1/deployments/{made[0]}")

    def page(**asked: int) -> tuple[list[str], dict]:
        data = sandbox.get("/akash/v1/deployments", **asked)["data"]
        return [row["deployment"]["id"]["dseq"] for row in data["deployments"]], data["pagination"]

    assert page(skip=0, limit=3) == (made[1:4], {"total": 4, "skip": 0, "limit": 3, "hasMore": True})
    assert page(skip=3, limit=3) == (made[4:], {"total": 4, "skip": 3, "limit": 3, "hasMore": False})
    assert page() == (made[1:], {"total": 4, "skip": 0, "limit": 1000, "hasMore": False})


def test_the_manifest_in_the_answer_has_the_hash_of_the_deployment(sandbox: SandboxCaller) -> None:
    made = sandbox.create()

    digest = base64.b64encode(hashlib.sha256(made["manifest"].encode()).digest()).decode()
    assert sandbox.standing(made["dseq"])["deployment"]["hash"] == digest
    assert json.loads(made["manifest"])[0]["services"][0]["name"] == "job"


def test_prices_of_bids_are_texts_with_eighteen_places_for_the_whole_group(sandbox: SandboxCaller) -> None:
    one, two = sandbox.create(gpu_sdl(gpus=1)), sandbox.create(gpu_sdl(gpus=2))
    sandbox.clock.advance(61)

    def prices(made: dict) -> dict[str, str]:
        return {bid["id"]["provider"]: bid["price"]["amount"] for bid in sandbox.bids(made["dseq"])}

    single, double = prices(one), prices(two)
    assert single.keys() & double.keys()
    for provider in single.keys() & double.keys():
        assert len(single[provider].partition(".")[2]) == 18
        assert float(double[provider]) > 1.9 * float(single[provider])


def test_a_bid_repeats_the_resources_and_names_the_gpu(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)

    [unit] = sandbox.bids(made["dseq"])[0]["resources_offer"]

    assert unit["count"] == 1
    assert unit["resources"]["cpu"]["units"]["val"] == "8000"
    assert unit["resources"]["memory"]["quantity"]["val"] == str(32 * 2**30)
    assert unit["resources"]["gpu"]["units"]["val"] == "1"
    [gpu] = unit["resources"]["gpu"]["attributes"]
    assert gpu == {"key": "vendor/nvidia/model/h100/ram/80Gi/interface/sxm", "value": "true"}
    assert [endpoint["kind"] for endpoint in unit["resources"]["endpoints"]] == ["RANDOM_PORT", "SHARED_HTTP"]


def test_blocks_come_newest_first_and_agree_with_single_reads(sandbox: SandboxCaller) -> None:
    rows = sandbox.get("/akash/v1/blocks", limit=3)
    single = sandbox.get(f"/akash/v1/blocks/{rows[1]['height']}")

    assert [row["height"] - rows[0]["height"] for row in rows] == [0, -1, -2]
    assert single["datetime"] == rows[1]["datetime"]
    assert 0 <= (sandbox.clock.now() - parse_rfc3339(rows[0]["datetime"])).total_seconds() < 8
    assert sandbox.call("GET", f"/akash/v1/blocks/{rows[0]['height'] + 1}").status_code == 404
    assert sandbox.call("GET", "/akash/v1/blocks/first").status_code == 400
    assert sandbox.call("GET", f"/akash/v1/blocks/{'9' * 5000}").status_code == 400
    assert len(sandbox.get("/akash/v1/blocks")) == 20


@pytest.mark.parametrize("path", ["/akash/v1/auditors", "/akash/v1/none", "/rail/v1/swaps", "/sandbox/health", "/none"])
def test_every_answer_says_that_it_is_simulated(sandbox: SandboxCaller, path: str) -> None:
    assert sandbox.call("GET", path).headers["x-necto-simulated"] == "true"


def test_evidence_and_providers_can_be_switched(sandbox: SandboxCaller) -> None:
    row = sandbox.providers()[4]

    def now() -> dict:
        return next(each for each in sandbox.providers() if each["owner"] == row["owner"])

    sandbox.post("/sandbox/evidence", {"provider": row["owner"], "audited": False})
    sandbox.post("/sandbox/providers", {"provider": row["owner"], "online": False})
    assert (now()["isAudited"], now()["isOnline"]) == (False, False)
    assert now()["stats"]["gpu"] == {"active": 0, "pending": 0, "available": 0}
    assert sandbox.get("/akash/v1/network-capacity")["activeProviderCount"] == 59
    sandbox.post("/sandbox/evidence", {"provider": row["owner"], "audited": True})
    sandbox.post("/sandbox/providers", {"provider": row["owner"], "online": True})
    assert now() == row
    assert sandbox.call("POST", "/sandbox/evidence", json={"provider": "x", "audited": True}).status_code == 404


def test_a_fault_answers_in_place_of_the_service_as_often_as_ordered(sandbox: SandboxCaller) -> None:
    order = {"method": "GET", "path_prefix": "/akash/v1/aud", "action": "status", "status": 502, "times": 2}
    sandbox.post("/sandbox/faults", order)

    statuses = [sandbox.call(*call).status_code for call in [("GET", "/akash/v1/auditors")] * 3]

    assert statuses == [502, 502, 200]


def test_a_fault_hits_only_what_it_was_ordered_for(sandbox: SandboxCaller) -> None:
    sandbox.post("/sandbox/faults", {"method": "DELETE", "path_prefix": "/akash", "action": "status"})

    assert sandbox.call("GET", "/akash/v1/auditors").status_code == 200
    assert sandbox.call("DELETE", "/sandbox/faults").json() == {"pending": 0}
    assert sandbox.call("DELETE", "/akash/v1/deployments/1").status_code == 404


@pytest.mark.parametrize("wrong", [{"action": "explode"}, {"status": 200}, {"times": 0}, {"seconds": -1}])
def test_a_fault_that_makes_no_sense_is_refused(sandbox: SandboxCaller, wrong: dict) -> None:
    order = {"method": "GET", "path_prefix": "/akash", "action": "status"} | wrong

    assert sandbox.call("POST", "/sandbox/faults", json=order).status_code == 400


def test_a_restart_finds_everything_again(sandbox: SandboxCaller) -> None:
    dseq, bid = sandbox.leased()
    open_made = sandbox.create()
    sandbox.post("/rail/v1/swaps", {"client_id": "1", "from_asset": "USDC", "to_asset": "AKT", "from_units": 10**7})
    sandbox.post("/sandbox/prices", {"token": "AKT", "usd": "0.5", "frozen": True})
    sandbox.post("/sandbox/evidence", {"provider": bid["id"]["provider"], "audited": False})
    sandbox.clock.advance(90_000)

    def everything() -> list[Any]:
        reads = [
            "/sandbox/state",
            "/akash/v1/providers",
            "/akash/v1/balances",
            "/akash/v1/deployments",
            "/rail/v1/swaps",
        ]
        return [*(sandbox.get(path) for path in reads), sandbox.standing(dseq), sandbox.bids(open_made["dseq"])]

    before = everything()
    sandbox.restart()

    assert everything() == before


def test_reads_do_not_write_the_state_file(sandbox: SandboxCaller) -> None:
    dseq, _ = sandbox.leased()
    assert sandbox.state_path is not None
    written = sandbox.state_path.read_bytes()
    os.utime(sandbox.state_path, (1, 1))
    sandbox.clock.advance(90_000)

    for path in ("/akash/v1/providers", f"/akash/v1/deployments/{dseq}", f"/akash/v1/bids/{dseq}", "/sandbox/state"):
        sandbox.get(path)

    assert sandbox.state_path.stat().st_mtime == 1
    assert sandbox.state_path.read_bytes() == written
    assert [path.name for path in sandbox.state_path.parent.iterdir()] == ["state.json"]


def test_a_sandbox_without_a_file_keeps_nothing(sandbox: SandboxCaller) -> None:
    forgetful = SandboxCaller(sandbox.clock, None)
    forgetful.create()
    forgetful.restart()

    assert forgetful.get("/sandbox/state")["deployments"] == []


def test_the_state_file_holds_no_key(sandbox: SandboxCaller) -> None:
    sandbox.leased()

    assert sandbox.state_path is not None
    assert KEY["x-api-key"] not in sandbox.state_path.read_text()
