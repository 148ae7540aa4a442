"""The audit log in the database: appending leaves in the caller's transaction, finding them, and proving them.

The tree's mathematics stands in `audit`, the signing of its head in `signing.py`, and comparing rows with their leaves
in `verification.py`.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, select

from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.audit.leaf import InvalidLeaf, leaf_bytes
from necto_pipelines.audit.merkle import CompactRange, leaf_hash, verify_inclusion
from necto_pipelines.audit.verify import StoredLeaf
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.engine import transaction
from necto_pipelines.books.log_rows import Rows, write
from necto_pipelines.books.tables import audit_checkpoints, audit_leaves, audit_names
from necto_pipelines.books.tiles import TileCache, are_complete, complete, entries, filled_by, tree
from necto_pipelines.failures import AuditBroken, InvalidInput, Problem, Unavailable

Name = tuple[str, str]
"""what a leaf speaks of: (table, key) of a row, or (kind, id) of a subject"""
_NAME_LENGTH: Final = 500
"""an index of PostgreSQL takes 2,704 bytes, and a transaction may hold the leaves of many producers"""
_HEAD: Final = "SELECT edge FROM audit_head"
_HEAD_LOCKED: Final = f"{_HEAD} FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf that has no index yet: its id, its exact bytes, their hash, and what it names."""

    id: str
    leaf: bytes
    leaf_hash: bytes
    names: tuple[Name, ...]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """The entry of an event. Raises `InvalidLeaf` for what cannot be a leaf."""
        leaf = leaf_bytes(event)
        leaf_id, names = event.get("id"), tuple(sorted(names_in(event)))
        if not isinstance(leaf_id, str):
            raise InvalidLeaf(f"id: {leaf_id!r} is not allowed; a text that no other leaf has")
        for text in (leaf_id, *chain.from_iterable(names)):
            if len(text) > _NAME_LENGTH or "\0" in text:
                allowed = f"what a leaf is found by has at most {_NAME_LENGTH} characters and no NUL"
                raise InvalidLeaf(f"id or name: {text[:40]!r} is not allowed; {allowed}")
        return cls(leaf_id, leaf, leaf_hash(leaf), names)


class LeafLog:
    """The log's head, locked until the transaction ends, and the leaves that this transaction adds to it.

    Whoever makes one waits until no other change is under way: so indexes have no gaps, and two changes never wait
    for each other in a circle. The index is not part of a leaf; the order of changes gives it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.edge = locked_edge(connection)
        self._size = self.edge.size
        self._added: list[Entry] = []

    def append(self, event: Mapping[str, Any]) -> int:
        """Add the leaf of `event` and return its index. Raises `InvalidLeaf` for what cannot be a leaf."""
        return self.add(Entry.of(event))

    def add(self, entry: Entry) -> int:
        """Add a leaf and return its index."""
        self._added.append(entry)
        self.edge.append(entry.leaf_hash)
        return self.edge.size - 1

    def store(self) -> None:
        """Write the added leaves, the tiles that they fill and the new head; the last thing a transaction does."""
        if not self._added:
            return
        tiles = filled_by(self._connection, self._size, [entry.leaf_hash for entry in self._added])
        leaves = [
            (index, entry.id, entry.leaf, entry.leaf_hash) for index, entry in enumerate(self._added, start=self._size)
        ]
        names = [(*name, index) for index, entry in enumerate(self._added, start=self._size) for name in entry.names]
        write(self._connection, Rows(leaves, names, tiles), self.edge.to_bytes())


def locked_edge(connection: Connection) -> CompactRange:
    """The tree's edge now; nobody else can append until this transaction ends. Raises AuditBroken as `edge` does."""
    return _edge(connection, lock=True)


def edge(connection: Connection) -> CompactRange:
    """The tree's edge as of this transaction's snapshot. Raises AuditBroken when it is gone or damaged."""
    return _edge(connection, lock=False)


def _edge(connection: Connection, *, lock: bool) -> CompactRange:
    # SQLite has no such clause: it begins every change with the lock on the whole database.
    locks = lock and connection.dialect.name == "postgresql"
    stored = connection.exec_driver_sql(_HEAD_LOCKED if locks else _HEAD).scalar_one_or_none()
    if stored is None:
        raise AuditBroken("the log's head is gone from the database")
    return CompactRange.from_bytes(as_bytes(stored))


def complete_tiles(engine: Engine) -> None:
    """Store the tiles that books of an earlier Necto lack. A log that is damaged is left for `verify` to name."""
    with suppress(AuditBroken):
        with transaction(engine, write=False) as connection:
            if are_complete(connection, edge(connection).size):
                return
        with transaction(engine, write=True) as connection:
            complete(connection, locked_edge(connection).size)


def read_leaves(connection: Connection, start: int = 0, stop: int | None = None) -> Iterator[StoredLeaf]:
    """The stored entries from index `start` up to `stop`, in order, a thousand at a time."""
    leaves = audit_leaves.c
    query = select(leaves.leaf_index, leaves.leaf, leaves.leaf_hash).order_by(leaves.leaf_index)
    query = query.where(leaves.leaf_index >= start)
    if stop is not None:
        query = query.where(leaves.leaf_index < stop)
    for index, leaf, digest in connection.execute(query.execution_options(yield_per=1000)):
        yield StoredLeaf(index, as_bytes(leaf), as_bytes(digest))


def read_hashes(connection: Connection, start: int, stop: int) -> list[bytes]:
    """The stored leaf hashes from index `start` up to `stop`."""
    leaves = audit_leaves.c
    query = select(leaves.leaf_hash).where(leaves.leaf_index >= start, leaves.leaf_index < stop)
    return [as_bytes(digest) for digest in connection.execute(query.order_by(leaves.leaf_index)).scalars()]


def leaves_naming(connection: Connection, noun: str, key: str) -> list[tuple[int, bytes]]:
    """(index, leaf) of every leaf about one thing, oldest first."""
    query = select(audit_leaves.c.leaf_index, audit_leaves.c.leaf).join(audit_names)
    query = query.where(audit_names.c.noun == noun, audit_names.c.key == key).order_by(audit_leaves.c.leaf_index)
    return [(index, as_bytes(leaf)) for index, leaf in connection.execute(query)]


def prove(connection: Connection, index: int, cache: TileCache | None = None) -> tuple[bytes, list[bytes], str]:
    """The leaf's bytes, its audit path, and the newest signed checkpoint, to which the path leads.

    Raises InvalidInput for an index beyond the log, `Unavailable` while no checkpoint covers the leaf, `AuditBroken`
    when leaves are missing or were changed, so that there is no such path. Whether the checkpoint is signed by the
    log's key is left to whoever opens it.
    """
    size = edge(connection).size
    if not 0 <= index < size:
        raise InvalidInput([Problem("index", index, f"the log has {size} leaves, counted from 0")])
    checkpoints = audit_checkpoints.c
    query = select(checkpoints.size, checkpoints.note).order_by(checkpoints.size.desc()).limit(1)
    covering = connection.execute(query).one_or_none()
    if covering is None or covering.size <= index:
        raise Unavailable(f"leaf {index} is not covered by a signed checkpoint yet; sign first")
    (leaf,) = entries(connection, index, 1)
    path = tree(connection, covering.size, cache).inclusion(index)
    checkpoint = Checkpoint.parse(covering.note.partition("\n\n")[0] + "\n")
    verify_inclusion(leaf_hash(leaf), index, checkpoint.size, path, checkpoint.root)
    return leaf, path, covering.note


def index_of(connection: Connection, leaf_id: str) -> int:
    """The index of the leaf with this id. InvalidInput when there is none."""
    query = select(audit_leaves.c.leaf_index).where(audit_leaves.c.id == leaf_id)
    index = connection.execute(query).scalar_one_or_none()
    if index is None:
        raise InvalidInput([Problem("entry", leaf_id, "an index, or the id in a leaf of this log")])
    return int(index)


def names_in(event: Mapping[str, Any]) -> set[Name]:
    """The rows and subjects that a leaf names; and since version 2 the Dagster run it was written in."""
    names = set(digests_in(event)) | set(event.get("subject", {}).items())
    run = event.get("run", {}).get("dagster_run_id")
    return names | {("run", run)} if run and event.get("v", 1) > 1 else names


def digests_in(event: Mapping[str, Any]) -> dict[Name, str]:
    """The rows that a leaf names, with the digest each had after the change."""
    return {(row["table"], row["key"]): row["sha256"] for row in event.get("rows", ())}
