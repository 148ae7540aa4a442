"""Signing the log's head: each checkpoint in the database and as a file beside it, and none over another history.

Checkpoint files are what a restored backup or a rewritten database is measured against: whoever keeps copies elsewhere
can prove a rollback. What a checkpoint is stands in `audit/checkpoint.py`, which key signs in `keys.py`.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, select

from necto_pipelines.audit.checkpoint import Checkpoint, sign_checkpoint
from necto_pipelines.audit.merkle import CompactRange
from necto_pipelines.audit.note import KeyRefused, NoteRefused, Verifier
from necto_pipelines.audit.policy import KeyWindow, Policy, first_signed_by_both
from necto_pipelines.books.audit_log import locked_edge, read_hashes
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.files import create_file
from necto_pipelines.books.incidents import BEHIND, BESIDE, HEAD, KEY, SigningRefused
from necto_pipelines.books.keys import KeyFolder, Rotation, rotations
from necto_pipelines.books.tables import audit_checkpoints
from necto_pipelines.books.tiles import tree_at
from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.clock import Clock

CONTINUED: Final = "log.continued"
"""the type of the leaf that begins a log where another one ended"""
_CHECKPOINT_FILE: Final = re.compile(r"checkpoint\.(0|[1-9][0-9]{0,18})")


class CheckpointFiles:
    """The folder of signed checkpoints, one file `checkpoint.<size>` each; files are added and never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int | None] = (-1, None)

    def notes(self) -> dict[int, str]:
        """All checkpoints by the sizes in their names, the smallest first."""
        return {size: self._read(size) for size in sorted(self._sizes())}

    def newest(self) -> str | None:
        """The checkpoint of the largest size. The folder is listed anew when somebody else has added to it."""
        changed = self._changed()
        if changed != self._seen[0]:
            self._seen = (changed, max(self._sizes(), default=None))
        return None if self._seen[1] is None else self._read(self._seen[1])

    def add(self, size: int, note: str) -> None:
        """Write a checkpoint; it is on the disk when this returns. Raises AuditBroken when there is one of the size."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            create_file(self._folder / f"checkpoint.{size}", note.encode())
        except FileExistsError as error:
            raise AuditBroken(f"a checkpoint file of size {size} stands already in {self._folder}") from error

    def _read(self, size: int) -> str:
        return (self._folder / f"checkpoint.{size}").read_text(errors="replace")

    def _sizes(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        found = (_CHECKPOINT_FILE.fullmatch(file.name) for file in self._folder.iterdir())
        return [int(match.group(1)) for match in found if match]

    def _changed(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return -1


def sign_head(
    connection: Connection, keys: KeyFolder, files: CheckpointFiles, clock: Clock, *, even_empty: bool = False
) -> str | None:
    """Sign the log as it stands now; None when the newest checkpoint says it already, or there is nothing to sign.

    1. Lock the head, so that nobody appends and nobody else signs.
    2. Ask which keys sign: one, or both during a rotation, which is brought to its end here (`keys.py`).
    3. Take the newest checkpoint of the files and the newest of the database. Each must be signed by our key for this
       log, be no larger than the log (else the database is behind: a backup, or a cut-off tail), and be a prefix of it
       (else it is another history). Otherwise `SigningRefused`, and nothing is signed.
    4. Sign, write the file, then the row. A file without its row, left by a crash in between, gets its row next time.

    An empty log is signed only when `even_empty` says so. Raises AuditBroken when the head or a leaf is damaged.
    """
    edge = locked_edge(connection)
    in_files, in_table = files.newest(), _newest(connection)
    told = rotations(connection, keys.origin)
    signers = keys.signers(told[-1] if told else None, covered=_covers(in_table, told))
    policy = Policy(keys.origin, tuple(KeyWindow(Verifier.from_vkey(signer.vkey)) for signer in signers))
    signed = {note: _checked(connection, edge, policy, note) for note in (in_files, in_table) if note}
    if (in_table and signed[in_table] == edge.size) or not (edge.size or even_empty):
        return None
    if in_files and signed[in_files] == edge.size:
        new, note = None, in_files
    else:
        new = note = sign_checkpoint(Checkpoint(keys.origin, edge.size, edge.root()), *signers)
        files.add(edge.size, note)
    row = {"size": edge.size, "note": note, "edge": edge.to_bytes(), "signed_at": clock.now()}
    connection.execute(insert(audit_checkpoints).values(row))
    return new


def stored_notes(connection: Connection) -> dict[int, str]:
    """All checkpoints in the database by their sizes, the smallest first."""
    checkpoints = audit_checkpoints.c
    rows = connection.execute(select(checkpoints.size, checkpoints.note).order_by(checkpoints.size))
    return {size: note for size, note in rows}  # noqa: C416  a row is no pair of a known type to `dict`


def _newest(connection: Connection) -> str | None:
    query = select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def _covers(note: str | None, told: list[Rotation]) -> bool:
    """Whether a stored checkpoint carries the signatures of both keys of the newest rotation."""
    if not note or not told:
        return False
    newest = told[-1]
    try:
        old, new = Verifier.from_vkey(newest.old), Verifier.from_vkey(newest.new)
    except KeyRefused as error:
        what = f"leaf {newest.leaf_index} tells of a key that must not be used: {error}"
        raise SigningRefused(KEY, what) from error
    return first_signed_by_both([note], old, new, above=newest.leaf_index) is not None


def _checked(connection: Connection, edge: CompactRange, policy: Policy, note: str) -> int:
    """The size of a checkpoint that the log begins with, as its stored hashes have it; `SigningRefused` otherwise."""
    try:
        checkpoint = policy.open(note)
    except NoteRefused as error:
        raise SigningRefused(KEY, f"the newest checkpoint is not one of ours, nothing is signed: {error}") from error
    if checkpoint.origin != policy.origin:
        what = f"the newest checkpoint is of the log {checkpoint.origin!r}, this one is {policy.origin!r}"
        raise SigningRefused(KEY, f"{what}; nothing is signed")
    size = checkpoint.size
    if size > edge.size:
        raise _refused(
            BEHIND,
            f"the database is behind: it holds {edge.size} leaves, and a checkpoint of size {size} was signed. "
            "A backup was restored or leaves were cut off; nothing is signed over it",
            edge,
            checkpoint,
        )
    grown = _edge_at(connection, checkpoint)
    if grown.root() != checkpoint.root:
        raise _refused(
            BESIDE,
            f"the database is beside the signed history: its first {size} leaves have the root {grown.root().hex()}, "
            f"and {checkpoint.root.hex()} was signed; nothing is signed over it",
            grown,
            checkpoint,
        )
    for digest in read_hashes(connection, size, edge.size):
        grown.append(digest)
    if grown != edge:
        what = f"the log's head does not fit its leaves since size {size}; nothing is signed over it"
        raise _refused(HEAD, what, edge, checkpoint)
    return size


def _edge_at(connection: Connection, checkpoint: Checkpoint) -> CompactRange:
    """The tree's edge at a checkpoint's size: as it was stored when that was signed, or else from the stored tree."""
    query = select(audit_checkpoints.c.edge).where(audit_checkpoints.c.size == checkpoint.size)
    stored = connection.execute(query).scalar_one_or_none()
    if stored is not None:
        with suppress(AuditBroken):
            edge = CompactRange.from_bytes(as_bytes(stored))
            if edge.size == checkpoint.size and edge.root() == checkpoint.root:
                return edge
    return tree_at(connection, checkpoint.size)


def _refused(kind: str, what: str, found: CompactRange, signed: Checkpoint) -> SigningRefused:
    return SigningRefused(
        kind,
        what,
        size=found.size,
        root=found.root().hex(),
        signed_size=signed.size,
        signed_root=signed.root.hex(),
    )
