"""Files that are put in place whole and durably, or not at all: keys, checkpoints, incidents, and what is exported."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put a file where none is, on the disk when this returns; FileExistsError where one is."""
    with _part(path, data, mode, durable=True, staging=None) as part:
        os.link(part, path)
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes, *, durable: bool = True, staging: Path | None = None) -> None:
    """Put a file in place of whatever is there: readers find the old bytes or the new ones, never a part.

    Its bytes are on the disk when this returns, and its name after `sync_folder`. Without `durable` a power cut may
    leave it empty: only for what is written anew anyhow. `staging` is a folder of the same disk in which the file is
    written first; without it that happens beside `path`, where a power cut may leave the unfinished file.
    """
    with _part(path, data, 0o644, durable=durable, staging=staging) as part:
        part.replace(path)


@contextmanager
def locked_folder(folder: Path) -> Iterator[bool]:
    """Whether nobody else holds the lock on this folder; it is held until the end, also that of a killed process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _part(path: Path, data: bytes, mode: int, *, durable: bool, staging: Path | None) -> Iterator[Path]:
    """The bytes under a name of their own; gone at the end if they were not moved."""
    part = (staging or path.parent) / f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)
