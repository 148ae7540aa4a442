"""A home is served by one process, and each server has a port that is free."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from necto_pipelines.failures import InvalidInput
from necto_pipelines.journey.home import free_port, require_free_ports, sole_use

HOLD = "import sys; from pathlib import Path; from necto_pipelines.journey.home import sole_use\n"
HOLD += "with sole_use(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_two_processes_do_not_serve_one_home(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=pipe, stdout=pipe) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(InvalidInput, match=r"home: .*another `necto up` or `necto demo` works there"),
            sole_use(tmp_path),
        ):
            pass
        other.kill()
    with sole_use(tmp_path):  # the lock went with its process
        pass
    with sole_use(tmp_path):
        pass


def test_a_taken_port_is_named_by_its_setting() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken, free = server.getsockname()[1], free_port()
        with pytest.raises(InvalidInput) as refused:
            require_free_ports({"NECTO_WEBSERVER_PORT": free, "NECTO_SANDBOX_PORT": taken})
    assert [(problem.field, problem.value) for problem in refused.value.problems] == [("NECTO_SANDBOX_PORT", taken)]
    require_free_ports({"NECTO_WEBSERVER_PORT": free, "NECTO_SANDBOX_PORT": taken})


def test_two_servers_do_not_share_a_port() -> None:
    port = free_port()
    with pytest.raises(InvalidInput, match="give each a port of its own"):
        require_free_ports({"NECTO_WEBSERVER_PORT": port, "NECTO_SANDBOX_PORT": port})
