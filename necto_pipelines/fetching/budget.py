"""How often one source may be asked, counted over the whole process: every client of one base URL shares a gate.

Written here because a leaky bucket (aiolimiter) lets nearly twice its rate through in the first window after a rest,
which some sources answer with a minute's silence; a gate counts what was sent in the last `per_s` seconds instead, and
closes for everybody when the source says so. Processes do not know of each other: budgets leave room for that.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.lowlevel import RunVar

from necto_pipelines.failures import Unavailable


class NeverSent(Unavailable):
    """The request did not leave this machine, so nothing can have happened."""


class NotSoon(Unavailable):
    """The source wants no calls for longer than a call waits: another attempt would come too early as well."""


class GateClosed(NeverSent, NotSoon):
    """Not asked at all, because the source wants no calls now or its turns are taken."""


@dataclass(frozen=True)
class Budget:
    """What a source takes: `at_once` calls in flight, and `requests` begun in any `per_s` seconds (None: any number).

    Stated where a source is opened. Clients of one source may have different budgets; each keeps to its own, counting
    the calls of all.
    """

    at_once: int = 8
    requests: int | None = None
    per_s: float = 1.0
    pause_s: float = 0.0
    """seconds that nobody asks after a 429 that names no time itself"""
    patience_s: float = 120.0
    """seconds that a call waits for its turn before it is given up"""


DEFAULT_BUDGET: Final = Budget()
"""for a source that asks for no more restraint than this: also the sandbox, whatever it plays"""


class Gate:
    """The way to one source on one event loop: first come, first served. Times are the loop's."""

    def __init__(self) -> None:
        self._queue = anyio.Lock()
        self._freed = anyio.Event()
        self._in_flight = 0
        self._starts: deque[float] = deque()
        self._longest_s = 0.0
        self._closed_until = 0.0

    async def enter(self, budget: Budget, *, max_wait_s: float) -> None:
        """Wait for a turn; whoever has one gives it back with `leave`.

        `GateClosed` when the source wants no calls for longer than `max_wait_s`, or no turn comes within the budget's
        patience.
        """
        try:
            with anyio.fail_after(budget.patience_s):
                async with self._queue:
                    await self._admit(budget, max_wait_s)
        except TimeoutError as error:
            raise GateClosed(f"not sent: no turn within {budget.patience_s:g} s") from error

    def leave(self) -> None:
        """Give the turn back."""
        self._in_flight -= 1
        self._freed.set()

    def close_for(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._closed_until = max(self._closed_until, anyio.current_time() + seconds)

    async def _admit(self, budget: Budget, max_wait_s: float) -> None:
        """For the first in the queue only."""
        while True:
            closed_s = self._closed_until - anyio.current_time()
            if closed_s > max_wait_s:
                raise GateClosed(f"not sent: the source wants no calls for another {closed_s:.0f} s")
            if self._in_flight >= budget.at_once:
                self._freed = anyio.Event()
                await self._freed.wait()
                continue
            wait_s = max(closed_s, self._full_for(budget))
            if wait_s <= 0:
                break
            await anyio.sleep(wait_s)
        self._in_flight += 1
        self._starts.append(anyio.current_time())

    def _full_for(self, budget: Budget) -> float:
        """Seconds until the budget's window has room."""
        now = anyio.current_time()
        if budget.requests is not None:
            self._longest_s = max(self._longest_s, budget.per_s)
        while self._starts and self._starts[0] <= now - self._longest_s:
            self._starts.popleft()
        recent = [start for start in self._starts if start > now - budget.per_s]
        if budget.requests is None or len(recent) < budget.requests:
            return 0.0
        return recent[-budget.requests] + budget.per_s - now


_gates: RunVar[dict[str, Gate]] = RunVar("gates")


def gate_of(source: str) -> Gate:
    """The gate of a source on the running event loop."""
    try:
        gates = _gates.get()
    except LookupError:
        gates = {}
        _gates.set(gates)
    return gates.setdefault(source, Gate())
