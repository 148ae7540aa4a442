"""The verifier of a whole log: entries against their hashes, their order, and every checkpoint that was kept.

Whether the business rows agree with the leaves is checked in `books`, which adds its faults to this verdict. What a
clean verdict means depends on who kept the checkpoints: see docs/concepts/audit.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from necto_pipelines.audit.leaf import title_of
from necto_pipelines.audit.merkle import LEAF_PREFIX, CompactRange
from necto_pipelines.audit.note import NoteRefused
from necto_pipelines.audit.policy import Policy

MAX_NAMED_ENTRIES = 1_000
"""Faulty entries beyond this many are counted, not named: memory stays bounded on a wholly damaged log."""


class FaultKind(StrEnum):
    """What can be wrong with a log."""

    CHECKPOINT = "checkpoint"
    """A checkpoint is malformed or not signed by the log's key."""
    ORIGIN = "origin"
    """A checkpoint speaks of another log."""
    INDEX = "index"
    """An entry is missing, repeated or out of order."""
    LEAF_HASH = "leaf_hash"
    """An entry's bytes do not have the hash that is stored beside them."""
    ROOT = "root"
    """The entries do not lead to the root that was signed: some were changed afterwards."""
    FORK = "fork"
    """A signed root contradicts a later or equal one that the entries do lead to: two histories were signed."""
    TRUNCATED = "truncated"
    """The log is shorter than it was when a checkpoint was signed."""
    FURTHER = "further"
    """More faulty entries than are named one by one."""


@dataclass(frozen=True, slots=True)
class StoredLeaf:
    """An entry as it was stored: its place, its exact bytes, and the hash stored beside them."""

    index: int
    leaf: bytes
    leaf_hash: bytes


@dataclass(frozen=True)
class Fault:
    """One thing wrong: its kind, the first entry it concerns if it concerns one, and a sentence for people."""

    kind: str
    index: int | None
    what: str


@dataclass(frozen=True)
class Verdict:
    """What verification found.

    `size` and `root` are of the entries as read, `checkpoints` counts the distinct checkpoints that opened, `covered`
    is the size of the largest one that the entries lead to: entries from there on are not signed yet. `saved_sizes` are
    those of the checkpoints that somebody kept elsewhere, as far as they opened.
    """

    ok: bool
    size: int
    root: bytes
    faults: tuple[Fault, ...]
    checkpoints: int
    covered: int = 0
    saved_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.ok == bool(self.faults):
            raise ValueError("ok: a verdict is good exactly when it has no faults")

    @property
    def assurance(self) -> str | None:
        """How far a log without faults can be relied on, in the words of `necto-verify`; None for one with faults.

        An export can be given the higher levels, which take time stamps and run manifests into account.
        """
        if not self.ok:
            return None
        return "consistent-with" if any(self.saved_sizes) else "self-consistent"


def verify_log(
    entries: Iterable[StoredLeaf], checkpoints: Sequence[str], policy: Policy, saved: Sequence[str] = ()
) -> Verdict:
    """Verify a log from its stored entries, in their stored order, and all checkpoints known, in any order.

    `checkpoints` come with the log, `saved` from elsewhere: both are held against the entries in the same way.

    Entries are streamed: memory does not grow with the log. Nothing stops at the first fault.

    1. Open each distinct checkpoint: it is well formed and signed by a key that may sign its size (else CHECKPOINT),
       and of the policy's log (else ORIGIN). One that fails is put aside.
    2. Walk the entries. For each of them:
       a. its index follows the one before, beginning at 0 (else INDEX);
       b. its bytes have the hash stored beside them (else LEAF_HASH);
       c. its bytes' own hash, never the stored one, is appended to the tree;
       d. at the size of a checkpoint, the tree's root is kept.
    3. Find the largest size whose root is the signed one: up to there the entries are those that were signed.
    4. Judge the signed roots that differ. At or below that size a checkpoint belongs to another history (FORK). Above
       it, entries were changed (ROOT): the first such checkpoint bounds where, and the ones after it add nothing.
    5. The log is as long as the largest checkpoint (else TRUNCATED).
    """
    kept, _ = _open_checkpoints(saved, policy)
    heads, faults = _open_checkpoints([*checkpoints, *saved], policy)

    tree = CompactRange()
    root_at = {0: tree.root()}
    entry_faults = _EntryFaults()
    expected = 0
    for entry in entries:
        if entry.index != expected:
            entry_faults.add(_index_fault(entry, expected))
        expected = entry.index + 1
        own_hash = sha256(LEAF_PREFIX + entry.leaf).digest()
        if own_hash != entry.leaf_hash:
            entry_faults.add(_hash_fault(entry, own_hash))
        tree.append(own_hash)
        if tree.size in heads:
            root_at[tree.size] = tree.root()
    faults += entry_faults.named()

    covered = max((size for size, root in root_at.items() if root in heads.get(size, ())), default=0)

    faults += _root_faults(heads, root_at, covered)

    faults += _length_faults(heads, tree.size)

    return Verdict(
        ok=not faults,
        size=tree.size,
        root=tree.root(),
        faults=tuple(sorted(faults, key=lambda fault: -1 if fault.index is None else fault.index)),
        checkpoints=sum(len(roots) for roots in heads.values()),
        covered=covered,
        saved_sizes=tuple(sorted(kept)),
    )


def _open_checkpoints(checkpoints: Sequence[str], policy: Policy) -> tuple[dict[int, list[bytes]], list[Fault]]:
    """The signed roots by size, and a fault for each checkpoint that does not count."""
    heads: dict[int, list[bytes]] = {}
    faults = []
    for note in dict.fromkeys(checkpoints):
        head = note[:160]
        try:
            checkpoint = policy.open(note)
        except NoteRefused as error:
            faults.append(Fault(FaultKind.CHECKPOINT, None, f"checkpoint {head!r}: {error}"))
            continue
        if checkpoint.origin != policy.origin:
            what = f"checkpoint {head!r}: of the log {checkpoint.origin!r}; expected is {policy.origin!r}"
            faults.append(Fault(FaultKind.ORIGIN, None, what))
            continue
        heads.setdefault(checkpoint.size, []).append(checkpoint.root)
    return heads, faults


def _index_fault(entry: StoredLeaf, expected: int) -> Fault:
    if entry.index > expected:
        what = f"{_named(entry)} stands where entry {expected} belongs: {entry.index - expected} missing or moved"
        return Fault(FaultKind.INDEX, expected, what)
    what = f"{_named(entry)} stands where entry {expected} belongs: repeated or out of order"
    return Fault(FaultKind.INDEX, entry.index, what)


def _hash_fault(entry: StoredLeaf, own_hash: bytes) -> Fault:
    what = (
        f"{_named(entry)}: its bytes have the hash {own_hash.hex()}, stored is {entry.leaf_hash.hex()}; "
        "one of the two was changed"
    )
    return Fault(FaultKind.LEAF_HASH, entry.index, what)


def _named(entry: StoredLeaf) -> str:
    return f"entry {entry.index} ({title_of(entry.leaf)})"


class _EntryFaults:
    """The faults of entries: the first ones by name, the rest as a count."""

    def __init__(self) -> None:
        self._named: list[Fault] = []
        self._further = 0

    def add(self, fault: Fault) -> None:
        if len(self._named) < MAX_NAMED_ENTRIES:
            self._named.append(fault)
        else:
            self._further += 1

    def named(self) -> list[Fault]:
        if not self._further:
            return self._named
        last = self._named[-1].index
        return [*self._named, Fault(FaultKind.FURTHER, last, f"{self._further} more faults of entries, not named")]


def _root_faults(heads: dict[int, list[bytes]], root_at: dict[int, bytes], covered: int) -> list[Fault]:
    differing = sorted(
        (size, signed) for size, found in root_at.items() for signed in heads.get(size, ()) if signed != found
    )
    faults = [
        Fault(
            FaultKind.FORK,
            None,
            f"the checkpoint of size {size} signed the root {signed.hex()}, but the entries lead to "
            f"{root_at[size].hex()} and agree with the checkpoint of size {covered}: two histories were signed",
        )
        for size, signed in differing
        if size <= covered
    ]
    above = [(size, signed) for size, signed in differing if size > covered]
    if above:
        size, signed = above[0]
        what = (
            f"the checkpoint of size {size} signed the root {signed.hex()}, but the entries lead to "
            f"{root_at[size].hex()}: at least one of the entries {covered} to {size - 1} was changed"
        )
        faults.append(Fault(FaultKind.ROOT, covered, what))
    return faults


def _length_faults(heads: dict[int, list[bytes]], size: int) -> list[Fault]:
    signed = max(heads, default=0)
    if signed <= size:
        return []
    what = f"the log holds {size} entries, but a checkpoint signed {signed}: {signed - size} are missing"
    return [Fault(FaultKind.TRUNCATED, size, what)]
