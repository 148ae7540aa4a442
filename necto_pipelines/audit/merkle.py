"""RFC 6962 Merkle trees over SHA-256: hashes, compact ranges, inclusion and consistency proofs.

Proofs are made from all leaf hashes, or from a `StoredTree` that reads no more than lies on their way. In which pieces
its hashes are stored and published stands in `tiles.py`.

A tree is read level by level: neighbours pair up, and a last node without a neighbour moves up as it is. That gives
the trees of RFC 6962 section 2.1, and a proof is the neighbour at each level, from the leaf upwards.

Edges on which implementations differ are settled as in transparency-dev/merkle, or strictly where it leaves them open:

* a leaf hash and each hash of a proof are exactly 32 bytes, and a proof has exactly the hashes its sizes call for;
* an index must be below the size, so nothing is included in an empty tree;
* trees of equal size are consistent when their roots are equal and the proof is empty, the empty tree included;
* from an empty tree to a larger one there is no proof: it would say nothing, so both making and checking it refuse.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Self

from necto_pipelines.failures import AuditBroken

HASH_BYTES = 32
LEAF_PREFIX, NODE_PREFIX = b"\x00", b"\x01"
EMPTY_ROOT = sha256(b"").digest()
_SIZE_BYTES = 8


class ProofRefused(AuditBroken):
    """A proof that does not prove what it claims, or one that cannot exist."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf), RFC 6962 section 2.1."""
    return sha256(LEAF_PREFIX + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return sha256(NODE_PREFIX + left + right).digest()


@dataclass
class CompactRange:
    """The right edge of a growing tree: the roots of its complete subtrees, largest first; at most 64 hashes.

    Enough to append and to compute the root without the leaves.
    """

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf by its hash."""
        if len(leaf_hash) != HASH_BYTES:
            raise ValueError(f"leaf hash: {len(leaf_hash)} bytes are not allowed; exactly {HASH_BYTES}")
        size, node = self.size, leaf_hash
        while size & 1:
            node = sha256(NODE_PREFIX + self.hashes.pop() + node).digest()
            size >>= 1
        self.hashes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The tree's root at this size."""
        if not self.hashes:
            return EMPTY_ROOT
        *lefts, node = self.hashes
        for left in reversed(lefts):
            node = node_hash(left, node)
        return node

    def to_bytes(self) -> bytes:
        """The size as 8 bytes, big-endian, then the hashes."""
        return self.size.to_bytes(_SIZE_BYTES) + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`; raises `AuditBroken` when the length does not fit the size."""
        size, rest = int.from_bytes(data[:_SIZE_BYTES]), data[_SIZE_BYTES:]
        if len(data) < _SIZE_BYTES or len(rest) != size.bit_count() * HASH_BYTES:
            raise AuditBroken(f"compact range: {len(data)} bytes do not hold the edge of a tree of size {size}")
        return cls(size, [rest[start : start + HASH_BYTES] for start in range(0, len(rest), HASH_BYTES)])


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes."""
    if not hashes:
        return EMPTY_ROOT
    *_, top = _levels(hashes)
    return top[0]


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree over `hashes`, leaf upwards (RFC 6962 section 2.1.1)."""
    _check_index(index, len(hashes))
    _, path = _path(hashes, index)
    return path


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the first `old_size` leaves are a prefix of `hashes` (RFC 6962 section 2.1.2)."""
    _check_sizes(old_size, len(hashes))
    if old_size == len(hashes):
        return []
    level, node = _last_complete_node(old_size)
    own, path = _path(hashes, node, from_level=level)
    return [own, *path] if node else path


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a leaf and its audit path lead to in a tree of `size`; `ProofRefused` when they do not fit."""
    _check_index(index, size)
    _check_lengths(leaf_hash, *proof)
    steps = _Steps(proof)
    node, root = index, leaf_hash
    for last in _last_nodes(size):
        if node & 1:
            root = node_hash(steps.next(), root)
        elif node < last:
            root = node_hash(root, steps.next())
        node >>= 1
    steps.check_spent()
    return root


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return when the leaf stands at `index` in the tree of `size` and `root`; raise `ProofRefused` otherwise."""
    found = root_from_inclusion(leaf_hash, index, size, proof)
    if found != root:
        raise ProofRefused(f"inclusion of leaf {index} in {size}: the path leads to {found.hex()}, not {root.hex()}")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the old tree is a prefix of the new one; raise `ProofRefused` otherwise."""
    _check_sizes(old_size, new_size)
    _check_lengths(*proof)
    steps = _Steps(proof)
    found_old = found_new = old_root
    if old_size < new_size:
        _check_lengths(old_root)
        level, node = _last_complete_node(old_size)
        found_old = found_new = old_root if node == 0 else steps.next()
        for last in _last_nodes(new_size, from_level=level):
            if node & 1:
                left = steps.next()
                found_old, found_new = node_hash(left, found_old), node_hash(left, found_new)
            elif node < last:
                found_new = node_hash(found_new, steps.next())
            node >>= 1
    steps.check_spent()
    for size, found, root in ((old_size, found_old, old_root), (new_size, found_new, new_root)):
        if found != root:
            raise ProofRefused(
                f"consistency of {old_size} with {new_size}: the proof leads to {found.hex()} at size {size}, "
                f"not {root.hex()}"
            )


ReadHash = Callable[[int, int], bytes]
"""gives the root of the complete subtree of 2^level leaves with this number at its level, counted from 0"""


class StoredTree:
    """A tree of `size` leaves of which single complete subtrees can be read: its root and proofs in O(log size) reads.

    What lies between the complete subtrees and the root is read and computed once.
    """

    def __init__(self, size: int, read_hash: ReadHash) -> None:
        self.size = size
        self._read = read_hash
        self._edge = [(level, (size >> level) - 1) for level in reversed(range(size.bit_length())) if size >> level & 1]
        self._hashes = [read_hash(level, number) for level, number in self._edge]
        self._from: dict[int, bytes] = {}
        node = EMPTY_ROOT
        for (level, number), left in zip(reversed(self._edge), reversed(self._hashes), strict=True):
            node = node_hash(left, node) if self._from else left
            self._from[number << level] = node
        self._root = node

    def root(self) -> bytes:
        """The tree's root."""
        return self._root

    def edge(self) -> CompactRange:
        """The tree's right edge, to append to."""
        return CompactRange(self.size, list(self._hashes))

    def inclusion(self, index: int) -> list[bytes]:
        """The audit path of leaf `index`, leaf upwards; as `inclusion_proof`."""
        _check_index(index, self.size)
        return self._path(0, index)

    def consistency(self, old_size: int) -> list[bytes]:
        """Proof that the tree of the first `old_size` leaves is a prefix; as `consistency_proof`."""
        _check_sizes(old_size, self.size)
        if old_size == self.size:
            return []
        level, number = _last_complete_node(old_size)
        path = self._path(level, number)
        return [self._read(level, number), *path] if number else path

    def _path(self, level: int, number: int) -> list[bytes]:
        size, path = self.size, []
        last = (size - 1) >> level
        while last > 0:
            neighbour = number ^ 1
            if (neighbour + 1) << level <= size:
                path.append(self._read(level, neighbour))
            elif neighbour <= last:
                path.append(self._from[neighbour << level])
            number, last, level = number >> 1, last >> 1, level + 1
        return path


class _Steps:
    """The hashes of a proof, taken one by one; running out or leaving some over refuses the proof."""

    def __init__(self, proof: Sequence[bytes]) -> None:
        self._proof = proof
        self._taken = 0

    def next(self) -> bytes:
        if self._taken == len(self._proof):
            raise ProofRefused(f"proof: {len(self._proof)} hashes are too few for these sizes")
        self._taken += 1
        return self._proof[self._taken - 1]

    def check_spent(self) -> None:
        if self._taken != len(self._proof):
            raise ProofRefused(f"proof: {len(self._proof)} hashes are too many; exactly {self._taken} are needed")


def _levels(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The tree's levels from the leaves up to the root alone."""
    nodes = hashes
    yield nodes
    while len(nodes) > 1:
        above = [
            sha256(NODE_PREFIX + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)
        ]
        if len(nodes) & 1:
            above.append(nodes[-1])
        nodes = above
        yield nodes


def _path(hashes: Sequence[bytes], node: int, *, from_level: int = 0) -> tuple[bytes, list[bytes]]:
    """A node's own hash, and the neighbours of it, of its parent and so on; one without a neighbour adds nothing."""
    levels = islice(_levels(hashes), from_level, None)
    nodes = next(levels)
    own, path = nodes[node], []
    while len(nodes) > 1:
        if node ^ 1 < len(nodes):
            path.append(nodes[node ^ 1])
        node >>= 1
        nodes = next(levels)
    return own, path


def _last_nodes(size: int, *, from_level: int = 0) -> Iterator[int]:
    """The place of the last node at each level below the root."""
    last = (size - 1) >> from_level
    while last > 0:
        yield last
        last >>= 1


def _last_complete_node(size: int) -> tuple[int, int]:
    """Level and place of the largest complete subtree that ends a tree of `size` >= 1; place 0 means the whole tree."""
    level = (size & -size).bit_length() - 1
    return level, (size - 1) >> level


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ProofRefused(f"index: {index} is not allowed; a tree of size {size} has no such leaf")


def _check_sizes(old_size: int, new_size: int) -> None:
    if not 0 <= old_size <= new_size:
        raise ProofRefused(f"old size: {old_size} is not allowed; it lies between 0 and the new size {new_size}")
    if old_size == 0 < new_size:
        raise ProofRefused("old size: 0 is not allowed; consistency with an empty tree says nothing")


def _check_lengths(*hashes: bytes) -> None:
    for digest in hashes:
        if len(digest) != HASH_BYTES:
            raise ProofRefused(f"hash: {len(digest)} bytes are not allowed; exactly {HASH_BYTES}")
