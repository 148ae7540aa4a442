"""The simulated chain's REST interface: pages, heights, versions and errors as at the real one."""

from typing import Any
from urllib.parse import quote

import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.sandbox.akash_lcd import KEPT_BLOCKS, MOST_ROWS
from necto_pipelines.sandbox.fleet import AUDITOR

LCD = "/akash-lcd"
PROVIDERS = f"{LCD}/akash/provider/v1beta4/providers"
AUDITS = f"{LCD}/akash/audit/v1/audit/attributes"
LEASES = f"{LCD}/akash/market/v1beta5/leases/list"
HEIGHT = "x-cosmos-block-height"


def pages(sandbox: SandboxCaller, path: str, name: str = "providers", **asked: Any) -> list[list[dict[str, Any]]]:
    """Every page of a list, turned by its key."""
    found, key = [], None
    while True:
        body = sandbox.get(path, **asked, **({"pagination.key": key} if key else {}))
        found.append(body[name])
        key = body["pagination"]["next_key"]
        if key is None:
            return found


def latest(sandbox: SandboxCaller) -> int:
    head = sandbox.get(f"{LCD}/cosmos/base/tendermint/v1beta1/blocks/latest")
    assert head["block"]["header"]["chain_id"] == "akashnet-2"
    return int(head["block"]["header"]["height"])


def error(sandbox: SandboxCaller, path: str, **request: Any) -> tuple[int, int, str]:
    answer = sandbox.call("GET", path, **request)
    body = answer.json()
    assert body["details"] == []
    return answer.status_code, body["code"], body["message"]


def test_the_pages_of_a_list_hold_every_provider_once(sandbox: SandboxCaller) -> None:
    listed = pages(sandbox, PROVIDERS)
    owners = [row["owner"] for page in listed for row in page]
    assert [len(page) for page in listed[:-1]] == [MOST_ROWS] * (len(listed) - 1)
    assert len(listed) > 1
    assert sorted(owners) == sorted(row["owner"] for row in sandbox.providers())


def test_a_smaller_page_can_be_asked_for_and_a_larger_one_not(sandbox: SandboxCaller) -> None:
    assert len(sandbox.get(PROVIDERS, **{"pagination.limit": 3})["providers"]) == 3
    assert len(sandbox.get(PROVIDERS, **{"pagination.limit": 1000})["providers"]) == MOST_ROWS


def test_a_key_that_was_not_encoded_is_refused_or_reads_elsewhere(sandbox: SandboxCaller) -> None:
    key = next(
        key
        for size in range(1, MOST_ROWS)
        if "+" in (key := sandbox.get(PROVIDERS, **{"pagination.limit": size})["pagination"]["next_key"])
    )
    assert sandbox.call("GET", f"{PROVIDERS}?pagination.key={quote(key, safe='')}").status_code == 200
    assert error(sandbox, f"{PROVIDERS}?pagination.key={key}")[:2] == (400, 3)


def test_what_auditors_signed_is_what_the_console_shows(sandbox: SandboxCaller) -> None:
    signed = {
        (row["owner"], row["auditor"], item["key"], item["value"])
        for page in pages(sandbox, f"{AUDITS}/list")
        for row in page
        for item in row["attributes"]
    }
    shown = {
        (row["owner"], auditor, item["key"], item["value"])
        for row in sandbox.providers()
        for item in row["attributes"]
        for auditor in item["auditedBy"]
    }
    assert signed == shown
    assert len({auditor for _, auditor, _, _ in signed}) == 2


def test_audits_can_be_asked_by_provider_by_auditor_and_by_both(sandbox: SandboxCaller) -> None:
    first = sandbox.get(f"{AUDITS}/list", **{"pagination.limit": 1})["providers"][0]
    owner, auditor = first["owner"], first["auditor"]
    assert sandbox.get(f"{AUDITS}/{owner}/list")["providers"] == [first]
    assert sandbox.get(f"{AUDITS}/{auditor}/{owner}")["providers"] == [first]
    by_auditor = pages(sandbox, f"{LCD}/akash/provider/v1/auditor/{AUDITOR}/list")
    assert {row["auditor"] for page in by_auditor for row in page} == {AUDITOR}


def test_an_audit_that_is_taken_back_is_gone_from_the_chain(sandbox: SandboxCaller) -> None:
    owner = sandbox.get(f"{AUDITS}/list")["providers"][0]["owner"]
    sandbox.post("/sandbox/evidence", {"provider": owner, "audited": False})
    assert error(sandbox, f"{AUDITS}/{owner}/list")[:2] == (404, 5)


def test_one_provider_is_told_alone(sandbox: SandboxCaller) -> None:
    row = sandbox.providers()[0]
    provider = sandbox.get(f"{PROVIDERS}/{row['owner']}")["provider"]
    assert (provider["owner"], provider["host_uri"]) == (row["owner"], row["hostUri"])


def test_a_recent_height_is_answered_and_named(sandbox: SandboxCaller) -> None:
    height = latest(sandbox)
    for asked in (height, height - KEPT_BLOCKS):
        answer = sandbox.call("GET", PROVIDERS, headers={HEIGHT: str(asked)})
        assert (answer.status_code, answer.headers[HEIGHT]) == (200, str(asked))
    assert sandbox.call("GET", PROVIDERS).headers[HEIGHT] == str(height)


@pytest.mark.parametrize("away", [1, -KEPT_BLOCKS - 1])
def test_a_pruned_or_future_height_is_not(sandbox: SandboxCaller, away: int) -> None:
    asked = latest(sandbox) + away
    status, code, message = error(sandbox, PROVIDERS, headers={HEIGHT: str(asked)})
    assert (status, code) == (400, 3)
    assert f"failed to load state at height {asked}" in message


@pytest.mark.parametrize(
    "path",
    [
        "/akash/provider/v1beta3/providers",
        "/akash/market/v1beta4/leases/list",
        "/akash/audit/v1beta3/audit/attributes/list",
        "/akash/provider/v1beta4/params",
        "/",
    ],
)
def test_versions_that_moved_are_not_implemented(sandbox: SandboxCaller, path: str) -> None:
    assert error(sandbox, f"{LCD}{path}") == (501, 12, "Not Implemented")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{PROVIDERS}/akash1nobody", 400, 3),
        (f"{PROVIDERS}/{AUDITOR}", 404, 5),
        (f"{AUDITS}/akash1nobody/list", 400, 3),
        (f"{PROVIDERS}?pagination.limit=-1", 400, 3),
        (f"{PROVIDERS}?pagination.key=***", 400, 3),
        (f"{LEASES}?filters.state=user_closed", 400, 3),
    ],
)
def test_errors_carry_the_codes_of_the_chain(sandbox: SandboxCaller, path: str, status: int, code: int) -> None:
    assert error(sandbox, path)[:2] == (status, code)


def test_a_height_that_is_no_number_is_refused(sandbox: SandboxCaller) -> None:
    assert error(sandbox, PROVIDERS, headers={HEIGHT: "latest"})[:2] == (400, 3)


def test_leases_are_told_by_owner_and_state(sandbox: SandboxCaller) -> None:
    dseq, bid = sandbox.leased()
    owner = bid["id"]["owner"]
    [row] = sandbox.get(LEASES, **{"filters.owner": owner, "filters.state": "active"})["leases"]
    assert (row["lease"]["id"]["dseq"], row["lease"]["price"]) == (dseq, bid["price"])
    assert row["escrow_payment"]["state"]["state"] == "open"
    sandbox.call("DELETE", f"/akash/v1/deployments/{dseq}")
    assert sandbox.get(LEASES, **{"filters.owner": owner, "filters.state": "active"})["leases"] == []
    [row] = sandbox.get(LEASES, **{"filters.owner": owner, "filters.dseq": dseq})["leases"]
    assert row["lease"]["state"] == "closed"
    assert sandbox.get(LEASES, **{"filters.owner": AUDITOR})["leases"] == []


def test_a_lease_does_not_stand_before_it_was_made(sandbox: SandboxCaller) -> None:
    before = latest(sandbox)
    sandbox.leased()
    assert sandbox.call("GET", LEASES, headers={HEIGHT: str(before)}).json()["leases"] == []
    assert sandbox.get(LEASES)["leases"]


def test_the_oracle_answers_beside_the_lists(sandbox: SandboxCaller) -> None:
    assert sandbox.get(f"{LCD}/akash/bme/v1/status")["mints_allowed"] is True
    assert sandbox.get(f"{LCD}/akash/oracle/v2/aggregated_price/akt")["price_health"]["is_healthy"] is True


def test_a_host_can_be_told_to_ask_for_patience(sandbox: SandboxCaller) -> None:
    fault = {"method": "GET", "path_prefix": PROVIDERS, "action": "status", "status": 429}
    sandbox.post("/sandbox/faults", fault)
    assert [sandbox.call("GET", PROVIDERS).status_code for _ in range(2)] == [429, 200]
