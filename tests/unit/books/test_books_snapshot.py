"""Rows and proofs of one moment, on every kind of database."""

import json
from hashlib import sha256

from support.books_backends import ACTOR, Backend
from support.books_steps import leased

from necto_pipelines.audit.checkpoint import open_checkpoint
from necto_pipelines.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.policy import Policy
from necto_pipelines.books.books import Books
from necto_pipelines.model.anchor import AnchorKind


def test_a_rows_text_has_the_digest_that_its_newest_leaf_gives(books: Books) -> None:
    leased(books)
    named = {(row["table"], row["key"]): row["sha256"] for leaf in books.leaves() for row in _rows(leaf.leaf)}
    assert len(named) > 3
    with books.snapshot() as snapshot:
        for (table, key), digest in named.items():
            text = snapshot.row(table, key)
            assert text is not None
            assert sha256(text).hexdigest() == digest
        assert snapshot.row("leases", "lse_unknown") is None
        assert [stored.index for stored in snapshot.entries()] == list(range(books.audit_size()))


def test_a_leaf_is_found_by_its_hash(books: Books) -> None:
    lease = leased(books)
    index, leaf = books.leaf_of("order", lease.order_id)[-1]
    with books.snapshot() as snapshot:
        assert snapshot.leaf_with_hash("order", lease.order_id, leaf_hash(leaf)) == (index, leaf)
        assert snapshot.leaf_with_hash("order", "ord_other", leaf_hash(leaf)) is None
        assert snapshot.leaf_with_hash("order", lease.order_id, bytes(32)) is None


def test_many_leaves_are_proved_to_one_checkpoint_and_anchors_with_them(books: Books, backend: Backend) -> None:
    leased(books)
    books.sign()
    verifier = Verifier.from_vkey(books.vkey)
    earlier = open_checkpoint(books.newest_checkpoint() or "", verifier)
    with books.change(ACTOR) as change:
        change.record_anchor(AnchorKind.COPY, "s3://auditor/log", earlier)
    books.sign()
    size = books.audit_size()
    found = books.proofs([0, size - 1, size, size + 7], Policy.of(verifier))
    head = open_checkpoint(found.note, verifier)
    assert head.size == size
    assert sorted(found.leaves) == [0, size - 1]
    for index, (leaf, path) in found.leaves.items():
        verify_inclusion(leaf_hash(leaf), index, head.size, path, head.root)
    (anchor,) = found.anchors
    verify_consistency(earlier.size, head.size, earlier.root, head.root, anchor.consistency)
    assert open_checkpoint(anchor.note or "", verifier) == earlier


def _rows(leaf: bytes) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(leaf)["rows"]
    return rows
