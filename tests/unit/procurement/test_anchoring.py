"""Anchoring the newest checkpoint: whose turn it is, what is written down, and failures that stop nobody else."""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from necto_verify.timestamps import verify_timestamp
from support.time_authority import TimeAuthority

from necto_pipelines.anchors.port import Anchor, Receipt
from necto_pipelines.audit.note import Verifier, open_note
from necto_pipelines.books.books import Books
from necto_pipelines.failures import AuditBroken, NectoError, Unavailable
from necto_pipelines.model.anchor import AnchorKind
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.procurement import anchoring
from necto_pipelines.procurement.anchoring import CLOCKS_APART_S, JOB, anchor_checkpoint, due_anchors
from necto_pipelines.procurement.runtime import Runtime, open_books, service
from necto_pipelines.settings import Settings

ACTOR = service("audit", run_id="run-1", job=JOB, step="anchor_log")
HOUR = 3600


class Place:
    """An anchor in memory; `failure` is raised instead of taking anything."""

    def __init__(self, name: str, kind: AnchorKind = AnchorKind.COPY, failure: NectoError | None = None) -> None:
        self.name, self.kind, self.failure = name, kind, failure
        self.notes: dict[int, str] = {}

    def place(self, note: str, size: int) -> Receipt:
        if self.failure:
            raise self.failure
        self.notes[size] = note
        return Receipt()


class Authority(Place):
    """An anchor that proves the time of `authority`."""

    def __init__(self, authority: TimeAuthority) -> None:
        super().__init__("tsa.example", AnchorKind.RFC3161)
        self.authority = authority

    def place(self, note: str, size: int) -> Receipt:
        super().place(note, size)
        return Receipt(self.authority.now(), self.authority.timestamp(note.encode()))


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def runtime(tmp_path: Path, clock: FrozenClock) -> Iterator[Runtime]:
    settings = Settings(home=tmp_path, anchor_interval_s=HOUR)
    books = open_books(settings, clock)
    # Anchoring touches nothing else of a runtime: no network is opened for it.
    yield cast(Runtime, SimpleNamespace(settings=settings, clock=clock, books=books))
    books.close()


@pytest.fixture
def anchors(monkeypatch: pytest.MonkeyPatch) -> list[Anchor]:
    """The anchors that are set up; filled by the test."""
    made: list[Anchor] = []
    monkeypatch.setattr(anchoring, "open_anchors", lambda *_: made)
    return made


def log_something(books: Books, centre: str = "research") -> None:
    with books.change(service("procurement")) as change:
        change.set_budget(centre, Decimal(1000))


def sizes(runtime: Runtime) -> list[tuple[str, int]]:
    return [(anchored.place, anchored.size) for anchored in runtime.books.anchors()]


def test_every_place_gets_the_checkpoint_that_covers_the_whole_log(runtime: Runtime, anchors: list[Any]) -> None:
    anchors += [Place("a"), Place("b", AnchorKind.WEBHOOK)]
    log_something(runtime.books)
    size = runtime.books.audit_size()
    attempts = anchor_checkpoint(runtime, ACTOR)
    assert [(attempt.kind, attempt.place, attempt.size, attempt.failure) for attempt in attempts] == [
        ("copy", "a", size, ""),
        ("webhook", "b", size, ""),
    ]
    assert sizes(runtime) == [("a", size), ("b", size)]
    note = anchors[0].notes[size]
    assert note == anchors[1].notes[size]
    assert open_note(note, [Verifier.from_vkey(runtime.books.vkey)]).split("\n")[1] == str(size)
    assert runtime.books.verify().ok


def test_a_failure_is_told_and_the_others_go_on(runtime: Runtime, anchors: list[Any]) -> None:
    anchors += [
        Place("a", failure=Unavailable("a: could not connect")),
        Place("b"),
        Place("c", failure=AuditBroken("fork")),
    ]
    log_something(runtime.books)
    attempts = anchor_checkpoint(runtime, ACTOR)
    assert [attempt.failure for attempt in attempts] == ["a: could not connect", "", "fork"]
    assert [place for place, _ in sizes(runtime)] == ["b"]


def test_a_place_that_failed_is_due_again_at_once(runtime: Runtime, anchors: list[Any]) -> None:
    anchors += [Place("a", failure=Unavailable("down")), Place("b")]
    log_something(runtime.books)
    anchor_checkpoint(runtime, ACTOR)
    anchors[0].failure = None
    assert [anchor.name for anchor in due_anchors(runtime)] == ["a"]
    anchor_checkpoint(runtime, ACTOR)
    assert [place for place, _ in sizes(runtime)] == ["b", "a"]


def test_no_place_is_asked_more_often_than_its_interval(
    runtime: Runtime, anchors: list[Any], clock: FrozenClock
) -> None:
    anchors.append(Place("a"))
    log_something(runtime.books)
    first = runtime.books.audit_size()
    anchor_checkpoint(runtime, ACTOR)
    log_something(runtime.books, "growth")
    clock.advance(HOUR - 1)
    assert anchor_checkpoint(runtime, ACTOR) == []
    clock.advance(1)
    assert len(anchor_checkpoint(runtime, ACTOR)) == 1
    assert sizes(runtime) == [("a", first), ("a", first + 2)]


def test_an_idle_log_is_not_anchored_for_its_own_anchors(
    runtime: Runtime, anchors: list[Any], clock: FrozenClock
) -> None:
    anchors += [Place("a"), Place("b")]
    log_something(runtime.books)
    anchor_checkpoint(runtime, ACTOR)
    with runtime.books.change(ACTOR) as change:  # what the job's run leaves behind when it ends
        change.note("run.finished", {"count": 2, "digest": "0" * 64, "status": "SUCCESS"})
    with runtime.books.change(service("seals")) as change:
        change.note(
            "run.sealed", {"job": JOB, "status": "SUCCESS", "part": 1, "events": 17, "root": "0" * 64}, {"run": "run-1"}
        )
    clock.advance(2 * HOUR)
    assert due_anchors(runtime) == []
    log_something(runtime.books, "growth")
    assert len(due_anchors(runtime)) == 2


def test_an_empty_log_is_not_anchored(runtime: Runtime, anchors: list[Any]) -> None:
    anchors.append(Place("a"))
    assert due_anchors(runtime) == []
    assert anchor_checkpoint(runtime, ACTOR) == []


def test_nothing_happens_where_nothing_is_set_up(runtime: Runtime) -> None:
    log_something(runtime.books)
    size, newest = runtime.books.audit_size(), runtime.books.newest_checkpoint()
    assert anchor_checkpoint(runtime, ACTOR) == []
    assert (runtime.books.audit_size(), runtime.books.newest_checkpoint()) == (size, newest)


def test_a_proved_time_is_kept_with_its_token_and_bounds_what_follows(
    runtime: Runtime, anchors: list[Any], clock: FrozenClock
) -> None:
    authority = TimeAuthority(now=clock.now)
    anchors.append(Authority(authority))
    log_something(runtime.books)
    (attempt,) = anchor_checkpoint(runtime, ACTOR)
    (anchored,) = runtime.books.anchors()
    assert attempt.at == anchored.at == clock.now()
    note = anchors[0].notes[anchored.size].encode()
    assert verify_timestamp(b64decode(anchored.token or ""), note, authority.root.pem) == clock.now()
    log_something(runtime.books, "growth")
    assert json.loads(runtime.books.leaves()[-1].leaf)["after"] == {"size": anchored.size, "root": anchored.root}


@pytest.mark.parametrize(
    ("apart_s", "taken"), [(CLOCKS_APART_S, True), (CLOCKS_APART_S + 1, False), (-CLOCKS_APART_S - 1, False)]
)
def test_a_time_that_our_clock_contradicts_is_told_and_not_written_down(
    runtime: Runtime, anchors: list[Any], clock: FrozenClock, apart_s: int, taken: bool
) -> None:
    anchors.append(Authority(TimeAuthority(now=lambda: clock.now() + timedelta(seconds=apart_s))))
    log_something(runtime.books)
    (attempt,) = anchor_checkpoint(runtime, ACTOR)
    assert bool(runtime.books.anchors()) is taken
    assert ("Set the clock right" in attempt.failure) is not taken


def test_a_log_that_cannot_be_signed_is_not_anchored(runtime: Runtime, anchors: list[Any], tmp_path: Path) -> None:
    anchors.append(Place("a"))
    log_something(runtime.books)
    runtime.books.sign()
    for file in (tmp_path / "audit" / "checkpoints").iterdir():
        file.write_text("another history")
    log_something(runtime.books, "growth")
    with pytest.raises(AuditBroken):
        anchor_checkpoint(runtime, ACTOR)
    assert anchors[0].notes == {}
