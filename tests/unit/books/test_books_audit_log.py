"""Every change leaves one leaf, in its own transaction, with nothing personal in it."""

import json
import re
from decimal import Decimal

import pytest
from support.books_backends import ACTOR, ORIGIN
from support.books_steps import events, give_budget, leased, order_in, submitted
from support.samples import (
    sample_charge,
    sample_conversion,
    sample_decision,
    sample_invoice,
    sample_lease,
    sample_usage,
)

from necto_pipelines.audit.checkpoint import open_checkpoint
from necto_pipelines.audit.leaf import InvalidLeaf
from necto_pipelines.audit.merkle import CompactRange, leaf_hash, verify_inclusion
from necto_pipelines.audit.note import Verifier
from necto_pipelines.books.books import Actor, Books
from necto_pipelines.books.tables import AUDITED, metadata
from necto_pipelines.failures import InvalidInput, PermanentFailure, Unavailable
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.lease import EffectState
from necto_pipelines.model.state import LeaseState, OrderState


def test_a_leaf_says_who_did_what_to_which_rows_and_in_which_run(books: Books, backend):
    order = submitted(books)
    actor = Actor("service", "procurement", run_id="run-1", job="procure", step="route")
    backend.clock.advance(1.5)
    with books.change(actor) as change:
        change.move_order(order.id, OrderState.ROUTED)
    event = events(books)[-1]
    (row,) = event.pop("rows")
    assert len(event.pop("id")) == 36
    assert event == {
        "v": 2,
        "ts": rfc3339(backend.clock.now()),
        "type": "order.moved",
        "actor": {"kind": "service", "name": "procurement"},
        "run": {"dagster_run_id": "run-1", "job": "procure", "step": "route"},
        "subject": {"order": order.id},
        "inputs": [],
        "body": {"from": "submitted", "to": "routed", "attempt": 1},
        "retention": "order-6y",
        "basis": "art6.1b",
    }
    assert (row["table"], row["key"], len(row["sha256"])) == ("orders", order.id, 64)


def test_an_actor_outside_a_run_leaves_the_run_out(books: Books):
    give_budget(books)
    assert "run" not in events(books)[0]


def every_change(books: Books) -> str:
    """One of each change; returns the order's id."""
    give_budget(books)
    order = submitted(books)
    with books.change(Actor("service", "procurement", run_id="run-1")) as change:
        change.claim([order.id], "run-1")
        change.record_decision(sample_decision(order.id))
        change.move_order(order.id, OrderState.ROUTED)
        change.hold(order.id, Decimal(60))
        change.begin_effect("k", "swap", order.id, 1, {"client_id": "k"})
        change.record_conversion(sample_conversion(order.id))
        change.end_effect("k", EffectState.DONE, {"ref": "1"})
        change.open_lease(sample_lease(order.id))
        change.move_lease("lse_1", LeaseState.ACTIVE)
        change.record_usage([sample_usage()])
        change.record_charges([sample_charge(order.id)])
        change.issue_invoice("acme", "2026-11", sample_invoice)
        change.settle_hold(order.id, Decimal(40))
        change.release(order.id, reason="done")
    return order.id


def test_every_change_leaves_exactly_one_leaf(books: Books):
    order_id = every_change(books)
    assert [event["type"] for event in events(books)] == [
        "budget.set",
        "order.submitted",
        "order.claimed",
        "decision.recorded",
        "order.moved",
        "budget.held",
        "effect.begun",
        "conversion.recorded",
        "effect.ended",
        "lease.opened",
        "lease.moved",
        "usage.recorded",
        "charges.recorded",
        "invoice.issued",
        "budget.spent",
        "order.released",
    ]
    assert books.verify().ok
    assert len(books.leaf_of("order", order_id)) == 14
    assert [json.loads(leaf)["type"] for _, leaf in books.leaf_of("orders", order_id)] == [
        "order.submitted",
        "order.claimed",
        "order.moved",
        "order.released",
    ]
    assert [index for index, _ in books.leaf_of("invoice", "NECTO-2026-000001")] == [13]
    assert books.leaf_of("orders", "ord_unknown") == []


def test_every_table_of_business_rows_is_audited():
    log = {"audit_leaves", "audit_names", "audit_head", "audit_checkpoints", "audit_tiles", "audit_inbox"}
    erasable = {"requesters", "audit_openings"}
    assert set(AUDITED) == set(metadata.tables) - log - erasable - {"telemetry", "sealed_events"}


def test_the_person_who_asked_is_in_no_leaf_and_in_no_audited_row(books: Books, backend):
    every_change(books)
    assert not [entry for entry in books.leaves() if b"Ada" in entry.leaf or b"Lovelace" in entry.leaf]
    with backend.sql() as connection:
        for name in AUDITED:
            rows = connection.exec_driver_sql(f"SELECT * FROM {name}").all()
            assert "Lovelace" not in str([tuple(row) for row in rows]), name  # a Row's own text is cut short


def test_the_person_who_asked_goes_by_a_pseudonym_and_an_older_row_keeps_its_name(books: Books, backend):
    order = submitted(books)
    assert re.fullmatch("sub_[0-9a-f]{32}", order.request.requested_by)
    backend.run("UPDATE requesters SET requested_by = 'Ada Lovelace'")
    assert books.order(order.id).request == order.request.model_copy(update={"requested_by": "Ada Lovelace"})
    backend.run("DELETE FROM requesters")
    assert books.order(order.id).request == order.request.model_copy(update={"requested_by": ""})
    assert books.verify().ok


def test_a_change_that_raises_leaves_neither_row_nor_leaf(books: Books):
    order = order_in(books, OrderState.ROUTED)
    before = (books.order(order.id), books.budgets(), books.leaves())
    with pytest.raises(ZeroDivisionError), books.change(ACTOR) as change:  # noqa: PT012  one change
        change.hold(order.id, Decimal(60))
        change.move_order(order.id, OrderState.HELD)
        change.note("run.started", {"planned": "route"})
        raise ZeroDivisionError
    assert (books.order(order.id), books.budgets(), books.leaves()) == before
    assert books.hold(order.id) is None
    assert books.verify().ok


def test_a_leaf_that_cannot_be_written_undoes_its_row(books: Books):
    order = submitted(books)
    size = books.audit_size()
    with pytest.raises(InvalidLeaf), books.change(ACTOR) as change:
        change.record_decision(sample_decision(order.id, chosen=None, strategy="x" * 5_000))
    assert (books.decisions(order.id), books.audit_size()) == ([], size)


def test_a_row_whose_leaf_was_refused_is_not_stored_by_going_on(books: Books):
    order = submitted(books)
    size = books.audit_size()
    with pytest.raises(PermanentFailure, match="decisions dec_1"), books.change(ACTOR) as change:  # noqa: PT012
        with pytest.raises(InvalidLeaf):
            change.record_decision(sample_decision(order.id, chosen=None, strategy="x" * 5_000))
        change.note("run.started", {"planned": "route"})
    assert (books.decisions(order.id), books.audit_size()) == ([], size)


def test_a_change_reads_what_it_has_written_and_nobody_else_does(books: Books):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.move_order(order.id, OrderState.ROUTED)
        assert change.reads.order(order.id).state is OrderState.ROUTED
        assert books.order(order.id).state is OrderState.SUBMITTED
    assert books.order(order.id).state is OrderState.ROUTED


def test_a_note_is_a_leaf_of_its_own_and_found_by_its_subject(books: Books):
    blobs = [{"name": "bids", "sha256": "00" * 32, "size": 17}]
    inputs = [{"asset": "catalog", "sha256": "11" * 32}]
    with books.change(ACTOR) as change:
        assert change.note("run.started", {"planned": "route"}) == 0
        judged = {"seen": 3, "acceptable": 1, "ceiling_usd_per_hour": "2.5"}
        assert change.note("bids.judged", judged, {"order": "ord_1", "deployment": "7"}, inputs, blobs) == 1
    ((index, leaf),) = books.leaf_of("order", "ord_1")
    assert index == 1
    assert json.loads(leaf)["blobs"] == blobs
    assert json.loads(leaf)["inputs"] == inputs


@pytest.mark.parametrize("body", [{"usd": 1.5}, {"usd": Decimal(1)}, {"Bad Key": 1}, {"long": "x" * 4_096}])
def test_a_note_that_is_no_leaf_is_refused(books: Books, body: dict):
    with pytest.raises(InvalidLeaf), books.change(ACTOR) as change:
        change.note("run.started", body)
    assert books.audit_size() == 0


def test_indexes_follow_one_another_and_every_leaf_has_its_hash(books: Books):
    leased(books, LeaseState.CLOSED)
    entries = books.leaves()
    assert [entry.index for entry in entries] == list(range(books.audit_size()))
    assert all(entry.leaf_hash == leaf_hash(entry.leaf) for entry in entries)
    assert books.leaves(2, 4) == entries[2:4]
    assert books.leaves(3) == entries[3:]
    assert len({event["id"] for event in events(books)}) == len(entries)


def test_every_signed_leaf_is_proved_by_the_newest_checkpoint(books: Books):
    leased(books)
    first = books.sign()
    submitted(books)
    note = books.sign()
    verifier = Verifier.from_vkey(books.vkey)
    assert note != first
    checkpoint = open_checkpoint(note, verifier, origin=ORIGIN)
    for index in range(books.audit_size()):
        leaf, path, covering = books.proof(index)
        assert covering == note
        verify_inclusion(leaf_hash(leaf), index, checkpoint.size, path, checkpoint.root)
        assert leaf == books.leaves(index, index + 1)[0].leaf


@pytest.mark.parametrize("index", [-1, 3, 10**30])
def test_a_proof_beyond_the_log_is_an_input_error(books: Books, index: int):
    submitted(books)
    submitted(books)
    books.sign()
    with pytest.raises(InvalidInput, match="3 leaves"):
        books.proof(index)


def test_a_leaf_that_no_checkpoint_covers_has_no_proof_yet(books: Books):
    submitted(books)
    with pytest.raises(Unavailable, match="not covered"):
        books.proof(0)
    books.sign()
    submitted(books)
    with pytest.raises(Unavailable, match="not covered"):
        books.proof(2)
    assert books.proof(1)


def test_reopening_keeps_everything_and_goes_on_from_the_stored_edge(books: Books, backend):
    every_change(books)
    books.sign()
    before = (books.orders(), books.leases(), books.invoices(), books.leaves(), books.budgets(), books.vkey)
    books.close()
    again = backend.open()
    assert (again.orders(), again.leases(), again.invoices(), again.leaves(), again.budgets(), again.vkey) == before
    submitted(again)
    tree = CompactRange()
    for entry in again.leaves():
        tree.append(leaf_hash(entry.leaf))
    assert open_checkpoint(again.sign(), Verifier.from_vkey(again.vkey)).root == tree.root()
    assert again.verify().ok
    again.close()
