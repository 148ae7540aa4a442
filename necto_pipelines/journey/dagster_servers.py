"""Dagster's processes: the code server that carries runs, the daemon that starts them, the web server that shows them.

How processes are started, watched and stopped at all stands in `processes.py`.
"""

import time
from pathlib import Path

import dagster as dg
import yaml

from necto_pipelines.failures import Unavailable
from necto_pipelines.journey.orphans import end_orphaned_runs
from necto_pipelines.journey.processes import Servers


def start_engine(servers: Servers, instance: dg.DagsterInstance, home: Path, sockets: Path) -> Path:
    """Start code server and daemon, and return the workspace file that names the code server.

    Runs that an earlier engine left behind are ended first, so that their orders are taken up again.
    `sockets` is a folder with a short path (a Unix socket's path has about 100 bytes); it must be new to each start.
    """
    end_orphaned_runs(instance)
    socket, workspace = str(sockets / "code.sock"), home / "workspace.yaml"
    location = {"grpc_server": {"socket": socket, "location_name": "necto"}}
    workspace.write_text(yaml.safe_dump({"load_from": [location]}))
    servers.start(
        "code-server", "dagster", "code-server", "start", "-m", "necto_pipelines.definitions", "--socket", socket
    )
    _await_socket(Path(socket), servers)
    servers.start("daemon", "dagster._daemon", "run", "-w", str(workspace))
    return workspace


def start_webserver(servers: Servers, workspace: Path, port: int) -> None:
    """Start Dagster's web server on this machine only: anyone who reaches it may change history."""
    servers.start("webserver", "dagster_webserver", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port))


def _await_socket(socket: Path, servers: Servers, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not socket.exists():
        servers.check()
        if time.monotonic() > deadline:
            raise Unavailable(f"the code server did not start within {timeout_s:g} s; see {servers.logs}")
        time.sleep(0.1)
