"""One bundle of up to 256 entries: their hashes against the level-0 tile, and what the checks need of each leaf.

This is where the time goes, a million times over: no object per entry, no parsing where a look at a leaf's last bytes
tells enough, and results small enough to be handed over by another process.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import compress, pairwise
from operator import ne
from typing import Final

from necto_verify.faults import Fault, Kind
from necto_verify.layout import MAX_BUNDLE_BYTES, MAX_TILE_BYTES, TILE_WIDTH, Export, TileName, Unreadable, tile_of
from necto_verify.leaves import Facts, LeafRefused, canonical_fault, facts_of, member, parse
from necto_verify.merkle import HASH_BYTES, complete_root

_MANIFESTS: Final = frozenset({b"run.started", b"run.finished"})
_TOLD_APART: Final = _MANIFESTS | {b"log.anchored", b"privacy.erased"}
"""types of leaves that are more than their run and their time; the latter two are handed on whole"""
_COMMITTED: Final = b'"commit":{"'
_CLOSING: Final = re.compile(rb'"body":\{"count":([0-9]{1,15}),"digest":"([0-9a-f]{64})"\}')
_RUN: Final = b'"run":{"dagster_run_id":"'
_TIME_AND_REST: Final = rb'"ts":"([^"]{27})","type":"([a-z0-9_.]+)","v":([0-9]+)\}'
_RUN_AND_REST: Final = rb'"run":\{"dagster_run_id":"([0-9A-Za-z_-]+)"[^}]*\},(?:"subject":\{[^}]*\},)?' + _TIME_AND_REST
_ALL_WITH_RUN: Final = re.compile(_RUN_AND_REST).finditer
_WITH_RUN: Final = re.compile(_RUN_AND_REST + rb"\Z").match
_WITHOUT_RUN: Final = re.compile(_TIME_AND_REST + rb"\Z").match
_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_TIME: Final = b"0000-00-00T00:00:00.000000Z"
_AFTER: Final = re.compile(rb'"after":\{"root":"([A-Za-z0-9+/]{43}=)","size":([0-9]{1,18})\}')


@dataclass(slots=True)
class Bundle:
    """What came out of one bundle. Positions count from the bundle's first entry.

    `hashes` are the leaf hashes the tree is built of: of the entries, or of the tile where entries cannot be read;
    shorter than the bundle when neither can. `root` is over a full bundle's, `tile_root` over what the tile holds.
    `spans` cover all entries read: run (None for none), from, up to, whether
    their leaves must have manifests. A manifest has a span of its own and stands in `manifests`: as None when it opens
    its run, with the count and the digest it names when it closes it. `marked` leaves are handed on whole. `earliest`
    and `latest` are times; `afters` the checkpoints that leaves name, as root in base64, size and the first position.
    """

    number: int
    hashes: bytes = b""
    root: bytes | None = None
    tile_root: bytes | None = None
    faults: list[Fault] = field(default_factory=list)
    spans: list[tuple[bytes | None, int, int, bool]] = field(default_factory=list)
    manifests: dict[int, tuple[object, object] | None] = field(default_factory=dict)
    marked: list[tuple[int, bytes]] = field(default_factory=list)
    earliest: bytes = b""
    latest: bytes = b""
    afters: list[tuple[bytes, int, int]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The index of its first entry."""
        return self.number * TILE_WIDTH


def read_bundle(export: Export, number: int, size: int, *, thorough: bool = False) -> Bundle:
    """Read and check one bundle of a log of `size` entries; `thorough` parses every leaf.

    1. The bundle's file is there (else MISSING) and holds the entries that the size calls for (else INDEX).
    2. So is the level-0 tile, and each entry has the hash that the tile holds for it (else LEAF_HASH).
    3. Each leaf's time, type and run can be read (else LEAF).
    """
    name, tile_name = tile_of("entries", number, size), tile_of("0", number, size)
    if name is None or tile_name is None:
        raise ValueError(f"there is no bundle {number} in a log of {size} entries")
    bundle = Bundle(number)
    entries: list[bytes] = []
    ends: list[int] = []
    data = b""
    try:
        data = export.read(name.path, MAX_BUNDLE_BYTES)
    except Unreadable as error:
        bundle.faults += check_present(bundle.first, error)
    else:
        entries, ends, rest = cut(data, name.width)
        bundle.faults += check_framing(bundle.first, name, len(entries), rest)
    own = b"".join([sha256(b"\x00" + entry).digest() for entry in entries])
    try:
        tile = export.read(tile_name.path, MAX_TILE_BYTES)
    except Unreadable as error:
        bundle.faults += check_present(bundle.first, error)
        tile = own
    bundle.faults += check_entry_hashes(bundle.first, own, tile, name.width)
    whole = name.width * HASH_BYTES
    bundle.hashes = tile if len(own) < whole and len(tile) == whole else own
    if len(bundle.hashes) == MAX_TILE_BYTES:
        bundle.root = complete_root(bundle.hashes)
        bundle.tile_root = bundle.root if tile == own or len(tile) != MAX_TILE_BYTES else complete_root(tile)
    _screen(bundle, entries, ends, data)
    if thorough:
        bundle.faults += check_canonical(bundle.first, entries)
    return bundle


def cut(data: bytes, count: int) -> tuple[list[bytes], list[int], int]:
    """The first `count` entries of a bundle, each after its length in two bytes; where each ends; and how many bytes
    are left over."""
    entries: list[bytes] = []
    ends: list[int] = []
    start, end = 0, len(data)
    while start + 1 < end and len(entries) < count:
        stop = start + 2 + (data[start] << 8 | data[start + 1])
        if stop > end:
            break
        entries.append(data[start + 2 : stop])
        ends.append(stop)
        start = stop
    return entries, ends, end - start


def check_present(first: int, error: Unreadable) -> list[Fault]:
    """A file that the log's size calls for can be read."""
    return [Fault(Kind.MISSING, first, str(error))]


def check_framing(first: int, name: TileName, found: int, rest: int) -> list[Fault]:
    """A bundle holds as many whole entries as the log's size calls for, and nothing after them."""
    if found < name.width:
        what = f"{name.path} holds {found} whole entries; the log's size calls for {name.width}"
        return [Fault(Kind.INDEX, first + found, what)]
    if rest:
        what = f"{name.path} holds {rest} bytes after its {name.width} entries"
        return [Fault(Kind.INDEX, first + found, what)]
    return []


def check_entry_hashes(first: int, own: bytes, tile: bytes, width: int) -> list[Fault]:
    """Each entry's bytes have the hash that stands for it in the level-0 tile, and the tile has one for each."""
    if own == tile and len(tile) == width * HASH_BYTES:
        return []
    faults = []
    if len(tile) != width * HASH_BYTES:
        what = f"the level-0 tile from entry {first} on has {len(tile)} bytes; {width * HASH_BYTES} are needed"
        faults.append(Fault(Kind.TILE, first, what))
    for start in range(0, min(len(own), len(tile)), HASH_BYTES):
        ours, stored = own[start : start + HASH_BYTES], tile[start : start + HASH_BYTES]
        if ours != stored:
            index = first + start // HASH_BYTES
            what = f"entry {index}: its bytes have the hash {ours.hex()}, the tile holds {stored.hex()}"
            faults.append(Fault(Kind.LEAF_HASH, index, f"{what}; one of the two was changed"))
    return faults


def check_leaf(index: int, refused: LeafRefused) -> list[Fault]:
    """A leaf is a JSON object whose time, type and run can be read."""
    return [Fault(Kind.LEAF, index, f"entry {index}: {refused}")]


def check_canonical(first: int, entries: Sequence[bytes]) -> list[Fault]:
    """Every leaf is the canonical form of a restricted object."""
    return [
        Fault(Kind.LEAF, first + position, f"entry {first + position}: {fault}")
        for position, entry in enumerate(entries)
        if (fault := canonical_fault(entry))
    ]


def _screen(bundle: Bundle, entries: Sequence[bytes], ends: Sequence[int], data: bytes) -> None:
    """Take from each leaf what the checks need.

    In valid JSON a match up to the very end can only be the leaf's own last members: a text cannot hold a bare
    quotation mark, and after an unclosed inner object the leaf would end in two braces.
    """
    if not entries:
        return
    found = [(match.end(), match.groups()) for match in _ALL_WITH_RUN(data)]
    if [end for end, _ in found] == ends:
        rows = [groups for _, groups in found]
    else:
        rows = [_row(bundle, position, entry) for position, entry in enumerate(entries)]
    runs, times, kinds, versions = zip(*rows, strict=True)
    cuts = {0, len(entries)}
    marked: set[int] = set()
    if not _TOLD_APART.isdisjoint(kinds):
        for position in (position for position, kind in enumerate(kinds) if kind in _TOLD_APART):
            if kinds[position] in _MANIFESTS:
                cuts.update((position, position + 1))
                closes = kinds[position] == b"run.finished"
                bundle.manifests[position] = _closing(entries[position]) if closes else None
            else:
                marked.add(position)
    if _COMMITTED in data:
        marked.update(position for position, entry in enumerate(entries) if _COMMITTED in entry)
    for column in (runs, versions):
        cuts.update(compress(range(1, len(entries)), map(ne, column, column[1:])))
    bundle.spans = [(runs[start], start, stop, versions[start] > b"1") for start, stop in pairwise(sorted(cuts))]
    bundle.marked = [(position, entries[position]) for position in sorted(marked)]
    bundle.afters = _afters(entries, data)
    _note_times(bundle, entries, times)


def _row(bundle: Bundle, position: int, entry: bytes) -> tuple[bytes | None, ...]:
    """Run, time, type and version of one leaf."""
    if found := _WITH_RUN(entry, entry.rfind(_RUN)):
        return found.groups()
    if b'"run"' not in entry and b"\\" not in entry and (found := _WITHOUT_RUN(entry, entry.rfind(b'"ts":"'))):
        time, kind, version = found.groups()
        return None, time, kind, version
    facts = _facts(bundle, position, entry)
    if facts is None:
        return None, b"", b"", b""
    return facts.run, facts.time, facts.kind, str(facts.version).encode()


def _closing(entry: bytes) -> tuple[object, object]:
    """The count and the digest that a closing manifest names."""
    if entry.count(b'"body":') == 1 and (found := _CLOSING.search(entry)):
        return int(found[1]), found[2].decode()
    try:
        event = parse(entry)
    except LeafRefused:
        return None, None
    return member(event, "body", "count"), member(event, "body", "digest")


def _note_times(bundle: Bundle, entries: Sequence[bytes], times: Sequence[bytes]) -> None:
    """Keep the earliest and the latest time; where one of them is no time, read every leaf of the bundle in full."""
    known = [time for time in times if time]
    if not known:
        return
    earliest, latest = min(known), max(known)
    if b"".join(known).translate(_ZEROS) != _TIME * len(known) or not (_is_time(earliest) and _is_time(latest)):
        read = [_facts(bundle, position, entries[position]) for position, time in enumerate(times) if time]
        known = [facts.time for facts in read if facts] or [b""]
        earliest, latest = min(known), max(known)
    bundle.earliest, bundle.latest = earliest, latest


def _facts(bundle: Bundle, position: int, entry: bytes) -> Facts | None:
    try:
        return facts_of(parse(entry))
    except LeafRefused as refused:
        bundle.faults += check_leaf(bundle.first + position, refused)
        return None


def _is_time(text: bytes) -> bool:
    try:
        datetime.fromisoformat(text.decode())
    except ValueError:
        return False
    return True


def _afters(entries: Sequence[bytes], data: bytes) -> list[tuple[bytes, int, int]]:
    """The distinct checkpoints that leaves name; mostly all leaves of a bundle name the same one."""
    found: dict[bytes, int] = {}
    for position, entry in enumerate(entries):
        if match := _AFTER.search(entry):
            found.setdefault(match[0], position)
            if position == 0 and data.count(match[0]) == len(entries):
                break
    return [(match[1], int(match[2]), position) for text, position in found.items() if (match := _AFTER.match(text))]
