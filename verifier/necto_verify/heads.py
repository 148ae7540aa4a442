"""Signed heads: the checkpoints of the log, those kept elsewhere, and those inside proofs.

Each is opened alone here; what their roots and sizes say together is judged in `history.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from necto_verify.faults import Fault, Faults, InputUnusable, Kind
from necto_verify.layout import Export, Unreadable, read_file
from necto_verify.notes import MAX_NOTE_BYTES, Checkpoint, Key, Note, NoteRefused
from necto_verify.policy import Policy

NEWEST: Final = "checkpoint"


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint as it was read. `holds` tells whether all checks of it alone passed."""

    place: str
    checkpoint: Checkpoint
    holds: bool


def open_head(place: str, data: bytes, policy: Policy, faults: Faults, required: Key | None = None) -> Head | None:
    """Read one checkpoint and check it alone; None when it cannot be read at all."""
    try:
        note = Note.parse(data)
        checkpoint = Checkpoint.parse(note.text)
    except NoteRefused as refused:
        faults.add([Fault(Kind.CHECKPOINT, None, f"{place}: {refused}")])
        return None
    wrong = [
        *check_origin(place, checkpoint, policy),
        *check_signature(place, note, policy.points),
        *check_key_validity(place, note, checkpoint.size, policy),
        *check_required_key(place, note, required),
    ]
    faults.add(wrong)
    return Head(place, checkpoint, not wrong)


def log_heads(export: Export, policy: Policy, faults: Faults) -> tuple[Head | None, list[Head]]:
    """The newest checkpoint, and every one of the export, the newest among them."""
    newest = _own_head(export, NEWEST, policy, faults, policy.required)
    heads = [newest] if newest else []
    for size in export.checkpoint_sizes():
        head = _own_head(export, f"{NEWEST}.{size}", policy, faults)
        if head:
            faults.add(check_name(head))
            heads.append(head)
    return newest, heads


def saved_heads(paths: Sequence[Path], policy: Policy, faults: Faults) -> list[Head]:
    """The checkpoints kept elsewhere: files, and all files `checkpoint*` in folders. Raises InputUnusable."""
    heads = []
    for path in saved_files(paths):
        try:
            data = read_file(path, str(path), MAX_NOTE_BYTES)
        except Unreadable as error:
            raise InputUnusable(f"saved checkpoint: {error}") from error
        if head := open_head(f"saved checkpoint {path.name}", data, policy, faults):
            heads.append(head)
    return heads


def saved_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that are meant by files and folders; raises InputUnusable for a folder without any."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        files = sorted(file for file in path.iterdir() if file.name.startswith(NEWEST) and file.is_file())
        if not files:
            raise InputUnusable(f"saved checkpoint: no file whose name begins with {NEWEST!r} in {path}")
        yield from files


def check_origin(place: str, checkpoint: Checkpoint, policy: Policy) -> list[Fault]:
    """The checkpoint is of the log that is asked about."""
    if checkpoint.origin == policy.origin:
        return []
    what = f"{place}: of the log {checkpoint.origin[:120]!r}; expected is {policy.origin!r}"
    return [Fault(Kind.ORIGIN, None, what)]


def check_signature(place: str, note: Note, keys: Sequence[Key]) -> list[Fault]:
    """A known key signed it, and no signature of a known key fails; unknown signers are passed over."""
    try:
        if note.signers(keys):
            return []
    except NoteRefused as refused:
        return [Fault(Kind.CHECKPOINT, None, f"{place}: {refused}")]
    return [Fault(Kind.CHECKPOINT, None, f"{place}: no known key signed it")]


def check_key_validity(place: str, note: Note, size: int, policy: Policy) -> list[Fault]:
    """A key of those that signed may sign this size."""
    named = {(name, key_id) for name, key_id, _ in note.signatures}
    signed = [trusted for trusted in policy.keys if (trusted.key.name, trusted.key.key_id) in named]
    if not signed or any(trusted.may_sign(size) for trusted in signed):
        return []
    spans = ", ".join(f"{trusted.start} to {trusted.until}" for trusted in signed)
    return [Fault(Kind.KEY, None, f"{place}: size {size} is signed by a key for sizes {spans} only")]


def check_required_key(place: str, note: Note, required: Key | None) -> list[Fault]:
    """The key that the auditor gave signed it."""
    named = {(name, key_id) for name, key_id, _ in note.signatures}
    if required is None or (required.name, required.key_id) in named:
        return []
    return [Fault(Kind.KEY, None, f"{place}: the key that was given did not sign it")]


def check_name(head: Head) -> list[Fault]:
    """The size in the file's name is the checkpoint's."""
    if head.place == f"{NEWEST}.{head.checkpoint.size}":
        return []
    return [Fault(Kind.CHECKPOINT, None, f"{head.place}: its size is {head.checkpoint.size}")]


def _own_head(export: Export, place: str, policy: Policy, faults: Faults, required: Key | None = None) -> Head | None:
    try:
        data = export.read(place, MAX_NOTE_BYTES)
    except Unreadable as error:
        faults.add([Fault(Kind.MISSING, None, str(error))])
        return None
    return open_head(place, data, policy, faults, required)
