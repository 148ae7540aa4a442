"""Verifying the books: the log against its checkpoints, then every business row against the newest leaf that names it.

The log's own verification stands in `audit/verify.py`; this adds what only the database knows.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import chain, groupby, islice

from sqlalchemy import Connection, select

from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.verify import MAX_NAMED_ENTRIES, Fault, FaultKind, StoredLeaf, Verdict, verify_log
from necto_pipelines.books.audit_log import Name, digests_in, edge, names_in, read_leaves
from necto_pipelines.books.columns import row_digest
from necto_pipelines.books.keys import policy_of, rotations
from necto_pipelines.books.recording import as_stored, key_of
from necto_pipelines.books.tables import AUDITED, audit_names
from necto_pipelines.books.tile_check import TileCheck
from necto_pipelines.failures import AuditBroken


class BooksFault(StrEnum):
    """What can be wrong with the books beyond the log itself."""

    ROW_EDITED = "row_edited"
    """A row is not as the newest leaf that names it left it."""
    ROW_MISSING = "row_missing"
    """A row that a leaf names is gone."""
    ROW_UNLOGGED = "row_unlogged"
    """A row stands in no leaf."""
    NAMES = "names"
    """The index by which leaves are found differs from what the leaves name."""
    HEAD = "head"
    """The stored head of the log does not fit its leaves."""
    TILE = "tile"
    """A stored tile does not hold the hashes below it: proofs read from it lead nowhere."""
    KEYS = "keys"
    """The leaves about the log's key do not lead to the key that signs, or no checkpoint bears them out."""


def verify_books(
    connection: Connection, checkpoints: Sequence[str], current: Verifier, saved: Sequence[str] = ()
) -> Verdict:
    """Verify the books in one snapshot. Nothing stops at the first fault; memory grows with the rows, not the leaves.

    1. Which keys may have signed which checkpoints follows from the leaves and leads to `current`, the key that signs
       now (else KEYS).
    2. Verify the log: its entries, their order, and all checkpoints known (`audit.verify.verify_log`).
    3. The index of names says of each leaf what the leaf itself says (else NAMES).
    4. The stored head is that of the entries (else HEAD).
    5. The stored tiles are those of the entries (else TILE).
    6. Each row of each audited table has the digest that the newest leaf naming it gives (else ROW_EDITED, or
       ROW_UNLOGGED when no leaf names it).
    7. Each row that a leaf names is there (else ROW_MISSING).
    """
    trail, tiles = _Trail(connection), TileCheck(connection)
    policy, key_faults = _policy(connection, [*checkpoints, *saved], current)
    verdict = verify_log(tiles.watch(trail.watch(read_leaves(connection))), checkpoints, policy, saved)
    tile_faults = (Fault(BooksFault.TILE, index, what) for index, what in tiles.differing())
    head_faults = _head_faults(connection, verdict)
    found = chain(key_faults, trail.faults(), head_faults, tile_faults, _row_faults(connection, trail.newest))
    faults = [*verdict.faults, *islice(found, MAX_NAMED_ENTRIES)]
    if further := sum(1 for _ in found):
        faults.append(Fault(FaultKind.FURTHER, None, f"{further} more faults of rows, not named"))
    return replace(verdict, ok=not faults, faults=tuple(faults))


def _policy(connection: Connection, checkpoints: Sequence[str], current: Verifier) -> tuple[Policy, list[Fault]]:
    try:
        told = rotations(connection, current.name)
    except AuditBroken as error:
        return Policy.of(current), [Fault(BooksFault.KEYS, None, str(error))]
    policy, wrong = policy_of(told, current, checkpoints)
    return policy, [Fault(BooksFault.KEYS, index, what) for index, what in wrong]


class _Trail:
    """What the leaves say, gathered while they are verified: the newest digest of each row, and where names differ."""

    def __init__(self, connection: Connection) -> None:
        self.newest: dict[Name, tuple[int, str]] = {}
        self._stored = _names_by_leaf(connection)
        self._next = next(self._stored, None)
        self._differing: list[Fault] = []

    def watch(self, entries: Iterable[StoredLeaf]) -> Iterator[StoredLeaf]:
        """Pass the entries on, reading each."""
        for entry in entries:
            stored = self._stored_up_to(entry.index)
            said = _said(entry.leaf)
            if said is not None:
                names, digests = said
                self.newest.update({name: (entry.index, digest) for name, digest in digests.items()})
                if names != stored:
                    self._differing.append(_differ(entry.index, names ^ stored))
            yield entry

    def faults(self) -> Iterator[Fault]:
        """Where the index of names differs from the leaves; asked for when all entries have passed."""
        yield from self._differing
        while self._next:
            yield _differ(*self._next)
            self._next = next(self._stored, None)

    def _stored_up_to(self, index: int) -> set[Name]:
        names: set[Name] = set()
        while self._next and self._next[0] <= index:
            names |= self._next[1]
            self._next = next(self._stored, None)
        return names


def _differ(index: int, names: set[Name]) -> Fault:
    what = ", ".join(f"{noun} {key}" for noun, key in sorted(names)[:5])
    return Fault(BooksFault.NAMES, index, f"the index of names and entry {index} differ about {what}")


def _names_by_leaf(connection: Connection) -> Iterator[tuple[int, set[Name]]]:
    query = select(audit_names.c.leaf_index, audit_names.c.noun, audit_names.c.key).order_by(audit_names.c.leaf_index)
    rows = connection.execute(query.execution_options(yield_per=1000))
    for index, group in groupby(rows, key=lambda row: row.leaf_index):
        yield index, {(row.noun, row.key) for row in group}


def _said(leaf: bytes) -> tuple[set[Name], dict[Name, str]] | None:
    """Names and row digests in a leaf; None when its bytes are damaged, which the log's verification has named."""
    try:
        event = json.loads(leaf)
        return names_in(event), digests_in(event)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _head_faults(connection: Connection, verdict: Verdict) -> Iterator[Fault]:
    try:
        head = edge(connection)
    except AuditBroken as error:
        yield Fault(BooksFault.HEAD, None, f"the stored head of the log: {error}")
        return
    if (head.size, head.root()) != (verdict.size, verdict.root):
        what = f"size {head.size} and root {head.root().hex()}, the entries lead to {verdict.size} and"
        yield Fault(BooksFault.HEAD, None, f"the stored head of the log has {what} {verdict.root.hex()}")


def _row_faults(connection: Connection, newest: Mapping[Name, tuple[int, str]]) -> Iterator[Fault]:
    expected = dict(newest)
    for table in AUDITED.values():
        rows = connection.execute(select(*as_stored(table)).execution_options(yield_per=1000))
        for row in map(dict, rows.mappings()):
            name = (table.name, key_of(table, row))
            index, digest = expected.pop(name, (None, ""))
            what = f"{name[0]} {name[1]}"
            if index is None:
                yield Fault(BooksFault.ROW_UNLOGGED, None, f"{what}: no leaf names this row")
            elif row_digest(row) != digest:
                yield Fault(BooksFault.ROW_EDITED, index, f"{what}: not as leaf {index}, the newest about it, left it")
    for (table_name, key), (index, _) in expected.items():
        yield Fault(BooksFault.ROW_MISSING, index, f"{table_name} {key}: gone; leaf {index} is the newest about it")
