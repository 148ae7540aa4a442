"""Whatever is changed by hand in the database, `verify` names it, on every kind of database."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from sqlalchemy import Column, Connection, text
from support.books_backends import ACTOR, Backend
from support.books_steps import leased, submitted
from support.samples import (
    sample_charge,
    sample_conversion,
    sample_failover,
    sample_health,
    sample_invoice,
    sample_lease,
    sample_usage,
)

from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.audit.leaf import leaf_bytes
from necto_pipelines.audit.merkle import CompactRange, leaf_hash
from necto_pipelines.books.books import Books
from necto_pipelines.books.columns import ExactNumber, UtcTime, row_digest
from necto_pipelines.books.engine import open_engine, transaction
from necto_pipelines.books.signing import stored_notes
from necto_pipelines.books.tables import AUDITED
from necto_pipelines.failures import AuditBroken, NectoError
from necto_pipelines.model.anchor import AnchorKind


@pytest.fixture
def full(books: Books) -> Books:
    """Books with at least one row in every audited table, signed halfway and at the end."""
    lease = leased(books)
    order_id = lease.order_id
    books.sign()
    with books.change(ACTOR) as change:
        change.hold(order_id, Decimal(60))
        change.begin_effect("k", "swap", order_id, 1, {"client_id": "k"})
        change.record_conversion(sample_conversion(order_id))
        change.record_usage([sample_usage(lease.id)])
        change.record_charges([sample_charge(order_id, lease.id)])
        change.record_health(sample_health(lease.id))
        change.record_failovers([sample_failover(order_id, lease.id)])
        change.open_lease(sample_lease(order_id, lease.decision_id, "lse_2", replaces=lease.id))
        change.record_anchor(AnchorKind.COPY, "file", Checkpoint("necto.test/audit", 4, bytes(32)))
        change.seal_run("run-1", "procure", "SUCCESS", [(1, bytes(32))])
        change.issue_invoice("acme", "2026-11", sample_invoice)
    books.sign()
    assert books.verify().ok
    return books


def faults(books: Books) -> list[tuple[str, int | None, str]]:
    verdict = books.verify()
    assert verdict.ok == (not verdict.faults)
    return [(fault.kind, fault.index, fault.what) for fault in verdict.faults]


def a_row(backend: Backend, table: str) -> tuple[str, dict[str, object]]:
    """The key and the cells of a row of the table."""
    with backend.sql() as connection:
        row = dict(connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().first())
    return "/".join(str(row[column.name]) for column in AUDITED[table].primary_key.columns), row


def put(backend: Backend, table: str, row: dict[str, object]) -> None:
    """Insert a row by hand."""
    backend.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)


def test_full_books_verify(full: Books, backend: Backend):
    verdict = full.verify()
    assert verdict.ok
    assert (verdict.size, verdict.covered, verdict.checkpoints) == (full.audit_size(), full.audit_size(), 2)
    for table in AUDITED:
        assert a_row(backend, table)


def test_a_checkpoint_signed_during_a_verification_is_not_taken_for_a_cut_off_tail(full, monkeypatch):
    def sign_after_reading(connection: Connection) -> list[str]:
        notes = stored_notes(connection)  # from here on the verification sees the books of this moment
        submitted(full)
        full.sign()
        return notes

    monkeypatch.setattr("necto_pipelines.books.upkeep.stored_notes", sign_after_reading)
    size = full.audit_size()
    verdict = full.verify()
    assert (verdict.ok, verdict.size, full.audit_size()) == (True, size, size + 1)


def test_every_edited_cell_of_every_table_is_named(full: Books, backend: Backend):
    for table in AUDITED:
        key, row = a_row(backend, table)
        keys = [column.name for column in AUDITED[table].primary_key.columns]
        where = " AND ".join(f"{name} = :{name}" for name in keys)
        for column in AUDITED[table].columns:
            name = column.name
            if name in keys:
                continue
            other = another(backend, row[name], column)
            backend.run(f"UPDATE {table} SET {name} = {other} WHERE {where}", {key: row[key] for key in keys})
            found = [(kind, what.partition(":")[0]) for kind, _, what in faults(full)]
            assert found == [("row_edited", f"{table} {key}")], column
            backend.run(f"UPDATE {table} SET {name} = :{name} WHERE {where}", {key: row[key] for key in [name, *keys]})
    assert full.verify().ok


def another(backend: Backend, value: object, column: Column) -> str:
    """SQL for another value that the column takes."""
    if value is None:
        texts = backend.name == "sqlite" or not isinstance(column.type, UtcTime | ExactNumber)
        return "'x'" if texts else "now()" if isinstance(column.type, UtcTime) else "1"
    if isinstance(value, str):
        return f"{column.name} || '0'"
    return f"{column.name} + interval '1 microsecond'" if isinstance(value, datetime) else f"{column.name} + 1"


def test_a_deleted_row_of_any_table_is_named_with_its_newest_leaf(full: Books, backend: Backend):
    for table in AUDITED:
        key, row = a_row(backend, table)
        newest = full.leaf_of(table, key)[-1][0]
        keys = [column.name for column in AUDITED[table].primary_key.columns]
        where = " AND ".join(f"{name} = :{name}" for name in keys)
        backend.run(f"DELETE FROM {table} WHERE {where}", {name: row[name] for name in keys})
        assert faults(full) == [("row_missing", newest, f"{table} {key}: gone; leaf {newest} is the newest about it")]
        put(backend, table, row)
    assert full.verify().ok


def test_a_row_that_was_put_in_by_hand_is_named(full: Books, backend: Backend):
    unique = {"conversions": {"venue_ref": "other"}, "leases": {"network_ref": "other"}}
    for table in AUDITED:
        first = next(iter(AUDITED[table].primary_key.columns)).name
        forged = a_row(backend, table)[1] | {first: "forged"} | unique.get(table, {})
        put(backend, table, forged)
        ((kind, index, what),) = faults(full)
        assert (kind, index) == ("row_unlogged", None)
        assert what.startswith(f"{table} forged")
        backend.run(f"DELETE FROM {table} WHERE {first} = 'forged'")
    assert full.verify().ok


def test_a_row_put_back_as_an_older_leaf_had_it_is_named(full: Books, backend: Backend):
    with backend.sql() as connection:
        old = connection.exec_driver_sql("SELECT held_usd FROM budgets").scalar_one()
    order = submitted(full)
    with full.change(ACTOR) as change:
        change.hold(order.id, Decimal(10))
    backend.run("UPDATE budgets SET held_usd = :old", {"old": old})
    assert [fault[:2] for fault in faults(full)] == [("row_edited", full.audit_size() - 1)]


def test_a_key_changed_by_hand_is_named_as_gone_and_as_unlogged(full: Books, backend: Backend):
    backend.run("UPDATE usage SET id = 'use_2'")
    assert [(kind, what[:11]) for kind, _, what in faults(full)] == [
        ("row_unlogged", "usage use_2"),
        ("row_missing", "usage use_1"),
    ]


def test_one_byte_of_any_leaf_is_found_and_the_leaf_is_named(full: Books, backend: Backend):
    for entry in full.leaves():
        for place in (0, len(entry.leaf) // 2, len(entry.leaf) - 1):
            changed = bytearray(entry.leaf)
            changed[place] ^= 1
            _put(backend, entry.index, bytes(changed), entry.leaf_hash)
            named = [(kind, index) for kind, index, _ in faults(full)]
            assert ("leaf_hash", entry.index) in named
            assert ("root", 0 if entry.index < 4 else 4) in named
        _put(backend, entry.index, entry.leaf, entry.leaf_hash)
    assert full.verify().ok


def test_one_byte_of_any_leaf_with_its_hash_made_to_fit_is_found_by_the_signed_root(full: Books, backend: Backend):
    for entry in full.leaves():
        changed = entry.leaf.replace(b'"v":2', b'"v":1')
        _put(backend, entry.index, changed, leaf_hash(changed))
        named = [(kind, index) for kind, index, _ in faults(full)]
        assert ("root", 0 if entry.index < 4 else 4) in named
        assert ("head", None) in named
        _put(backend, entry.index, entry.leaf, entry.leaf_hash)
    assert full.verify().ok


def _put(backend: Backend, index: int, leaf: bytes, digest: bytes) -> None:
    values = {"leaf": leaf, "digest": digest, "leaf_index": index}
    touched = backend.run(
        "UPDATE audit_leaves SET leaf = :leaf, leaf_hash = :digest WHERE leaf_index = :leaf_index", values
    )
    assert touched == 1


def test_a_tail_cut_off_with_everything_that_speaks_of_it_is_found_by_the_files(full: Books, backend: Backend):
    """Leaves, head, index, checkpoints and the rows themselves: all put back to the first checkpoint."""
    size = full.audit_size()
    edge = CompactRange()
    for entry in full.leaves(0, 4):
        edge.append(entry.leaf_hash)
    with backend.sql() as connection:
        gone = ("charges", "usage", "invoices", "invoice_counters", "conversions", "holds", "effects")
        also = ("lease_health", "failovers", "replacements", "audit_anchors", "run_seals", "sealed_events")
        for table in (*gone, *also):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        connection.exec_driver_sql("DELETE FROM leases WHERE id = 'lse_2'")
        connection.exec_driver_sql("UPDATE budgets SET held_usd = '0'")
        for table in ("audit_names", "audit_leaves"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE leaf_index >= 4")
        connection.exec_driver_sql("DELETE FROM audit_checkpoints WHERE size > 4")
    backend.run("UPDATE audit_head SET edge = :edge", {"edge": edge.to_bytes()})
    ((kind, index, what),) = faults(full)
    assert (kind, index) == ("truncated", 4)
    assert f"signed {size}" in what
    for file in backend.checkpoints.iterdir():
        if file.name != "checkpoint.4":
            file.unlink()
    assert full.verify().ok, "without any checkpoint kept elsewhere this cannot be known"


TAMPER: dict[str, tuple[str, set[str]]] = {
    "a leaf deleted": ("DELETE FROM audit_leaves WHERE leaf_index = 2", {"index", "root", "head", "names"}),
    "the last leaf deleted": (
        "DELETE FROM audit_leaves WHERE leaf_index = (SELECT max(leaf_index) FROM audit_leaves)",
        {"truncated", "head", "names", "row_edited", "row_unlogged"},
    ),
    "leaves in another order": (
        "UPDATE audit_leaves SET leaf_index = CASE leaf_index WHEN 1 THEN -2 WHEN 2 THEN 1 ELSE leaf_index END",
        {"index"},
    ),
    "a checkpoint edited": ("UPDATE audit_checkpoints SET note = note || 'x' WHERE size = 4", {"checkpoint"}),
    "a checkpoint of another log": (
        "UPDATE audit_checkpoints SET note = replace(note, 'necto.test/audit', 'other.test/audit') WHERE size = 4",
        {"checkpoint"},
    ),
    "the head put back": (
        "UPDATE audit_head SET edge = (SELECT edge FROM audit_checkpoints WHERE size = 4)",
        {"head"},
    ),
    "the head gone": ("DELETE FROM audit_head", {"head"}),
    "the index of names thinned out": ("DELETE FROM audit_names WHERE noun = 'budgets'", {"names"}),
    "the index of names extended": ("INSERT INTO audit_names VALUES ('orders', 'ord_x', 3)", {"names"}),
    "the index of names beyond the log": ("INSERT INTO audit_names VALUES ('orders', 'ord_x', 99)", {"names"}),
}


@pytest.mark.parametrize("what", TAMPER)
def test_tampering_with_the_log_is_found(full: Books, backend: Backend, what: str):
    statement, expected = TAMPER[what]
    assert backend.run(statement) > 0
    kinds = {kind for kind, _, _ in faults(full)}
    assert expected <= kinds


def test_a_leaf_rewritten_with_its_row_its_hash_and_the_head_is_found_by_the_signed_root(full: Books, backend: Backend):
    """Everything in the database fits together again: only what was signed contradicts."""
    backend.run("UPDATE usage SET gpu_hours = '11'")
    (index, leaf) = full.leaf_of("usage", "use_1")[-1]
    event = json.loads(leaf)
    event["rows"][0]["sha256"] = row_digest(a_row(backend, "usage")[1])
    forged = leaf_bytes(event)
    _put(backend, index, forged, leaf_hash(forged))
    edge = CompactRange()
    for entry in full.leaves():
        edge.append(entry.leaf_hash)
    backend.run("UPDATE audit_head SET edge = :edge", {"edge": edge.to_bytes()})
    assert [fault[:2] for fault in faults(full)] == [("root", 4)]


ONLY_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""it takes any value in any column"""
STRANGE = {
    "text that is no number": "UPDATE budgets SET limit_usd = 'much'",
    "a binary float": "UPDATE orders SET attempt = 1.5",
    "bytes that are no text": "UPDATE orders SET reason = CAST(x'ff00fe' AS TEXT)",
    "a blob": "UPDATE orders SET reason = x'ff00fe'",
}


@ONLY_SQLITE
@pytest.mark.parametrize("what", STRANGE)
def test_strange_cells_of_sqlite_are_named_and_never_stop_the_verification(full: Books, backend: Backend, what: str):
    backend.run(STRANGE[what])
    assert {kind for kind, _, _ in faults(full)} == {"row_edited"}


@pytest.mark.parametrize(
    ("statement", "ask"),
    [
        ("UPDATE orders SET state = 'lost'", lambda books: books.orders()),
        ("UPDATE orders SET request = '{'", lambda books: books.orders()),
        ("UPDATE decisions SET document = '[]'", lambda books: books.decision("dec_lse_1")),
        ("UPDATE effects SET outcome = 'no JSON'", lambda books: books.effect("k")),
    ],
)
def test_a_row_that_cannot_be_read_says_that_the_books_were_tampered_with(full, backend, statement, ask):
    backend.run(statement)
    with pytest.raises(AuditBroken, match="cannot be read"):
        ask(full)


@ONLY_SQLITE
def test_a_number_that_is_none_says_that_the_books_were_tampered_with(full: Books, backend: Backend):
    backend.run(STRANGE["text that is no number"])
    with pytest.raises(AuditBroken, match="cannot be read"):
        full.budgets()


@ONLY_SQLITE
@pytest.mark.parametrize("cells", ["leaf = 'text'", "leaf_hash = 17", "leaf = x'ff'", "leaf = '{}', leaf_hash = 'x'"])
def test_strange_cells_in_the_log_are_named_and_never_stop_the_verification(full: Books, backend: Backend, cells: str):
    backend.run(f"UPDATE audit_leaves SET {cells} WHERE leaf_index = 1")
    assert ("leaf_hash", 1) in [fault[:2] for fault in faults(full)]


def test_faults_beyond_a_thousand_are_counted_and_not_named(full: Books, backend: Backend):
    with backend.sql() as connection:
        mark = "?" if backend.name == "sqlite" else "%s"
        rows = [(f"forged{i}",) for i in range(1_005)]
        connection.exec_driver_sql(f"INSERT INTO budgets VALUES ({mark}, '1', '0', '0')", rows)
    found = full.verify().faults
    assert len(found) == 1_001
    assert (found[-1].kind, found[-1].what) == ("further", "5 more faults of rows, not named")


@pytest.mark.parametrize("table", ["audit_leaves", "audit_checkpoints"])
def test_the_database_itself_refuses_to_change_the_log(full: Books, backend: Backend, table: str):
    column = "leaf_index" if table == "audit_leaves" else "size"
    statements = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
    if backend.name == "postgresql":
        statements.append(f"TRUNCATE {table} CASCADE")
    engine = open_engine(backend.url)
    for statement in statements:
        with pytest.raises(NectoError, match="append-only"), transaction(engine, write=True) as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert full.verify().ok
