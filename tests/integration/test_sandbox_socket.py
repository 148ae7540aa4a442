"""The sandbox as a real server: what only a socket can show."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from support.sandbox_app import KEY, gpu_sdl
from support.sandbox_server import running_sandbox

from necto_pipelines.model.clock import FrozenClock

pytestmark = pytest.mark.integration
SWAPS = "/rail/v1/swaps"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def client(clock: FrozenClock) -> Iterator[httpx.Client]:
    with running_sandbox(clock) as url, httpx.Client(base_url=url, headers=KEY, timeout=10) as client:
        yield client


def swap(client_id: str) -> dict[str, object]:
    return {"client_id": client_id, "from_asset": "USDC", "to_asset": "AKT", "from_units": 10_000_000}


def create(client: httpx.Client) -> httpx.Response:
    return client.post("/akash/v1/deployments", json={"data": {"sdl": gpu_sdl(), "deposit": 5}})


def test_it_listens_on_loopback_only(client: httpx.Client) -> None:
    port = urlsplit(str(client.base_url)).port

    with socket.socket() as elsewhere, pytest.raises(OSError, match=r"refused|unreachable"):
        elsewhere.connect(("127.0.0.2", port))
    assert client.get("/sandbox/health").json()["simulated"] is True


def test_it_tells_the_time_of_the_clock_it_was_given(client: httpx.Client, clock: FrozenClock) -> None:
    clock.advance(30)

    assert client.get("/sandbox/health").json() == {"simulated": True, "now": "2026-11-22T12:00:30.000000Z"}


def test_a_dropped_reply_has_done_its_work_and_says_nothing(client: httpx.Client) -> None:
    fault = {"method": "POST", "path_prefix": "/akash/v1/deployments", "action": "drop_reply"}
    client.post("/sandbox/faults", json=fault)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        create(client)

    assert len(client.get("/akash/v1/deployments").json()["data"]["deployments"]) == 1
    assert create(client).status_code == 201


def test_not_one_byte_of_a_dropped_reply_is_sent(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"method": "GET", "path_prefix": "/akash/v1/aud", "action": "drop_reply"})
    port = urlsplit(str(client.base_url)).port

    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"GET /akash/v1/auditors HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        assert raw.recv(1) == b""


def test_a_truncated_reply_is_noticed_by_its_length(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"action": "truncate", "rate": 1, "path_prefix": "/akash"})
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete message body|without sending complete"):
        client.get("/akash/v1/auditors")


def test_a_reply_that_never_comes_is_over_when_its_caller_leaves(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"action": "timeout", "rate": 1, "path_prefix": "/akash", "seconds": 600})
    for _ in range(3):
        with pytest.raises(httpx.ReadTimeout):
            client.get("/akash/v1/auditors", timeout=0.2)
    client.delete("/sandbox/faults")
    assert client.get("/akash/v1/auditors").status_code == 200


def test_a_reply_that_never_comes_is_capped(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"action": "timeout", "rate": 1, "path_prefix": "/akash", "seconds": 0.2})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.get("/akash/v1/auditors")


def test_a_held_reply_has_done_its_work_before_the_caller_gives_up(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"method": "POST", "path_prefix": "/rail", "action": "hold", "seconds": 30})

    with pytest.raises(httpx.ReadTimeout):
        client.post(SWAPS, json=swap("held"), timeout=0.3)

    assert [each["client_id"] for each in client.get(SWAPS).json()["swaps"]] == ["held"]
    assert client.post(SWAPS, json=swap("held")).status_code == 409


def test_a_held_reply_comes_in_the_end(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"method": "POST", "path_prefix": "/rail", "action": "hold", "seconds": 0.3})
    began = time.monotonic()

    assert client.post(SWAPS, json=swap("late")).status_code == 201
    assert time.monotonic() - began >= 0.3


def test_others_are_served_while_one_is_held(client: httpx.Client) -> None:
    client.post("/sandbox/faults", json={"method": "POST", "path_prefix": "/rail", "action": "hold", "seconds": 2})
    answers: list[int] = []
    held = threading.Thread(target=lambda: answers.append(client.post(SWAPS, json=swap("held")).status_code))
    held.start()

    while not client.get(SWAPS).json()["swaps"]:
        pass
    assert answers == []
    held.join()
    assert answers == [201]


def test_one_client_id_is_swapped_once_however_many_ask_at_once(client: httpx.Client) -> None:
    statuses: list[int] = []
    askers = [
        threading.Thread(target=lambda: statuses.append(client.post(SWAPS, json=swap("same")).status_code))
        for _ in range(8)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert sorted(statuses) == [201] + [409] * 7
    assert len(client.get(SWAPS).json()["swaps"]) == 1


def test_deployments_and_leases_survive_a_restart_of_the_server(clock: FrozenClock, tmp_path: Path) -> None:
    path = tmp_path / "sandbox" / "state.json"
    with running_sandbox(clock, state_path=path) as url, httpx.Client(base_url=url, headers=KEY) as client:
        made = create(client).json()["data"]
        clock.advance(61)
        bid = client.get(f"/akash/v1/bids/{made['dseq']}").json()["data"][0]["bid"]["id"]
        wanted = {name: bid[name] for name in ("dseq", "gseq", "oseq", "provider")}
        client.post("/akash/v1/leases", json={"manifest": made["manifest"], "leases": [wanted]}).raise_for_status()
    clock.advance(3600)

    with running_sandbox(clock, state_path=path) as url, httpx.Client(base_url=url, headers=KEY) as client:
        standing = client.get(f"/akash/v1/deployments/{made['dseq']}").json()["data"]

    assert standing["leases"][0]["state"] == "active"
    assert standing["leases"][0]["status"]["services"]["job"]["ready_replicas"] == 1


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        "from pathlib import Path\n"
        "from necto_pipelines.model.clock import SystemClock\n"
        "from necto_pipelines.sandbox.server import serve\n"
        f"serve(clock=SystemClock(), port={port}, state_path=Path({str(tmp_path / 'state.json')!r}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert client.get("/sandbox/health").json()["simulated"] is True
        process.terminate()
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)
