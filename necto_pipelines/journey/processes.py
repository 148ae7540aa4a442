"""The servers of `necto up`, as child processes that are started together, watched, and stopped together."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from necto_pipelines.failures import Unavailable


@dataclass
class Servers:
    """Child processes by name. Each writes its own log file, so that the terminal stays readable.

    Whoever starts them must handle SIGINT: an ignored one is inherited, and Dagster maps SIGTERM to what SIGINT does.
    """

    logs: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start `command` (a Python module and its arguments) as the server called `name`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop them in order
            )

    def check(self) -> None:
        """Raise Unavailable naming the first server that ended, with the end of its log."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                log = self.logs / f"{name}.log"
                last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise Unavailable(f"{name} ended with code {code}; the end of {log}:\n{last}")

    def stop(self, grace_s: float = 20.0) -> None:
        """Ask all to stop, last started first, and end whatever has not after `grace_s` for all of them together."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        for process in reversed(self._running.values()):
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()
