"""Necto's real processes below one home: sandbox, Dagster's code server and daemon, and the runs they start.

with Stack.in_home(home, monkeypatch) as stack:
    stack.start_sandbox()
    stack.start_engine()
"""

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import httpx
import psutil
import pytest

from necto_pipelines.journey.dagster_servers import start_engine
from necto_pipelines.journey.home import await_sandbox, free_port, prepare_home
from necto_pipelines.journey.processes import Servers
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.settings import Settings

Found = TypeVar("Found")
_PID = re.compile(r"\(pid: (\d+)\)")


@dataclass
class Stack:
    """What runs below a home. Its environment variables are set for as long as the test lasts."""

    settings: Settings
    instance: dg.DagsterInstance
    runtime: Runtime
    sandbox: Servers
    engine: Servers
    _sockets: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def in_home(cls, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Stack"]:
        """Nothing is started yet; at the end everything that was is stopped."""
        for name in ("NECTO_HOME", "DAGSTER_HOME", "NECTO_SANDBOX_PORT"):
            monkeypatch.setenv(name, "")  # so that what is set below is taken back after the test
        monkeypatch.delenv("NECTO_DATABASE_URL", raising=False)
        settings = Settings(home=home, sandbox_port=free_port())
        prepare_home(settings)
        os.environ["NECTO_SANDBOX_PORT"] = str(settings.sandbox_port)
        with dg.DagsterInstance.get() as instance:
            runtime = Runtime.open(settings)
            logs = home / "logs"
            stack = cls(settings, instance, runtime, Servers(logs), Servers(logs))
            try:
                yield stack
            finally:
                runtime.close()
                stack.engine.stop()
                stack.sandbox.stop()
                for folder in stack._sockets:
                    folder.cleanup()

    def start_sandbox(self) -> None:
        """Start the simulated networks; returns when they answer."""
        self.sandbox.start("sandbox", "necto_pipelines.cli", "sandbox", "serve")
        await_sandbox(self.settings)

    def start_engine(self) -> None:
        """Start the code server and the daemon, as `necto up` does."""
        self._sockets.append(tempfile.TemporaryDirectory(prefix="necto-"))
        start_engine(self.engine, self.instance, self.settings.home, Path(self._sockets[-1].name))

    def kill_engine(self) -> None:
        """kill -9 of code server, daemon and every run, all at once."""
        for process in self.engine._running.values():
            for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
                victim.kill()
            process.wait()
        self.engine._running.clear()

    def state(self) -> dict[str, Any]:
        """What really stands at the sandbox: deployments, leases and swaps."""
        found: dict[str, Any] = httpx.get(f"{self.settings.sandbox_url}/sandbox/state", timeout=10).json()
        return found

    def fault(self, method: str, path_prefix: str, action: str, **more: Any) -> None:
        """Let the sandbox fail the next matching call, and no other."""
        body = {"method": method, "path_prefix": path_prefix, "action": action} | more
        httpx.delete(f"{self.settings.sandbox_url}/sandbox/faults").raise_for_status()
        httpx.post(f"{self.settings.sandbox_url}/sandbox/faults", json=body).raise_for_status()

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """Runs of a job, oldest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name=job)))[::-1]

    def is_over(self, run_id: str) -> dg.DagsterRunStatus | None:
        """How a run ended; None while it has not."""
        run = self.instance.get_run_by_id(run_id)
        return run.status if run and run.is_finished else None

    def worker_of(self, run_id: str) -> int | None:
        """Process id of a run's worker, from the run's own log; None until it has one."""
        messages = (entry.message for entry in self.instance.all_logs(run_id))
        found = (_PID.search(message) for message in messages if message.startswith("Started process for run"))
        return next((int(match.group(1)) for match in found if match), None)


def kill_9(pid: int) -> None:
    """End a process as a power cut would."""
    os.kill(pid, signal.SIGKILL)


def eventually(look: Callable[[], Found | None], what: str, timeout_s: float = 180) -> Found:
    """What `look` returns once it is something; a failed test naming `what` was waited for when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(0.1)
    return found
