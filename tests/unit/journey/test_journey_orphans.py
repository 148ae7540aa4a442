"""A run whose process is gone is ended; one that may live, or that nobody has started yet, is left alone."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from necto_pipelines.journey.orphans import PROCESS_TAG, end_orphaned_runs, this_process

STARTED = dg.DagsterRunStatus.STARTED


@dg.job
def errand() -> None:
    pass


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="necto-") as folder:  # a socket's path must be short
        yield Path(folder)


def a_run(instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus = STARTED) -> dg.DagsterRun:
    return instance.create_run_for_job(errand, status=status, tags=tags)


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status


def a_dead_process() -> int:
    """The id of a process that has ended a moment ago."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize("left_behind", [True, False])
def test_a_run_of_a_code_server_that_is_gone_is_ended(
    instance: dg.DagsterInstance, sockets: Path, left_behind: bool
) -> None:
    file = sockets / "code.sock"
    if left_behind:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(file))
    run = a_run(instance, {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(file)})})
    assert end_orphaned_runs(instance) == [run.run_id]
    assert status_of(instance, run) is dg.DagsterRunStatus.FAILURE
    assert end_orphaned_runs(instance) == []


def test_a_run_of_a_code_server_that_listens_is_left_alone(instance: dg.DagsterInstance, sockets: Path) -> None:
    with socket.socket(socket.AF_UNIX) as local, socket.socket() as remote:
        local.bind(str(sockets / "code.sock"))
        local.listen()
        remote.bind(("127.0.0.1", 0))
        remote.listen()
        for address in ({"socket": str(sockets / "code.sock")}, {"port": remote.getsockname()[1]}):
            run = a_run(instance, {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1"} | address)})
            assert end_orphaned_runs(instance) == []
            assert status_of(instance, run) is STARTED


def test_a_run_that_a_dead_command_carried_is_ended(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, {PROCESS_TAG: f"{socket.gethostname()}/{a_dead_process()}"})
    assert end_orphaned_runs(instance) == [run.run_id]


@pytest.mark.parametrize(
    "tags",
    [this_process(), {PROCESS_TAG: f"another-host.example/{os.getpid()}"}, {}],
    ids=["alive", "elsewhere", "unknown"],
)
def test_a_run_that_may_live_is_left_alone(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    run = a_run(instance, tags)
    assert end_orphaned_runs(instance) == []
    assert status_of(instance, run) is STARTED


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.SUCCESS])
def test_a_run_that_is_not_under_way_is_left_alone(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    run = a_run(instance, {PROCESS_TAG: f"{socket.gethostname()}/{a_dead_process()}"}, status)
    assert end_orphaned_runs(instance) == []
    assert status_of(instance, run) is status
