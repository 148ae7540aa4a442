"""Checkpoints as files `checkpoint.SIZE` in a storage that Necto's database and its operator should not share."""

import os
import re
from contextlib import suppress
from typing import Final

from upath import UPath

from necto_pipelines.anchors.port import Receipt
from necto_pipelines.failures import AuditBroken, Unavailable
from necto_pipelines.model.anchor import AnchorKind

_USER: Final = re.compile(r"(?<=://)[^/@]*@")


class CopyAnchor:
    """A folder at any fsspec URL. Files are added there, and never changed once they are whole."""

    kind = AnchorKind.COPY

    def __init__(self, url: str) -> None:
        self.name = _USER.sub("", url)
        self._url = url

    def place(self, note: str, size: int) -> Receipt:
        """As `Anchor.place`: `AuditBroken` when a file of this size stands there and says something else."""
        body = note.encode()
        standing = self._copied(body, f"checkpoint.{size}")
        if standing != body:
            raise AuditBroken(
                f"{self.name}/checkpoint.{size} says something else than the checkpoint of this size here: the log was "
                "rewritten, or the copy was. Neither is changed; compare both with what others kept"
            )
        return Receipt()

    def _copied(self, body: bytes, name: str) -> bytes:
        """What stands there in the end. A file that breaks off, as after a power cut, is written anew."""
        try:
            file = UPath(self._url) / name
            standing = file.read_bytes() if file.exists() else b""
            if standing == body or not body.startswith(standing):
                return standing
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as stream:
                stream.write(body)
                stream.flush()
                with suppress(OSError, AttributeError):  # only a local file has something to sync
                    os.fsync(stream.fileno())
            return file.read_bytes()
        # Every kind of storage raises errors of its own; none of them may keep the other anchors from their turn.
        except Exception as error:
            raise Unavailable(f"{self.name}: {type(error).__name__}: {_USER.sub('', str(error))[:300]}") from error
