"""Time by sandwich: authorities' timestamps over checkpoints bound from both sides when entries were written.

The first stamped checkpoint that covers an entry says *not later than*. *Not earlier than* comes from what the entry
itself names (`after`, a checkpoint that was stamped before), and from where it stands: behind the entry that holds the
digest of a stamp nobody could know before it was made.

An authority is believed when the auditor's policy names its roots, or the export's own policy where none was given.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from necto_verify.bundles import Bundle, cut
from necto_verify.faults import Fault, Faults, Kind
from necto_verify.layout import MAX_BUNDLE_BYTES, Export, Unreadable, tile_of
from necto_verify.leaves import LeafRefused, facts_of, member, parse, sortable
from necto_verify.notes import MAX_NOTE_BYTES
from necto_verify.policy import Policy
from necto_verify.timestamps import MAX_TIMESTAMP_BYTES, TimestampRefused, verify_timestamp

TOLERANCE: Final = timedelta(minutes=5)
"""how far a clock may be off, and how long an entry may wait between its time and its place in the log"""
MAX_PEM_BYTES: Final = 1024 * 1024
_NAME: Final = re.compile(r"(0|[1-9][0-9]{0,18})\.(.+)")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_NEVER: Final = b"\xff"
_ALWAYS: Final = b""


@dataclass(frozen=True)
class Anchor:
    """The checkpoint of this size existed at `time`, says the authority; `token` is the SHA-256 of the file."""

    size: int
    authority: str
    time: datetime
    token: str


def read_anchors(export: Export, policy: Policy, faults: Faults) -> tuple[list[Anchor], list[str]]:
    """The timestamps that hold, and the names of those that nobody told us whom to believe about."""
    anchors, unjudged = [], []
    trusted = {_UNSAFE.sub("-", name): pem for name, pem in policy.authorities.items()} | policy.authorities
    for name in export.names("anchors", ".tsr"):
        found = _NAME.fullmatch(name)
        if found is None:
            faults.add([Fault(Kind.ANCHOR, None, f"anchors/{name}.tsr: its name is no SIZE.AUTHORITY.tsr")])
            continue
        size, authority = int(found[1]), found[2]
        if authority not in trusted:
            unjudged.append(name)
            continue
        try:
            token = export.read(f"anchors/{name}.tsr", MAX_TIMESTAMP_BYTES)
            note = export.read(f"checkpoint.{size}", MAX_NOTE_BYTES)
            time = verify_timestamp(token, note, trusted[authority], _further(export, authority))
        except (Unreadable, TimestampRefused) as refused:
            faults.add(check_anchor(name, refused))
            continue
        anchors.append(Anchor(size, authority, time, sha256(token).hexdigest()))
    return anchors, unjudged


def check_anchor(name: str, refused: ValueError) -> list[Fault]:
    """An authority's timestamp proves the checkpoint of its size."""
    return [Fault(Kind.ANCHOR, None, f"anchors/{name}.tsr: {refused}")]


class Sandwich:
    """Takes the bundles in order and holds the time in each leaf against the bounds of its place.

    A bundle is judged by its earliest and latest time and the strictest bounds in it; only where these do not do, each
    of its leaves is read and judged alone. `root_at` is the tree's, already grown over the bundle.
    """

    def __init__(
        self, export: Export, anchors: list[Anchor], root_at: Mapping[int, bytes], faults: Faults, tolerance: timedelta
    ) -> None:
        self.unbounded = 0
        """entries after the last stamped checkpoint"""
        self._export, self._root_at, self._faults, self._tolerance = export, root_at, faults, tolerance
        self._stamped: dict[int, datetime] = {}
        for anchor in anchors:
            self._stamped[anchor.size] = min(anchor.time, self._stamped.get(anchor.size, anchor.time))
        self._tokens = {anchor.token: anchor.time for anchor in anchors}
        self._not_after = _bounds_above(self._stamped)
        self._floor: datetime | None = None

    def take(self, bundle: Bundle, size: int) -> None:
        """Judge the times of a bundle in a log of `size` entries."""
        floor = self._floor
        for _, leaf in bundle.marked:
            self._floor = _later(self._floor, self._token_time(leaf))
        if self._fits(bundle):
            return
        self._floor = floor
        self._judge_each(bundle, size)

    def _fits(self, bundle: Bundle) -> bool:
        """Whether the strictest bounds of the bundle hold for all of it; None of its leaves need be looked at then."""
        strictest = self._floor
        for root, named, position in bundle.afters:
            if check_after(bundle.first + position, root, named, self._root_at):
                return False
            strictest = _later(strictest, self._stamped.get(named))
        return self._earliest(strictest) <= bundle.earliest and bundle.latest <= self._latest(bundle.first)

    def _judge_each(self, bundle: Bundle, size: int) -> None:
        name = tile_of("entries", bundle.number, size)
        try:
            entries = cut(self._export.read(name.path, MAX_BUNDLE_BYTES), name.width)[0] if name else []
        except Unreadable:
            return  # it could be read a moment ago; what is wrong with it was said then
        for index, entry in enumerate(entries, start=bundle.first):
            try:
                event = parse(entry)
                time = facts_of(event).time
            except LeafRefused:
                continue
            bound = self._floor
            root, named = member(event, "after", "root"), member(event, "after", "size")
            if isinstance(root, str) and isinstance(named, int):
                self._faults.add(check_after(index, root.encode(errors="replace"), named, self._root_at))
                bound = _later(bound, self._stamped.get(named))
            self._faults.add(check_not_before(index, time, self._earliest(bound)))
            self._faults.add(check_not_after(index, time, self._latest(index)))
            self._floor = _later(self._floor, self._token_time(entry))

    def _token_time(self, leaf: bytes) -> datetime | None:
        """The time of the timestamp whose digest this leaf holds, if it is a `log.anchored` leaf of one that holds."""
        if b"log.anchored" not in leaf:
            return None
        try:
            event = parse(leaf)
        except LeafRefused:
            return None
        token = member(event, "body", "sha256")
        return self._tokens.get(token) if event.get("type") == "log.anchored" and isinstance(token, str) else None

    def _earliest(self, bound: datetime | None) -> bytes:
        return sortable(bound - self._tolerance) if bound else _ALWAYS

    def _latest(self, index: int) -> bytes:
        for size, time in self._not_after:
            if size > index:
                return sortable(time + self._tolerance)
        return _NEVER


def check_after(index: int, root: bytes, size: int, root_at: Mapping[int, bytes]) -> list[Fault]:
    """The checkpoint that an entry names has the root of this log at that size, and is older than the entry."""
    if size > index:
        return [Fault(Kind.AFTER, index, f"entry {index} names a checkpoint of {size} entries, which came after it")]
    if size not in root_at or _decoded(root) == root_at[size]:
        return []
    what = f"entry {index} names a checkpoint of size {size} whose root is not this log's: it is from another history"
    return [Fault(Kind.AFTER, index, what)]


def check_not_before(index: int, time: bytes, bound: bytes) -> list[Fault]:
    """An entry is not older than a timestamp it must have been written after."""
    if time >= bound:
        return []
    what = f"entry {index} says {time.decode()}, but was written after {bound.decode()} (tolerance taken off)"
    return [Fault(Kind.TIME, index, what)]


def check_not_after(index: int, time: bytes, bound: bytes) -> list[Fault]:
    """An entry is not younger than the first timestamp over a checkpoint that covers it."""
    if time <= bound:
        return []
    what = f"entry {index} says {time.decode()}, but was covered by a timestamp of {bound.decode()} (tolerance added)"
    return [Fault(Kind.TIME, index, what)]


def _bounds_above(stamped: Mapping[int, datetime]) -> list[tuple[int, datetime]]:
    """For each stamped size the earliest time of it and all larger ones: smallest size first."""
    bounds: list[tuple[int, datetime]] = []
    for size in sorted(stamped, reverse=True):
        bounds.append((size, min(stamped[size], bounds[-1][1]) if bounds else stamped[size]))
    return bounds[::-1]


def _further(export: Export, authority: str) -> bytes:
    """The authority's certificates that came with the export: never believed, only used to reach a believed one."""
    try:
        return export.read(f"anchors/{authority}.pem", MAX_PEM_BYTES)
    except Unreadable:
        return b""


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other


def _decoded(root: bytes) -> bytes:
    try:
        return b64decode(root, validate=True)
    except ValueError:
        return b""
