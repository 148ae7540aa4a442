"""The log as a folder of files that tools we did not write can check: C2SP tlog-tiles, checkpoints, keys, proofs.

A folder is brought up to date in place: what never changes is not written again, and the newest checkpoint, which tells
readers what to expect, comes last. Signing belongs to `signing.py`, the verifier is a distribution of its own.
"""

import re
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from necto_pipelines.audit.merkle import HASH_BYTES
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.proof import tlog_proof
from necto_pipelines.audit.registry import registry_bytes
from necto_pipelines.audit.tiles import WIDTH, Tile, entry_bundle, tiles_for
from necto_pipelines.books import tiles
from necto_pipelines.books.anchors import TIMED
from necto_pipelines.books.columns import canonical
from necto_pipelines.books.files import locked_folder, replace_file, sync_folder
from necto_pipelines.books.tables import audit_anchors
from necto_pipelines.failures import AuditBroken, InvalidInput, Problem

ALL_PROOFS_UP_TO: Final = 10_000
"""a log of at most so many entries is exported with a proof of each"""
NEWEST_PROOFS: Final = 1_000
"""how many of a longer log's newest entries get a proof, unless somebody asks for others"""
_TREE_OF: Final = 256 * WIDTH
"""entries whose proofs are made from one tree: it keeps the tiles it read, 16 KiB for each 256 entries"""
_STAGING: Final = ".writing"
"""where files are written before they are moved to their places; what a crash left there goes with the next export"""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")

Openings = Mapping[int, Mapping[str, Mapping[str, str]]]
"""index -> label -> `salt` (base64) and `value`"""
Progress = Callable[[int, int], None]
"""told how many entries' files and proofs are done, of how many"""


@dataclass(frozen=True)
class Exported:
    """What an export holds: the log up to `size`, and proofs of the entries from `first_proof` on."""

    size: int
    first_proof: int
    written: int
    """files that were new or had changed"""

    @property
    def proofs(self) -> int:
        """How many entries have a proof."""
        return self.size - self.first_proof


class Export:
    """A folder under way to hold the log as its newest checkpoint has it."""

    def __init__(self, folder: Path, notes: Mapping[int, str], openings: Openings) -> None:
        """`notes` are all checkpoints by size, at least one; `openings` what of committed values may be seen."""
        self._folder = folder
        self._staging = folder / _STAGING
        self._notes = notes
        self._openings = openings
        self._size = max(notes)
        self._written = 0
        self._lasting: set[Path] = set()

    def write(
        self, connection: Connection, policy: Policy, proofs: int | None = None, progress: Progress | None = None
    ) -> Exported:
        """Write or bring up to date every file. `proofs` counts the newest entries that get one; None decides by size.

        1. Tiles and entries; full ones that stand already are left alone.
        2. Proofs, to the newest checkpoint.
        3. Time stamps, openings, earlier checkpoints, keys, policy, and the registry of event types.
        4. The newest checkpoint.
        5. Partial tiles go whose full tile is there; other partial ones stay for readers of an earlier checkpoint.

        Raises InvalidInput when the folder holds another log or another export is under way, and AuditBroken where
        leaves are missing.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked_folder(self._folder) as alone:
            if not alone:
                raise InvalidInput([Problem("folder", str(self._folder), "another export writes there; wait for it")])
            self._check_is_ours()
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging.mkdir()
            try:
                return self._write(connection, policy, proofs, progress)
            finally:
                shutil.rmtree(self._staging, ignore_errors=True)

    def _write(self, connection: Connection, policy: Policy, proofs: int | None, progress: Progress | None) -> Exported:
        if proofs is None:
            proofs = self._size if self._size <= ALL_PROOFS_UP_TO else NEWEST_PROOFS
        first = max(0, self._size - proofs)
        total, tell = 2 * self._size - first, progress or (lambda done, of: None)
        for done in self._write_tiles(connection):
            tell(done, total)
        for done in self._write_proofs(connection, first):
            tell(self._size + done, total)
        self._write_anchors(connection, policy)
        self._write_openings()
        for size, note in self._notes.items():
            self._put_earlier_checkpoint(f"checkpoint.{size}", note.encode())
        self._put("vkey", f"{policy.keys[-1].verifier.vkey}\n".encode())
        self._put("policy.json", policy.to_json().encode())
        self._put("registry.json", registry_bytes())
        for place in self._lasting:
            sync_folder(place)
        self._put("checkpoint", self._notes[self._size].encode())
        self._remove_outgrown()
        return Exported(self._size, first, self._written)

    def _check_is_ours(self) -> None:
        try:
            found = (self._folder / "checkpoint").read_text(errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise InvalidInput([Problem("folder", str(self._folder), f"{error.strerror}; name another")]) from error
        if found not in self._notes.values():
            allowed = "it holds another log, or more of this one than these books have; name another folder"
            raise InvalidInput([Problem("folder", str(self._folder), allowed)])

    def _write_tiles(self, connection: Connection) -> Iterator[int]:
        """Yields how many entries are written, after each bundle."""
        for tile in tiles_for(self._size):
            full = tile.width == WIDTH
            if not self._stands(tile.path, tile, WIDTH * HASH_BYTES):
                content = tiles.tile(connection, tile.level, tile.number, tile.width)
                self._put(tile.path, content, lasting=full)
            if tile.level == 0:
                if not self._stands(tile.entries_path, tile):
                    leaves = tiles.entries(connection, tile.number * WIDTH, tile.width)
                    self._put(tile.entries_path, entry_bundle(leaves), lasting=full)
                yield tile.number * WIDTH + tile.width

    def _write_proofs(self, connection: Connection, first: int) -> Iterator[int]:
        """Yields how many proofs are written, now and then."""
        note = self._notes[self._size]
        for start in range(first, self._size, _TREE_OF):
            tree = tiles.tree(connection, self._size)
            for index in range(start, min(start + _TREE_OF, self._size)):
                text = tlog_proof(index, tree.inclusion(index), note)
                self._put(f"proof/{index}.tlog-proof", text.encode())
                if index % WIDTH == WIDTH - 1:
                    yield index + 1 - first

    def _write_anchors(self, connection: Connection, policy: Policy) -> None:
        anchors = audit_anchors.c
        query = select(anchors.size, anchors.place, anchors.token).where(
            anchors.kind == TIMED, anchors.size <= self._size
        )
        for size, place, token in connection.execute(query):
            if token is not None:
                self._put(f"anchors/{size}.{_file_name(place)}.tsr", b64decode(token))
        for authority in policy.time_authorities:
            self._put(f"anchors/{_file_name(authority.name)}.pem", authority.certificates.encode())

    def _write_openings(self) -> None:
        """Whoever gets this folder sees what is disclosed to them now, and nothing that an earlier recipient saw."""
        shutil.rmtree(self._folder / "openings", ignore_errors=True)
        for index, labels in self._openings.items():
            if labels and index < self._size:
                self._put(f"openings/{index}.json", canonical(labels).encode())

    def _put_earlier_checkpoint(self, path: str, note: bytes) -> None:
        """What was published is never replaced: another checkpoint of the same size is evidence."""
        with suppress(FileNotFoundError):
            if (self._folder / path).read_bytes() != note:
                raise AuditBroken(f"{self._folder / path} is another checkpoint of this size than the books hold")
        self._put(path, note)

    def _remove_outgrown(self) -> None:
        for tile in tiles_for(self._size):
            if tile.width == WIDTH:
                for path in (tile.path, tile.entries_path)[: 2 if tile.level == 0 else 1]:
                    shutil.rmtree(self._folder / f"{path}.p", ignore_errors=True)

    def _stands(self, path: str, tile: Tile, length: int | None = None) -> bool:
        """Whether a full tile's file is there, of this length where that is known; a partial one is looked at."""
        try:
            found = (self._folder / path).stat().st_size
        except FileNotFoundError:
            return False
        return tile.width == WIDTH and found == (length or found or None)

    def _put(self, path: str, data: bytes, *, lasting: bool = False) -> None:
        """Write a file unless it holds these bytes; `lasting` for one that later exports rely on without reading it."""
        file = self._folder / path
        with suppress(FileNotFoundError):
            if file.read_bytes() == data:
                return
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, data, durable=lasting, staging=self._staging)
        self._written += 1
        if lasting:
            self._lasting.add(file.parent)


def _file_name(name: str) -> str:
    return _UNSAFE.sub("-", name)
