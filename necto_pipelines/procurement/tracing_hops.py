"""What a walk is made of: hops, and the evidence that each of them stands on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kept(StrEnum):
    """What became of bytes that were to be kept under their digest."""

    WHOLE = "whole"
    """there, and they hash to their name"""
    MISSING = "missing"
    DIFFERS = "differs"
    """there, and no longer what they were"""


@dataclass(frozen=True)
class Row:
    """A row of an audited table. `text` is its canonical JSON, whose SHA-256 leaves hold; None when it is gone."""

    table: str
    key: str
    text: bytes | None

    @property
    def values(self) -> dict[str, Any]:
        """The columns; empty when the row is gone or holds what cannot be read."""
        return read_object(self.text)


@dataclass(frozen=True)
class Blob:
    """Bytes named by their SHA-256: a raw answer, or a table as Parquet. `size` is None unless they are whole."""

    sha256: str
    kept: Kept
    size: int | None


@dataclass(frozen=True)
class Hop:
    """One step of a walk. A hop without row, blob and leaf is part of the hop above it, as the line of an invoice."""

    kind: str
    key: str
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    row: Row | None = None
    blob: Blob | None = None
    leaves: tuple[int, ...] = ()
    """indexes of leaves about it, oldest first; the last is the one that it is judged by"""
    rests_on: tuple[str, ...] = ()
    """ids of the hops below"""
    consulted: tuple[int, ...] = ()
    """further leaves by which the hops below were found: one that was forged could hide a hop"""
    flaw: str = ""
    """what is wrong with it beyond its row, bytes and leaves"""
    pending: str = ""
    """why it cannot be judged yet; it then counts neither as proved nor as failed"""
    simulated: bool = False

    @property
    def id(self) -> str:
        """Names the hop within its walk."""
        return f"{self.kind}:{self.key}"


def read_object(text: bytes | str | None) -> dict[str, Any]:
    """The JSON object in `text`, or an empty one: what was edited by hand must be shown, not stop the walk."""
    try:
        found = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
