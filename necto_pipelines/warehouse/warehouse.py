"""Bytes under the name of their own SHA-256: written once, whole or not at all, and checked at every read.

    <root>/sha256/ab/abcd….parquet     frames
    <root>/raw/ab/abcd…                answers of outside sources, byte for byte

The root is a local folder or any fsspec store (`s3://bucket/necto`). Nothing here deletes: how long old versions stay
is an operator's rule.
"""

import hashlib
import io
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from necto_pipelines.failures import AuditBroken, InvalidInput, Problem
from necto_pipelines.model.tables import to_frame

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Blob:
    """A stored frame. `size` is in bytes."""

    sha256: str
    path: str
    size: int
    rows: int


class Warehouse:
    """The files below `root`. Safe to share between threads and processes: a file never changes once it is there."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = UPath(root)

    def write_frame(self, table: pa.Table) -> Blob:
        """Keep the table; equal content gives the same digest and is stored once.

        The digest is of the Parquet bytes, which depend on the writer: see the bound on pyarrow in pyproject.toml.
        """
        sink = io.BytesIO()
        pq.write_table(table.combine_chunks(), sink, compression="zstd")
        body = sink.getvalue()
        sha256 = _digest(body)
        path = self._frame_path(sha256)
        _write_once(path, body)
        return Blob(sha256=sha256, path=str(path), size=len(body), rows=table.num_rows)

    def read_frame(self, sha256: str) -> pd.DataFrame:
        """The frame with Arrow types. `AuditBroken` when the bytes are gone or no longer what they were."""
        return to_frame(pq.read_table(io.BytesIO(_read(self._frame_path(sha256), sha256))))

    def write_raw(self, body: bytes) -> str:
        """Keep a source's answer as it came; returns its digest."""
        sha256 = _digest(body)
        _write_once(self._raw_path(sha256), body)
        return sha256

    def read_raw(self, sha256: str) -> bytes:
        """A source's answer as it came. `AuditBroken` when the bytes are gone or no longer what they were."""
        return _read(self._raw_path(sha256), sha256)

    def read_bytes(self, sha256: str) -> bytes:
        """What is kept under this digest, frame or raw answer, byte for byte. `AuditBroken` as for `read_raw`."""
        frame = self._frame_path(sha256)
        return _read(frame if frame.exists() else self._raw_path(sha256), sha256)

    def has(self, sha256: str) -> bool:
        """True when a frame or a raw answer of this digest is stored."""
        return self._frame_path(sha256).exists() or self._raw_path(sha256).exists()

    def _frame_path(self, sha256: str) -> UPath:
        return self.root / "sha256" / _checked(sha256)[:2] / f"{sha256}.parquet"

    def _raw_path(self, sha256: str) -> UPath:
        return self.root / "raw" / _checked(sha256)[:2] / sha256


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _checked(sha256: str) -> str:
    """A digest becomes part of a path, so nothing else may pass."""
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput([Problem("sha256", sha256, "64 lower-case hexadecimal digits")])
    return sha256


def _read(path: UPath, sha256: str) -> bytes:
    try:
        body: bytes = path.read_bytes()
    except FileNotFoundError as error:
        raise AuditBroken(f"{path} is missing from the warehouse") from error
    if _digest(body) != sha256:
        raise AuditBroken(f"{path} no longer matches its recorded digest; it now hashes to {_digest(body)}")
    return body


def _write_once(path: UPath, body: bytes) -> None:
    """Put `body` at `path` unless it is there. A reader sees the whole file or none, also after a power cut."""
    if path.exists():
        _read(path, _digest(body))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / f".{uuid.uuid4().hex}.part"
    if path.protocol in ("", "file", "local"):
        _write_synced(Path(beside.path), body)
        Path(beside.path).replace(path.path)
        _sync_folder(Path(path.path).parent)
    else:
        beside.write_bytes(body)
        path.fs.mv(beside.path, path.path)


def _write_synced(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """The rename itself lives in the folder, which has to reach the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
