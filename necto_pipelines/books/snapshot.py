"""The books at one moment, with what proves them: rows as they are stored, and the leaves that name them.

Proofs are made apart (`proofs`), and later: leaves never change, so a checkpoint that is signed after the snapshot was
taken covers all that the snapshot showed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from necto_pipelines.audit.merkle import StoredTree
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.verify import StoredLeaf
from necto_pipelines.books.audit_log import leaves_naming, read_leaves
from necto_pipelines.books.columns import as_bytes, row_text
from necto_pipelines.books.recording import as_stored, key_of
from necto_pipelines.books.tables import AUDITED, audit_anchors, audit_checkpoints, audit_leaves, audit_names
from necto_pipelines.books.tiles import TileCache, tree
from necto_pipelines.failures import Unavailable


@dataclass(frozen=True)
class AnchorProof:
    """A checkpoint that was put out of the operator's reach, and the proof that the proved tree grew from it.

    `note` is None when the books no longer hold the checkpoint; `consistency` leads from `size` to the proofs' tree.
    """

    id: str
    size: int
    root: str
    kind: str
    place: str
    at: datetime | None
    token: str | None
    note: str | None
    consistency: tuple[bytes, ...]


@dataclass(frozen=True)
class Proofs:
    """Leaves with their audit paths, all to one signed checkpoint; an index beyond that checkpoint is left out."""

    note: str
    leaves: dict[int, tuple[bytes, tuple[bytes, ...]]]
    anchors: tuple[AnchorProof, ...]


class Snapshot:
    """Rows and leaves within one transaction: what is read fits together, whatever is changed meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def row(self, table: str, key: str) -> bytes | None:
        """The canonical JSON of an audited row as it stands; its SHA-256 is what leaves hold. None when it is gone."""
        audited = AUDITED[table]
        columns = list(audited.primary_key.columns)
        first = key.partition("/")[0] if len(columns) > 1 else key
        rows = map(dict, self._connection.execute(select(*as_stored(audited)).where(columns[0] == first)).mappings())
        return next((row_text(row) for row in rows if key_of(audited, row) == key), None)

    def leaf_with_hash(self, noun: str, key: str, leaf_hash: bytes) -> tuple[int, bytes] | None:
        """(index, leaf) of the leaf about a thing that has this hash; None when the log has none."""
        leaves, names = audit_leaves.c, audit_names.c
        query = select(leaves.leaf_index, leaves.leaf).join(audit_names)
        query = query.where(names.noun == noun, names.key == key, leaves.leaf_hash == leaf_hash).limit(1)
        found = self._connection.execute(query).one_or_none()
        return (found.leaf_index, as_bytes(found.leaf)) if found else None

    def entries(self) -> Iterator[StoredLeaf]:
        """Every leaf of the log, in order."""
        return read_leaves(self._connection)

    def leaves(self, noun: str, key: str) -> list[tuple[int, bytes]]:
        """(index, leaf) of every leaf about one row (a table and its key) or subject (a kind and its id), oldest
        first."""
        return leaves_naming(self._connection, noun, key)


def proofs(connection: Connection, indexes: Collection[int], policy: Policy, cache: TileCache | None = None) -> Proofs:
    """The leaves at `indexes` and their audit paths to the newest checkpoint that the books hold.

    Nothing is verified here: of a log that was tampered with the paths lead elsewhere, which whoever checks them sees.
    Raises `Unavailable` while nothing is signed, and `AuditBroken` when the checkpoint or leaves under it are damaged
    beyond making any path.
    """
    checkpoints = audit_checkpoints.c
    note = connection.execute(select(checkpoints.note).order_by(checkpoints.size.desc()).limit(1)).scalar_one_or_none()
    if note is None:
        raise Unavailable("no checkpoint is signed yet; sign first")
    size = policy.open(note).size
    grown = tree(connection, size, cache)
    found = {}
    for index in sorted(set(indexes)):
        stored = next(read_leaves(connection, index, index + 1), None) if index < size else None
        if stored is not None:
            found[index] = (stored.leaf, tuple(grown.inclusion(index)))
    return Proofs(note, found, tuple(_anchored(connection, grown)))


def _anchored(connection: Connection, grown: StoredTree) -> Iterator[AnchorProof]:
    anchors, checkpoints = audit_anchors.c, audit_checkpoints.c
    query = select(audit_anchors).where(anchors.size <= grown.size, anchors.size > 0)
    for row in connection.execute(query.order_by(anchors.size, anchors.id)).mappings():
        note = connection.execute(select(checkpoints.note).where(checkpoints.size == row["size"])).scalar_one_or_none()
        yield AnchorProof(**row, note=note, consistency=tuple(grown.consistency(row["size"])))
