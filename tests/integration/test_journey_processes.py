"""Child processes of `necto up`: watched while they run, and gone within the time they are given."""

import time
from pathlib import Path

import psutil
import pytest
from support.necto_stack import eventually

from necto_pipelines.failures import Unavailable
from necto_pipelines.journey.processes import Servers

pytestmark = pytest.mark.integration

STUBBORN = """\
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(f"up {child.pid}", flush=True)
time.sleep(600)
"""


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Servers:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    (tmp_path / "broken.py").write_text("print('what went wrong', flush=True); raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Servers(tmp_path / "logs")


def test_servers_that_do_not_listen_are_ended_together_with_what_they_started(servers: Servers) -> None:
    for name in ("first", "second"):
        servers.start(name, "stubborn")
    logs = [servers.logs / f"{name}.log" for name in ("first", "second")]
    children = [int(eventually(lambda log=log: log.read_text().removeprefix("up "), "it runs")) for log in logs]
    begun = time.monotonic()
    servers.stop(grace_s=1)
    assert time.monotonic() - begun < 1.9  # one second for both, not for each
    eventually(lambda: not any(map(_lives, children)), "the children are gone", timeout_s=10)
    servers.stop()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_server_that_ended_is_named_with_the_end_of_its_log(servers: Servers) -> None:
    servers.start("sandbox", "broken")

    def ended() -> str | None:
        try:
            servers.check()
        except Unavailable as failure:
            return str(failure)
        return None

    said = eventually(ended, "the end is noticed")
    assert said.startswith("sandbox ended with code 3; ")
    assert said.endswith("what went wrong")
    servers.stop()
