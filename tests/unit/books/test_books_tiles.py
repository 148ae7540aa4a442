"""Tiles in the books: stored with the leaves that fill them, and enough for every root and proof."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from support.books_backends import Backend
from support.books_steps import submitted
from support.log_events import an_event, check_log

from necto_pipelines.audit.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
)
from necto_pipelines.audit.tiles import TileNodes
from necto_pipelines.books import tiles
from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import transaction
from necto_pipelines.books.tables import audit_head, audit_tiles
from necto_pipelines.failures import AuditBroken

SPAN = 256


def stored(backend: Backend) -> list[tuple[int, int]]:
    with backend.sql() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT level, number FROM audit_tiles ORDER BY 1, 2")]


def add(books: Books, count: int) -> None:
    books.append_all([an_event() for _ in range(count)])


def test_the_leaf_that_fills_a_tile_writes_it(books: Books, backend: Backend):
    add(books, 255)
    assert stored(backend) == []
    submitted(books)
    assert stored(backend) == [(0, 0)]
    add(books, 1)
    assert stored(backend) == [(0, 0)]
    check_log(books, range(books.audit_size()))


@pytest.mark.parametrize("steps", [[256], [300, 212], [1, 511], [100, 700, 3, 1000], [255, 2, 255]])
def test_one_transaction_fills_as_many_tiles_as_it_reaches(books: Books, backend: Backend, steps: list[int]):
    for count in steps:
        add(books, count)
    assert stored(backend) == [(0, number) for number in range(sum(steps) // SPAN)]
    check_log(books, range(0, sum(steps), 37))


def test_the_256th_tile_writes_the_tile_above(books: Books, backend: Backend):
    """65,280 leaf hashes are put in as 255 tiles, to be quick; no more than their tiles is asked for."""
    hashes = [leaf_hash(str(number).encode()) for number in range(255 * SPAN)]
    edge = CompactRange()
    for digest in hashes:
        edge.append(digest)
    below = [b"".join(hashes[start : start + SPAN]) for start in range(0, len(hashes), SPAN)]
    with transaction(books._engine, write=True) as connection:
        rows = [
            {"level": 0, "number": number, "root": TileNodes(each).root, "hashes": each}
            for number, each in enumerate(below)
        ]
        connection.execute(audit_tiles.insert(), rows)
        connection.execute(audit_head.update().values(edge=edge.to_bytes()))
    add(books, 255)
    assert (1, 0) not in stored(backend)
    add(books, 300)
    assert stored(backend)[-2:] == [(0, 256), (1, 0)]
    hashes += [entry.leaf_hash for entry in books.leaves()]
    with transaction(books._engine, write=False) as connection:
        assert tiles.tile(connection, 1, 0)[:32] == TileNodes(below[0]).root
        for size in (65_535, 65_536, 65_537, len(hashes)):
            assert tiles.root_at(connection, size) == root_of(hashes[:size])
        assert tiles.inclusion(connection, 7, len(hashes)) == inclusion_proof(hashes, 7)
        assert tiles.consistency(connection, 65_536, len(hashes)) == consistency_proof(hashes, 65_536)


@pytest.fixture
def long(books: Books) -> Books:
    add(books, 1_100)
    return books


def test_every_size_has_its_root_edge_and_proofs(long: Books):
    hashes = [entry.leaf_hash for entry in long.leaves()]
    with transaction(long._engine, write=False) as connection:
        for size in (1, 2, 255, 256, 257, 511, 512, 513, 1_024, 1_100):
            edge = CompactRange()
            for digest in hashes[:size]:
                edge.append(digest)
            assert tiles.tree_at(connection, size) == edge
            assert tiles.root_at(connection, size) == edge.root()
            for index in {0, size // 2, size - 1}:
                assert tiles.inclusion(connection, index, size) == inclusion_proof(hashes[:size], index)
            proof = tiles.consistency(connection, size, 1_100)
            verify_consistency(size, 1_100, edge.root(), root_of(hashes), proof)


def test_tiles_and_entries_are_read_in_any_width(long: Books):
    entries = long.leaves()
    with transaction(long._engine, write=False) as connection:
        for level, number, width in [(0, 0, 256), (0, 1, 17), (0, 4, 76)]:
            first = number * SPAN
            wanted = b"".join(leaf.leaf_hash for leaf in entries[first : first + width])
            assert tiles.tile(connection, level, number, width) == wanted
        assert tiles.entries(connection, 250, 10) == [entry.leaf for entry in entries[250:260]]
        for ask in (
            lambda: tiles.tile(connection, 0, 4, 77),
            lambda: tiles.tile(connection, 1, 0, 5),
            lambda: tiles.entries(connection, 1_095, 6),
            lambda: tiles.root_at(connection, 1_101),
        ):
            with pytest.raises(AuditBroken, match="misses"):
                ask()


def test_a_proof_reads_a_few_rows_however_long_the_log_is(long: Books):
    long.sign()
    long.proof(3)
    asked: list[str] = []
    event.listen(long._engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    for index in range(0, 256, 16):
        long.proof(index)
    assert not [statement for statement in asked if "audit_tiles" in statement], "the tiles were used a moment ago"
    assert len(asked) < 16 * 8


def test_books_of_an_earlier_necto_get_their_tiles_when_they_are_opened(long: Books, backend: Backend):
    backend.run("DELETE FROM audit_tiles")
    together = threading.Barrier(4)

    def reopen() -> None:
        together.wait()
        backend.open().close()

    with ThreadPoolExecutor(4) as pool:
        for opened in [pool.submit(reopen) for _ in range(4)]:
            opened.result()
    assert stored(backend) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    check_log(long, range(0, 1_100, 97))


def test_a_log_that_misses_a_tile_still_proves_and_grows(long: Books, backend: Backend):
    backend.run("DELETE FROM audit_tiles WHERE number = 2")
    add(long, 300)
    assert stored(backend) == [(0, 0), (0, 1), (0, 3), (0, 4)]
    check_log(long, range(0, 1_400, 97))


def test_books_with_a_damaged_head_open_and_are_found_broken(long: Books, backend: Backend):
    backend.run("DELETE FROM audit_tiles WHERE number = 2")
    backend.run("UPDATE audit_head SET edge = :edge", {"edge": b"damaged"})
    again = backend.open()
    assert "head" in [fault.kind for fault in again.verify().faults]
    again.close()


def test_a_proof_leads_to_the_checkpoint_or_is_refused(long: Books, backend: Backend):
    """A tile that was changed by hand must not become a proof that somebody takes home."""
    long.sign()
    backend.run("UPDATE audit_tiles SET hashes = :hashes WHERE number = 1", {"hashes": bytes(SPAN * 32)})
    again = backend.open()
    with pytest.raises(AuditBroken):
        again.proof(300)
    again.close()


@pytest.mark.parametrize(
    ("level", "statement"),
    [
        (0, "UPDATE audit_tiles SET hashes = :bytes WHERE number = 2"),
        (0, "UPDATE audit_tiles SET root = :bytes WHERE number = 2"),
        (0, "UPDATE audit_tiles SET number = 70 WHERE number = 2"),
        (1, "INSERT INTO audit_tiles VALUES (1, 0, :bytes, :bytes)"),
        (6, "INSERT INTO audit_tiles VALUES (6, 5, :bytes, :bytes)"),
    ],
)
def test_a_tile_that_is_not_of_the_log_is_named(long: Books, backend: Backend, level: int, statement: str):
    assert long.verify().ok
    backend.run(statement, {"bytes": b"forged"})
    (fault,) = long.verify().faults
    assert fault.kind == "tile"
    assert fault.what.startswith(f"tile {level}/")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_leaves_in_any_portions_lead_to_the_same_tree(books: Books, portions: list[int]):
    for count in portions:
        add(books, count)
    with transaction(books._engine, write=False) as connection:
        size = books.audit_size()
        edge = CompactRange()
        for entry in books.leaves():
            edge.append(leaf_hash(entry.leaf))
        assert tiles.tree_at(connection, size) == edge


def test_what_is_appended_reads_back_as_it_was(books: Books):
    """Also through COPY, whose rows are made by us: text of every kind, and names."""
    given = [an_event(f"{number:03d}-é\t\\N", text="\\.\n\t€\u2028\U0001f600", n=-number) for number in range(60)]
    for number, each in enumerate(given):
        each["subject"] = {"order": f"ord\t{number}\\"}
    assert books.append_all(given) == list(range(60))
    assert [json.loads(entry.leaf) for entry in books.leaves()] == given
    assert books.leaf_of("order", "ord\t7\\") == [(7, books.leaves()[7].leaf)]
    check_log(books)
