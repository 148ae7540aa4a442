"""Commitments: for each value that leaves commit to, whether it is disclosed and matches, withheld, erased or wrong.

A leaf holds HMAC-SHA256(salt, label || 0x00 || value) in base64; `openings/INDEX.json` discloses salt and value. An
erasure is a leaf `privacy.erased` that names the entries, or the pseudonym that stands in their subject.
"""

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from necto_verify.bundles import Bundle
from necto_verify.faults import Fault, Faults, Kind
from necto_verify.layout import Export, Unreadable
from necto_verify.leaves import LeafRefused, member, parse
from necto_verify.notes import NoteRefused, from_base64
from necto_verify.proofs import Entries

MAX_OPENING_BYTES: Final = 1024 * 1024
MAX_FOLLOWED: Final = 10_000
"""entries with commitments that are told apart one by one; the rest is counted"""
_SALT_BYTES: Final = 32


class State(StrEnum):
    """What is known of a committed value."""

    DISCLOSED = "disclosed"
    WITHHELD = "withheld"
    ERASED = "erased"
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True)
class Field:
    """One committed value: of which entry, under which label, and by which entry it was erased if it was."""

    index: int
    label: str
    state: State
    erased_by: int | None = None


@dataclass(frozen=True, slots=True)
class _Committed:
    index: int
    labels: tuple[str, ...]
    names: frozenset[str]


@dataclass
class Commitments:
    """Takes the bundles in order and remembers which entries commit to something and which erasures followed."""

    uncounted: int = 0
    """entries with commitments beyond those that are followed"""
    _committed: list[_Committed] = field(default_factory=list)
    _erasures: list[tuple[int, frozenset[int | str], frozenset[str]]] = field(default_factory=list)

    def take(self, bundle: Bundle) -> None:
        """Look at the leaves of a bundle that commit or erase."""
        for position, leaf in bundle.marked:
            try:
                event = parse(leaf)
            except LeafRefused:
                continue
            index = bundle.first + position
            if event.get("type") == "privacy.erased":
                self._erasures.append(_erasure(index, event))
            if labels := _commitments(event):
                if len(self._committed) < MAX_FOLLOWED:
                    self._committed.append(_Committed(index, tuple(labels), frozenset(_subjects(event))))
                else:
                    self.uncounted += 1

    def fields(self, export: Export, size: int, faults: Faults) -> list[Field]:
        """Every committed value with its state, in the order of the log; a fault for each opening that is wrong."""
        opened = _opened(export, size, faults)
        found = []
        for leaf in self._committed:
            for label in leaf.labels:
                state = opened.pop((leaf.index, label), None)
                erased_by = None if state else self._erased_by(leaf, label)
                state = state or (State.WITHHELD if erased_by is None else State.ERASED)
                found.append(Field(leaf.index, label, state, erased_by))
        found += [Field(index, label, state) for (index, label), state in opened.items()]
        return sorted(found, key=lambda item: (item.index, item.label))

    def _erased_by(self, leaf: _Committed, label: str) -> int | None:
        for index, about, labels in self._erasures:
            if index > leaf.index and (leaf.index in about or leaf.names & about) and (not labels or label in labels):
                return index
        return None


def check_opening(index: int, label: str, committed: str, salt: bytes, value: str) -> list[Fault]:
    """Salt and value are those that the leaf commits to under this label."""
    mac = hmac.new(salt, label.encode(errors="replace") + b"\0" + value.encode(errors="replace"), sha256).digest()
    try:
        expected = from_base64(committed)
    except NoteRefused:
        expected = b""
    if len(salt) == _SALT_BYTES and hmac.compare_digest(mac, expected):
        return []
    return [Fault(Kind.OPENING, index, f"openings/{index}.json: {label!r} is not what entry {index} commits to")]


def check_opening_readable(name: str, refused: ValueError) -> list[Fault]:
    """An opening names an entry that commits to something, and can be read."""
    return [Fault(Kind.OPENING, None, f"openings/{name}.json: {refused}")]


def _opened(export: Export, size: int, faults: Faults) -> dict[tuple[int, str], State]:
    entries = Entries(export, size)
    states: dict[tuple[int, str], State] = {}
    for name in sorted(export.names("openings", ".json"), key=lambda name: (len(name), name)):
        try:
            index, disclosed = _read(export, name)
            commitments = _commitments(parse(entries.at(index)))
            for label, (salt, value) in disclosed.items():
                wrong = check_opening(index, label, commitments.get(label, ""), salt, value)
                faults.add(wrong)
                states[index, label] = State.MISMATCH if wrong else State.DISCLOSED
        except (Unreadable, LeafRefused, NoteRefused) as refused:
            faults.add(check_opening_readable(name, refused))
    return states


def _read(export: Export, name: str) -> tuple[int, dict[str, tuple[bytes, str]]]:
    if not name.isascii() or not name.isdecimal():
        raise NoteRefused("its name is no INDEX.json")
    try:
        document = json.loads(export.read(f"openings/{name}.json", MAX_OPENING_BYTES).decode())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise NoteRefused("it is not JSON") from None
    if not isinstance(document, dict):
        raise NoteRefused("it is not a JSON object")
    disclosed = {}
    for label, opening in document.items():
        salt, value = (opening.get("salt"), opening.get("value")) if isinstance(opening, dict) else (None, None)
        if not isinstance(salt, str) or not isinstance(value, str):
            raise NoteRefused(f"{label!r} has no salt and value as texts")
        disclosed[label] = (from_base64(salt), value)
    return int(name), disclosed


def _commitments(event: dict[str, Any]) -> dict[str, str]:
    commitments = event.get("commit")
    if not isinstance(commitments, dict):
        return {}
    return {label: value for label, value in commitments.items() if isinstance(value, str)}


def _erasure(index: int, event: dict[str, Any]) -> tuple[int, frozenset[int | str], frozenset[str]]:
    entries = member(event, "body", "entries")
    listed: Iterable[int] = (item for item in entries if isinstance(item, int)) if isinstance(entries, list) else ()
    labels = member(event, "body", "labels")
    named = (label.strip() for label in labels.split(",")) if isinstance(labels, str) else ()
    return index, frozenset([*listed, *_subjects(event)]), frozenset(label for label in named if label)


def _subjects(event: dict[str, Any]) -> list[str]:
    subject = event.get("subject")
    return [value for value in subject.values() if isinstance(value, str)] if isinstance(subject, dict) else []
