"""The tree as the books store it: full tiles, written with the leaves that fill them, and what is read from them.

A proof, a root or an edge at any size takes a few tiles, however long the log is. The right edge of the tree stands in
no tile: its hashes are those of the newest leaves, and the roots of the tiles one level below. What a tile is stands in
`audit/tiles.py`, the appending of leaves in `audit_log.py`.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select

from necto_pipelines.audit.merkle import HASH_BYTES, CompactRange, StoredTree
from necto_pipelines.audit.tiles import HEIGHT, WIDTH, Tile, TileNodes, tile_of, tiles_for
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.tables import audit_leaves, audit_tiles
from necto_pipelines.failures import AuditBroken

CACHED_TILES: Final = 1024
"""16 KiB each with all their inner hashes; enough for the newest quarter million leaves"""

FullTile = tuple[int, int, bytes, bytes]
"""level, number, root and hashes, as `audit_tiles` has them"""
_TILE_BYTES: Final = WIDTH * HASH_BYTES
LEVELS: Final = 8
"""levels of tiles that a log of 2^64 leaves has"""

_STORED: Final = select(audit_tiles.c.hashes).where(
    audit_tiles.c.level == bindparam("of_level"), audit_tiles.c.number == bindparam("of_number")
)
_ROOTS: Final = (
    select(audit_tiles.c.number, audit_tiles.c.root)
    .where(audit_tiles.c.level == bindparam("of_level"))
    .where(audit_tiles.c.number >= bindparam("first"), audit_tiles.c.number < bindparam("stop"))
)
_LEAF_HASHES: Final = (
    select(audit_leaves.c.leaf_hash)
    .where(audit_leaves.c.leaf_index >= bindparam("first"), audit_leaves.c.leaf_index < bindparam("stop"))
    .order_by(audit_leaves.c.leaf_index)
)
_LEAVES: Final = (
    select(audit_leaves.c.leaf)
    .where(audit_leaves.c.leaf_index >= bindparam("first"), audit_leaves.c.leaf_index < bindparam("stop"))
    .order_by(audit_leaves.c.leaf_index)
)


class TileCache:
    """The tiles that were used last. Safe from any thread.

    Only for what was committed: what it holds is taken to stand for ever. Whoever checks the log reads without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tiles: OrderedDict[Tile, TileNodes] = OrderedDict()

    def get(self, tile: Tile) -> TileNodes | None:
        """The tile of this width, if it is kept."""
        with self._lock:
            if found := self._tiles.get(tile):
                self._tiles.move_to_end(tile)
            return found

    def keep(self, tile: Tile, nodes: TileNodes) -> None:
        """Keep a tile, and forget the one that was not used for the longest time."""
        with self._lock:
            self._tiles[tile] = nodes
            if len(self._tiles) > CACHED_TILES:
                self._tiles.popitem(last=False)


def tree(connection: Connection, size: int, cache: TileCache | None = None) -> StoredTree:
    """The tree of the first `size` leaves, read from the tiles. Raises AuditBroken where leaves are missing."""
    kept: dict[tuple[int, int], TileNodes] = {}

    def read_hash(level: int, number: int) -> bytes:
        key = (level // HEIGHT, (number << level % HEIGHT) // WIDTH)  # as `tile_of`, which a proof need not wait for
        nodes = kept.get(key)
        if nodes is None:
            nodes = kept[key] = _nodes(connection, tile_of(level, number, size), cache)
        return nodes.node(level, number)

    return StoredTree(size, read_hash)


def tree_at(connection: Connection, size: int) -> CompactRange:
    """The right edge of the tree of the first `size` leaves. Raises AuditBroken where leaves are missing."""
    return tree(connection, size).edge()


def root_at(connection: Connection, size: int) -> bytes:
    """The root of the tree of the first `size` leaves. Raises AuditBroken where leaves are missing."""
    return tree(connection, size).root()


def inclusion(connection: Connection, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of the first `size` leaves.

    Raises `ProofRefused` where there is no such path, AuditBroken where leaves are missing.
    """
    return tree(connection, size).inclusion(index)


def consistency(connection: Connection, old: int, new: int) -> list[bytes]:
    """Proof that the tree of the first `old` leaves is a prefix of that of the first `new`; raises as `inclusion`."""
    return tree(connection, new).consistency(old)


def tile(connection: Connection, level: int, number: int, width: int = WIDTH) -> bytes:
    """The first `width` hashes of a tile, one after the other; stored, or made from what stands one level below.

    Raises AuditBroken where leaves are missing.
    """
    if width == WIDTH:
        stored = connection.execute(_STORED, _named(level, number)).scalar_one_or_none()
        if stored is not None and len(hashes := as_bytes(stored)) == _TILE_BYTES:
            return hashes
    first = number * WIDTH
    hashes = _leaf_hashes(connection, first, width) if level == 0 else _roots(connection, level - 1, first, width)
    if len(hashes) != width * HASH_BYTES:
        held = len(hashes) // HASH_BYTES
        raise AuditBroken(f"the log misses hashes: tile {level}/{number} has {held} of {width}")
    return hashes


def entries(connection: Connection, first: int, count: int) -> list[bytes]:
    """The exact bytes of `count` leaves from index `first` on. Raises AuditBroken where some are missing."""
    rows = connection.execute(_LEAVES, {"first": first, "stop": first + count})
    leaves = [as_bytes(leaf) for leaf in rows.scalars()]
    if len(leaves) != count:
        raise AuditBroken(f"the log misses {count - len(leaves)} of the {count} leaves from index {first} on")
    return leaves


def _nodes(connection: Connection, place: Tile, cache: TileCache | None) -> TileNodes:
    nodes = cache.get(place) if cache else None
    if nodes is None:
        nodes = TileNodes(tile(connection, place.level, place.number, place.width))
        if cache:
            cache.keep(place, nodes)
    return nodes


def filled_by(connection: Connection, size: int, added: Sequence[bytes]) -> list[FullTile]:
    """The tiles that become full when these leaf hashes follow a log of `size` leaves, as it is stored."""
    filled: list[FullTile] = []
    level, before, hashes = 0, size, added
    while before % WIDTH + len(hashes) >= WIDTH:
        first, standing = divmod(before, WIDTH)
        joined = (tile(connection, level, first, standing) if standing else b"") + b"".join(hashes)
        full = [joined[start : start + _TILE_BYTES] for start in range(0, len(joined) - _TILE_BYTES + 1, _TILE_BYTES)]
        rows = [(level, first + count, TileNodes(each).root, each) for count, each in enumerate(full)]
        filled += rows
        level, before, hashes = level + 1, first, [root for _, _, root, _ in rows]
    return filled


def complete(connection: Connection, size: int) -> None:
    """Store each full tile of a log of `size` leaves that is not stored yet: of books that an earlier Necto wrote.

    Raises AuditBroken where leaves are missing.
    """
    for place in tiles_for(size):
        if (
            place.width == WIDTH
            and connection.execute(_STORED, _named(place.level, place.number)).one_or_none() is None
        ):
            hashes = tile(connection, place.level, place.number)
            values = {"level": place.level, "number": place.number, "root": TileNodes(hashes).root, "hashes": hashes}
            connection.execute(insert(audit_tiles).values(values))


def are_complete(connection: Connection, size: int) -> bool:
    """Whether as many tiles are stored as a log of `size` leaves has full ones."""
    stored = connection.execute(select(func.count()).select_from(audit_tiles)).scalar_one()
    return bool(stored == sum(size >> HEIGHT * (level + 1) for level in range(LEVELS)))


def _leaf_hashes(connection: Connection, first: int, count: int) -> bytes:
    rows = connection.execute(_LEAF_HASHES, {"first": first, "stop": first + count})
    return b"".join(as_bytes(digest) for digest in rows.scalars())


def _named(level: int, number: int) -> dict[str, int]:
    return {"of_level": level, "of_number": number}


def _roots(connection: Connection, level: int, first: int, count: int) -> bytes:
    """The roots of full tiles; one that is not stored is made from its own hashes."""
    rows = connection.execute(_ROOTS, {"of_level": level, "first": first, "stop": first + count})
    stored = {number: as_bytes(root) for number, root in rows}
    return b"".join(
        stored.get(number) or TileNodes(tile(connection, level, number)).root for number in range(first, first + count)
    )
