"""The simulated providers' own gateways say what the lists say, and are silent when the provider is away."""

from typing import Any

import pytest
from support.sandbox_app import SandboxCaller, gpu_sdl


def status(sandbox: SandboxCaller, owner: str) -> dict[str, Any]:
    body: dict[str, Any] = sandbox.get(f"/akash-provider/{owner}/status")
    return body


def total(part: list[dict[str, Any]], name: str, kind: str = "available") -> int:
    return sum(node[kind][name] for node in part)


def nodes(sandbox: SandboxCaller, owner: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = status(sandbox, owner)["cluster"]["inventory"]["available"]["nodes"]
    return found


def test_machines_add_up_to_what_the_console_lists(sandbox: SandboxCaller) -> None:
    sandbox.leased()
    for row in sandbox.providers():
        if not row["isOnline"]:
            continue
        found, stats = nodes(sandbox, row["owner"]), row["stats"]
        free = (total(found, "gpu"), total(found, "cpu"), total(found, "memory"), total(found, "storage_ephemeral"))
        parts = (stats["gpu"], stats["cpu"], stats["memory"], stats["storage"]["ephemeral"])
        assert free == tuple(part["available"] for part in parts)
        assert all(node["available"]["gpu"] <= node["allocatable"]["gpu"] <= 8 for node in found)
        assert status(sandbox, row["owner"])["address"] == row["owner"]


def test_a_large_provider_has_several_machines(sandbox: SandboxCaller) -> None:
    [large] = [row for row in sandbox.providers() if row["stats"]["gpu"]["active"] == 24]
    assert [node["allocatable"]["gpu"] for node in nodes(sandbox, large["owner"])] == [8, 8, 8]


def test_what_is_leased_and_reserved_is_told_apart(sandbox: SandboxCaller) -> None:
    made = sandbox.create(gpu_sdl("rtx4090", 2))
    sandbox.clock.advance(61)
    owner = sandbox.bids(made["dseq"])[0]["id"]["provider"]
    pending = status(sandbox, owner)["cluster"]["inventory"]["pending"]
    assert [part["gpu"] for part in pending] == [2]
    sandbox.lease(made, sandbox.bids(made["dseq"])[0])
    cluster = status(sandbox, owner)["cluster"]
    assert cluster["inventory"]["pending"] == []
    assert status(sandbox, owner)["manifest"]["deployments"] == 1


def test_version_and_address_are_told_too(sandbox: SandboxCaller) -> None:
    row = next(row for row in sandbox.providers() if row["isOnline"] and row["isValidVersion"])
    assert sandbox.get(f"/akash-provider/{row['owner']}/address") == {"address": row["owner"]}
    assert sandbox.get(f"/akash-provider/{row['owner']}/version")["akash"]["version"] == f"v{row['akashVersion']}"


@pytest.mark.parametrize("path", ["status", "version", "address"])
def test_a_provider_that_is_away_does_not_answer(sandbox: SandboxCaller, path: str) -> None:
    owner = next(row["owner"] for row in sandbox.providers() if row["isOnline"])
    sandbox.post("/sandbox/providers", {"provider": owner, "online": False})
    # In process no connection can be broken; over a socket it is.
    assert sandbox.call("GET", f"/akash-provider/{owner}/{path}").status_code == 502
    assert sandbox.call("GET", f"/akash-provider/akash1nobody/{path}").status_code == 502
