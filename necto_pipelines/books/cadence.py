"""When a change is followed by a signature: at once if none was made for a while, else the next change's turn."""

import threading
from collections.abc import Callable


class Cadence:
    """Lets at most one signature through every `every_s` seconds of a clock that only goes forward."""

    def __init__(self, every_s: float, monotonic: Callable[[], float]) -> None:
        self._every_s = every_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: float | None = None

    def take(self) -> bool:
        """Whether a signature is due; whoever is told so makes it, and the others go on."""
        with self._lock:
            now = self._monotonic()
            if self._last is not None and now - self._last < self._every_s:
                return False
            self._last = now
            return True
