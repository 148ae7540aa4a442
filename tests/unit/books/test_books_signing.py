"""Signing: one key, made once; checkpoints in the database and beside it; nothing signed over another history."""

import json
import shutil
import stat
from pathlib import Path

import pytest
from support.books_backends import ORIGIN, Backend
from support.books_steps import submitted

from necto_pipelines.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from necto_pipelines.audit.note import KeyRefused, NoteRefused, Signer, Verifier
from necto_pipelines.books.books import Books
from necto_pipelines.books.signing import CheckpointFiles, log_signer
from necto_pipelines.failures import AuditBroken


def files(backend: Backend) -> dict[str, str]:
    folder = backend.checkpoints
    return {file.name: file.read_text() for file in folder.iterdir()} if folder.exists() else {}


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path):
    folder = tmp_path / "home" / "keys"
    signer = log_signer(folder, ORIGIN)
    assert log_signer(folder, ORIGIN).private_bytes() == signer.private_bytes()
    assert stat.S_IMODE((folder / "log.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "log.vkey").read_text() == signer.vkey + "\n"
    assert sorted(file.name for file in folder.iterdir()) == ["log.key", "log.vkey"]


def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path: Path):
    log_signer(tmp_path, ORIGIN)
    secret = (tmp_path / "log.key").read_text().strip()
    for damaged in (secret[:-4], secret + "AAAA", "?" + secret[1:], ""):
        (tmp_path / "log.key").write_text(damaged)
        with pytest.raises(KeyRefused) as failure:
            log_signer(tmp_path, ORIGIN)
        assert secret[:20] not in str(failure.value)
        assert failure.value.__cause__ is None


def test_a_checkpoint_stands_in_the_database_and_in_a_file(books: Books, backend: Backend):
    assert books.sign() is None
    submitted(books)
    note = books.sign()
    assert files(backend) == {"checkpoint.2": note}
    checkpoint = open_checkpoint(note, Verifier.from_vkey(books.vkey), origin=ORIGIN)
    assert checkpoint.size == books.audit_size() == 2
    with backend.sql() as connection:
        assert connection.exec_driver_sql("SELECT size, note FROM audit_checkpoints").all() == [(2, note)]


def test_a_log_that_did_not_grow_is_not_signed_again(books: Books, backend: Backend):
    submitted(books)
    books.sign()
    before = files(backend)
    backend.clock.advance(3600)
    assert books.sign() is None
    other = backend.open()
    assert other.sign() is None
    other.close()
    assert files(backend) == before


def test_checkpoints_are_kept_for_ever(books: Books, backend: Backend):
    for _ in range(10):
        submitted(books)
        books.sign()
    sizes = sorted(int(name.removeprefix("checkpoint.")) for name in files(backend))
    assert sizes == list(range(2, 12))
    (backend.checkpoints / "checkpoint.99999.part").write_text("not a checkpoint")
    (backend.checkpoints / "checkpoint.007").write_text("neither")
    assert open_checkpoint(CheckpointFiles(backend.checkpoints).newest(), Verifier.from_vkey(books.vkey)).size == 11


def copy_of(backend: Backend) -> dict[str, list]:
    """A backup of what the log consists of."""
    with backend.sql() as connection:
        return {
            table: connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            for table in ("audit_leaves", "audit_head", "audit_checkpoints")
        }


def restore(backend: Backend, copy: dict[str, list]) -> None:
    with backend.sql() as connection:
        mark = "?" if backend.name == "sqlite" else "%s"
        for table, rows in copy.items():
            connection.exec_driver_sql(f"DELETE FROM {table}")
            for row in rows:
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({','.join([mark] * len(row))})", tuple(row))


def test_nothing_is_signed_after_a_backup_was_restored(books: Books, backend: Backend):
    submitted(books)
    books.sign()
    backup = copy_of(backend)
    submitted(books)
    books.sign()
    restore(backend, backup)
    before = files(backend)
    with pytest.raises(AuditBroken, match=r"behind.* 2 leaves.* size 3"):
        books.sign()
    assert files(backend) == before
    assert [fault.kind for fault in books.verify().faults][-1:] != []


def test_nothing_is_signed_when_a_restored_database_grew_beyond_the_signed_size(books: Books, backend: Backend):
    submitted(books)
    books.sign()
    backup = copy_of(backend)
    backend.run("DELETE FROM audit_names")
    submitted(books)
    books.sign()
    restore(backend, backup)
    backend.run("DELETE FROM audit_names")
    for _ in range(3):
        submitted(books)
    with pytest.raises(AuditBroken, match=r"beside the signed history.*first 3 leaves"):
        books.sign()
    assert "checkpoint.5" not in files(backend)


@pytest.mark.parametrize("folder_lost", [False, True])
def test_nothing_is_signed_over_changed_leaves(books: Books, backend: Backend, folder_lost: bool):
    submitted(books)
    books.sign()
    submitted(books)
    if folder_lost:
        shutil.rmtree(backend.checkpoints)
    backend.run("UPDATE audit_leaves SET leaf_hash = :bytes WHERE leaf_index = 2", {"bytes": bytes(32)})
    with pytest.raises(AuditBroken, match="head does not fit"):
        books.sign()


def test_a_changed_edge_does_not_hide_another_history(books: Books, backend: Backend):
    submitted(books)
    note = books.sign()
    submitted(books)
    backend.run("UPDATE audit_checkpoints SET edge = :bytes", {"bytes": b"\0" * 7 + b"\2" + bytes(32)})
    assert books.sign() != note
    assert books.verify().ok


def test_a_checkpoint_of_another_key_stops_signing(books: Books, backend: Backend):
    submitted(books)
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 2, bytes(32)), Signer.generate(ORIGIN))
    backend.checkpoints.mkdir()
    (backend.checkpoints / "checkpoint.2").write_text(stranger)
    with pytest.raises(NoteRefused):
        books.sign()


def test_a_lost_key_stops_signing_instead_of_starting_over(books: Books, backend: Backend):
    submitted(books)
    books.sign()
    submitted(books)
    shutil.rmtree(backend.keys)
    other = backend.open()
    with pytest.raises(NoteRefused):
        other.sign()
    other.close()


def test_a_file_that_a_crash_left_without_its_row_gets_it(books: Books, backend: Backend):
    submitted(books)
    note = books.sign()
    backend.run("DELETE FROM audit_checkpoints")
    assert books.sign() is None
    assert files(backend) == {"checkpoint.2": note}
    with backend.sql() as connection:
        assert connection.exec_driver_sql("SELECT size, note FROM audit_checkpoints").all() == [(2, note)]
    assert books.proof(0)[2] == note


def test_a_leaf_is_canonical_json(books: Books):
    submitted(books)
    for entry in books.leaves():
        text = json.dumps(json.loads(entry.leaf), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert text.encode() == entry.leaf
