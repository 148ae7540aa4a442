"""Failures that stand until they are taken back: each hits a seeded share of requests, so that a run repeats.

Which requests are hit depends on nothing but the fault's seed and action, the request's path, and how many-th request
to that path it is since the fault was ordered. `provider_death` hits providers instead: the same ones at every look.
What a hit does stands in `faults.py`, how bodies are changed in `distortions.py` and `drifts.py`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from necto_pipelines.failures import Problem
from necto_pipelines.model.money import plain
from necto_pipelines.sandbox.seeded import share

INSTEAD: Final = ("status", "rate_limit", "timeout")
"""the service is not asked: an error, a plea to come later, or no answer ever"""
CHANGES: Final = ("price_drift", "clock_skew", "wrong_shape", "wrong_json")
"""the service is asked and its answer changed, in this order"""
BREAKS: Final = ("truncate", "drop_reply")
"""the service is asked and its answer is lost, in part or whole"""
DEATH: Final = "provider_death"
ACTIONS: Final = (*INSTEAD, *CHANGES, *BREAKS, DEATH)


class Setting(NamedTuple):
    """A figure that one action takes: its name, what it is by default, and between which figures it lies."""

    name: str
    default: Decimal
    least: Decimal
    most: Decimal


SETTINGS: Final[dict[str, Setting]] = {
    "status": Setting("status", Decimal(503), Decimal(500), Decimal(599)),
    "rate_limit": Setting("retry_after_s", Decimal(1), Decimal(0), Decimal(3600)),
    # Nobody waits longer than this for an answer, and a caller who has left is noticed at once.
    "timeout": Setting("seconds", Decimal(30), Decimal(0), Decimal(600)),
    "clock_skew": Setting("seconds", Decimal(600), Decimal(-86_400), Decimal(86_400)),
    "price_drift": Setting("share", Decimal("0.1"), Decimal(0), Decimal("0.9")),
}
_COMMON: Final = frozenset({"action", "rate", "seed", "path_prefix", "method"})


@dataclass
class FaultRate:
    """One standing failure, and how often it has struck."""

    action: str
    rate: Decimal
    """share of the requests, or of the providers, that are hit"""
    seed: int
    path_prefix: str
    method: str | None
    setting: Decimal
    """the action's own figure; see `SETTINGS`"""
    struck: int = 0
    _seen: Counter[str] = field(default_factory=Counter)

    def hits(self, method: str, path: str) -> tuple[object, ...] | None:
        """What chance is drawn from within this request when it is hit, else None. Counts the request."""
        if self.action == DEATH or not path.startswith(self.path_prefix) or self.method not in (None, method):
            return None
        self._seen[path] += 1
        drawn_from = (self.seed, self.action, path, self._seen[path])
        return drawn_from if self._below_rate(*drawn_from) else None

    def kills(self, place: str, name: str) -> bool:
        """Whether the provider called `name` of the service at path `place` is dead."""
        return (
            self.action == DEATH
            and place.startswith(self.path_prefix)
            and self._below_rate(self.seed, self.action, place, name)
        )

    def _below_rate(self, *drawn_from: object) -> bool:
        return Decimal(share(*drawn_from)) < self.rate

    def document(self) -> dict[str, Any]:
        """The fault for a person."""
        name = SETTINGS[self.action].name if self.action in SETTINGS else None
        return {
            "action": self.action,
            "rate": plain(self.rate),
            "seed": self.seed,
            "path_prefix": self.path_prefix,
            "method": self.method,
            "struck": self.struck,
        } | ({name: plain(self.setting)} if name else {})


class Strike(NamedTuple):
    """A fault that hits the request at hand, and what chance is drawn from within it."""

    fault: FaultRate
    drawn_from: tuple[object, ...]


def strikes_of(standing: Iterable[FaultRate], method: str, path: str) -> list[Strike]:
    """What happens to this request, in the order in which it happens; counted.

    Where a fault answers instead of the service nothing else can happen. Every fault sees every request: what is hit by
    one does not depend on the others.
    """
    hits = [Strike(fault, drawn_from) for fault in standing if (drawn_from := fault.hits(method, path)) is not None]
    hits.sort(key=lambda strike: ACTIONS.index(strike.fault.action))
    if hits and hits[0].fault.action in INSTEAD:
        del hits[1:]
    for strike in hits:
        strike.fault.struck += 1
    return hits


def read_fault_rate(body: dict[str, Any]) -> FaultRate | list[Problem]:
    """The fault that a request asks for, or everything that is wrong with the request."""
    action = body.get("action")
    if action not in ACTIONS:
        return [Problem("action", action, f"with a rate, use one of {', '.join(ACTIONS)}")]
    setting = SETTINGS.get(action)
    known = _COMMON | ({setting.name} if setting else set())
    problems = [
        Problem(name, body[name], f"{action} takes {', '.join(sorted(known))}") for name in body if name not in known
    ]
    rate, figure = _figure(body.get("rate")), setting and _figure(body.get(setting.name, setting.default))
    if rate is None or not 0 < rate <= 1:
        problems.append(Problem("rate", body.get("rate"), "a share above 0 and at most 1, such as 0.2"))
    if type(body.get("seed", 0)) is not int:
        problems.append(Problem("seed", body["seed"], "a whole number"))
    if not isinstance(path := body.get("path_prefix", "/"), str) or not path.startswith("/"):
        problems.append(Problem("path_prefix", path, "a path that begins with /, such as /akash"))
    if not isinstance(method := body.get("method"), str | None) or (method is not None and not method.isalpha()):
        problems.append(Problem("method", method, "GET, POST, PUT or DELETE; left out: all of them"))
    if setting and (figure is None or not setting.least <= figure <= setting.most):
        allowed = f"a number from {plain(setting.least)} to {plain(setting.most)}"
        problems.append(Problem(setting.name, body[setting.name], allowed))
    if problems or rate is None:
        return problems
    return FaultRate(action, rate, body.get("seed", 0), path, method and method.upper(), figure or Decimal(0))


def _figure(value: object) -> Decimal | None:
    """A number that was written as one or as text; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        figure = Decimal(value)
    except ArithmeticError:
        return None
    return figure if figure.is_finite() else None
