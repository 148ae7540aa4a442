"""The log's key and its rotation: two signatures on one checkpoint, the old key gone, old checkpoints still good."""

import json
import stat
from base64 import b64encode
from pathlib import Path

import necto_verify
import pytest
from support.books_backends import ACTOR, ORIGIN, Backend
from support.leaf_log import append, event

from necto_pipelines.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from necto_pipelines.audit.note import KeyRefused, NoteRefused, Signer, Verifier, signers_of
from necto_pipelines.audit.policy import KeyWindow, Policy
from necto_pipelines.books.audit_log import edge
from necto_pipelines.books.books import Books
from necto_pipelines.books.incidents import SigningRefused
from necto_pipelines.books.keys import KeyFolder
from necto_pipelines.failures import AuditBroken

ONLY_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""nothing in it depends on the kind of database"""


def noted(books: Books, times: int = 1) -> None:
    for _ in range(times):
        with books.change(ACTOR) as change:
            change.note("run.started", {"planned": "route"})


def key_files(backend: Backend) -> list[str]:
    return sorted(file.name for file in backend.keys.iterdir() if file.name.startswith("log."))


def signers(note: str, *vkeys: str) -> list[str]:
    return [key.vkey for key in signers_of(note, [Verifier.from_vkey(vkey) for vkey in vkeys])[1]]


def rotated(books: Books) -> list[dict[str, str]]:
    """What the leaves say about rotations."""
    return [json.loads(leaf)["body"] for _, leaf in books.leaf_of("log_key", ORIGIN)]


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path):
    folder = tmp_path / "home" / "keys"
    signer = KeyFolder(folder, ORIGIN).current()
    assert KeyFolder(folder, ORIGIN).current().private_bytes() == signer.private_bytes()
    assert stat.S_IMODE((folder / "log.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "log.vkey").read_text() == signer.vkey + "\n"
    assert sorted(file.name for file in folder.iterdir()) == ["log.key", "log.vkey"]


def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path: Path):
    keys = KeyFolder(tmp_path, ORIGIN)
    secret = (tmp_path / "log.key").read_text().strip()
    for damaged in (secret[:-4], secret + "AAAA", "?" + secret[1:], ""):
        (tmp_path / "log.key").write_text(damaged)
        with pytest.raises(KeyRefused) as failure:
            keys.current()
        assert secret[:20] not in str(failure.value)
        assert failure.value.__cause__ is None


def test_after_a_rotation_the_new_key_signs_alone_and_the_old_one_is_gone(books: Books, backend: Backend):
    noted(books)
    books.sign()
    secret = (backend.keys / "log.key").read_text()
    old, new = books.rotate_key(ACTOR)
    both = (backend.checkpoints / f"checkpoint.{books.audit_size()}").read_text()
    noted(books)
    after = books.sign()
    assert signers(both, old, new) == [old, new]
    assert signers(after, old, new) == [new]
    assert books.vkey == new != old
    assert (backend.keys / "log.vkey").read_text() == f"{new}\n"
    assert key_files(backend) == ["log.key", "log.vkey"]
    assert secret not in [file.read_text() for file in backend.keys.iterdir() if file.is_file()]
    assert stat.S_IMODE((backend.keys / "log.key").stat().st_mode) == 0o600
    assert rotated(books) == [{"old": old, "new": new}]
    assert books.verify().ok


def test_checkpoints_of_all_keys_verify_after_several_rotations(books: Books, backend: Backend, tmp_path: Path):
    keys = [books.vkey]
    for _ in range(3):
        noted(books, 2)
        books.sign()
        keys.append(books.rotate_key(ACTOR)[1])
    noted(books)
    saved = [file.read_text() for file in backend.checkpoints.iterdir()]
    verdict = books.verify(saved)
    assert (verdict.ok, verdict.checkpoints) == (True, len(saved))
    policy = json.loads(books.policy().to_json())
    assert [key["vkey"] for key in policy["keys"]] == keys
    assert [key["from"] for key in policy["keys"][1:]] == [key["until"] - 1 for key in policy["keys"][:-1]]
    books.export(tmp_path / "export")
    found = necto_verify.verify(tmp_path / "export", saved=[backend.checkpoints])
    assert found.faults == ()
    assert found.assurance == "consistent-with"


def test_whoever_knows_only_the_old_key_can_follow_to_the_new_one(books: Books, backend: Backend):
    noted(books)
    old, _ = books.rotate_key(ACTOR)
    note = (backend.checkpoints / f"checkpoint.{books.audit_size()}").read_text()
    checkpoint = open_checkpoint(note, Verifier.from_vkey(old), origin=ORIGIN)
    assert checkpoint.size == books.leaf_of("log_key", ORIGIN)[0][0] + 1


def test_another_process_goes_on_with_the_new_key(books: Books, backend: Backend):
    other = backend.open()
    noted(other)
    other.sign()
    _, new = books.rotate_key(ACTOR)
    noted(other)
    assert signers(other.sign(), new) == [new]
    assert other.vkey == new
    assert other.verify().ok
    other.close()


class Stop(Exception):
    """The process ends here."""


def stops(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Have a rotation end at this place, as if the process were killed."""
    add = "necto_pipelines.books.signing.CheckpointFiles.add"
    targets = {
        "before the new key is written": "necto_pipelines.books.keys.create_file",
        "before the leaf is stored": "necto_pipelines.books.changes.Change.finish",
        "before both sign": add,
        "before the checkpoint is in the database": "necto_pipelines.books.signing.insert",
        "before the old key is replaced": "pathlib.Path.replace",
        "before the public key is replaced": "necto_pipelines.books.keys.replace_file",
    }

    def stop(*_: object, **__: object) -> None:
        raise Stop

    monkeypatch.setattr(targets[where], stop)


STOPS = {
    "before the new key is written": 0,
    "before the leaf is stored": 0,
    "before both sign": 1,
    "before the checkpoint is in the database": 1,
    "before the old key is replaced": 1,
    "before the public key is replaced": 1,
}
"""where a rotation stops, and how many the log tells of then"""


@pytest.mark.parametrize("where", STOPS)
def test_a_rotation_that_stopped_anywhere_is_finished_by_the_next_signature(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
):
    books = backend.open()
    noted(books)
    first = books.vkey
    books.sign()
    with monkeypatch.context() as patched:
        stops(patched, where)
        with pytest.raises(Stop):
            books.rotate_key(ACTOR)
    books.close()

    again = backend.open()
    assert again.verify().ok, "half-way the log is in order"
    assert len(rotated(again)) == STOPS[where]
    noted(again)
    again.sign()
    noted(again)
    assert again.sign()
    assert (again.vkey == first) == (STOPS[where] == 0)
    assert again.verify().ok
    assert again.incidents() == []
    again.rotate_key(ACTOR)
    noted(again)
    again.sign()
    assert len(rotated(again)) == STOPS[where] + 1
    assert key_files(backend) == ["log.key", "log.vkey"]
    assert (backend.keys / "log.vkey").read_text() == f"{again.vkey}\n"
    assert again.verify().ok
    again.export(tmp_path / "export")
    assert necto_verify.verify(tmp_path / "export", saved=[backend.checkpoints]).faults == ()
    again.close()


def forged(old: str, new: str) -> dict:
    return event(0, type="log.key.rotated", subject={"log_key": ORIGIN}, body={"old": old, "new": new})


@ONLY_SQLITE
def test_a_leaf_put_in_by_hand_makes_nobody_the_signer(books: Books, backend: Backend):
    noted(books)
    books.sign()
    thief = Signer.generate(ORIGIN)
    append(backend, [forged(books.vkey, thief.vkey)])
    with pytest.raises(SigningRefused, match="no such key"):
        books.sign()
    assert [incident.kind for incident in books.incidents()] == ["key"]
    with backend.sql() as connection:
        head = edge(connection)
    note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), thief)
    (backend.checkpoints / f"checkpoint.{head.size}").write_text(note)
    assert "checkpoint" in {fault.kind for fault in books.verify().faults}


@ONLY_SQLITE
def test_a_forged_past_is_found_because_no_checkpoint_bears_it_out(books: Books, backend: Backend):
    noted(books)
    thief = Signer.generate(ORIGIN)
    append(backend, [forged(thief.vkey, books.vkey)])
    books.sign()
    assert [fault.kind for fault in books.verify().faults] == ["keys"]
    with pytest.raises(AuditBroken, match="signed by both"):
        books.policy()


@ONLY_SQLITE
@pytest.mark.parametrize(("old", "new"), [("nonsense", None), (None, "necto.test/audit+00000000+AQ==")])
def test_a_rotation_to_or_from_no_key_is_named(books: Books, backend: Backend, old: str | None, new: str | None):
    noted(books)
    append(backend, [forged(old or books.vkey, new or books.vkey)])
    assert [fault.kind for fault in books.verify().faults] == ["keys"]
    if new:
        with pytest.raises(SigningRefused):
            books.sign()


@ONLY_SQLITE
def test_a_key_restored_from_an_old_backup_signs_nothing(books: Books, backend: Backend):
    noted(books)
    secret = (backend.keys / "log.key").read_text()
    books.rotate_key(ACTOR)
    (backend.keys / "log.key").write_text(secret)
    noted(books)
    with pytest.raises(SigningRefused, match="no such key"):
        books.sign()
    assert [incident.kind for incident in books.incidents()] == ["key"]
    assert books.verify().ok, "nothing is wrong with the log"


OLD, NEW = (Signer.from_private_bytes(ORIGIN, bytes([number]) * 32) for number in (1, 2))


@pytest.mark.parametrize(
    ("signer", "size", "accepted"),
    [(OLD, 0, True), (OLD, 9, True), (OLD, 10, False), (NEW, 8, False), (NEW, 9, True), (NEW, 10**9, True)],
)
def test_a_key_counts_only_for_the_sizes_of_its_time(signer: Signer, size: int, accepted: bool):
    policy = Policy(ORIGIN, (KeyWindow(OLD.verifier, 0, 10), KeyWindow(NEW.verifier, 9)))
    note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), signer)
    if accepted:
        assert policy.open(note).size == size
    else:
        with pytest.raises(NoteRefused, match="no key that may sign it"):
            policy.open(note)


def test_a_second_line_that_fails_refuses_the_whole_checkpoint():
    policy = Policy(ORIGIN, (KeyWindow(OLD.verifier, 0, 10), KeyWindow(NEW.verifier, 9)))
    note = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), OLD, NEW)
    *lines, _ = note.splitlines(keepends=True)
    broken = "".join(lines) + f"— {ORIGIN} {b64encode(NEW.verifier.key_id + bytes(64)).decode()}\n"
    assert policy.open(note).size == 9
    with pytest.raises(NoteRefused, match="does not hold"):
        policy.open(broken)
