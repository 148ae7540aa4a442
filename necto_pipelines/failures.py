"""The failures Necto tells apart, as one small tree.

* NectoError
  + InvalidInput           what a person gave us is wrong; nothing was stored
  + PermanentFailure       asking again changes nothing
    - Refused              the other side answered no
    - IllegalTransition    a state machine was asked for a step it does not have
    - AuditBroken          the trail and the facts disagree: stop, do not repair silently
  + TransientFailure       worth another attempt, later
    - Unavailable          no usable answer came (time-out, 5xx, 429)
    - Unknown              an effect may or may not have happened: reconcile, never repeat blindly
    - Stale                the facts are older than their limit

Nothing here knows Dagster: a use case turns these into the state and reason of an order (`procurement/procuring.py`).
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass

_brief = reprlib.Repr()
"""shows a value in one short line, also one that a hostile document made enormous"""
_brief.maxlevel, _brief.maxstring, _brief.maxother = 2, 120, 120


class NectoError(Exception):
    """Anything Necto itself raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where, what was given, what is allowed."""

    field: str
    value: object
    allowed: str

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.field}: missing; {self.allowed}"
        return f"{self.field}: {_brief.repr(self.value)} is not allowed; {self.allowed}"


class InvalidInput(NectoError):
    """What a person gave us is wrong. Holds every problem found, not only the first; nothing was stored."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PermanentFailure(NectoError):
    """Asking again changes nothing."""


class Refused(PermanentFailure):
    """The other side understood and said no. `code` is its own word for why."""

    def __init__(self, message: str, *, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class IllegalTransition(PermanentFailure):
    """A state machine was asked for a step it does not have."""


class AuditBroken(PermanentFailure):
    """The trail and the facts disagree. Never repaired silently."""


class TransientFailure(NectoError):
    """Worth another attempt, later."""


class Unavailable(TransientFailure):
    """No usable answer came: time-out, connection refused, 5xx, 429."""


class Unknown(TransientFailure):
    """An effect may or may not have happened. Reconcile by listing; never repeat blindly."""


class Stale(TransientFailure):
    """The facts at hand are older than their limit allows."""
