"""Leaves to append, and the check that what came of it is a log."""

from collections.abc import Collection
from typing import Any
from uuid import uuid4

from necto_pipelines.audit.merkle import leaf_hash, verify_inclusion
from necto_pipelines.audit.tiles import WIDTH, TileNodes, tiles_for
from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import transaction
from necto_pipelines.books.tiles import root_at, tile, tree


def an_event(leaf_id: str | None = None, **body: Any) -> dict[str, Any]:
    """An event that changes no row; a new id when none is given."""
    return {
        "v": 2,
        "id": leaf_id or str(uuid4()),
        "ts": "2026-11-22T12:00:00.000000Z",
        "type": "test.happened",
        "actor": {"kind": "service", "name": "test"},
        "body": body,
    }


def check_log(books: Books, indexes: Collection[int] = ()) -> None:
    """The books verify, the tiles are those of the leaves, and the leaves at `indexes` prove from them."""
    verdict = books.verify()
    assert verdict.ok, verdict.faults[:5]
    leaves = books.leaves()
    with transaction(books._engine, write=False) as connection:
        for place in tiles_for(len(leaves)):
            if place.level == 0:
                wanted = b"".join(leaf.leaf_hash for leaf in leaves[place.number * WIDTH :][: place.width])
            else:
                first = place.number * WIDTH
                below = range(first, first + place.width)
                wanted = b"".join(TileNodes(tile(connection, place.level - 1, number)).root for number in below)
            assert tile(connection, place.level, place.number, place.width) == wanted, place
        assert root_at(connection, len(leaves)) == verdict.root
        stored = tree(connection, len(leaves))
        for index in indexes:
            verify_inclusion(leaf_hash(leaves[index].leaf), index, len(leaves), stored.inclusion(index), verdict.root)
