"""An export holds the log in public formats: of every size, brought up to date in place, never over another log."""

import json
from base64 import b64encode
from pathlib import Path

import necto_verify
import pytest
from support.books_backends import ORIGIN, Backend
from support.leaf_log import grow

from necto_pipelines.audit.checkpoint import open_checkpoint
from necto_pipelines.audit.merkle import root_of
from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.policy import TimeAuthority
from necto_pipelines.audit.proof import verify_tlog_proof
from necto_pipelines.audit.registry import registry_bytes
from necto_pipelines.books.books import Books
from necto_pipelines.books.files import locked_folder
from necto_pipelines.failures import AuditBroken, InvalidInput

EDGES = [0, 1, 256, 513]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "export"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def entries_of(folder: Path) -> list[bytes]:
    """All entries of an export, read as C2SP tlog-tiles says, the widest state of each bundle."""
    bundles: dict[str, Path] = {}
    for file in (folder / "tile" / "entries").rglob("*"):
        if file.is_file():
            number, _, width = str(file.relative_to(folder)).partition(".p/")
            if number not in bundles or int(width or 256) > int(bundles[number].name if width else 0):
                bundles[number] = file
    found = []
    for _, file in sorted(bundles.items()):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:2])
            found.append(data[2 : 2 + length])
            data = data[2 + length :]
    return found


@pytest.mark.parametrize("size", EDGES)
def test_an_export_of_any_size_is_accepted_by_the_stand_alone_verifier(books: Books, backend: Backend, out, size):
    grow(backend, books, size)
    done = books.export(out)
    assert (done.size, done.proofs) == (size, size)
    verdict = necto_verify.verify(out, thorough=True)
    assert verdict.faults == ()
    assert (verdict.size, verdict.proofs) == (size, size)
    assert entries_of(out) == [entry.leaf for entry in books.leaves()]
    checkpoint = open_checkpoint((out / "checkpoint").read_text(), Verifier.from_vkey(books.vkey), origin=ORIGIN)
    assert checkpoint.root == root_of([entry.leaf_hash for entry in books.leaves()])
    for entry in books.leaves():
        proof = (out / "proof" / f"{entry.index}.tlog-proof").read_text()
        assert verify_tlog_proof(proof, entry.leaf, Verifier.from_vkey(books.vkey)).index == entry.index


ONLY_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""what is read of the database was tested on both above"""


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


@ONLY_SQLITE
def test_an_export_is_brought_up_to_date_in_place(books: Books, backend: Backend, out: Path):
    grow(backend, books, 300)
    books.export(out, proofs=0)
    before, kept = files_of(out), {file: file.stat().st_mtime_ns for file in out.rglob("000") if file.is_file()}
    grow(backend, books, 600)
    done = books.export(out, proofs=0)
    after = files_of(out)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept, "full tiles and bundles are never written again"
    assert changed(before, after) == {
        "checkpoint",
        "checkpoint.600",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/001",
        "tile/entries/002.p/88",
    }
    assert done.written == 7
    assert set(before) - set(after) == {"tile/0/001.p/44", "tile/entries/001.p/44"}, "their full ones are there"
    assert "tile/1/000.p/1" in after, "a reader of the earlier checkpoint still needs it"
    assert books.export(out, proofs=0).written == 0
    assert necto_verify.verify(out).faults == ()


@ONLY_SQLITE
def test_a_file_that_was_lost_or_damaged_is_written_again(books: Books, backend: Backend, out: Path):
    grow(backend, books, 300)
    books.export(out)
    before = files_of(out)
    (out / "tile/0/000").unlink()
    (out / "tile/entries/000").write_bytes(b"")
    (out / "tile/0/001.p/44").write_bytes(b"?")
    (out / "policy.json").unlink()
    assert books.export(out).written == 4
    assert files_of(out) == before


@ONLY_SQLITE
def test_proofs_are_of_all_entries_of_some_or_of_none(books: Books, backend: Backend, out: Path, monkeypatch):
    grow(backend, books, 20)
    for asked, first in ((None, 0), (0, 20), (3, 17), (99, 0)):
        assert books.export(out / str(asked), proofs=asked).first_proof == first
        found = [int(file.name.removesuffix(".tlog-proof")) for file in out.glob(f"{asked}/proof/*")]
        assert sorted(found) == list(range(first, 20))
    monkeypatch.setattr("necto_pipelines.books.export.ALL_PROOFS_UP_TO", 19)
    monkeypatch.setattr("necto_pipelines.books.export.NEWEST_PROOFS", 4)
    assert books.export(out / "large").first_proof == 16


@ONLY_SQLITE
def test_a_folder_with_another_log_is_left_alone(books: Books, backend: Backend, out: Path, tmp_path: Path):
    grow(backend, books, 3)
    stranger = Books.open(
        f"sqlite:///{tmp_path / 'other.db'}",
        clock=backend.clock,
        keys=tmp_path / "other-keys",
        checkpoints=tmp_path / "other" / "checkpoints",
        origin=ORIGIN,
    )
    stranger.export(out)
    before = files_of(out)
    with pytest.raises(InvalidInput, match="another log"):
        books.export(out)
    assert files_of(out) == before
    stranger.close()


@ONLY_SQLITE
def test_an_earlier_checkpoint_that_differs_is_not_replaced(books: Books, backend: Backend, out: Path):
    grow(backend, books, 3)
    books.export(out)
    (out / "checkpoint.3").write_text("another history")
    grow(backend, books, 4)
    with pytest.raises(AuditBroken, match="another checkpoint of this size"):
        books.export(out)
    assert (out / "checkpoint.3").read_text() == "another history"


@ONLY_SQLITE
def test_two_exports_into_one_folder_take_turns(books: Books, backend: Backend, out: Path):
    grow(backend, books, 3)
    out.mkdir()
    with locked_folder(out) as alone:
        assert alone
        with pytest.raises(InvalidInput, match="another export"):
            books.export(out)
    assert books.export(out).size == 3


@ONLY_SQLITE
@pytest.mark.parametrize("stop", [0, 1, 2, 4, 9])
def test_an_export_that_stopped_anywhere_is_finished_by_the_next(books, backend, out, monkeypatch, stop: int):
    grow(backend, books, 260)
    books.export(out, proofs=5)
    published = (out / "checkpoint").read_text()
    grow(backend, books, 520)
    written = []
    with monkeypatch.context() as patched:
        from necto_pipelines.books import export

        def put(path: Path, data: bytes, **options: object) -> None:
            if len(written) == stop:
                (out / ".writing" / "half").write_bytes(data[:10])
                raise OSError("no space left")
            written.append(path)
            replace_file(path, data, **options)

        replace_file = export.replace_file
        patched.setattr(export, "replace_file", put)
        with pytest.raises(OSError, match="no space"):
            books.export(out, proofs=5)
    assert (out / "checkpoint").read_text() == published, "the newest checkpoint comes last"
    books.export(out, proofs=5)
    assert not (out / ".writing").exists()
    assert necto_verify.verify(out).faults == ()


@ONLY_SQLITE
def test_time_stamps_and_their_authorities_are_exported(books: Books, backend: Backend, out: Path):
    grow(backend, books, 3)
    books.sign()
    insert = "INSERT INTO audit_anchors VALUES (:id, 3, 'root', :kind, :place, NULL, :token)"
    token = b64encode(b"a time stamp").decode()
    backend.run(insert, {"id": "a", "kind": "rfc3161", "place": "tsa.example", "token": token})
    backend.run(insert, {"id": "b", "kind": "copy", "place": "file", "token": None})
    books.export(out, time_authorities=[TimeAuthority("tsa.example", "PEM")])
    assert {name: data for name, data in files_of(out).items() if name.startswith("anchors/")} == {
        "anchors/3.tsa-example.tsr": b"a time stamp",
        "anchors/tsa-example.pem": b"PEM",
    }
    policy = json.loads((out / "policy.json").read_text())
    assert policy["origin"] == ORIGIN
    assert policy["time_authorities"] == [{"name": "tsa.example", "certificates": "PEM"}]


@ONLY_SQLITE
def test_progress_is_told_up_to_the_end(books: Books, backend: Backend, out: Path):
    grow(backend, books, 600)
    told: list[tuple[int, int]] = []
    books.export(out, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert {total for _, total in told} == {1_200}
    assert told[-1][0] > 1_000


@ONLY_SQLITE
def test_what_is_disclosed_is_in_the_folder_for_one_export_only_and_the_registry_always(
    books: Books, backend: Backend, out: Path
):
    grow(backend, books, 3)
    books.export(out, openings={1: {"requested_by": {"salt": "c2FsdA==", "value": "somebody"}}, 2: {}})
    assert json.loads((out / "openings" / "1.json").read_text()) == {
        "requested_by": {"salt": "c2FsdA==", "value": "somebody"}
    }
    assert not (out / "openings" / "2.json").exists()
    books.export(out)
    assert not (out / "openings").exists()
    assert (out / "registry.json").read_bytes() == registry_bytes()
