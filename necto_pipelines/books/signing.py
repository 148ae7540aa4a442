"""Signing the log's head: the key as a file, and each checkpoint in the database and as a file beside it.

Checkpoint files are what a restored backup or a rewritten database is measured against: whoever keeps copies elsewhere
can prove a rollback. What a checkpoint is stands in `audit/checkpoint.py`.
"""

import os
import re
import secrets
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, select

from necto_pipelines.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from necto_pipelines.audit.merkle import CompactRange
from necto_pipelines.audit.note import KeyRefused, Signer, decode_base64
from necto_pipelines.books.audit_log import as_bytes, locked_edge, read_hashes
from necto_pipelines.books.tables import audit_checkpoints
from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.clock import Clock

KEY_FILE: Final = "log.key"
"""the private key in base64, readable by its owner only"""
VKEY_FILE: Final = "log.vkey"
"""the public key, to hand to whoever verifies"""
_CHECKPOINT_FILE: Final = re.compile(r"checkpoint\.(0|[1-9][0-9]{0,18})")


def log_signer(folder: Path, origin: str) -> Signer:
    """The log's key in `folder`, made on first use and called as the log is.

    Processes that start together end up with one key: the file is created once and never replaced. Raises KeyRefused
    when the file holds no key.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / KEY_FILE
    if not file.exists():
        with suppress(FileExistsError):
            _create(file, b64encode(Signer.generate(origin).private_bytes()).decode() + "\n", mode=0o600)
    try:
        secret = decode_base64(file.read_text().strip())
    except ValueError:
        raise KeyRefused(f"{file}: not a private key; it holds 32 bytes in base64") from None  # the cause shows them
    signer = Signer.from_private_bytes(origin, secret)
    with suppress(FileExistsError):
        _create(folder / VKEY_FILE, signer.vkey + "\n", mode=0o644)
    return signer


class CheckpointFiles:
    """The folder of signed checkpoints, one file `checkpoint.<size>` each; files are added and never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def notes(self) -> list[str]:
        """All checkpoints, the smallest size first."""
        return [file.read_text(errors="replace") for file in self._files()]

    def newest(self) -> str | None:
        """The checkpoint of the largest size."""
        files = self._files()
        return files[-1].read_text(errors="replace") if files else None

    def add(self, size: int, note: str) -> None:
        """Write a checkpoint; it is on the disk when this returns. Raises AuditBroken when there is one of the size."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            _create(self._folder / f"checkpoint.{size}", note, mode=0o644)
        except FileExistsError as error:
            raise AuditBroken(f"a checkpoint file of size {size} stands already in {self._folder}") from error

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        found = ((_CHECKPOINT_FILE.fullmatch(file.name), file) for file in self._folder.iterdir())
        return [file for _, file in sorted((int(match.group(1)), file) for match, file in found if match)]


def sign_head(connection: Connection, signer: Signer, files: CheckpointFiles, clock: Clock) -> str | None:
    """Sign the log as it stands now; None when the newest checkpoint says it already, or there is nothing to sign.

    1. Lock the head, so that nobody appends and nobody else signs.
    2. Take the newest checkpoint of the files and the newest of the database. Each must be signed by our key for this
       log (else `NoteRefused`), be no larger than the log (else the database is behind: a backup, or a cut-off tail),
       and be a prefix of it (else it is another history). Otherwise AuditBroken, and nothing is signed.
    3. Sign, write the file, then the row. A file without its row, left by a crash in between, gets its row next time.
    """
    edge = locked_edge(connection)
    in_files, in_table = files.newest(), _newest(connection)
    heads = {note: open_checkpoint(note, signer.verifier) for note in (in_files, in_table) if note}
    for checkpoint in heads.values():
        _check_prefix(connection, edge, checkpoint)
    if edge.size == 0 or (in_table and heads[in_table].size == edge.size):
        return None
    signed = None
    if in_files and heads[in_files].size == edge.size:
        note = in_files
    else:
        note = signed = sign_checkpoint(Checkpoint(signer.name, edge.size, edge.root()), signer)
        files.add(edge.size, note)
    row = {"size": edge.size, "note": note, "edge": edge.to_bytes(), "signed_at": clock.now()}
    connection.execute(insert(audit_checkpoints).values(row))
    return signed


def stored_notes(connection: Connection) -> list[str]:
    """All checkpoints in the database, the smallest size first."""
    return list(connection.execute(select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size)).scalars())


def _newest(connection: Connection) -> str | None:
    query = select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def _check_prefix(connection: Connection, edge: CompactRange, checkpoint: Checkpoint) -> None:
    """Raise AuditBroken unless the log, as its stored hashes have it, begins with the checkpoint's tree."""
    size = checkpoint.size
    if size > edge.size:
        raise AuditBroken(
            f"the database is behind: it holds {edge.size} leaves, and a checkpoint of size {size} was signed. "
            "A backup was restored or leaves were cut off; nothing is signed over it"
        )
    grown = _edge_at(connection, size, checkpoint.root)
    if grown.root() != checkpoint.root:
        raise AuditBroken(
            f"the database is beside the signed history: its first {size} leaves have the root {grown.root().hex()}, "
            f"and {checkpoint.root.hex()} was signed; nothing is signed over it"
        )
    for digest in read_hashes(connection, size, edge.size):
        grown.append(digest)
    if grown != edge:
        raise AuditBroken(f"the log's head does not fit its leaves since size {size}; nothing is signed over it")


def _edge_at(connection: Connection, size: int, root: bytes) -> CompactRange:
    """The tree's edge at `size`: as it was stored when `root` was signed, or else from all leaf hashes before it."""
    query = select(audit_checkpoints.c.edge).where(audit_checkpoints.c.size == size)
    stored = connection.execute(query).scalar_one_or_none()
    if stored is not None:
        with suppress(AuditBroken):
            edge = CompactRange.from_bytes(as_bytes(stored))
            if edge.size == size and edge.root() == root:
                return edge
    edge = CompactRange()
    for digest in read_hashes(connection, 0, size):
        edge.append(digest)
    return edge


def _create(path: Path, text: str, *, mode: int) -> None:
    """Put a whole file in place, durably, and only where none is: FileExistsError otherwise."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
