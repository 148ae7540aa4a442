"""Leaves that change no row: appended together, once each, and given their index at once or later."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from support.books_backends import ACTOR, Backend
from support.books_steps import give_budget, submitted
from support.log_events import an_event, check_log

from necto_pipelines.audit.leaf import InvalidLeaf
from necto_pipelines.books.books import Books
from necto_pipelines.failures import AuditBroken, NectoError, PermanentFailure, Unknown


def ids(books: Books) -> list[str]:
    return [json.loads(entry.leaf)["id"] for entry in books.leaves()]


def commits(books: Books) -> list[int]:
    """Counts the transactions that are committed from now on."""
    counted: list[int] = []
    dialect = books._engine.dialect
    commit = dialect.do_commit

    def counting(connection: Any) -> None:
        counted.append(1)
        commit(connection)

    dialect.do_commit = counting  # type: ignore[method-assign]
    return counted


def break_commits(books: Books, *, after_all: bool, let_through: int = 0) -> Callable[[], None]:
    """After some, each commit fails, having stored everything (`after_all`) or nothing; returns what mends it."""
    dialect = books._engine.dialect
    commit, rollback = dialect.do_commit, dialect.do_rollback

    passed: list[int] = []

    def broken(connection: Any) -> None:
        passed.append(1)
        if len(passed) <= let_through:
            commit(connection)
            return
        (commit if after_all else rollback)(connection)
        raise OperationalError("COMMIT", {}, Exception("the answer was lost"))

    dialect.do_commit = broken  # type: ignore[method-assign]

    def mend() -> None:
        dialect.do_commit = commit  # type: ignore[method-assign]

    return mend


def test_leaves_are_appended_in_order_beside_changes_of_rows(books: Books):
    assert books.append(an_event("a")) == 0
    order = submitted(books)
    before = books.audit_size()
    assert books.append_all([an_event("b", order=order.id), an_event("c")]) == [before, before + 1]
    assert books.append_all([]) == []
    assert (ids(books)[0], ids(books)[-2:]) == ("a", ["b", "c"])
    check_log(books, range(books.audit_size()))


def test_an_id_that_stands_already_gives_its_first_index(books: Books):
    first, second = an_event("a", n=1), an_event("b")
    assert books.append_all([first, second, first]) == [0, 1, 0]
    assert books.append(first) == 0
    assert books.append_all([an_event("c"), second]) == [2, 1]
    assert ids(books) == ["a", "b", "c"]
    check_log(books)


@pytest.mark.parametrize(
    "events", [[an_event("new"), an_event("a", n=2)], [an_event("new"), an_event("new", n=1)]], ids=["log", "batch"]
)
def test_an_id_for_other_bytes_is_refused_with_its_whole_batch(books: Books, events: list[dict[str, Any]]):
    books.append(an_event("a", n=1))
    with pytest.raises(PermanentFailure, match=r"'(a|new)'"):
        books.append_all(events)
    assert ids(books) == ["a"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"id": 7},
        {"id": "a\0"},
        {"id": "x" * 501},
        {"body": {"usd": 1.5}},
        {"subject": {"order": "o\0"}},
        {"subject": {"order": "x" * 501}},
    ],
)
def test_what_cannot_be_a_leaf_or_found_is_refused(books: Books, wrong: dict[str, Any]):
    for offer in (books.append, books.post):
        with pytest.raises(InvalidLeaf):
            offer(an_event() | wrong)
    assert books.append(an_event()) == 0


def together(books: Books, tasks: list[Callable[[], Any]]) -> list[Any]:
    """Results or failures of tasks that reach the sequencer while it is held up, so that it takes them as one group."""
    sequencer = books._sequencer
    commit, taken, held = sequencer._commit, threading.Event(), threading.Event()

    def hold(group: Any) -> None:
        taken.set()
        held.wait(20)
        commit(group)

    sequencer._commit = hold  # type: ignore[method-assign]

    def tried(task: Callable[[], Any]) -> Any:
        try:
            return task()
        except NectoError as error:
            return error

    with ThreadPoolExecutor(len(tasks) + 1) as pool:
        first = pool.submit(books.append, an_event("held"))
        assert taken.wait(20)
        results = [pool.submit(tried, task) for task in tasks]
        with sequencer._arrived:
            assert sequencer._arrived.wait_for(lambda: len(sequencer._waiting) == len(tasks), 20)
        sequencer._commit = commit  # type: ignore[method-assign]
        held.set()
        first.result(20)
        return [result.result(20) for result in results]


def test_all_that_wait_share_one_transaction(books: Books):
    counted = commits(books)
    tasks = [lambda number=number: books.append(an_event(f"{number}")) for number in range(16)]
    assert sorted(together(books, tasks)) == list(range(1, 17))
    assert len(counted) == 2
    check_log(books, range(17))


def test_an_id_that_two_producers_give_at_once_has_one_index(books: Books):
    same = an_event("same", n=1)
    tasks = [lambda: books.append(same)] * 3 + [lambda: books.append(an_event("same", n=2))]
    results = together(books, tasks)
    indexes = [result for result in results if isinstance(result, int)]
    refused = [result for result in results if isinstance(result, PermanentFailure)]
    assert sorted((len(indexes), len(refused))) == [1, 3]
    assert set(indexes) == {1}
    assert ids(books) == ["held", "same"]


def test_what_the_database_refuses_stops_only_its_own_producer(books: Books, backend: Backend):
    """A trigger stands for whatever a database may have against one row."""
    when = "WHEN (NEW.id = 'bad')"
    if backend.name == "sqlite":
        what = f"CREATE TRIGGER refuses BEFORE INSERT ON audit_leaves {when} BEGIN SELECT RAISE(ABORT, 'no'); END"
        undo = ["DROP TRIGGER IF EXISTS refuses"]
    else:
        what = (
            "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
            f"CREATE TRIGGER refuses BEFORE INSERT ON audit_leaves FOR EACH ROW {when} EXECUTE FUNCTION refuse_it()"
        )
        undo = ["DROP TRIGGER refuses ON audit_leaves", "DROP FUNCTION refuse_it"]
    backend.run(what)
    try:
        tasks = [lambda leaf_id=leaf_id: books.append(an_event(leaf_id)) for leaf_id in ("a", "bad", "b")]
        results = together(books, tasks)
    finally:
        for statement in undo:
            backend.run(statement)
    assert [type(result) for result in results] == [int, PermanentFailure, int]
    assert sorted(ids(books)) == ["a", "b", "held"]
    check_log(books)


def test_a_failed_transaction_reaches_every_producer_and_the_next_one_works(books: Books, backend: Backend):
    head = b"damaged"
    with backend.sql() as connection:
        whole = connection.exec_driver_sql("SELECT edge FROM audit_head").scalar_one()
    backend.run("UPDATE audit_head SET edge = :edge", {"edge": head})
    with ThreadPoolExecutor(8) as pool:
        for failed in [pool.submit(books.append, an_event()) for _ in range(8)]:
            with pytest.raises(AuditBroken, match="compact range"):
                failed.result(20)
    backend.run("UPDATE audit_head SET edge = :edge", {"edge": whole})
    assert books.append(an_event()) == 0


@pytest.mark.parametrize("after_all", [True, False])
def test_an_append_whose_commit_is_unknown_is_repeated_safely(books: Books, after_all: bool):
    event = an_event("once", n=1)
    mend = break_commits(books, after_all=after_all)
    with pytest.raises(Unknown):
        books.append(event)
    mend()
    assert (books.append(event), books.append(event)) == (0, 0)
    assert ids(books) == ["once"]
    check_log(books, [0])


def test_closed_books_take_no_more_and_let_nobody_wait(backend: Backend):
    opened = backend.open()
    assert opened.append(an_event()) == 0
    thread = opened._sequencer._thread
    opened.close()
    assert thread is not None
    assert not thread.is_alive()
    with pytest.raises(PermanentFailure, match="closed"):
        opened.append(an_event())
    backend.open().close()  # without a leaf there was no thread to end


def test_a_posted_leaf_gets_its_place_in_the_order_of_posting(books: Books):
    for leaf_id in ("a", "b", "c"):
        books.post(an_event(leaf_id))
    assert books.audit_size() == 0
    assert books.append(an_event("first")) == 0
    assert (books.sequence(), books.sequence()) == (3, 0)
    assert ids(books) == ["first", "a", "b", "c"]
    check_log(books, range(4))


def test_a_leaf_posted_in_a_change_is_stored_with_it_or_not_at_all(books: Books):
    with books.change(ACTOR) as change:
        change.set_budget("research", Decimal(1))
        change.post(an_event("with") | {"subject": {"order": "ord_1"}})
    with pytest.raises(ZeroDivisionError), books.change(ACTOR) as change:  # noqa: PT012  one change
        change.post(an_event("without"))
        raise ZeroDivisionError
    assert books.sequence() == 1
    assert ids(books)[1:] == ["with"]
    assert [index for index, _ in books.leaf_of("order", "ord_1")] == [1]


def test_posting_again_changes_nothing_before_and_after_it_has_its_place(books: Books):
    for _ in range(2):
        books.post(an_event("a"))
    assert books.sequence() == 1
    books.post(an_event("a"))
    assert books.append(an_event("a")) == 0
    assert books.sequence() == 1  # taken out of the inbox, and not added again
    assert ids(books) == ["a"]


def test_posting_an_id_that_stands_for_another_leaf_is_refused(books: Books):
    books.append(an_event("placed"))
    books.post(an_event("waiting"))
    for leaf_id in ("placed", "waiting"):
        with pytest.raises(PermanentFailure, match=leaf_id):
            books.post(an_event(leaf_id, n=2))
    assert books.sequence() == 1
    assert ids(books) == ["placed", "waiting"]


def test_a_posted_leaf_whose_id_was_taken_meanwhile_stops_no_other(books: Books):
    for leaf_id in ("a", "taken", "b"):
        books.post(an_event(leaf_id, n=1))
    books.append(an_event("taken", n=2))
    for _ in range(2):
        with pytest.raises(PermanentFailure, match="taken"):
            books.sequence()
    assert ids(books) == ["taken", "a", "b"]
    books.post(an_event("c"))
    with pytest.raises(PermanentFailure, match="taken"):
        books.sequence()
    assert ids(books) == ["taken", "a", "b", "c"]
    check_log(books)


def test_a_long_inbox_is_drained_in_batches(books: Books, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("necto_pipelines.books.inbox.DRAINED_AT_ONCE", 7)
    with books.change(ACTOR) as change:
        for number in range(25):
            change.post(an_event(f"{number:02d}"))
    assert books.sequence() == 25
    assert ids(books) == [f"{number:02d}" for number in range(25)]


def test_a_drain_whose_commit_is_lost_moves_each_leaf_once(books: Books):
    for number in range(5):
        books.post(an_event(f"{number}"))
    for after_all, size in ((False, 0), (True, 5)):
        mend = break_commits(books, after_all=after_all, let_through=1)  # looking whether anything waits
        with pytest.raises(Unknown):
            books.sequence()
        mend()
        assert books.audit_size() == size
    assert books.sequence() == 0
    check_log(books, range(5))


def test_a_leaf_changed_in_the_inbox_by_hand_is_not_made_part_of_the_log(books: Books, backend: Backend):
    books.post(an_event("a"))
    backend.run("UPDATE audit_inbox SET leaf = :leaf", {"leaf": b"not json"})
    with pytest.raises(AuditBroken, match="'a'"):
        books.sequence()
    assert books.audit_size() == 0


def test_a_change_waits_for_no_sequencer_and_both_end_up_in_one_log(books: Books):
    with ThreadPoolExecutor(4) as pool:
        appended = [pool.submit(books.append, an_event()) for _ in range(60)]
        for limit in range(1, 20):
            give_budget(books, limit)
        indexes = [each.result(30) for each in appended]
    assert len(set(indexes)) == 60
    check_log(books, indexes)
