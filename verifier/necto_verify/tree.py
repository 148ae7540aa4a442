"""The tree over all entries, grown bundle by bundle: its root at every signed size, and the tiles of every level.

Roots come from the entries alone. Each tile is held against the one below it as that stands in its file, so that one
changed file is one fault.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from necto_verify.bundles import Bundle, check_present, cut
from necto_verify.faults import Fault, Faults, Kind
from necto_verify.layout import MAX_BUNDLE_BYTES, MAX_TILE_BYTES, TILE_WIDTH, Export, TileName, Unreadable, tile_of
from necto_verify.merkle import EMPTY_ROOT, HASH_BYTES, Edge, complete_root

_ABOVE: Final = 1


class Tree:
    """Takes the bundles of a log of `size` entries in order; `root_at` has the root at each size asked for."""

    def __init__(self, export: Export, size: int, wanted: Iterable[int], faults: Faults) -> None:
        self.root_at: dict[int, bytes] = {0: EMPTY_ROOT}
        self.size = 0
        """how many entries were read so far"""
        self._export, self._claimed, self._faults = export, size, faults
        self._wanted = sorted({size for size in wanted if size > 0})
        self._edge = Edge()
        self._levels: list[_Level] = []

    def take(self, bundle: Bundle) -> bool:
        """Add a bundle's hashes; False when some are missing, so that nothing after them can be placed."""
        hashes = bundle.hashes
        count = len(hashes) // HASH_BYTES
        start = bisect_right(self._wanted, bundle.first)
        for size in self._wanted[start : bisect_left(self._wanted, bundle.first + count + 1)]:
            self.root_at[size] = self._edge.with_hashes(hashes[: (size - bundle.first) * HASH_BYTES])
        self.size = bundle.first + count
        if bundle.root is None:
            return self.size == self._claimed
        self._edge.add(TILE_WIDTH, bundle.root)
        self._push(0, bundle.tile_root or bundle.root)
        return True

    def close(self) -> None:
        """Check the tiles at the right edge, once all bundles were taken."""
        if self.size == self._claimed:
            for place, level in enumerate(self._levels):
                if level.hashes:
                    self._check(place, level)

    def _push(self, place: int, root: bytes) -> None:
        if place == len(self._levels):
            self._levels.append(_Level())
        level = self._levels[place]
        level.hashes += root
        if len(level.hashes) == MAX_TILE_BYTES:
            tile = self._check(place, level)
            self._push(place + 1, complete_root(tile if len(tile) == MAX_TILE_BYTES else bytes(level.hashes)))
            level.hashes.clear()
            level.number += 1

    def _check(self, place: int, level: "_Level") -> bytes:
        """Hold a tile's file against the level below as its files have it; returns what the file holds."""
        name = TileName(str(place + _ABOVE), level.number, len(level.hashes) // HASH_BYTES)
        first = level.number * TILE_WIDTH ** (place + 1 + _ABOVE)
        try:
            tile = self._export.read(name.path, MAX_TILE_BYTES)
        except Unreadable as error:
            self._faults.add(check_present(first, error))
            return b""
        self._faults.add(check_tile(name, tile, bytes(level.hashes)))
        return tile


class _Level:
    """The last tile of one level above the entries' own hashes, as far as it has grown."""

    def __init__(self) -> None:
        self.number = 0
        self.hashes = bytearray()


def check_tile(name: TileName, tile: bytes, expected: bytes) -> list[Fault]:
    """A tile above level 0 holds the roots of the tiles below it."""
    if tile == expected:
        return []
    span = TILE_WIDTH**name.level_number
    for start in range(0, len(expected), HASH_BYTES):
        if tile[start : start + HASH_BYTES] != expected[start : start + HASH_BYTES]:
            first = (name.number * TILE_WIDTH + start // HASH_BYTES) * span
            what = (
                f"{name.path}: its hash {start // HASH_BYTES} is not the root of entries {first} to {first + span - 1}"
            )
            return [Fault(Kind.TILE, first, what)]
    return [Fault(Kind.TILE, None, f"{name.path}: {len(tile)} bytes; {len(expected)} are needed")]


def check_no_surplus(export: Export, size: int) -> list[Fault]:
    """Every file below `tile` is one that the log's size calls for, or an earlier, narrower state of such a tile."""
    faults = []
    for path in export.tile_files():
        name = TileName.at(path)
        there = tile_of(name.level, name.number, size) if name else None
        if name is None:
            faults.append(Fault(Kind.SURPLUS, None, f"{path} is no tile's name"))
        elif there is None or name.width > there.width:
            first = name.number * TILE_WIDTH ** (name.level_number + 1)
            faults.append(Fault(Kind.SURPLUS, max(first, size), f"{path} goes beyond the signed {size} entries"))
        elif name.width < there.width:
            faults += check_earlier_part(export, name, there)
    return faults


def check_earlier_part(export: Export, part: TileName, whole: TileName) -> list[Fault]:
    """A partial tile left from when the log was shorter holds the beginning of what stands there now."""
    try:
        earlier = export.read(part.path, MAX_BUNDLE_BYTES)
        now = export.read(whole.path, MAX_BUNDLE_BYTES)
    except Unreadable as error:
        return [Fault(Kind.TILE, None, str(error))]
    if part.level == "entries":
        entries, _, rest = cut(earlier, part.width)
        fits = len(entries) == part.width and not rest
    else:
        fits = len(earlier) == part.width * HASH_BYTES
    if fits and now.startswith(earlier):
        return []
    return [Fault(Kind.TILE, None, f"{part.path} is not the beginning of {whole.path}")]
