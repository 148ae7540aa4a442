"""What a verifier trusts: the log's keys with the sizes each may sign, and the authorities whose time counts.

Where the keys come from belongs to `books/keys.py`; `policy.json` of an export is this policy in JSON.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.audit.note import NoteRefused, Verifier, signers_of


@dataclass(frozen=True)
class KeyWindow:
    """A key and the checkpoints that count with it: those with `start` <= size < `until`; None is without an end."""

    verifier: Verifier
    start: int = 0
    until: int | None = None

    def allows(self, size: int) -> bool:
        """Whether the key may sign a checkpoint of this size."""
        return self.start <= size and (self.until is None or size < self.until)

    def __str__(self) -> str:
        end = "on" if self.until is None else f"to {self.until - 1}"
        return f"{self.verifier.vkey} (sizes from {self.start} {end})"


@dataclass(frozen=True)
class TimeAuthority:
    """An authority of RFC 3161 time stamps; `certificates` are its trusted roots in PEM."""

    name: str
    certificates: str


@dataclass(frozen=True)
class Policy:
    """The log `origin`, its keys, oldest first, and the time authorities that are trusted."""

    origin: str
    keys: tuple[KeyWindow, ...]
    time_authorities: tuple[TimeAuthority, ...] = ()

    @classmethod
    def of(cls, verifier: Verifier, origin: str | None = None) -> Self:
        """One key for every size; the log is called as the key is, unless `origin` says otherwise."""
        return cls(verifier.name if origin is None else origin, (KeyWindow(verifier),))

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note, of whatever log.

        Raises `NoteRefused` when it is malformed, when a line of any of the keys does not hold, and when none of the
        keys that signed it may sign its size.
        """
        text, signers = signers_of(note, [window.verifier for window in self.keys])
        checkpoint = Checkpoint.parse(text)
        signed = [window for window in self.keys if window.verifier in signers]
        if not any(window.allows(checkpoint.size) for window in signed):
            found = ", ".join(map(str, signed))
            raise NoteRefused(f"checkpoint: size {checkpoint.size} is signed by {found} and by no key that may sign it")
        return checkpoint

    def to_json(self) -> str:
        """The text of `policy.json`: origin, keys (vkey, from, until), time authorities (name, certificates)."""
        document = {
            "origin": self.origin,
            "keys": [
                {"vkey": window.verifier.vkey, "from": window.start, "until": window.until} for window in self.keys
            ],
            "time_authorities": [
                {"name": authority.name, "certificates": authority.certificates} for authority in self.time_authorities
            ],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def first_signed_by_both(notes: Sequence[str], one: Verifier, other: Verifier, *, above: int) -> int | None:
    """The smallest size above `above` of a checkpoint that both keys signed: where one key took over from the other."""
    sizes = []
    for note in notes:
        try:
            text, signers = signers_of(note, [one, other])
            checkpoint = Checkpoint.parse(text)
        except NoteRefused:
            continue
        if len(signers) > 1 and checkpoint.size > above:
            sizes.append(checkpoint.size)
    return min(sizes, default=None)
