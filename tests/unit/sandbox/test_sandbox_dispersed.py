"""The simulated Dispersed: who is let in, what jobs go through, what they cost, and what survives a restart."""

import hashlib
import hmac
import itertools
import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.sandbox.dispersed_access import PUBLIC_KEY, SECRET_KEY

HOUR_S = 3600
NONCES = itertools.count()


class Signed:
    """Calls of a tenant, signed here from the description of the signature."""

    def __init__(self, sandbox: SandboxCaller) -> None:
        self.sandbox = sandbox
        self.switch(bigger=False)

    def headers(self, method: str, target: str, body: bytes, **changes: str) -> dict[str, str]:
        path, _, query = target.partition("?")
        facts = {
            "key": PUBLIC_KEY,
            "time": str(int(self.sandbox.clock.now().timestamp() * 1000)),
            "nonce": f"{next(NONCES):032x}",
            "secret": SECRET_KEY,
        } | changes
        parts = (facts["key"], facts["time"], facts["nonce"], method, path, query, hashlib.sha256(body).hexdigest())
        digest = hmac.new(facts["secret"].encode(), "|".join(parts).encode(), hashlib.sha256).hexdigest()
        signed = {
            "x-api-key": facts["key"],
            "x-time": facts["time"],
            "x-nonce": facts["nonce"],
            "x-signature": digest,
        }
        return {name: value for name, value in signed.items() if value}

    def call(self, method: str, path: str, body: Any = None, query: str = "", **changes: str) -> httpx.Response:
        target = f"/dispersed{path}{'?' if query else ''}{query}"
        content = json.dumps(body, sort_keys=True, separators=(",", ":")).encode() if body is not None else b""
        return self.sandbox.call(
            method, target, content=content, headers=self.headers(method, target, content, **changes)
        )

    def get(self, path: str, **filters: object) -> Any:
        query = "&".join(f"{quote(name, safe='')}={quote(str(filters[name]), safe='')}" for name in sorted(filters))
        response = self.call("GET", path, query=query)
        assert response.status_code == 200, response.text
        return response.json()

    def create(self, **changes: Any) -> dict[str, Any]:
        response = self.call("POST", "/v1/jobs", spec(**changes))
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    def job(self, uuid: str) -> dict[str, Any]:
        row: dict[str, Any] = self.get(f"/v1/jobs/{uuid}")
        return row

    def run(self, uuid: str) -> dict[str, Any]:
        [row] = self.get("/v1/job-runs", **{"filter[job_uuid]": uuid})["data"]
        return row  # type: ignore[no-any-return]

    def paid(self, uuid: str) -> Decimal:
        rows = self.get("/v1/compute/ledger/transactions", limit=50)["data"]
        return -sum((Decimal(str(row["amount_usd"])) for row in rows if row["job_uuid"] == uuid), Decimal(0))

    def switch(self, **what: object) -> None:
        assert self.sandbox.call("POST", "/dispersed/sandbox/switches", json=what).status_code == 200


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "task": "PERSISTENT",
        "title": "infer",
        "gpu_count": 1,
        "gpu_name": "NVIDIA RTX 5090",
        "min_vram_gb": 32,
        "max_timeout_assign_ms": 300_000,
        "max_timeout_run_ms": None,
        "parameters": {"type": "docker", "parameters": {"image": "ghcr.io/acme/vllm", "tag": "1.4", "ports": [8000]}},
    } | changes


@pytest.fixture
def tenant(sandbox: SandboxCaller) -> Signed:
    return Signed(sandbox)


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# --- the gate -------------------------------------------------------------------------------------------------------


def test_a_signed_request_is_let_in_and_its_answer_labelled(tenant: Signed) -> None:
    response = tenant.call("GET", "/v1/compute/offers", query="limit=1")
    assert response.status_code == 200
    assert response.headers["x-necto-simulated"] == "true"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"key": "pk_other"}, "invalid_api_key"),
        ({"secret": "sk_other"}, "invalid_signature"),
        ({"key": ""}, "missing_credentials"),
        ({"nonce": ""}, "missing_credentials"),
        ({"time": ""}, "missing_credentials"),
        ({"nonce": "short"}, "invalid_nonce"),
        ({"time": "yesterday"}, "time_out_of_range"),
    ],
)
def test_a_request_that_is_not_signed_rightly_is_refused(tenant: Signed, changes: dict[str, str], refusal: str) -> None:
    assert code(tenant.call("GET", "/v1/jobs", **changes)) == (401, refusal)


def test_one_changed_byte_breaks_the_signature(tenant: Signed) -> None:
    target, body = "/dispersed/v1/jobs", json.dumps(spec(), sort_keys=True, separators=(",", ":")).encode()
    headers = tenant.headers("POST", target, body)
    forged = body.replace(b'"gpu_count":1', b'"gpu_count":8')
    refused = tenant.sandbox.call("POST", target, content=forged, headers=headers)
    assert code(refused) == (401, "invalid_signature")
    moved = tenant.sandbox.call("POST", f"{target}?page=1", content=body, headers=headers)
    assert code(moved) == (401, "invalid_signature")
    assert tenant.get("/v1/jobs")["total"] == 0


@pytest.mark.parametrize("query", ["page=1&limit=5", "limit=5&page=1&filter%5Bgpu_name%5D=NVIDIA+RTX+5090"])
def test_a_query_that_is_not_canonical_is_refused_though_signed(tenant: Signed, query: str) -> None:
    assert code(tenant.call("GET", "/v1/compute/offers", query=query)) == (401, "not_canonical")


@pytest.mark.parametrize("body", [b'{"b": 1}', b'{"b":1,"a":2}', b'{"a":{"z":1,"b":2}}'])
def test_a_body_that_is_not_canonical_is_refused_though_signed(tenant: Signed, body: bytes) -> None:
    headers = tenant.headers("POST", "/dispersed/v1/jobs", body)
    response = tenant.sandbox.call("POST", "/dispersed/v1/jobs", content=body, headers=headers)
    assert code(response) == (401, "not_canonical")


def test_a_nonce_is_good_for_one_request(tenant: Signed) -> None:
    assert tenant.call("GET", "/v1/jobs", nonce="ab" * 16).status_code == 200
    assert code(tenant.call("GET", "/v1/gpu-registry", nonce="ab" * 16)) == (401, "nonce_reused")
    tenant.sandbox.clock.advance(9 * 60)
    assert code(tenant.call("GET", "/v1/jobs", nonce="ab" * 16)) == (401, "nonce_reused")


def test_a_request_kept_for_later_is_refused_by_its_time(tenant: Signed) -> None:
    target = "/dispersed/v1/jobs"
    headers = tenant.headers("GET", target, b"")
    assert tenant.sandbox.call("GET", target, headers=headers).status_code == 200
    tenant.sandbox.clock.advance(11 * 60)
    assert code(tenant.sandbox.call("GET", target, headers=headers)) == (401, "time_out_of_range")


@pytest.mark.parametrize(
    ("skew_s", "status"), [(0, 200), (300, 200), (-300, 200), (301, 401), (-301, 401), (86_400, 401)]
)
def test_a_clock_may_be_five_minutes_off(tenant: Signed, clock: FrozenClock, skew_s: int, status: int) -> None:
    told = int(clock.now().timestamp() + skew_s) * 1000
    assert tenant.call("GET", "/v1/jobs", time=str(told)).status_code == status


# --- what is on offer -----------------------------------------------------------------------------------------------


def test_prices_are_the_published_ones(tenant: Signed) -> None:
    rates: dict[tuple[str, int], set[float]] = {}
    for page in (1, 2):
        for row in tenant.get("/v1/compute/offers", limit=50, page=page)["data"]:
            hardware = row["hardware_summary"]
            shape = (hardware["gpu_model_label"], hardware["gpu_count"])
            rates.setdefault(shape, set()).add(row["pricing"]["hourly_rate_usd"])
    assert rates["NVIDIA RTX 4090", 1] == {0.35}
    assert rates["NVIDIA RTX 3090", 1] == {0.31}
    assert rates["NVIDIA H200", 1] == {2.0}
    assert rates["NVIDIA RTX 5090", 6] == {4.14}
    assert all(0.45 <= rate <= 0.69 for rate in rates["NVIDIA RTX 5090", 1])
    assert len(rates["NVIDIA RTX 5090", 1]) > 1


def test_offers_come_in_pages_and_by_filter(tenant: Signed) -> None:
    first = tenant.get("/v1/compute/offers", limit=50)
    second = tenant.get("/v1/compute/offers", limit=50, page=2)
    assert (len(first["data"]), first["total"]) == (50, 50 + len(second["data"]))
    few = tenant.get("/v1/compute/offers", **{"filter[gpu_name]": "NVIDIA H200", "filter[gpu_count]": 8, "limit": 50})
    assert few["total"] == 7
    assert tenant.call("GET", "/v1/compute/offers", query="limit=51").json()["error"]["code"] == "invalid_page"


def test_a_card_on_offer_is_missing_in_the_registry(tenant: Signed) -> None:
    registered = {row["uuid"] for row in tenant.get("/v1/gpu-registry", limit=50)["data"]}
    pages = [tenant.get("/v1/compute/offers", limit=50, page=page)["data"] for page in (1, 2)]
    offered = {
        row["hardware_summary"]["gpu_registry_uuid"]: row["hardware_summary"]["gpu_model_label"]
        for rows in pages
        for row in rows
    }
    assert {name for uuid, name in offered.items() if uuid not in registered} == {"NVIDIA RTX A6000"}


# --- the life of a job ----------------------------------------------------------------------------------------------


def test_a_job_is_assigned_late_runs_and_is_cancelled(tenant: Signed, clock: FrozenClock) -> None:
    made = tenant.create()
    uuid, seen = made["uuid"], [made["status"]]
    assert tenant.get("/v1/job-runs", **{"filter[job_uuid]": uuid})["data"] == []
    while seen[-1] != "RUNNING":
        clock.advance(1)
        if (status := tenant.job(uuid)["status"]) != seen[-1]:
            seen.append(status)
    assert seen == ["PENDING", "ASSIGNED", "PREPARING", "RUNNING"]
    [url] = tenant.run(uuid)["node_urls"]
    assert (url["description"], url["protocol"]) == ("8000", "tcp")
    assert tenant.call("PUT", f"/v1/jobs/{uuid}/cancel", {"reason": "budget"}).json()["status"] == "CANCELLING"
    clock.advance(5)
    assert tenant.job(uuid)["status"] == "CANCELLED"
    assert code(tenant.call("PUT", f"/v1/jobs/{uuid}/cancel", {"reason": "again"})) == (409, "job_not_cancellable")
    assert tenant.run(uuid)["node_urls"] == []


def test_a_job_is_billed_from_its_creation_by_the_hour_and_the_rest_at_its_end(
    tenant: Signed, clock: FrozenClock
) -> None:
    uuid = tenant.create(gpu_name="NVIDIA RTX 4090", min_vram_gb=24)["uuid"]
    clock.advance(HOUR_S - 1)
    assert tenant.paid(uuid) == 0
    clock.advance(1)
    assert tenant.paid(uuid) == Decimal("0.35")
    clock.advance(HOUR_S / 2 - 2)
    tenant.call("PUT", f"/v1/jobs/{uuid}/cancel", {"reason": "done"})
    clock.advance(HOUR_S)
    assert tenant.paid(uuid) == Decimal("0.525")
    newest = tenant.get("/v1/compute/ledger/transactions", limit=1)["data"][0]
    ended_ms = tenant.job(uuid)["ended_at_ms"]
    assert datetime.fromisoformat(newest["created_at"]).timestamp() * 1000 == ended_ms


def test_a_job_cancelled_before_it_got_a_machine_costs_nothing(tenant: Signed, clock: FrozenClock) -> None:
    uuid = tenant.create()["uuid"]
    tenant.call("PUT", f"/v1/jobs/{uuid}/cancel", {"reason": "changed my mind"})
    clock.advance(HOUR_S)
    assert (tenant.job(uuid)["status"], tenant.paid(uuid)) == ("CANCELLED", 0)


def test_a_bigger_machine_is_given_by_switch_and_costs_what_it_costs(tenant: Signed, clock: FrozenClock) -> None:
    tenant.switch(bigger=True)
    uuid = tenant.create()["uuid"]
    clock.advance(HOUR_S)
    run = tenant.run(uuid)
    assert (run["hardware_summary"]["gpu_count"], run["pricing"]["hourly_rate_usd"]) == (6, 4.14)
    assert tenant.paid(uuid) == Decimal("4.14")


def test_now_and_then_a_bigger_machine_comes_by_itself(tenant: Signed, clock: FrozenClock) -> None:
    tenant.switch(bigger=None)
    sizes = []
    for _ in range(60):
        uuid = tenant.create(gpu_name=None, min_vram_gb=24)["uuid"]
        clock.advance(120)
        sizes.append(tenant.run(uuid)["hardware_summary"]["gpu_count"])
        tenant.call("PUT", f"/v1/jobs/{uuid}/cancel", {"reason": "next"})
    assert 0 < sum(size > 1 for size in sizes) < 15


def test_a_job_for_which_no_machine_is_free_fails_in_its_time(tenant: Signed, clock: FrozenClock) -> None:
    only_here = {"gpu_name": "NVIDIA H200", "min_vram_gb": 141, "allowed_region_codes": ["jp-east-1"]}
    made = [tenant.create(**only_here)["uuid"] for _ in range(6)]
    clock.advance(299)
    waiting = [uuid for uuid in made if tenant.job(uuid)["status"] == "PENDING"]
    assert 0 < len(waiting) < len(made)
    free = tenant.get("/v1/compute/offers", **{"filter[gpu_name]": "NVIDIA H200", "filter[gpu_count]": 1, "limit": 50})
    assert "jp-east-1" not in {row["region_code"] for row in free["data"]}
    clock.advance(1)
    assert {tenant.job(uuid)["status"] for uuid in waiting} == {"FAILED"}


def test_a_freed_machine_goes_to_the_job_that_waits(tenant: Signed, clock: FrozenClock) -> None:
    only_here = {"gpu_name": "NVIDIA H200", "min_vram_gb": 141, "allowed_region_codes": ["jp-east-1"]}
    made = [tenant.create(**only_here)["uuid"] for _ in range(6)]
    clock.advance(200)
    status = {uuid: tenant.job(uuid)["status"] for uuid in made}
    holder = next(uuid for uuid, at in status.items() if at != "PENDING")
    tenant.call("PUT", f"/v1/jobs/{holder}/cancel", {"reason": "free it"})
    clock.advance(5)
    waiting = [uuid for uuid, at in status.items() if at == "PENDING"]
    assert sum(tenant.job(uuid)["status"] == "ASSIGNED" for uuid in waiting) == 1


def test_a_machine_taken_back_fails_its_job(tenant: Signed, clock: FrozenClock) -> None:
    uuid = tenant.create()["uuid"]
    clock.advance(HOUR_S)
    tenant.switch(fail_job=uuid)
    assert (tenant.job(uuid)["status"], tenant.run(uuid)["status"]) == ("FAILED", "FAILED")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"task": "FOREVER"}, "invalid_task"),
        ({"max_timeout_run_ms": 60_000}, "invalid_task"),
        ({"task": "BATCH", "max_timeout_run_ms": 59_999}, "invalid_task"),
        ({"max_timeout_assign_ms": 299_999}, "invalid_timeout"),
        ({"max_timeout_start_ms": 1}, "invalid_timeout"),
        ({"gpu_name": "NVIDIA RTX A6000"}, "gpu_not_found"),
        ({"gpu_name": "RTX 5090"}, "gpu_not_found"),
        ({"gpu_count": "1"}, "validation_error"),
        ({"parameters": {"type": "docker"}}, "validation_error"),
    ],
)
def test_a_job_that_is_not_as_documented_is_refused(tenant: Signed, changes: dict[str, Any], refusal: str) -> None:
    assert code(tenant.call("POST", "/v1/jobs", spec(**changes))) == (400, refusal)
    assert tenant.get("/v1/jobs")["total"] == 0


def test_jobs_are_listed_by_status_newest_first(tenant: Signed, clock: FrozenClock) -> None:
    made = []
    for _ in range(3):
        made.append(tenant.create()["uuid"])
        clock.advance(1)
    tenant.call("PUT", f"/v1/jobs/{made[0]}/cancel", {"reason": "x"})
    clock.advance(5)
    rows = tenant.get("/v1/jobs", **{"filter[status]": "PENDING,RUNNING", "sort": "-created_at"})["data"]
    assert [row["uuid"] for row in rows] == [made[2], made[1]]
    assert code(tenant.call("GET", "/v1/jobs/none")) == (404, "job_not_found")


def test_a_restart_finds_every_job_as_it_was(tenant: Signed, clock: FrozenClock) -> None:
    only_here = {"gpu_name": "NVIDIA H200", "min_vram_gb": 141, "allowed_region_codes": ["jp-east-1"]}
    made = [tenant.create(**only_here)["uuid"] for _ in range(6)]
    clock.advance(200)
    held = next(uuid for uuid in made if tenant.job(uuid)["status"] != "PENDING")
    tenant.call("PUT", f"/v1/jobs/{held}/cancel", {"reason": "free it"})
    clock.advance(4)
    tenant.get("/v1/jobs")  # looking is what gives the freed machine away
    clock.advance(3)
    before = [(tenant.job(uuid), tenant.paid(uuid)) for uuid in made], tenant.get("/v1/job-runs")["data"]
    assert len({row["status"] for row, _ in before[0]}) == 4
    tenant.sandbox.restart()
    assert ([(tenant.job(uuid), tenant.paid(uuid)) for uuid in made], tenant.get("/v1/job-runs")["data"]) == before
