"""RFC 6962 Merkle trees over SHA-256, as far as a verifier needs them: roots of growing trees and inclusion paths."""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import Final

HASH_BYTES: Final = 32
_PAIRS: Final = Struct("64s")
EMPTY_ROOT: Final = sha256(b"").digest()


class PathRefused(ValueError):
    """An inclusion path that cannot belong to its index and size."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry), RFC 6962 section 2.1."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


def complete_root(hashes: bytes) -> bytes:
    """The root over 2^n concatenated hashes. The inner loop of the whole verification: no calls but SHA-256."""
    while len(hashes) > HASH_BYTES:
        hashes = b"".join([sha256(b"\x01" + pair).digest() for (pair,) in _PAIRS.iter_unpack(hashes)])
    return hashes


class Edge:
    """The right edge of a tree: the roots of its complete subtrees, largest first, each with its size.

    It grows by complete subtrees that are no larger than the last one, which is how a log grows.
    """

    def __init__(self) -> None:
        self._subtrees: list[tuple[int, bytes]] = []

    def add(self, size: int, root: bytes) -> None:
        """Append a complete subtree of `size` entries; equal neighbours merge."""
        while self._subtrees and self._subtrees[-1][0] == size:
            _, left = self._subtrees.pop()
            root, size = node_hash(left, root), 2 * size
        self._subtrees.append((size, root))

    def with_hashes(self, hashes: bytes) -> bytes:
        """The tree's root after these further leaf hashes, which are not kept."""
        further = Edge()
        further._subtrees = self._subtrees.copy()
        start, left = 0, len(hashes) // HASH_BYTES
        while left:
            size = 1 << (left.bit_length() - 1)
            stop = start + size * HASH_BYTES
            further.add(size, complete_root(hashes[start:stop]))
            start, left = stop, left - size
        return further.root()

    def root(self) -> bytes:
        """The root of the tree."""
        if not self._subtrees:
            return EMPTY_ROOT
        *lefts, (_, root) = self._subtrees
        for _, left in reversed(lefts):
            root = node_hash(left, root)
        return root


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf hash and its audit path lead to in a tree of `size` (RFC 9162 section 2.1.3.2).

    Raises PathRefused for an index outside the tree and a path with more or fewer hashes than these call for.
    """
    if not 0 <= index < size:
        raise PathRefused(f"index {index} is outside a tree of {size} entries")
    steps = iter(path)
    place, last, node, taken = index, size - 1, leaf, 0
    while last:
        if place & 1 or place < last:
            side = next(steps, None)
            if side is None:
                raise PathRefused(f"{len(path)} hashes are too few for index {index} of {size}")
            taken += 1
            node = node_hash(side, node) if place & 1 else node_hash(node, side)
        place, last = place >> 1, last >> 1
    if taken != len(path):
        raise PathRefused(f"{len(path)} hashes are too many for index {index} of {size}; {taken} are needed")
    return node
