"""Tiles (C2SP tlog-tiles): the pieces, 256 hashes each, in which a tree's hashes are stored and published.

A tile of level L holds the roots of complete subtrees of 256^L leaves, so level 0 holds leaf hashes. A tile that is
full never changes. Where tiles are stored belongs to `books`; the files of an export are written there too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from necto_pipelines.audit.merkle import HASH_BYTES, NODE_PREFIX

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""hashes in a full tile"""
_GROUP: Final = 1000
"""a tile's number is written in groups of three digits, so that no folder grows large"""
_LENGTH_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its level, its number at that level from 0, and how many hashes it holds, 1 to 256."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it is published: `tile/<level>/<number>`, and `.p/<width>` at the end for a partial one."""
        return f"tile/{self.level}/{_numbered(self.number, self.width)}"

    @property
    def entries_path(self) -> str:
        """Where the entries below a tile of level 0 are published."""
        return f"tile/entries/{_numbered(self.number, self.width)}"


def tiles_for(size: int, since: int = 0) -> Iterator[Tile]:
    """All tiles of a tree of `size` leaves, levels upwards, numbers upwards; partial ones end their level.

    With `since`, only those that a tree of that smaller size did not have yet.
    """
    level = 0
    while hashes := size >> HEIGHT * level:
        before = since >> HEIGHT * level
        if hashes > before:
            for number in range(before // WIDTH, -(-hashes // WIDTH)):
                yield Tile(level, number, min(WIDTH, hashes - number * WIDTH))
        level += 1


def tile_of(level: int, number: int, size: int) -> Tile:
    """The tile with the root of the complete subtree `number` of 2^level leaves, as wide as a tree of `size` has it."""
    tile_level, inner = divmod(level, HEIGHT)
    tile = (number << inner) // WIDTH
    return Tile(tile_level, tile, min(WIDTH, (size >> HEIGHT * tile_level) - tile * WIDTH))


class TileNodes:
    """A tile's hashes and the roots of all complete subtrees over them, so that a proof through it only looks up."""

    __slots__ = ("_levels",)

    def __init__(self, hashes: bytes) -> None:
        self._levels = [hashes]
        while len(hashes) >= 2 * HASH_BYTES:
            hashes = b"".join(
                sha256(NODE_PREFIX + hashes[start : start + 2 * HASH_BYTES]).digest()
                for start in range(0, len(hashes) - HASH_BYTES, 2 * HASH_BYTES)
            )
            self._levels.append(hashes)

    @property
    def width(self) -> int:
        """How many hashes the tile holds."""
        return len(self._levels[0]) // HASH_BYTES

    @property
    def root(self) -> bytes:
        """The root over a full tile, which is one hash of the tile above."""
        return self._levels[HEIGHT]

    def node(self, level: int, number: int) -> bytes:
        """The root of the complete subtree `number` of 2^level leaves (both of the whole tree), which lies in here."""
        inner = level % HEIGHT
        start = number % (WIDTH >> inner) * HASH_BYTES
        return self._levels[inner][start : start + HASH_BYTES]


def entry_bundle(leaves: Iterable[bytes]) -> bytes:
    """The entries below one tile of level 0, each after its length as uint16, big-endian."""
    return b"".join(len(leaf).to_bytes(_LENGTH_BYTES) + leaf for leaf in leaves)


def _numbered(number: int, width: int) -> str:
    number, last = divmod(number, _GROUP)
    parts = [f"{last:03d}"]
    while number:
        number, group = divmod(number, _GROUP)
        parts.insert(0, f"x{group:03d}")
    return "/".join(parts) if width == WIDTH else f"{'/'.join(parts)}.p/{width}"
