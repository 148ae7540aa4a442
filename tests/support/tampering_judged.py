"""Tampering put into a database and into an export, and what everybody finds there who looks."""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import necto_verify
from necto_verify import Assurance
from sqlalchemy import text
from support.books_backends import ORIGIN, Backend
from support.leaf_log import START
from support.tampering import JUDGES, SAVED, Deed, Log, Operator

from necto_pipelines.audit.merkle import CompactRange, root_of
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.tiles import WIDTH, entry_bundle, tiles_for
from necto_pipelines.books.audit_log import names_in
from necto_pipelines.books.keys import KeyFolder
from necto_pipelines.books.tables import audit_checkpoints, audit_head, audit_leaves, audit_names, audit_tiles
from necto_pipelines.failures import AuditBroken


@dataclass(frozen=True)
class Findings:
    """What each judge found: the kinds of faults, and the first entry that each kind names."""

    kinds: Mapping[str, dict[str, int | None]]
    complete: bool
    signs: bool


class Scene:
    """A database and an export that hold the honest log, to be tampered with again and again."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        books = backend.open()
        self.operator = Operator(KeyFolder(backend.keys, ORIGIN).current())
        books.close()
        self.log = self.operator.stamped(self.operator.written())
        self._saved = backend.folder / "saved"
        self._saved.write_text(self.log.notes[SAVED])
        self._in_database: Log = Log([], [], {}, {})

    def judge(self, deed: Deed) -> Findings:
        """Do it, and let everybody look."""
        done = deed.do(self.operator, self.log)
        kinds = {}
        self._into_database(done)
        signs = self._signs((done if deed.by_the_log else self.log).notes)
        self._keep_checkpoints(done.notes)
        books = self.backend.open()
        for judge, saved in (("database", []), ("database_saved", [self.log.notes[SAVED]])):
            kinds[judge] = _first_of_each(books.verify(saved).faults)
        books.close()
        folder = self.backend.folder / "export"
        for judge, with_stamps, kept in (
            ("export", False, []),
            ("export_saved", False, [self._saved]),
            ("stamped", True, []),
        ):
            into_export(folder, done if with_stamps else replace(done, stamps={}), self.operator.policy)
            kinds[judge] = _first_of_each(
                necto_verify.verify(folder, saved=kept, policy=self.operator.policy.to_json().encode()).faults
            )
        whole = necto_verify.verify(folder, saved=[self._saved], policy=self.operator.policy.to_json().encode())
        return Findings(kinds, whole.reaches(Assurance.COMPLETE), signs)

    def _signs(self, outside: Mapping[int, str]) -> bool:
        """Whether the log goes on signing what the database holds now, given the checkpoints outside it."""
        self._keep_checkpoints(outside)
        shutil.rmtree(self.backend.folder / "incidents", ignore_errors=True)
        books = self.backend.open()
        try:
            books.sign()
        except AuditBroken:
            return False
        finally:
            refused = books.incidents()
            books.close()
        assert refused == []
        return True

    def _keep_checkpoints(self, notes: Mapping[int, str]) -> None:
        shutil.rmtree(self.backend.checkpoints, ignore_errors=True)
        self.backend.checkpoints.mkdir()
        for size, note in notes.items():
            (self.backend.checkpoints / f"checkpoint.{size}").write_text(note)

    def _into_database(self, log: Log) -> None:
        """Write the entries that differ from what is there, and everything that is made of them."""
        standing = list(zip(self._in_database.leaves, self._in_database.hashes, strict=True))
        wanted = list(zip(log.leaves, log.hashes, strict=True))
        same = next((at for at, pair in enumerate(zip(standing, wanted, strict=False)) if pair[0] != pair[1]), None)
        first = min(len(standing), len(wanted)) if same is None else same
        names = [
            {"noun": noun, "key": key, "leaf_index": index}
            for index, leaf in enumerate(log.leaves[first:], start=first)
            for noun, key in names_in(json.loads(leaf))
        ]
        rows = [
            {"leaf_index": index, "id": json.loads(leaf)["id"], "leaf": leaf, "leaf_hash": digest}
            for index, (leaf, digest) in enumerate(wanted[first:], start=first)
        ]
        with self.backend.sql() as connection:
            for table, column in (("audit_names", "leaf_index"), ("audit_leaves", "leaf_index")):
                connection.execute(text(f"DELETE FROM {table} WHERE {column} >= :first"), {"first": first})
            for table, added in (
                (audit_leaves, rows),
                (audit_names, names),
                (audit_tiles, _stored_tiles(log.hashes)),
                (audit_checkpoints, _stored_checkpoints(log)),
            ):
                if table in {audit_tiles, audit_checkpoints}:
                    connection.execute(table.delete())
                if added:
                    connection.execute(table.insert(), added)
            connection.execute(audit_head.update().values(edge=_edge(log.hashes).to_bytes()))
        self._in_database = log


def _first_of_each(faults: Iterable[Any]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for fault in faults:
        found.setdefault(str(fault.kind), fault.index)
    return dict(sorted(found.items()))


def into_export(folder: Path, log: Log, policy: Policy) -> None:
    """Write an export of a log as it is given, right or wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, data in _files(log, policy).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def _files(log: Log, policy: Policy) -> dict[str, bytes]:
    files = {f"checkpoint.{size}": note.encode() for size, note in log.notes.items()}
    files["checkpoint"] = log.notes[max(log.notes)].encode()
    files["vkey"] = policy.keys[-1].verifier.vkey.encode()
    files["policy.json"] = policy.to_json().encode()
    for size, stamp in log.stamps.items():
        files[f"anchors/{size}.test-tsa.tsr"] = stamp
    levels = {0: log.hashes}
    for tile in tiles_for(min(len(log.hashes), max(log.notes))):
        if tile.level not in levels:
            below = levels[tile.level - 1]
            full = range(0, len(below) - len(below) % WIDTH, WIDTH)
            levels[tile.level] = [root_of(below[start : start + WIDTH]) for start in full]
        first = tile.number * WIDTH
        files[tile.path] = b"".join(levels[tile.level][first : first + tile.width])
        if tile.level == 0:
            files[tile.entries_path] = entry_bundle(log.leaves[first : first + tile.width])
    return files


def _stored_tiles(hashes: list[bytes]) -> list[dict[str, Any]]:
    full = [hashes[start : start + WIDTH] for start in range(0, len(hashes) - len(hashes) % WIDTH, WIDTH)]
    return [
        {"level": 0, "number": number, "root": root_of(tile), "hashes": b"".join(tile)}
        for number, tile in enumerate(full)
    ]


def _stored_checkpoints(log: Log) -> list[dict[str, Any]]:
    return [
        {"size": size, "note": note, "edge": _edge(log.hashes[:size]).to_bytes(), "signed_at": START}
        for size, note in log.notes.items()
    ]


def _edge(hashes: list[bytes]) -> CompactRange:
    edge = CompactRange()
    for digest in hashes:
        edge.append(digest)
    return edge


def as_table(found: Iterable[tuple[Deed, Findings]]) -> str:
    """The matrix as text: what each judge found, a dash for nothing."""
    head = ["tampering", "database", "+ saved", "export", "+ saved", "+ time stamps", "complete", "log still signs"]
    rows = [head]
    for deed, findings in found:
        cells = [", ".join(findings.kinds[judge]) or "-" for judge in JUDGES]
        rows.append([deed.what, *cells, _yes(findings.complete), _yes(findings.signs)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
