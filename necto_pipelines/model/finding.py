"""What `necto doctor` asks of a source, and what it found. How a source is tested stands beside the source."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_SKEW_S: Final = 30.0
"""clocks further apart than this are a warning: signatures and the age of prices are judged by ours"""
START_SANDBOX: Final = "start it with `necto sandbox serve`, or `necto up` for everything"


class Verdict(StrEnum):
    """How a source stands."""

    OK = "ok"
    WARNING = "warning"
    """works, and something about it wants attention"""
    FAILED = "failed"
    """is asked for by the settings and does not work"""
    NOT_CONFIGURED = "not configured"
    """is not asked for: Necto does without it"""


@dataclass(frozen=True)
class Finding:
    """What came of testing a source once. None where the question does not arise or was not reached."""

    verdict: Verdict
    says: str
    """what was found, in words"""
    hint: str = ""
    """what to do about it"""
    reachable: bool | None = None
    latency_ms: float | None = None
    """from the request to the head of its answer, a new connection included"""
    signed_in: bool | None = None
    skew_s: float | None = None
    """our clock minus the source's, by the Date of its answer, which has whole seconds"""


@dataclass(frozen=True)
class Check:
    """A source that can be tested, and what of its settings is there. `examine` causes no effect anywhere."""

    name: str
    kind: str
    """what it is a source of: the group it is shown in"""
    mode: str
    """live, sandbox, snapshot or local"""
    examine: Callable[[], Finding]
    given: tuple[str, ...] = ()
    """names of its NECTO_* variables that are set"""
    missing: tuple[str, ...] = ()
    """names of those that it needs in this mode and that are not"""


def skew_fault(skew_s: float | None) -> str:
    """Why the clocks are too far apart; empty when they are not, or when the source told no time."""
    if skew_s is None or abs(skew_s) <= MOST_SKEW_S:
        return ""
    return f"our clock is {abs(skew_s):,.0f} s {'ahead of' if skew_s > 0 else 'behind'} the source's"
