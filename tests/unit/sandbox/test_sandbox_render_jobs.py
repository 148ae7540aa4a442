"""The simulated rendering portal: estimates before the start, credits that are used up, pauses, and no work twice."""

from decimal import Decimal
from typing import Any

import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.model.clock import FrozenClock

HOUR_S = 3600


def submitted(sandbox: SandboxCaller, client_id: str = "c-1", **changes: Any) -> dict[str, Any]:
    body = {"client_id": client_id, "scene": "hall.orbx", "frames": 100, "tier": 2, "ob_hours": "3000"} | changes
    row: dict[str, Any] = sandbox.post("/render-jobs/v1/jobs", body)
    return row


def job(sandbox: SandboxCaller, job_id: str) -> dict[str, Any]:
    row: dict[str, Any] = sandbox.get(f"/render-jobs/v1/jobs/{job_id}")
    return row


def top_up(sandbox: SandboxCaller, client_id: str, eur: str) -> Decimal:
    return Decimal(sandbox.post("/render-jobs/v1/credits", {"client_id": client_id, "eur": eur})["eur"])


@pytest.mark.parametrize(("tier", "eur"), [(2, "30"), (3, "15")])
def test_a_job_is_estimated_before_it_can_start(
    sandbox: SandboxCaller, clock: FrozenClock, tier: int, eur: str
) -> None:
    row = submitted(sandbox, tier=tier)
    assert (row["simulated"], row["state"], row["estimate_eur"]) == (True, "uploaded", None)
    early = sandbox.call("POST", f"/render-jobs/v1/jobs/{row['id']}/start", json={})
    assert (early.status_code, early.json()["code"]) == (409, "not_estimated")
    clock.advance(30)
    assert (job(sandbox, row["id"])["state"], Decimal(job(sandbox, row["id"])["estimate_eur"])) == (
        "estimated",
        Decimal(eur),
    )


@pytest.mark.parametrize("steps", [1, 7, 60])
def test_however_often_it_is_looked_at_a_job_costs_the_same(
    sandbox: SandboxCaller, clock: FrozenClock, steps: int
) -> None:
    row = submitted(sandbox)
    top_up(sandbox, "t", "100")
    clock.advance(30)
    sandbox.post(f"/render-jobs/v1/jobs/{row['id']}/start", {})
    for _ in range(steps):
        clock.advance(2 * HOUR_S / steps)
        job(sandbox, row["id"])
    done = job(sandbox, row["id"])
    assert (done["state"], done["frames_done"]) == ("done", 100)
    spent = Decimal(done["spent_eur"])
    assert Decimal(27) <= spent <= Decimal("37.5")
    assert Decimal(sandbox.get("/render-jobs/v1/credits")["eur"]) == 100 - spent


def test_a_job_without_credits_pauses_and_goes_on_where_it_stood(sandbox: SandboxCaller, clock: FrozenClock) -> None:
    row = submitted(sandbox)
    top_up(sandbox, "t-1", "10")
    clock.advance(30)
    sandbox.post(f"/render-jobs/v1/jobs/{row['id']}/start", {})
    assert job(sandbox, row["id"])["state"] == "queued"
    clock.advance(60 + HOUR_S / 20)
    assert job(sandbox, row["id"])["state"] == "rendering"
    clock.advance(HOUR_S)
    paused = job(sandbox, row["id"])
    assert (paused["state"], Decimal(paused["spent_eur"])) == ("paused_no_credit", 10)
    clock.advance(HOUR_S)
    assert job(sandbox, row["id"])["frames_done"] == paused["frames_done"]
    assert top_up(sandbox, "t-2", "50") == 50
    assert job(sandbox, row["id"])["state"] == "rendering"
    sandbox.restart()
    clock.advance(HOUR_S)
    assert job(sandbox, row["id"])["state"] == "done"


def test_the_same_id_neither_submits_nor_pays_twice(sandbox: SandboxCaller) -> None:
    first = submitted(sandbox)
    again = sandbox.call(
        "POST",
        "/render-jobs/v1/jobs",
        json={"client_id": "c-1", "scene": "x", "frames": 1, "tier": 2, "ob_hours": "1"},
    )
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_client_id")
    assert [row["id"] for row in sandbox.get("/render-jobs/v1/jobs", client_id="c-1")["jobs"]] == [first["id"]]
    assert sandbox.get("/render-jobs/v1/jobs", client_id="c-2")["jobs"] == []
    assert top_up(sandbox, "t", "5") == top_up(sandbox, "t", "5") == 5


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"tier": 1}, 400, "tier_not_released"),
        ({"tier": 4}, 400, "tier_not_released"),
        ({"ob_hours": "0"}, 400, "invalid_size"),
        ({"ob_hours": "NaN"}, 400, "invalid_size"),
        ({"frames": 0}, 400, "invalid_size"),
        ({"ob_hours": "many"}, 400, "bad_request"),
    ],
)
def test_a_job_that_cannot_be_rendered_is_refused(
    sandbox: SandboxCaller, changes: dict[str, Any], status: int, word: str
) -> None:
    body = {"client_id": "c-1", "scene": "hall.orbx", "frames": 10, "tier": 2, "ob_hours": "10"} | changes
    refused = sandbox.call("POST", "/render-jobs/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, word)


@pytest.mark.parametrize("eur", ["0", "-1", "Infinity"])
def test_only_money_can_be_added(sandbox: SandboxCaller, eur: str) -> None:
    refused = sandbox.call("POST", "/render-jobs/v1/credits", json={"client_id": "t", "eur": eur})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_amount")
    assert sandbox.call("GET", "/render-jobs/v1/jobs/none").status_code == 404
