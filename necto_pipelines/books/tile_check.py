"""Whether the stored tiles are those of the log: proofs are read from them, and nobody else looks at all of them.

What a tile is stands in `audit/tiles.py`; the rest of a verification in `verification.py`.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, select

from necto_pipelines.audit.tiles import WIDTH, TileNodes
from necto_pipelines.audit.verify import StoredLeaf
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.tables import audit_tiles
from necto_pipelines.books.tiles import LEVELS


class TileCheck:
    """Compares tiles with leaf hashes as these pass by. Memory grows by a hash for 256 leaves."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lowest = _Level(connection, 0)

    def watch(self, entries: Iterable[StoredLeaf]) -> Iterator[StoredLeaf]:
        """Pass the entries on, and look at the hashes stored beside them: the log's verification looks at the bytes."""
        hashes: list[bytes] = []
        for entry in entries:
            hashes.append(entry.leaf_hash)
            if len(hashes) == WIDTH:
                self._lowest.follow(hashes)
                hashes = []
            yield entry

    def differing(self) -> Iterator[tuple[int, str]]:
        """The first leaf below each tile that is not as the hashes below it say, and what is wrong with it.

        Asked for when all entries have passed. A tile that is missing is not wrong: it can be made anew.
        """
        level = self._lowest
        for _ in range(LEVELS):
            yield from level.differing()
            level = level.above(self._connection)


class _Level:
    """The stored tiles of one level, in order."""

    def __init__(self, connection: Connection, level: int) -> None:
        tiles = audit_tiles.c
        query = select(tiles.number, tiles.root, tiles.hashes).where(tiles.level == level).order_by(tiles.number)
        self._level = level
        self._stored = iter(connection.execute(query.execution_options(yield_per=100)))
        self._next = next(self._stored, None)
        self._roots: list[bytes] = []
        self._wrong: list[tuple[int, str]] = []

    def follow(self, hashes: Sequence[bytes]) -> None:
        """The next tile's hashes, as they should be."""
        joined = b"".join(hashes)
        number, root = len(self._roots), TileNodes(joined).root
        self._roots.append(root)
        if self._next is not None and self._next.number == number:
            if (as_bytes(self._next.root), as_bytes(self._next.hashes)) != (root, joined):
                self._found(number, "was changed: it does not hold the hashes below it")
            self._next = next(self._stored, None)

    def differing(self) -> Iterator[tuple[int, str]]:
        """What was found wrong, and every tile that is left: the log is not so long."""
        while self._next is not None:
            self._found(self._next.number, "has no leaves: the log is not so long")
            self._next = next(self._stored, None)
        yield from self._wrong

    def above(self, connection: Connection) -> "_Level":
        """The level above, which has followed this one."""
        above = _Level(connection, self._level + 1)
        for start in range(0, len(self._roots) - WIDTH + 1, WIDTH):
            above.follow(self._roots[start : start + WIDTH])
        return above

    def _found(self, number: int, what: str) -> None:
        self._wrong.append((number * WIDTH ** (self._level + 1), f"tile {self._level}/{number} {what}"))
