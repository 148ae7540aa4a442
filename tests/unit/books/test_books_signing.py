"""Signing: one key, made once; checkpoints in the database and beside it; nothing signed over another history."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.books_backends import ACTOR, ORIGIN, Backend
from support.books_steps import submitted

from necto_pipelines.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from necto_pipelines.audit.note import Signer, Verifier
from necto_pipelines.books.books import Books
from necto_pipelines.books.cadence import Cadence
from necto_pipelines.books.incidents import Incident, SigningRefused
from necto_pipelines.books.signing import CheckpointFiles
from necto_pipelines.failures import AuditBroken, InvalidInput, Unavailable


def files(backend: Backend) -> dict[str, str]:
    folder = backend.checkpoints
    return {file.name: file.read_text() for file in folder.iterdir()} if folder.exists() else {}


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
    with pytest.raises(SigningRefused):
        books.sign()


def test_a_lost_key_stops_signing_instead_of_starting_over(books: Books, backend: Backend):
    submitted(books)
    books.sign()
    submitted(books)
    shutil.rmtree(backend.keys)
    other = backend.open()
    with pytest.raises(SigningRefused):
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


def rolled_back(books: Books, backend: Backend) -> None:
    """Put the database back to before its newest checkpoint."""
    submitted(books)
    books.sign()
    backup = copy_of(backend)
    submitted(books)
    books.sign()
    restore(backend, backup)


def test_a_refusal_is_an_incident_in_a_file_outside_the_database(books: Books, backend: Backend):
    assert books.incidents() == []
    rolled_back(books, backend)
    with pytest.raises(SigningRefused) as refusal:
        books.sign()
    (incident,) = books.incidents()
    assert (incident.kind, incident.size, incident.signed_size) == ("behind", 2, 3)
    assert (incident.at, incident.what) == ("2026-11-22T12:00:00.000000Z", str(refusal.value))
    (file,) = (backend.folder / "incidents").iterdir()
    assert file.name == "20261122T120000.000000Z-behind.json"
    assert Incident(**json.loads(file.read_text())) == incident


def test_the_same_refusal_is_one_incident_however_often_and_by_whomever_it_is_made(books: Books, backend: Backend):
    rolled_back(books, backend)
    other = backend.open()
    for signing in (books, books, other):
        backend.clock.advance(60)
        with pytest.raises(SigningRefused):
            signing.sign()
    other.close()
    assert [incident.at for incident in books.incidents()] == ["2026-11-22T12:01:00.000000Z"]


def test_another_refusal_is_another_incident(books: Books, backend: Backend):
    rolled_back(books, backend)
    with pytest.raises(SigningRefused):
        books.sign()
    backend.clock.advance(60)
    backend.run("DELETE FROM audit_head")
    with pytest.raises(AuditBroken, match="head is gone"):
        books.sign()
    assert [incident.kind for incident in books.incidents()] == ["behind", "head"]


def test_an_incident_that_cannot_be_read_is_still_told_of(books: Books, backend: Backend):
    rolled_back(books, backend)
    with pytest.raises(SigningRefused):
        books.sign()
    (file,) = (backend.folder / "incidents").iterdir()
    file.write_text("{")
    assert [incident.kind for incident in books.incidents()] == ["unreadable"]


def test_a_database_that_does_not_answer_is_no_incident(books: Books, backend: Backend, monkeypatch):
    def unavailable(*_: object, **__: object) -> str:
        raise Unavailable("the books do not answer")

    monkeypatch.setattr("necto_pipelines.books.upkeep.sign_head", unavailable)
    with pytest.raises(Unavailable):
        books.sign()
    assert books.incidents() == []


def test_an_empty_log_is_signed_only_when_that_is_asked_for(books: Books, backend: Backend):
    assert books.sign() is None
    note = books.sign(even_empty=True)
    assert files(backend) == {"checkpoint.0": note}
    assert books.sign(even_empty=True) is None
    submitted(books)
    assert books.sign()
    assert books.verify().ok


def test_checkpoints_that_another_process_signed_are_seen(books: Books, backend: Backend):
    submitted(books)
    books.sign()
    other = backend.open()
    submitted(other)
    assert other.sign()
    other.close()
    assert books.sign() is None
    submitted(books)
    assert books.sign()
    assert len(files(backend)) == 3


class Watch:
    """A stop-watch in the test's hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def signing(backend: Backend, watch: Watch) -> Iterator[Books]:
    """Books whose changes are followed by a signature, at most one a second."""
    opened = Books.open(
        backend.url,
        clock=backend.clock,
        keys=backend.keys,
        checkpoints=backend.checkpoints,
        origin=ORIGIN,
        sign_every_s=1,
        monotonic=watch,
    )
    yield opened
    opened.close()


def noted(books: Books) -> None:
    with books.change(ACTOR) as change:
        change.note("run.started", {"planned": "route"})


def test_changes_are_followed_by_one_signature_a_second(signing: Books, backend: Backend, watch: Watch):
    sizes = []
    for _ in range(25):
        noted(signing)
        sizes.append(max(int(name.removeprefix("checkpoint.")) for name in files(backend)))
        watch.seconds += 0.25
    assert len(files(backend)) == 7
    assert [signed for signed in sizes if sizes.count(signed) == 4] == sizes[:-1]
    noted(signing)
    assert signing.sign(), "what came after the last signature is signed when somebody asks"
    assert signing.verify().covered == signing.audit_size()


def test_a_change_that_failed_is_followed_by_no_signature(signing: Books, backend: Backend):
    with pytest.raises(ZeroDivisionError), signing.change(ACTOR) as change:
        change.note("run.started", {"planned": "route"[1 // 0]})
    assert files(backend) == {}
    noted(signing)
    assert len(files(backend)) == 1


def test_a_change_stands_although_its_signature_is_refused(signing: Books, backend: Backend, watch: Watch):
    rolled_back(signing, backend)
    size = signing.audit_size()
    watch.seconds += 1
    noted(signing)
    assert signing.audit_size() == size + 1
    assert [incident.kind for incident in signing.incidents()] == ["beside"]


def test_a_change_stands_although_no_checkpoint_can_be_written(signing: Books, backend: Backend):
    backend.checkpoints.write_text("a file where the folder belongs")
    noted(signing)
    assert signing.audit_size() > 0
    with pytest.raises(OSError, match="checkpoints"):
        signing.sign()


def test_of_many_threads_one_takes_the_turn(watch: Watch):
    cadence = Cadence(1, watch)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert sum(pool.map(lambda _: cadence.take(), range(64))) == 1
            watch.seconds += 1


def leaves_about(books: Books, incident: Incident) -> list[str]:
    return [json.loads(leaf)["type"] for _, leaf in books.leaf_of("incident", incident.id)]


def refused_once(books: Books, backend: Backend) -> Incident:
    """An incident whose cause is gone."""
    submitted(books)
    books.sign()
    stray = backend.checkpoints / "checkpoint.99"
    stray.write_text("not ours")
    with pytest.raises(SigningRefused):
        books.sign()
    stray.unlink()
    return books.incidents()[-1]


def test_an_incident_becomes_a_leaf_once_the_log_can_be_signed_again(books: Books, backend: Backend):
    incident = refused_once(books, backend)
    assert leaves_about(books, incident) == []
    assert books.sign()
    assert leaves_about(books, incident) == ["incident.raised"]
    assert books.sign() is None
    submitted(books)
    books.sign()
    assert leaves_about(books, incident) == ["incident.raised"]
    assert books.verify().ok


def test_a_refusal_after_the_same_one_was_resolved_is_another_incident(books: Books, backend: Backend):
    incident = refused_once(books, backend)
    assert books.incidents(unresolved=True) == [incident]
    books.resolve_incident(ACTOR, incident.id, "a stray file; removed")
    assert (books.incidents(unresolved=True), books.incidents()) == ([], [incident])
    with pytest.raises(InvalidInput, match="necto audit incidents"):
        books.resolve_incident(ACTOR, incident.id, "again")
    backend.clock.advance(60)
    assert refused_once(books, backend) != incident
    assert len(books.incidents()) == 2


def test_a_restored_database_that_goes_on_growing_is_one_incident(books: Books, backend: Backend):
    rolled_back(books, backend)
    backend.run("DELETE FROM audit_names WHERE leaf_index >= 2")
    for _ in range(3):
        backend.clock.advance(60)
        with pytest.raises(SigningRefused):
            books.sign()
        noted(books)
    assert [incident.kind for incident in books.incidents()] == ["behind"]
