"""What the books hold about people: sealed, seen only with an entry about it, and erased for good."""

import shutil
import stat
from base64 import b64decode
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from support.books_backends import ACTOR, Backend, PostgresServer
from support.books_steps import events, give_budget, submitted
from support.raw_files import found_in

from necto_pipelines.audit.checkpoint import open_checkpoint
from necto_pipelines.audit.commitment import opens
from necto_pipelines.audit.merkle import leaf_hash, verify_inclusion
from necto_pipelines.audit.note import Verifier
from necto_pipelines.books.books import Books
from necto_pipelines.books.openings import Openings, PersonalValue
from necto_pipelines.books.roles import role_statements
from necto_pipelines.books.subject_keys import SubjectKeyFolder, alias_of, normalised
from necto_pipelines.failures import AuditBroken, InvalidInput, PermanentFailure, Refused, Unavailable
from necto_pipelines.model.order import Order

ADA = "Ada Lovelace, ada.lovelace@example.org"


def subject_of(backend: Backend, name: str = ADA) -> str:
    return SubjectKeyFolder(backend.keys).pseudonym(name)


def entry_of(books: Books, order: Order) -> int:
    """The index of the entry that the order came in with."""
    return books.leaf_of("order", order.id)[0][0]


def erase(books: Books, subject: str, basis: str = "art17.1a"):
    with books.change(ACTOR) as change:
        return change.erase_subject(subject, basis)


def test_a_leaf_commits_to_who_asked_and_the_opening_proves_it(books: Books):
    order = submitted(books, requested_by=ADA)
    index = entry_of(books, order)
    with books.change(ACTOR) as change:
        opening = change.disclose([index], "disclosed")[index]["requested_by"]
    event = events(books)[index]
    assert list(event["commit"]) == ["requested_by"]
    assert opens(event["commit"]["requested_by"], opening.salt, "requested_by", ADA)
    assert opening.as_json()["value"] == ADA
    assert len(b64decode(opening.as_json()["salt"])) == 32


def test_the_same_person_leaves_two_commitments_that_do_not_look_alike(books: Books):
    first, second = submitted(books, requested_by=ADA), submitted(books, requested_by=ADA)
    commitments = {events(books)[entry_of(books, order)]["commit"]["requested_by"] for order in (first, second)}
    assert len(commitments) == 2
    assert first.request.requested_by == second.request.requested_by


def test_nobody_asked_means_nothing_committed_and_no_key(books: Books, backend: Backend):
    order = submitted(books, requested_by="")
    assert "commit" not in events(books)[entry_of(books, order)]
    assert order.request.requested_by == ""
    assert not (backend.keys / "subjects").exists()


def test_what_is_opened_is_logged_for_each_person_and_what_is_listed_is_not(books: Books, backend: Backend):
    orders = [submitted(books, requested_by=name) for name in (ADA, "Grace Hopper", ADA)]
    size = books.audit_size()
    assert all(order.request.requested_by.startswith("sub_") for order in books.orders())
    with books.people() as people:
        assert {person.openings for person in people.all()} == {1, 2}
    assert books.audit_size() == size
    with books.change(ACTOR) as change:
        change.disclose([entry_of(books, order) for order in orders], "disclosed")
    opened = events(books, size)
    assert [event["type"] for event in opened] == ["privacy.opened", "privacy.opened"]
    assert sorted(event["body"]["entries"] for event in opened) == [[1, 3], [2]]
    assert {event["body"]["why"] for event in opened} == {"disclosed"}
    with books.people() as people:
        assert {event["subject"]["subject"] for event in opened} == {person.alias for person in people.all()}


def test_a_change_that_fails_discloses_nothing_and_logs_nothing(books: Books):
    order = submitted(books, requested_by=ADA)
    size = books.audit_size()
    with pytest.raises(PermanentFailure, match="why"), books.change(ACTOR) as change:
        change.disclose([entry_of(books, order)], "curiosity")
    assert books.audit_size() == size


def test_many_openings_of_one_person_take_several_leaves(books: Books, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("necto_pipelines.books.privacy_changes.ENTRIES_PER_LEAF", 2)
    entries = [entry_of(books, submitted(books, requested_by=ADA)) for _ in range(5)]
    size = books.audit_size()
    with books.people() as people:
        (person,) = people.all()
    with books.change(ACTOR) as change:
        assert sorted(change.disclose_subject(person.subject)) == entries
    assert [event["body"]["entries"] for event in events(books, size)] == [entries[:2], entries[2:4], entries[4:]]
    erased = erase(books, person.subject)
    assert len(erased.entries) == 3
    assert sum(events(books)[index]["body"]["leaves"] for index in erased.entries) == erased.leaves == 5


def test_erasing_destroys_openings_and_key_and_every_proof_still_verifies(books: Books, backend: Backend):
    order, other = submitted(books, requested_by=ADA), submitted(books, requested_by="Grace Hopper")
    index, other_index = entry_of(books, order), entry_of(books, other)
    verifier = Verifier.from_vkey(books.vkey)
    before = open_checkpoint(books.sign(), verifier)
    old_leaf, old_path, _ = books.proof(index)
    erased = erase(books, subject_of(backend))
    assert (erased.leaves, erased.plain_rows, erased.key) == (1, 0, True)
    (entry,) = erased.entries
    event = events(books)[entry]
    assert event["body"] == {"leaves": 1, "labels": "requested_by", "basis": "art17.1a", "entries": [index]}
    assert books.order(order.id).request.requested_by == "erased"
    with books.change(ACTOR) as change:
        assert list(change.disclose([index, other_index], "shown")) == [other_index]
    verify_inclusion(leaf_hash(old_leaf), index, before.size, old_path, before.root)
    checkpoint = open_checkpoint(books.sign(), verifier)
    leaf, path, _ = books.proof(index)
    assert leaf == old_leaf
    verify_inclusion(leaf_hash(leaf), index, checkpoint.size, path, checkpoint.root)
    assert books.verify().ok


def test_erasing_again_changes_nothing_and_a_new_order_begins_with_a_new_key(books: Books, backend: Backend):
    submitted(books, requested_by=ADA)
    keys = SubjectKeyFolder(backend.keys)
    first = keys.key(subject_of(backend))
    erase(books, subject_of(backend))
    size = books.audit_size()
    again = erase(books, subject_of(backend))
    assert (again.leaves, again.plain_rows, again.key, again.entries) == (0, 0, False, ())
    assert books.audit_size() == size
    submitted(books, requested_by=ADA)
    assert keys.key(subject_of(backend)) not in (None, first)
    assert erase(books, subject_of(backend)).leaves == 1


def test_no_leaf_leads_back_to_the_person_once_the_key_is_gone(books: Books, backend: Backend):
    order = submitted(books, requested_by=ADA)
    with books.change(ACTOR) as change:
        change.disclose([entry_of(books, order)], "shown")
        alias = change.people.alias(subject_of(backend))
    erase(books, subject_of(backend))
    assert [event["subject"]["subject"] for event in events(books, 2)] == [alias, alias]
    submitted(books, requested_by=ADA)
    with books.people() as people:
        assert people.alias(people.find(ADA)) not in (None, alias)
        with pytest.raises(InvalidInput, match="nothing is held under this pseudonym"):
            people.find(alias)
    assert not [entry for entry in books.leaves() if subject_of(backend).encode() in entry.leaf]


def test_a_legal_claim_stops_an_erasure_until_it_is_over(books: Books, backend: Backend):
    order, subject = submitted(books, requested_by=ADA), subject_of(backend)
    with books.change(ACTOR) as change:
        change.hold_subject(subject, "case-7")
    with pytest.raises(InvalidInput, match="case-7 holds"), books.change(ACTOR) as change:
        change.hold_subject(subject, "case-8")
    with pytest.raises(Refused, match=r"case-7 \(article 17\(3\)\(e\)\)") as refusal:
        erase(books, subject)
    assert refusal.value.code == "must_be_kept"
    assert books.order(order.id).request.requested_by == subject
    with books.change(ACTOR) as change:
        assert change.disclose([entry_of(books, order)], "shown")
        change.free_subject(subject)
    with pytest.raises(InvalidInput, match="no legal claim"), books.change(ACTOR) as change:
        change.free_subject(subject)
    assert erase(books, subject).key


def test_a_claim_on_somebody_of_whom_nothing_is_held_is_refused(books: Books, backend: Backend):
    with pytest.raises(InvalidInput, match="nothing is held"), books.change(ACTOR) as change:
        change.hold_subject(subject_of(backend), "case-7")


@pytest.mark.parametrize("basis", ["art17.1b", "art17.1f"])
def test_a_ground_that_does_not_fit_erases_nothing(books: Books, backend: Backend, basis: str):
    order = submitted(books, requested_by=ADA)
    with pytest.raises(Refused, match=f"{basis} does not apply"):
        erase(books, subject_of(backend), basis)
    with pytest.raises(InvalidInput, match=r"art17\.1a, art17\.1b"):
        erase(books, subject_of(backend), "art17.3b")
    with books.change(ACTOR) as change:
        assert change.disclose([entry_of(books, order)], "shown")


def test_plain_texts_of_an_older_version_are_erased_with_the_rest(books: Books, backend: Backend):
    old, new, other = (submitted(books, requested_by=name) for name in (ADA, ADA, "Grace Hopper"))
    backend.run(
        "UPDATE requesters SET requested_by = :name WHERE order_id = :id", {"name": f" {ADA.upper()}", "id": old.id}
    )
    backend.run("DELETE FROM audit_openings WHERE leaf_id = :id", {"id": events(books)[entry_of(books, old)]["id"]})
    with books.people() as people:
        person = next(each for each in people.all() if each.subject == subject_of(backend))
    assert (person.openings, person.plain_rows) == (1, 1)
    erased = erase(books, subject_of(backend))
    assert (erased.leaves, erased.plain_rows) == (1, 1)
    assert events(books)[-1]["body"]["plain_rows"] == 1
    assert [books.order(each.id).request.requested_by for each in (old, new)] == ["erased", "erased"]
    assert books.order(other.id).request.requested_by == other.request.requested_by


def test_only_plain_texts_are_erased_with_an_entry_too(books: Books, backend: Backend):
    order = submitted(books, requested_by="")
    row = {"id": order.id, "name": ADA}
    backend.run("INSERT INTO requesters (order_id, requested_by) VALUES (:id, :name)", row)
    assert books.order(order.id).request.requested_by == ADA
    erased = erase(books, subject_of(backend))
    assert (erased.leaves, erased.plain_rows, len(erased.entries)) == (0, 1, 1)
    assert books.order(order.id).request.requested_by == "erased"


def test_an_erasure_that_stops_before_the_commit_has_made_everything_unreadable_and_is_finished_by_the_next(
    books: Books, backend: Backend
):
    order, subject = submitted(books, requested_by=ADA), subject_of(backend)
    with pytest.raises(ZeroDivisionError), books.change(ACTOR) as change:  # noqa: PT012  one change
        change.erase_subject(subject, "art17.1a")
        raise ZeroDivisionError
    with books.change(ACTOR) as change:
        assert change.disclose([entry_of(books, order)], "shown") == {}
    erased = erase(books, subject)
    assert (erased.leaves, erased.key, len(erased.entries)) == (1, False, 1)
    with books.people() as people:
        assert people.all() == []


def test_after_an_erasure_an_old_copy_of_the_database_opens_nothing(books: Books, backend: Backend, tmp_path: Path):
    order = submitted(books, requested_by=ADA)
    with backend.sql() as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM audit_openings").mappings().all()
        requester = dict(connection.exec_driver_sql("SELECT * FROM requesters").mappings().one())
    erase(books, subject_of(backend))
    columns = ", ".join(row)
    backend.run(f"INSERT INTO audit_openings ({columns}) VALUES ({', '.join(f':{name}' for name in row)})", dict(row))
    backend.run("UPDATE requesters SET requested_by = :requested_by WHERE order_id = :order_id", requester)
    with books.change(ACTOR) as change:
        assert change.disclose([entry_of(books, order)], "shown") == {}


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE audit_openings SET ciphertext = nonce", "not as it was sealed"),
        ("UPDATE audit_openings SET nonce = substr(ciphertext, 1, 12)", "not as it was sealed"),
        ("UPDATE audit_openings SET label = 'approved_by'", "not as it was sealed"),
    ],
)
def test_an_opening_that_was_changed_by_hand_is_not_believed(books: Books, backend: Backend, statement: str, what: str):
    order = submitted(books, requested_by=ADA)
    backend.run(statement)
    with pytest.raises(AuditBroken, match=what), books.change(ACTOR) as change:
        change.disclose([entry_of(books, order)], "shown")


def test_an_opening_moved_to_another_entry_is_not_believed(books: Books, backend: Backend):
    first, second = submitted(books, requested_by=ADA), submitted(books, requested_by=ADA)
    ids = [events(books)[entry_of(books, order)]["id"] for order in (first, second)]
    backend.run("DELETE FROM audit_openings WHERE leaf_id = :second", {"second": ids[1]})
    backend.run("UPDATE audit_openings SET leaf_id = :second", {"second": ids[1]})
    with pytest.raises(AuditBroken, match="not as it was sealed"), books.change(ACTOR) as change:
        change.disclose([entry_of(books, second)], "shown")


def test_nothing_is_erased_while_a_leaf_waits_for_its_index(books: Books, backend: Backend):
    submitted(books, requested_by=ADA)
    backend.run("UPDATE audit_openings SET leaf_id = 'in-the-inbox'")
    with pytest.raises(Unavailable, match="waits for its place"):
        erase(books, subject_of(backend))
    assert SubjectKeyFolder(backend.keys).key(subject_of(backend))


def test_salts_and_nonces_come_from_the_source_that_is_given(books: Books, backend: Backend):
    give_budget(books)
    drawn = iter(range(1, 10))
    with books.change(ACTOR) as change:
        openings = Openings(
            change._connection, SubjectKeyFolder(backend.keys), lambda size: bytes([next(drawn)]) * size
        )
        committed = openings.seal("leaf-1", "requested_by", PersonalValue(ADA, person=ADA))
    assert opens(committed, bytes([1]) * 32, "requested_by", ADA)


def test_books_without_a_place_for_keys_take_no_personal_data(books: Books, backend: Backend):
    with books.change(ACTOR) as change, pytest.raises(PermanentFailure, match="without a place"):
        Openings(change._connection, None).seal("leaf-1", "requested_by", PersonalValue(ADA, person=ADA))


class TestKeys:
    """Keys of people, in a folder."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> SubjectKeyFolder:
        return SubjectKeyFolder(tmp_path)

    @pytest.mark.parametrize("same", ["ADA@example.org", "  ada@example.org\n", "ada＠example.org", "ada@Example.ORG"])
    def test_a_name_has_one_pseudonym_however_it_is_written(self, keys: SubjectKeyFolder, same: str):
        assert keys.pseudonym(same) == keys.pseudonym("ada@example.org")
        assert keys.pseudonym("ida@example.org") != keys.pseudonym("ada@example.org")

    def test_names_are_told_apart_by_more_than_case_and_width(self):
        assert normalised("Straße") == normalised("STRASSE")
        assert normalised("Ada L") != normalised("AdaL")

    def test_another_home_gives_another_pseudonym(self, keys: SubjectKeyFolder, tmp_path: Path):
        assert SubjectKeyFolder(tmp_path / "other").pseudonym("Ada") != keys.pseudonym("Ada")

    def test_files_are_for_their_owner_only_and_tell_neither_name_nor_pseudonym_nor_key(
        self, keys: SubjectKeyFolder, tmp_path: Path
    ):
        subject = keys.pseudonym("Ada")
        key = keys.make(subject)
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert len(files) == 2
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert subject.removeprefix("sub_")[:8] not in str(file)
        assert found_in([tmp_path], [key, subject.encode()]) == []
        assert stat.S_IMODE((tmp_path / "subjects").stat().st_mode) == 0o700

    def test_a_key_is_made_once_and_is_gone_when_destroyed(self, keys: SubjectKeyFolder, tmp_path: Path):
        subject = keys.pseudonym("Ada")
        assert keys.key(subject) is None
        key = keys.make(subject)
        assert keys.make(subject) == keys.key(subject) == SubjectKeyFolder(tmp_path).key(subject) == key
        assert keys.destroy(subject)
        assert not keys.destroy(subject)
        assert keys.key(subject) is None
        assert list((tmp_path / "subjects").iterdir()) == []
        assert alias_of(keys.make(subject)) != alias_of(key)

    def test_the_bytes_of_a_destroyed_key_are_overwritten(self, keys: SubjectKeyFolder, tmp_path: Path):
        subject = keys.pseudonym("Ada")
        keys.make(subject)
        (file,) = (tmp_path / "subjects").iterdir()
        kept = tmp_path / "still-linked"
        kept.hardlink_to(file)
        keys.destroy(subject)
        assert set(kept.read_bytes()) == {0}

    def test_a_destruction_that_stopped_half_way_counts_and_is_finished(self, keys: SubjectKeyFolder, tmp_path: Path):
        subject = keys.pseudonym("Ada")
        keys.make(subject)
        (file,) = (tmp_path / "subjects").iterdir()
        file.write_bytes(bytes(file.stat().st_size))
        assert keys.key(subject) is None
        with pytest.raises(PermanentFailure, match="half destroyed"):
            keys.make(subject)
        assert keys.destroy(subject)
        assert keys.make(subject)

    def test_a_lost_wrapping_key_is_not_replaced_in_silence(self, keys: SubjectKeyFolder, tmp_path: Path):
        subject = keys.pseudonym("Ada")
        keys.make(subject)
        (tmp_path / "privacy.key").unlink()
        for act in (lambda: keys.pseudonym("Ada"), lambda: keys.key(subject)):
            with pytest.raises(PermanentFailure, match=r"privacy\.key is gone"):
                act()
        assert not (tmp_path / "privacy.key").exists()

    def test_a_wrong_wrapping_key_or_a_damaged_file_is_named_without_showing_it(
        self, keys: SubjectKeyFolder, tmp_path: Path
    ):
        subject, other = keys.pseudonym("Ada"), keys.pseudonym("Grace")
        keys.make(subject)
        keys.make(other)
        first, second = (tmp_path / "subjects").iterdir()
        shutil.copy(first, second)  # one person's key in another's place
        with pytest.raises(PermanentFailure, match="cannot be read"):
            [keys.key(subject), keys.key(other)]
        (tmp_path / "privacy.key").write_text("c2hvcnQ=\n")
        with pytest.raises(PermanentFailure, match="not a key; it holds 32 bytes") as failure:
            keys.key(subject)
        assert "c2hvcnQ" not in str(failure.value)


def database_files(backend: Backend) -> Path:
    """The folder in which the database keeps its bytes; with all that it has in memory written there."""
    if backend.name == "sqlite":
        return backend.folder
    with backend.sql() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        return Path(connection.exec_driver_sql("SHOW data_directory").scalar_one())


def test_after_an_erasure_no_salt_value_key_or_ciphertext_is_left_in_any_file(books: Books, backend: Backend):
    name = f"Ada {backend.folder.name} <ada@example.org>"
    for _ in range(40):
        submitted(books, requested_by=name)
    subject, keys = subject_of(backend, name), SubjectKeyFolder(backend.keys)
    with books.change(ACTOR) as change:
        opened = change.disclose_subject(subject)
    salts = [opening["requested_by"].salt for opening in opened.values()]
    with backend.sql() as connection:
        sealed = [bytes(row) for row in connection.exec_driver_sql("SELECT ciphertext FROM audit_openings").scalars()]
        if backend.name == "postgresql":  # the planner samples columns, as it does by itself sooner or later
            connection.exec_driver_sql("ANALYZE audit_openings, requesters")
    wrapped = [file.read_bytes() for file in (backend.keys / "subjects").iterdir()]
    secrets = [name.encode(), keys.key(subject), salts[0], salts[-1]]
    assert len(salts) == len(sealed) == 40
    files = database_files(backend)
    assert found_in([files], [sealed[0]])  # the search finds what is there
    assert found_in([files, backend.folder], secrets) == []
    erase(books, subject)
    books.scrub()
    assert found_in([database_files(backend), backend.folder], [*secrets, *wrapped]) == []
    # PostgreSQL recycles its WAL in its own time: what stands there is ciphertext under a key that is gone.
    table_files = files if backend.name == "sqlite" else files / "base"
    assert found_in([table_files], [sealed[0], sealed[-1]]) == []


def test_plain_text_of_an_older_version_is_left_in_no_table_file(books: Books, backend: Backend):
    name = f"Ada {backend.folder.name} <ada@example.org>"
    ids = [submitted(books, requested_by="").id for _ in range(40)]
    with backend.sql() as connection:
        if backend.name == "sqlite":
            connection.exec_driver_sql("PRAGMA secure_delete = OFF")  # as older versions wrote
        for order_id in ids:
            row = {"id": order_id, "name": name}
            connection.execute(text("INSERT INTO requesters (order_id, requested_by) VALUES (:id, :name)"), row)
        connection.execute(text("DELETE FROM requesters WHERE order_id <> :id"), {"id": ids[0]})
    files = database_files(backend)
    table_files = files if backend.name == "sqlite" else files / "base"
    assert found_in([table_files], [name.encode()])
    erased = erase(books, subject_of(backend, name))
    books.scrub(whole_file=erased.plain_rows > 0)
    database_files(backend)
    assert found_in([table_files], [name.encode()]) == []
    assert books.verify().ok


def test_a_reader_who_does_not_end_keeps_the_files_from_being_cleared_and_this_is_said(
    books: Books, backend: Backend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("necto_pipelines.books.engine.LOCK_WAIT_S", 1)
    submitted(books, requested_by=ADA)
    opened = backend.open()
    with backend.sql() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM audit_openings").scalar_one()
        with pytest.raises(Unavailable, match="erase again later"):
            opened.scrub()
    opened.scrub()
    opened.close()


@pytest.mark.integration
def test_a_role_that_may_not_rewrite_tables_erases_and_says_what_the_owner_must_do(
    postgres: PostgresServer, tmp_path: Path
):
    backend = Backend("postgresql", postgres.migrated_database(), tmp_path)
    with backend.sql() as connection:
        for statement in role_statements("necto_privacy"):
            connection.exec_driver_sql(statement)
    url = make_url(backend.url).set(username="necto_privacy").render_as_string(hide_password=False)
    books = Backend("postgresql", url, tmp_path).open()
    order = submitted(books, requested_by=ADA)
    erase(books, subject_of(backend))
    with pytest.raises(Unavailable, match=r"owner must run VACUUM \(FULL\)"):
        books.scrub()
    assert books.order(order.id).request.requested_by == "erased"
    books.close()
