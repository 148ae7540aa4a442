"""Standing failures: whom they hit repeats, what a hit does, and what is refused."""

import asyncio
import json
from typing import Any

import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.sandbox.fault_rates import FaultRate, read_fault_rate, strikes_of
from necto_pipelines.sandbox.faults import FaultMiddleware, Faults

AUDITORS = "/akash/v1/auditors"
PROVIDERS = "/akash/v1/providers"


def rate(action: str, share: str = "0.2", seed: int = 7, **more: Any) -> FaultRate:
    made = read_fault_rate({"action": action, "rate": share, "seed": seed, "path_prefix": "/akash"} | more)
    assert isinstance(made, FaultRate)
    return made


def hits(fault: FaultRate, path: str = AUDITORS, times: int = 500) -> list[int]:
    return [number for number in range(times) if fault.hits("GET", path)]


def order(sandbox: SandboxCaller, action: str, hit: str = "1", **more: Any) -> None:
    sandbox.post("/sandbox/faults", {"action": action, "rate": hit, "seed": 7, "path_prefix": "/akash"} | more)


def test_the_same_seed_hits_the_same_requests() -> None:
    assert hits(rate("status")) == hits(rate("status"))


@pytest.mark.parametrize("other", [rate("status", seed=8), rate("timeout")])
def test_another_seed_or_action_hits_others(other: FaultRate) -> None:
    assert hits(rate("status")) != hits(other)


def test_what_is_hit_of_one_path_does_not_depend_on_requests_to_another() -> None:
    mixed = rate("status")
    found = []
    for number in range(500):
        mixed.hits("GET", PROVIDERS)
        found += [number] if mixed.hits("GET", AUDITORS) else []
    assert found == hits(rate("status"))


def test_about_the_stated_share_is_hit() -> None:
    assert 70 <= len(hits(rate("status"))) <= 130
    assert len(hits(rate("status", "1"))) == 500


def test_other_paths_and_methods_are_left_alone() -> None:
    fault = rate("status", "1", method="post")
    assert fault.hits("GET", AUDITORS) is None
    assert fault.hits("POST", "/coingecko/x") is None
    assert fault.hits("POST", AUDITORS)


def test_a_fault_in_the_services_place_leaves_nothing_for_others() -> None:
    standing = [rate("wrong_shape", "1"), rate("status", "1"), rate("drop_reply", "1")]
    assert [strike.fault.action for strike in strikes_of(standing, "GET", AUDITORS)] == ["status"]
    assert [fault.struck for fault in standing] == [0, 1, 0]


def test_a_status_is_answered_until_it_is_taken_back(sandbox: SandboxCaller) -> None:
    order(sandbox, "status", status=502)
    assert [sandbox.call("GET", AUDITORS).status_code for _ in range(3)] == [502, 502, 502]
    assert sandbox.get("/sandbox/faults")["standing"][0]["struck"] == 3
    sandbox.call("DELETE", "/sandbox/faults")
    assert sandbox.call("GET", AUDITORS).status_code == 200
    assert sandbox.get("/sandbox/faults") == {"pending": [], "standing": []}


def test_a_rate_limit_says_when_to_come_again(sandbox: SandboxCaller) -> None:
    order(sandbox, "rate_limit", retry_after_s=5)
    answer = sandbox.call("GET", AUDITORS)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")


def test_an_answer_that_never_comes_ends_at_its_cap(sandbox: SandboxCaller) -> None:
    order(sandbox, "timeout", seconds="0.01")
    assert sandbox.call("GET", AUDITORS).status_code == 504


def test_a_caller_who_leaves_is_not_waited_for() -> None:
    """The task ends with its caller: one that slept on would pile up with every client that gives up."""
    heard, sent = iter(["http.request", "http.disconnect"]), []

    async def receive() -> dict[str, Any]:
        return {"type": next(heard)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def nobody(*_: Any) -> None:
        raise AssertionError("the service was asked")

    middleware = FaultMiddleware(nobody, Faults(standing=[rate("timeout", "1", seconds=600)]), FrozenClock())
    scope = {"type": "http", "method": "GET", "path": AUDITORS}
    asyncio.run(asyncio.wait_for(middleware(scope, receive, send), 5))
    assert sent == []


def test_a_truncated_answer_announces_more_than_comes(sandbox: SandboxCaller) -> None:
    whole = sandbox.call("GET", AUDITORS).content
    order(sandbox, "truncate")
    answer = sandbox.call("GET", AUDITORS)
    assert answer.content == whole[: len(whole) // 2]
    assert int(answer.headers["content-length"]) == len(whole)


def test_wrong_json_is_a_success_without_json(sandbox: SandboxCaller) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    order(sandbox, "wrong_json")
    bodies = set()
    for _ in range(30):
        answer = sandbox.call("GET", AUDITORS)
        assert answer.status_code == 200
        bodies.add(answer.content)
        if b"1e999999999" not in answer.content:
            with pytest.raises(ValueError):  # noqa: PT011 (of several kinds)
                json.loads(answer.content, parse_constant=refuse)
    assert len(bodies) > 3


def test_a_wrong_shape_is_json_and_differs(sandbox: SandboxCaller) -> None:
    true = sandbox.get(PROVIDERS)
    order(sandbox, "wrong_shape")
    assert sandbox.get(PROVIDERS) != true


def test_prices_drift_by_no_more_than_their_share_and_differ_between_reads(sandbox: SandboxCaller) -> None:
    def prices() -> list[float]:
        models = sandbox.get("/akash/v1/gpu-prices")["models"]
        return [row["price"]["weightedAverage"] for row in models if row["price"]]

    true = prices()
    order(sandbox, "price_drift", share="0.1")
    first, second = prices(), prices()
    assert first != second != true
    assert all(abs(moved / usd - 1) <= 0.101 for moved, usd in zip(first, true, strict=True))


def test_a_skewed_clock_shows_in_times_and_in_the_date(sandbox: SandboxCaller) -> None:
    order(sandbox, "clock_skew", seconds=-600)
    answer = sandbox.call("GET", "/akash/v1/blocks", params={"limit": 1})
    assert answer.headers.get_list("date") == ["Sun, 22 Nov 2026 11:50:00 GMT"]
    assert answer.json()[0]["datetime"].startswith("2026-11-22T11:49:")
    assert sandbox.call("GET", "/sandbox/health").headers["date"] == "Sun, 22 Nov 2026 12:00:00 GMT"


def test_a_seeded_share_of_providers_is_dead_and_the_same_at_every_look(sandbox: SandboxCaller) -> None:
    def online() -> set[str]:
        return {row["owner"] for row in sandbox.get(PROVIDERS) if row["isOnline"]}

    before = online()
    order(sandbox, "provider_death", "0.3")
    [fault] = sandbox.get("/sandbox/faults")["standing"]
    assert online() == online() == before - set(fault["dead"])
    assert 0 < len(before - online()) < len(before)
    gone = next(iter(before - online()))
    assert sandbox.call("GET", f"/akash-provider/{gone}/status").status_code == 502


def test_a_provider_may_die_during_a_lease(sandbox: SandboxCaller) -> None:
    dseq, _ = sandbox.leased()
    sandbox.clock.advance(3600)
    assert sandbox.standing(dseq)["leases"][0]["status"]
    order(sandbox, "provider_death", "1")
    [lease] = sandbox.standing(dseq)["leases"]
    assert (lease["state"], lease["status"]) == ("active", None)


def test_the_controls_themselves_never_fail(sandbox: SandboxCaller) -> None:
    order(sandbox, "status", path_prefix="/")
    assert sandbox.call("GET", "/sandbox/health").status_code == 200


def test_faults_are_forgotten_at_a_restart(sandbox: SandboxCaller) -> None:
    order(sandbox, "status")
    sandbox.restart()
    assert sandbox.call("GET", AUDITORS).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"action": "explode"}, "action"),
        ({"rate": "0"}, "rate"),
        ({"rate": "1.5"}, "rate"),
        ({"rate": "often"}, "rate"),
        ({"rate": True}, "rate"),
        ({"seed": "seven"}, "seed"),
        ({"path_prefix": "akash"}, "path_prefix"),
        ({"method": 5}, "method"),
        ({"status": 404}, "status"),
        ({"share": "0.1"}, "share"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(sandbox: SandboxCaller, wrong: dict[str, Any], field: str) -> None:
    body = {"action": "status", "rate": "0.2", "seed": 7, "path_prefix": "/akash"} | wrong
    answer = sandbox.call("POST", "/sandbox/faults", json=body)
    assert answer.status_code == 400
    [problem] = answer.json()["data"]
    assert problem["field"] == field
    assert problem["value"] == wrong[field]
    assert problem["allowed"]
    assert field in answer.json()["message"]
