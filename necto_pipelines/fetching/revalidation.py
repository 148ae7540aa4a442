"""Answers kept so that a source can be asked whether they still hold (RFC 9110 section 13), instead of sent again.

Nothing is ever taken from here without asking: a kept answer counts only when the source has just said 304. HTTP
caches as libraries (hishel) may serve without asking and write whole requests down, keys included; hence this one.
Only answers to requests without any credential are kept, see `asking.py`. A key names an answer by the digest of its
address: neither addresses nor headers are written anywhere.
"""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

MAX_BYTES: Final = 256 * 1024 * 1024
LARGEST_SHARE: Final = 4
"""one answer may take a fourth of the store, so that it cannot push out all others"""


@dataclass(frozen=True)
class KeptAnswer:
    """A body with what its source calls it: an entity tag, a time of last change, or both."""

    body: bytes
    etag: str
    last_modified: str

    @property
    def question(self) -> dict[str, str]:
        """The headers that ask whether it still holds."""
        asked = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


class AnswerStore(Protocol):
    """Keeps answers by key, and may forget any of them. Safe to share between threads and processes."""

    def find(self, key: str) -> KeptAnswer | None:
        """The answer last kept under `key`, exactly as it was; None when it is not there any more."""

    def keep(self, key: str, answer: KeptAnswer) -> None:
        """Put it in place of an older one."""


class AnswerFolder:
    """A store of files, at most `max_bytes` together; those that were not asked for longest go first."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def find(self, key: str) -> KeptAnswer | None:
        """As `AnswerStore.find`; a file that was damaged is not there."""
        path = self._folder / key
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            told = json.loads(head)
            if hashlib.sha256(body).hexdigest() != told["sha256"]:
                return None
            os.utime(path)
            return KeptAnswer(body, str(told["etag"]), str(told["last_modified"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: str, answer: KeptAnswer) -> None:
        """As `AnswerStore.keep`. A disk that takes nothing costs no more than the next download."""
        told = {
            "etag": answer.etag,
            "last_modified": answer.last_modified,
            "sha256": hashlib.sha256(answer.body).hexdigest(),
        }
        written = json.dumps(told).encode() + b"\n" + answer.body
        if len(written) * LARGEST_SHARE > self._max_bytes:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = self._folder / f".{uuid.uuid4().hex}"
            beside.write_bytes(written)
            beside.replace(self._folder / key)
            self._make_room()

    def _make_room(self) -> None:
        files = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process made room as well
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def key_of(url: str, part: str = "") -> str:
    """The name of an answer, or of the part of it that was kept."""
    return hashlib.sha256(f"{url}\n{part}".encode()).hexdigest()


def to_keep(body: bytes, headers: Mapping[str, str]) -> KeptAnswer | None:
    """The answer as it may be kept; None when its source names no validator, or forbids keeping it."""
    rules = headers.get("cache-control", "").lower()
    etag, last_modified = headers.get("etag", ""), headers.get("last-modified", "")
    if "no-store" in rules or "private" in rules or headers.get("vary", "").strip() == "*":
        return None
    return KeptAnswer(body, etag, last_modified) if etag or last_modified else None
