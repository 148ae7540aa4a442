"""What verification found, the level of assurance it gives, and what it cannot give."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from necto_verify.faults import Fault
from necto_verify.openings import Field, State
from necto_verify.policy import GIVEN, Policy
from necto_verify.times import Anchor

NOT_PROVED: Final = (
    "that what an entry says was true when it was logged",
    "that everything that happened was logged",
    "what an erased or withheld value said",
    "that nobody was shown another history which no checkpoint given here contradicts",
)
MAX_FIELDS: Final = 1_000
"""committed values listed one by one; all are counted"""


class Assurance(StrEnum):
    """How far a log without faults can be relied on. Each level includes the ones before it."""

    SELF_CONSISTENT = "self-consistent"
    """Entries, tiles and signed checkpoints agree. Whoever holds the signing key can still have rewritten all of it."""
    CONSISTENT_WITH = "consistent-with"
    """The log also continues every checkpoint that was kept elsewhere."""
    TIME_BOUNDED = "time-bounded"
    """Authorities' timestamps also bound when its entries were written."""
    COMPLETE = "complete"
    """Every run also closed with a count and a digest of its entries."""


@dataclass(frozen=True)
class Level:
    """A level: whether its own evidence holds, and what that is or what is missing."""

    name: Assurance
    holds: bool
    rests_on: str


@dataclass(frozen=True)
class RunCount:
    """How many runs agree with their manifests, and which have none yet, the first ones by name."""

    agreed: int
    unfinished: int
    unfinished_runs: tuple[str, ...]
    known: bool = True
    """False when too many runs were open at once to be followed"""


@dataclass(frozen=True)
class Verdict:
    """What verification found.

    `size` and `root` are of the newest checkpoint's entries as they were read; `faults` are bounded in number,
    `fault_count` counts all. `levels` are in order; `assurance` is the highest that holds with all before it.
    """

    origin: str
    size: int
    root: bytes
    policy: Policy
    faults: tuple[Fault, ...]
    fault_count: int
    levels: tuple[Level, ...]
    checkpoints: int
    saved_sizes: tuple[int, ...]
    anchors: tuple[Anchor, ...]
    anchors_unjudged: tuple[str, ...]
    runs: RunCount
    proofs: int
    fields: tuple[Field, ...]
    fields_uncounted: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def assurance(self) -> Assurance | None:
        """The highest level that holds with all before it; None when something is wrong."""
        reached = None
        for level in self.levels:
            if not level.holds:
                break
            reached = level.name
        return reached

    def reaches(self, level: Assurance) -> bool:
        """Whether the assurance is this level or a higher one."""
        order = list(Assurance)
        return self.assurance is not None and order.index(self.assurance) >= order.index(level)

    @property
    def not_proved(self) -> tuple[str, ...]:
        """What this verdict does not say, most important first."""
        holds = {level.name for level in self.levels if level.holds}
        first = []
        if Assurance.CONSISTENT_WITH not in holds:
            first.append("that the operator did not rewrite the log and sign it anew: no checkpoint kept elsewhere")
        if self.policy.keys_from != GIVEN and self.policy.required is None:
            first.append("whose log this is: the key came with the export")
        if Assurance.TIME_BOUNDED not in holds:
            first.append("when entries were written: their times are what the operator wrote")
        elif self.policy.authorities_from != GIVEN:
            first.append("that the time-stamping authorities are real: the export named them itself")
        return (*first, *NOT_PROVED)

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        first = next((fault for fault in self.faults if fault.index is not None), None)
        states = [field.state for field in self.fields]
        return {
            "ok": self.ok,
            "assurance": self.assurance,
            "levels": [{"name": item.name, "holds": item.holds, "rests_on": item.rests_on} for item in self.levels],
            "first_bad_entry": first.index if first else None,
            "first_bad_kind": self.faults[0].kind if self.faults else None,
            "faults": [asdict(fault) for fault in self.faults],
            "fault_count": self.fault_count,
            "origin": self.origin,
            "size": self.size,
            "root": b64encode(self.root).decode(),
            "keys": [
                {"vkey": trusted.key.vkey, "from": trusted.start, "until": trusted.until}
                for trusted in self.policy.keys
            ],
            "keys_from": self.policy.keys_from,
            "checkpoints": self.checkpoints,
            "saved_sizes": list(self.saved_sizes),
            "proofs": self.proofs,
            "anchors": [
                {"size": anchor.size, "authority": anchor.authority, "time": anchor.time.isoformat()}
                for anchor in self.anchors
            ],
            "anchors_unjudged": list(self.anchors_unjudged),
            "authorities_from": self.policy.authorities_from,
            "runs": asdict(self.runs),
            "commitments": {state: states.count(state) for state in State} | {"not_followed": self.fields_uncounted},
            "fields": [asdict(field) for field in self.fields[:MAX_FIELDS]],
            "not_proved": list(self.not_proved),
        }


def levels_of(
    *,
    ok: bool,
    size: int,
    policy: Policy,
    checkpoints: int,
    saved: Sequence[int],
    anchors: Sequence[Anchor],
    runs: RunCount,
) -> tuple[Level, ...]:
    """The four levels, each with what it rests on or what it lacks."""
    if not ok:
        return tuple(Level(name, False, "faults were found") for name in Assurance)
    named_by = GIVEN if policy.required else policy.keys_from
    lengths = sorted({size for size in saved if size > 0})
    return (
        Level(
            Assurance.SELF_CONSISTENT,
            True,
            f"{size} entries lead to {checkpoints} signed checkpoints; the key is named by {named_by}",
        ),
        Level(
            Assurance.CONSISTENT_WITH,
            bool(lengths),
            f"checkpoints kept elsewhere, of sizes {_listed(lengths)}"
            if lengths
            else "no checkpoint of a log with entries that was kept elsewhere was given",
        ),
        _time_level(size, policy, [anchor for anchor in anchors if anchor.size > 0]),
        _run_level(runs),
    )


def _time_level(size: int, policy: Policy, anchors: Sequence[Anchor]) -> Level:
    if not anchors:
        return Level(Assurance.TIME_BOUNDED, False, "no timestamp of an authority that is believed")
    first, last = min(anchors, key=lambda anchor: anchor.time), max(anchors, key=lambda anchor: anchor.time)
    covered = max(anchor.size for anchor in anchors)
    tail = f"; the last {size - covered} entries are not stamped yet" if covered < size else ""
    what = (
        f"{len(anchors)} timestamps of authorities named by {policy.authorities_from}, from {first.time.isoformat()} "
        f"(size {first.size}) to {last.time.isoformat()} (size {last.size}){tail}"
    )
    return Level(Assurance.TIME_BOUNDED, True, what)


def _run_level(runs: RunCount) -> Level:
    if not runs.known:
        what = "too many runs were open at once to be followed"
    elif runs.unfinished:
        what = f"{runs.agreed} runs agree with their manifests, {runs.unfinished} have no start or no end"
    elif not runs.agreed:
        what = "no run with manifests in the log"
    else:
        return Level(Assurance.COMPLETE, True, f"the manifests of {runs.agreed} runs, each started and finished")
    return Level(Assurance.COMPLETE, False, what)


def _listed(sizes: Sequence[int]) -> str:
    shown = ", ".join(map(str, sizes[:10]))
    return f"{shown} and {len(sizes) - 10} more" if len(sizes) > 10 else shown
