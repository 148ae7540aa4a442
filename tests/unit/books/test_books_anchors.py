"""Anchors in the books: a row and a leaf each, once for each checkpoint and place."""

import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest
from support.books_backends import ACTOR, Backend

from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.books.anchors import latest_anchored
from necto_pipelines.books.books import Books
from necto_pipelines.model.anchor import AnchorKind
from necto_pipelines.model.clock import rfc3339

TOKEN = b"\x30\x03\x02\x01\x00"


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint("necto.test/audit", size, bytes([size]) * 32)


def record(books: Books, kind: AnchorKind, place: str, size: int, **more: Any) -> None:
    with books.change(ACTOR) as change:
        change.record_anchor(kind, place, checkpoint(size), **more)


def test_a_timestamp_is_kept_with_its_token_and_named_by_a_leaf(books: Books, backend: Backend) -> None:
    at = backend.clock.now()
    record(books, AnchorKind.RFC3161, "tsa.example", 7, at=at, token=TOKEN)
    (anchored,) = books.anchors()
    assert (anchored.kind, anchored.place, anchored.size, anchored.at) == ("rfc3161", "tsa.example", 7, at)
    assert (anchored.root, anchored.token) == (b64encode(b"\x07" * 32).decode(), b64encode(TOKEN).decode())
    ((_, leaf),) = books.leaf_of("anchor", anchored.id)
    event = json.loads(leaf)
    assert event["type"] == "log.anchored"
    assert event["body"] == {
        "kind": "rfc3161",
        "place": "tsa.example",
        "size": 7,
        "root": anchored.root,
        "at": rfc3339(at),
        "sha256": hashlib.sha256(TOKEN).hexdigest(),
    }
    assert books.verify().ok


def test_a_copy_proves_no_time(books: Books) -> None:
    record(books, AnchorKind.COPY, "s3://bucket/audit", 7)
    (anchored,) = books.anchors()
    assert (anchored.at, anchored.token) == (None, None)
    ((_, leaf),) = books.leaf_of("audit_anchors", anchored.id)
    assert set(json.loads(leaf)["body"]) == {"kind", "place", "size", "root"}


def test_the_same_checkpoint_at_the_same_place_is_written_down_once(books: Books) -> None:
    for kind, place, size in [
        (AnchorKind.COPY, "a", 7),
        (AnchorKind.COPY, "a", 7),
        (AnchorKind.COPY, "b", 7),
        (AnchorKind.WEBHOOK, "a", 7),
        (AnchorKind.COPY, "a", 9),
    ]:
        record(books, kind, place, size)
    assert [(anchored.kind, anchored.place, anchored.size) for anchored in books.anchors()] == [
        ("copy", "a", 7),
        ("copy", "b", 7),
        ("webhook", "a", 7),
        ("copy", "a", 9),
    ]
    last = books.last_anchored(AnchorKind.COPY, "a")
    assert last is not None
    assert last.size == 9
    assert books.last_anchored(AnchorKind.RFC3161, "a") is None
    assert books.audit_size() == 4


def test_only_a_proved_time_bounds_what_is_logged_next(books: Books, backend: Backend) -> None:
    record(books, AnchorKind.COPY, "a", 9)
    with backend.sql() as connection:
        assert latest_anchored(connection) is None
    for size in (7, 5):
        record(books, AnchorKind.RFC3161, "tsa.example", size, at=backend.clock.now(), token=TOKEN)
    with backend.sql() as connection:
        assert latest_anchored(connection) == (7, b64encode(b"\x07" * 32).decode())
    record(books, AnchorKind.COPY, "a", 11)
    newest = json.loads(books.leaves(books.audit_size() - 1)[0].leaf)
    assert newest["after"] == {"size": 7, "root": b64encode(b"\x07" * 32).decode()}


def test_the_newest_checkpoint_is_the_one_signed_last(books: Books) -> None:
    assert books.newest_checkpoint() is None
    record(books, AnchorKind.COPY, "a", 1)
    first = books.sign()
    assert books.newest_checkpoint() == first
    record(books, AnchorKind.COPY, "a", 2)
    assert books.newest_checkpoint() == first
    assert books.sign() == books.newest_checkpoint() != first


@pytest.mark.parametrize("statement", ["UPDATE audit_anchors SET size = 8", "DELETE FROM audit_anchors"])
def test_an_anchor_that_was_changed_or_removed_is_found(books: Books, backend: Backend, statement: str) -> None:
    record(books, AnchorKind.COPY, "a", 7)
    assert backend.run(statement) == 1
    (fault,) = books.verify().faults
    assert "audit_anchors anc_" in fault.what
