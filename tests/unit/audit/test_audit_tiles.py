"""Tiles: their places, and proofs that read no more than a few of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.merkle import (
    EMPTY_ROOT,
    CompactRange,
    ProofRefused,
    StoredTree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from necto_pipelines.audit.tiles import WIDTH, Tile, TileNodes, entry_bundle, tile_of, tiles_for

HASHES = [leaf_hash(str(number).encode()) for number in range(70_000)]
SIZES = st.integers(1, 3_000) | st.sampled_from([255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 70_000])
FULL: dict[tuple[int, int], TileNodes] = {}


def full(level: int, number: int) -> TileNodes:
    """A full tile of the tree over `HASHES`, made once."""
    if (level, number) not in FULL:
        FULL[level, number] = TileNodes(hashes(level, number, WIDTH))
    return FULL[level, number]


def hashes(level: int, number: int, width: int) -> bytes:
    first = number * WIDTH
    if level == 0:
        return b"".join(HASHES[first : first + width])
    return b"".join(full(level - 1, below).root for below in range(first, first + width))


def tree(size: int, read: list[Tile] | None = None) -> StoredTree:
    """The tree of the first `size` leaves, which notes the tiles it reads."""
    nodes: dict[Tile, TileNodes] = {}

    def read_hash(level: int, number: int) -> bytes:
        tile = tile_of(level, number, size)
        if tile not in nodes:
            nodes[tile] = TileNodes(hashes(tile.level, tile.number, tile.width))
            if read is not None:
                read.append(tile)
        return nodes[tile].node(level, number)

    return StoredTree(size, read_hash)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(0, 1_000), "tile/0/x001/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 4), "tile/1/004"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(2, 1_234_067, 1), "tile/2/x001/x234/067.p/1"),
    ],
)
def test_a_tile_is_published_under_the_path_that_c2sp_gives(tile: Tile, path: str):
    assert tile.path == path


def test_entries_stand_below_their_tile_of_level_0():
    assert Tile(0, 1_234_067, 5).entries_path == "tile/entries/x001/x234/067.p/5"
    assert entry_bundle([b"a", b"", b"b" * 65_535]) == b"\0\1a\0\0\xff\xff" + b"b" * 65_535


@pytest.mark.parametrize(
    ("size", "paths"),
    [
        (0, []),
        (1, ["tile/0/000.p/1"]),
        (255, ["tile/0/000.p/255"]),
        (256, ["tile/0/000", "tile/1/000.p/1"]),
        (513, ["tile/0/000", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]),
    ],
)
def test_a_tree_has_these_tiles(size: int, paths: list[str]):
    assert [tile.path for tile in tiles_for(size)] == paths


def test_a_tree_of_70_000_leaves_has_three_levels():
    tiles = list(tiles_for(70_000))
    assert [tile.path for tile in tiles[-4:]] == ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert len(tiles) == 274 + 3


@given(SIZES, SIZES)
def test_a_tree_that_grew_has_the_tiles_from_before_and_those_since(one: int, other: int):
    old, new = sorted((one, other))
    before, now = set(tiles_for(old)), set(tiles_for(new))
    since = set(tiles_for(new, since=old))
    assert since <= now
    assert now - before == since


@given(SIZES, st.data())
def test_a_stored_tree_agrees_with_all_leaf_hashes(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    stored, leaves = tree(size), HASHES[:size]
    assert stored.root() == root_of(leaves)
    assert stored.inclusion(index) == inclusion_proof(leaves, index)
    assert stored.consistency(index + 1) == consistency_proof(leaves, index + 1)
    edge = stored.edge()
    assert (edge.size, edge.root()) == (size, stored.root())


def test_a_stored_tree_goes_on_where_a_compact_range_does():
    edge, appended = tree(600).edge(), CompactRange()
    for digest in HASHES[600:700]:
        edge.append(digest)
    for digest in HASHES[:700]:
        appended.append(digest)
    assert edge == appended


def test_a_proof_reads_only_the_tiles_on_its_way():
    read: list[Tile] = []
    stored = tree(70_000, read)
    edge = set(read)
    assert edge == {Tile(2, 0, 1), Tile(1, 1, 17), Tile(0, 273, 112)}
    stored.inclusion(1_000)
    assert set(read) - edge == {Tile(0, 3), Tile(1, 0)}
    assert len(read) == len(set(read))


@pytest.mark.parametrize(
    "ask",
    [
        lambda stored: stored.inclusion(5),
        lambda stored: stored.inclusion(-1),
        lambda stored: stored.consistency(6),
        lambda stored: stored.consistency(0),
    ],
)
def test_a_proof_that_cannot_be_is_refused(ask: Callable[[StoredTree], object]):
    with pytest.raises(ProofRefused):
        ask(tree(5))


def test_an_empty_tree_has_the_empty_root():
    assert (tree(0).root(), tree(0).edge(), list(tiles_for(0))) == (EMPTY_ROOT, CompactRange(), [])
