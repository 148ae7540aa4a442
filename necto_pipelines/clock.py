"""The clock that Necto's processes share in sandbox mode: real time, shifted, sped up or frozen by a small file.

The sandbox and every Necto process of one home read the same file, so a simulated network and the books that pay it
agree on the time. Live mode uses `SystemClock` and never reads this file.
"""

import json
import math
import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from necto_pipelines.model.clock import Clock, SystemClock, parse_rfc3339, rfc3339


@dataclass(frozen=True)
class SandboxClock:
    """Simulated time = simulated anchor + (real time - real anchor) x speed; speed 0 is frozen, 1 is real time."""

    path: Path
    real: Clock = field(default_factory=SystemClock)

    def now(self) -> datetime:
        return self._at(self.real.now())

    def sleep(self, seconds: float) -> None:
        """Wait until `seconds` of simulated time have passed; a frozen clock is not waited for."""
        speed = self._anchors()[2]
        if speed > 0:
            self.real.sleep(seconds / speed)

    def advance(self, seconds: float) -> datetime:
        """Jump forward by `seconds`; returns the new time. Time never goes back."""
        if seconds < 0:
            raise ValueError(f"seconds: {seconds} is not allowed; time only goes forward")
        real = self.real.now()
        return self._set(self._at(real) + timedelta(seconds=seconds), real, self._anchors()[2])

    def set_speed(self, speed: float) -> datetime:
        """Run `speed` times as fast as real time from now on; 0 freezes."""
        if not 0 <= speed < math.inf:
            raise ValueError(f"speed: {speed} is not allowed; 0 freezes, 1 is real time, and time only goes forward")
        real = self.real.now()
        return self._set(self._at(real), real, speed)

    def start_at(self, moment: datetime) -> datetime:
        """Begin simulated time at `moment`, unless it has begun already."""
        return self.now() if self.path.exists() else self._set(moment, self.real.now(), 1.0)

    def _at(self, real: datetime) -> datetime:
        anchor_simulated, anchor_real, speed = self._anchors()
        return anchor_simulated + (real - anchor_real) * speed

    def _anchors(self) -> tuple[datetime, datetime, float]:
        if not self.path.exists():
            now = self.real.now()
            return now, now, 1.0
        state = json.loads(self.path.read_text())
        return parse_rfc3339(state["simulated"]), parse_rfc3339(state["real"]), float(state["speed"])

    def _set(self, simulated: datetime, real: datetime, speed: float) -> datetime:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {"simulated": rfc3339(simulated), "real": rfc3339(real), "speed": speed}
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
        with os.fdopen(handle, "w") as file:
            json.dump(state, file)
        Path(name).replace(self.path)
        return simulated
