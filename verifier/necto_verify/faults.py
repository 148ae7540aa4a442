"""What can be wrong with an exported log, and a list of such faults that stays short on a wholly damaged one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_NAMED: Final = 200
"""Faults of one kind beyond this many are counted, not named."""


class Kind(StrEnum):
    """The kinds of faults, those that name one entry first. A verdict lists them in this order."""

    INDEX = "index"
    """An entry is missing, or one too many stands in its bundle."""
    LEAF_HASH = "leaf_hash"
    """An entry's bytes do not have the hash that the level-0 tile holds for it."""
    MISSING = "missing"
    """A file that the log's size calls for is not there or cannot be read."""
    LEAF = "leaf"
    """An entry is not the restricted JSON object with a time that every entry of Necto is."""
    PROOF = "proof"
    """An inclusion proof does not prove what its name says."""
    TIME = "time"
    """The time in an entry contradicts an authority's timestamp."""
    AFTER = "after"
    """An entry names a checkpoint that this log never had."""
    RUN = "run"
    """A run's entries are not those that its closing manifest counted."""
    OPENING = "opening"
    """A disclosed value is not the one committed to."""
    ANCHOR = "anchor"
    """An authority's timestamp does not hold for its checkpoint."""
    TILE = "tile"
    """A tile does not follow from the level below."""
    SURPLUS = "surplus"
    """A file that the log's size does not call for."""
    KEY = "key"
    """A key, a policy or a key's validity that must not be relied on."""
    CHECKPOINT = "checkpoint"
    """A checkpoint is malformed or not signed by a key that may sign it."""
    ORIGIN = "origin"
    """A checkpoint speaks of another log."""
    ROOT = "root"
    """The entries do not lead to the root that was signed: some were changed afterwards."""
    FORK = "fork"
    """A signed root contradicts one that the entries do lead to: two histories were signed."""
    TRUNCATED = "truncated"
    """The log is shorter than it was when a checkpoint was signed."""
    FURTHER = "further"
    """More faults of one kind than are named one by one."""


_ORDER: Final = {kind: place for place, kind in enumerate(Kind)}


class InputUnusable(ValueError):
    """What the auditor gave cannot be used: no such folder, no key, a policy that says nothing. Never a verdict."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: its kind, the first entry it concerns if it concerns one, and a sentence for people."""

    kind: Kind
    index: int | None
    what: str


@dataclass
class Faults:
    """Faults as they are found; keeps the first `MAX_NAMED` of each kind and counts the rest."""

    found: list[Fault] = field(default_factory=list)
    _seen: dict[Kind, int] = field(default_factory=dict)

    def add(self, faults: Iterable[Fault]) -> None:
        """Take these faults in."""
        for fault in faults:
            seen = self._seen[fault.kind] = self._seen.get(fault.kind, 0) + 1
            if seen <= MAX_NAMED:
                self.found.append(fault)

    @property
    def count(self) -> int:
        """How many there were, named or not."""
        return sum(self._seen.values())

    def named(self) -> tuple[Fault, ...]:
        """The faults kept, entries first and in their order, and one line for each kind with more of them."""
        ordered = sorted(self.found, key=lambda fault: (_ORDER[fault.kind] >= _ORDER[Kind.ANCHOR], _place(fault)))
        further = [
            Fault(Kind.FURTHER, None, f"{seen - MAX_NAMED} more faults of the kind {kind}, not named")
            for kind, seen in self._seen.items()
            if seen > MAX_NAMED
        ]
        return (*ordered, *further)


def _place(fault: Fault) -> tuple[bool, int, int]:
    return fault.index is None, fault.index or 0, _ORDER[fault.kind]
