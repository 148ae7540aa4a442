"""The audit log in the database: appending leaves in the caller's transaction, finding them, and proving them.

The tree's mathematics stands in `audit`, the signing of its head in `signing.py`, and comparing rows with their leaves
in `verification.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from necto_pipelines.audit.leaf import leaf_bytes
from necto_pipelines.audit.merkle import CompactRange, inclusion_proof, leaf_hash
from necto_pipelines.audit.verify import StoredLeaf
from necto_pipelines.books.tables import audit_checkpoints, audit_head, audit_leaves, audit_names
from necto_pipelines.failures import AuditBroken, InvalidInput, Problem, Unavailable

Name = tuple[str, str]
"""what a leaf speaks of: (table, key) of a row, or (kind, id) of a subject"""


class LeafLog:
    """The log's head, locked until the transaction ends, and the leaves that this transaction adds to it.

    Whoever makes one waits until no other change is under way: so indexes have no gaps, and two changes never wait
    for each other in a circle. The index is not part of a leaf; the order of changes gives it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.edge = locked_edge(connection)
        self._added: list[dict[str, Any]] = []
        self._names: list[dict[str, Any]] = []

    def append(self, event: Mapping[str, Any]) -> int:
        """Add the leaf of `event` and return its index. Raises `InvalidLeaf` for what cannot be a leaf."""
        index, leaf = self.edge.size, leaf_bytes(event)
        digest = leaf_hash(leaf)
        self.edge.append(digest)
        self._added.append({"leaf_index": index, "id": event["id"], "leaf": leaf, "leaf_hash": digest})
        self._names += [{"noun": noun, "key": key, "leaf_index": index} for noun, key in sorted(names_in(event))]
        return index

    def store(self) -> None:
        """Write the added leaves and the new head; the last thing a transaction does."""
        if not self._added:
            return
        self._connection.execute(insert(audit_leaves), self._added)
        if self._names:
            self._connection.execute(insert(audit_names), self._names)
        self._connection.execute(update(audit_head).values(edge=self.edge.to_bytes()))


def locked_edge(connection: Connection) -> CompactRange:
    """The tree's edge now; nobody else can append until this transaction ends. Raises AuditBroken as `edge` does.

    SQLite begins every change with the lock on the whole database, and passes over FOR UPDATE.
    """
    return _edge(connection, select(audit_head.c.edge).with_for_update())


def edge(connection: Connection) -> CompactRange:
    """The tree's edge as of this transaction's snapshot. Raises AuditBroken when it is gone or damaged."""
    return _edge(connection, select(audit_head.c.edge))


def _edge(connection: Connection, query: Select[tuple[bytes]]) -> CompactRange:
    stored = connection.execute(query).scalar_one_or_none()
    if stored is None:
        raise AuditBroken("the log's head is gone from the database")
    return CompactRange.from_bytes(as_bytes(stored))


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


def prove(connection: Connection, index: int) -> tuple[bytes, list[bytes], str]:
    """The leaf's bytes, its audit path, and the newest signed checkpoint, to which the path leads.

    Raises InvalidInput for an index beyond the log, `Unavailable` while no checkpoint covers the leaf, `AuditBroken`
    when leaves are missing.
    """
    size = edge(connection).size
    if not 0 <= index < size:
        raise InvalidInput([Problem("index", index, f"the log has {size} leaves, counted from 0")])
    checkpoints = audit_checkpoints.c
    query = select(checkpoints.size, checkpoints.note).order_by(checkpoints.size.desc()).limit(1)
    covering = connection.execute(query).one_or_none()
    if covering is None or covering.size <= index:
        raise Unavailable(f"leaf {index} is not covered by a signed checkpoint yet; sign first")
    hashes = read_hashes(connection, 0, covering.size)
    if len(hashes) != covering.size:
        raise AuditBroken(
            f"the log misses {covering.size - len(hashes)} of the {covering.size} leaves that were signed"
        )
    (leaf,) = read_leaves(connection, index, index + 1)
    return leaf.leaf, inclusion_proof(hashes, index), covering.note


def names_in(event: Mapping[str, Any]) -> set[Name]:
    """The rows and subjects that a leaf names."""
    return set(digests_in(event)) | set(event.get("subject", {}).items())


def digests_in(event: Mapping[str, Any]) -> dict[Name, str]:
    """The rows that a leaf names, with the digest each had after the change."""
    return {(row["table"], row["key"]): row["sha256"] for row in event.get("rows", ())}


def as_bytes(value: Any) -> bytes:
    """What a driver gives for a binary column, or what somebody wrote into the cell by hand."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode("utf-8", "replace")
