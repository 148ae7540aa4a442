"""Prepare a home folder and the processes' environment: where Dagster keeps its things, which ports are used."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import httpx

from necto_pipelines.failures import InvalidInput, Problem, Unavailable
from necto_pipelines.settings import Settings


def prepare_home(settings: Settings) -> Path:
    """Make `settings.home` and Dagster's folder in it, and point this process and its children at both."""
    home = settings.home.resolve()
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    config = resources.files("necto_pipelines").joinpath("dagster.yaml").read_text()
    target = dagster_home / "dagster.yaml"
    if not target.exists() or target.read_text() != config:
        target.write_text(config)
    os.environ["NECTO_HOME"] = str(home)
    os.environ["DAGSTER_HOME"] = str(dagster_home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    return home


@contextmanager
def sole_use(home: Path) -> Iterator[None]:
    """Keep the home to this process while the body runs: two sandboxes or two daemons would undo each other's work.

    InvalidInput when another process serves it. The lock goes with its process, however that ends.
    """
    with (home / "in-use.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            allowed = "another `necto up` or `necto demo` works there: stop that one, or name another folder"
            raise InvalidInput([Problem("home", str(home), allowed)]) from None
        yield


def require_free_ports(ports: dict[str, int]) -> None:
    """InvalidInput naming every port of `ports` (setting -> number) that is given twice or that another listens on."""
    if len(set(ports.values())) < len(ports):
        raise InvalidInput([Problem(setting, port, "give each a port of its own") for setting, port in ports.items()])
    taken = [
        Problem(setting, port, f"another process listens there (is Necto up already?); set {setting} to a free port")
        for setting, port in ports.items()
        if _listening(port)
    ]
    if taken:
        raise InvalidInput(taken)


def await_sandbox(settings: Settings, timeout_s: float = 60) -> None:
    """Return when the sandbox answers; Unavailable when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{settings.sandbox_url}/sandbox/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise Unavailable(f"the sandbox does not answer at {settings.sandbox_url} after {timeout_s:g} s")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
