"""Checkpoints (C2SP tlog-checkpoint v1): the head of a log as a signed note.

When to sign, and the refusal to sign a shorter or different log than before, belong to `books`.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Self

from necto_pipelines.audit.merkle import HASH_BYTES
from necto_pipelines.audit.note import NoteRefused, SigningKey, Verifier, decode_base64, open_note, sign_note

MAX_SIZE = 2**64 - 1
"""Tree sizes are uint64 in the tools that read checkpoints."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_HEAD_LINES = 3


@dataclass(frozen=True)
class Checkpoint:
    """The log `origin` had `size` entries with this Merkle `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin:
            raise NoteRefused(f"checkpoint: origin {self.origin!r} is not allowed; one non-empty line")
        if not 0 <= self.size <= MAX_SIZE:
            raise NoteRefused(f"checkpoint: size {self.size} is not allowed; between 0 and 2^64-1")
        if len(self.root) != HASH_BYTES:
            raise NoteRefused(f"checkpoint: a root of {len(self.root)} bytes is not allowed; exactly {HASH_BYTES}")

    def text(self) -> str:
        """Three lines: origin, size, root in base64. Extension lines are never written: nobody could audit them."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint; extension lines are passed over. Raises `NoteRefused` naming the line."""
        lines = text.split("\n")
        if lines.pop() or len(lines) < _HEAD_LINES or not all(lines):
            raise NoteRefused("checkpoint: at least three non-empty lines are needed, each ending in a newline")
        origin, size, root = lines[:_HEAD_LINES]
        try:
            return cls(origin, parse_decimal(size), decode_base64(root))
        except ValueError as error:
            raise NoteRefused(f"checkpoint: {error}") from error


def sign_checkpoint(checkpoint: Checkpoint, *signers: SigningKey) -> str:
    """The checkpoint as a note with a signature line for each signer."""
    return sign_note(checkpoint.text(), signers)


def open_checkpoint(note: str, verifier: Verifier, *, origin: str | None = None) -> Checkpoint:
    """The checkpoint in a note that `verifier` signed for the log `origin`.

    Without `origin` the log is taken to be called as its key is, which C2SP recommends. Raises `NoteRefused`.
    """
    checkpoint = Checkpoint.parse(open_note(note, [verifier]))
    expected = verifier.name if origin is None else origin
    if checkpoint.origin != expected:
        raise NoteRefused(f"checkpoint: of the log {checkpoint.origin!r}; expected is {expected!r}")
    return checkpoint


def parse_decimal(text: str) -> int:
    """An ASCII decimal of at most 20 digits without leading zeros; raises ValueError."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a decimal number without leading zeros")
    return int(text)
