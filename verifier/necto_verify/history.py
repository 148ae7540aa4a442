"""What the signed heads say together about the entries: one history, as long as it ever was?"""

from collections.abc import Iterable, Mapping, Sequence

from necto_verify.faults import Fault, Kind
from necto_verify.heads import Head


def covered_size(heads: Iterable[Head], root_at: Mapping[int, bytes]) -> int:
    """The largest size at which the entries lead to a signed root: up to there they are those that were signed."""
    agreeing = (head.checkpoint.size for head in heads if root_at.get(head.checkpoint.size) == head.checkpoint.root)
    return max(agreeing, default=0)


def check_roots(heads: Sequence[Head], root_at: Mapping[int, bytes], covered: int) -> list[Fault]:
    """The entries lead to the log's own signed roots. Beyond the covered size the first one that differs bounds where
    entries were changed, and the later ones add nothing."""
    faults = [_fork(head, root_at, covered) for head in _differing(heads, root_at) if head.checkpoint.size <= covered]
    above = [head for head in _differing(heads, root_at) if head.checkpoint.size > covered]
    return faults + [_changed(head, root_at, covered) for head in above[:1]]


def check_length(newest: Head | None, heads: Iterable[Head]) -> list[Fault]:
    """The checkpoint called newest is the largest of the export."""
    if newest is None:
        return []
    return [
        _shorter(head, newest.checkpoint.size)
        for head in _largest(heads)
        if head.checkpoint.size > newest.checkpoint.size
    ]


def check_saved_roots(saved: Sequence[Head], root_at: Mapping[int, bytes], covered: int) -> list[Fault]:
    """The log begins with what was signed in every checkpoint kept elsewhere."""
    return [
        _fork(head, root_at, covered) if head.checkpoint.size <= covered else _changed(head, root_at, covered)
        for head in _differing(saved, root_at)
    ]


def check_saved_length(saved: Iterable[Head], size: int) -> list[Fault]:
    """The log is as long as the largest checkpoint kept elsewhere."""
    return [_shorter(head, size) for head in _largest(saved) if head.checkpoint.size > size]


def _differing(heads: Iterable[Head], root_at: Mapping[int, bytes]) -> list[Head]:
    found = {
        (head.checkpoint.size, head.checkpoint.root): head
        for head in heads
        if root_at.get(head.checkpoint.size, head.checkpoint.root) != head.checkpoint.root
    }
    return [found[key] for key in sorted(found)]


def _largest(heads: Iterable[Head]) -> list[Head]:
    return sorted(heads, key=lambda head: head.checkpoint.size)[-1:]


def _fork(head: Head, root_at: Mapping[int, bytes], covered: int) -> Fault:
    size = head.checkpoint.size
    what = (
        f"{head.place}: it signed the root {head.checkpoint.root.hex()} for size {size}, but the entries lead to "
        f"{root_at[size].hex()} and agree with the checkpoint of size {covered}: two histories were signed"
    )
    return Fault(Kind.FORK, None, what)


def _changed(head: Head, root_at: Mapping[int, bytes], covered: int) -> Fault:
    size = head.checkpoint.size
    what = (
        f"{head.place}: it signed the root {head.checkpoint.root.hex()} for size {size}, but the entries lead to "
        f"{root_at[size].hex()}: at least one of the entries {covered} to {size - 1} was changed"
    )
    return Fault(Kind.ROOT, covered, what)


def _shorter(head: Head, size: int) -> Fault:
    signed = head.checkpoint.size
    what = f"{head.place}: it signed {signed} entries, and the log ends after {size}: {signed - size} are missing"
    return Fault(Kind.TRUNCATED, size, what)
