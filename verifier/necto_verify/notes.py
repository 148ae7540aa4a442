"""Signed notes and checkpoints (C2SP signed-note v1, tlog-checkpoint v1), Ed25519 only.

Reading a key says nothing about trusting it: `keys.py` judges that.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from necto_verify.merkle import HASH_BYTES

MAX_NOTE_BYTES: Final = 256 * 1024
MAX_SIGNATURES: Final = 100
"""C2SP asks for at least 16; golang.org/x/mod/sumdb/note stops at 100."""
MAX_SIZE: Final = 2**63 - 1
_ED25519: Final = 1
_KEY_BYTES: Final = 33
_KEY_ID_BYTES: Final = 4
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteRefused(ValueError):
    """A note, a checkpoint or a key that cannot be read, or a signature that does not hold."""


@dataclass(frozen=True)
class Key:
    """A public key as its text says: the name, the hash written beside it, and the 32 bytes."""

    name: str
    written_id: str
    point: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name+hash+base64(0x01 || public key)`; raises NoteRefused naming what is wrong."""
        name, _, rest = text.strip().partition("+")
        written_id, _, encoded = rest.partition("+")
        if not is_key_name(name) or not encoded:
            raise NoteRefused(f"key {text[:120]!r}: it reads name+hash+key, and the name has no space")
        key = from_base64(encoded)
        if len(key) != _KEY_BYTES or key[0] != _ED25519:
            raise NoteRefused(f"key {text[:120]!r}: only Ed25519 keys are read, 01 and 32 bytes in base64")
        return cls(name, written_id, key[1:])

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || newline || 0x01 || public key), its first four bytes."""
        return sha256(self.name.encode() + b"\n\x01" + self.point).digest()[:_KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """The text form with the hash as it should be."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes([_ED25519]) + self.point).decode()}"

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether this is the key's signature over `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.point).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Note:
    """A note as read, nothing of it checked: its text, and name, key id and bytes of each signature."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note; raises NoteRefused naming what is wrong."""
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise NoteRefused("it is not UTF-8 text") from None
        if found := _CONTROL.search(whole):
            raise NoteRefused(f"it holds the control character {found.group()!r}")
        text, blank, rest = whole.rpartition("\n\n")
        lines = rest.split("\n")
        if not blank or lines.pop() or not lines:
            raise NoteRefused("it is not a text, a blank line, and signature lines that each end in a newline")
        if len(lines) > MAX_SIGNATURES:
            raise NoteRefused(f"it has {len(lines)} signatures; at most {MAX_SIGNATURES} are read")
        return cls(text + "\n", tuple(_signature(line) for line in lines))

    def signers(self, keys: Sequence[Key]) -> list[Key]:
        """Those of `keys` that signed; others' signatures are passed over. NoteRefused when one of a key's fails."""
        known = {(key.name, key.key_id): key for key in keys}
        signers = []
        for name, key_id, signature in self.signatures:
            key = known.get((name, key_id))
            if key is None:
                continue
            if not key.signed(self.text.encode(), signature):
                raise NoteRefused(f"the signature of {name}+{key_id.hex()} does not hold")
            signers.append(key)
        return signers


@dataclass(frozen=True)
class Checkpoint:
    """The log `origin` had `size` entries under this Merkle `root`."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a checkpoint's text; extension lines are passed over. Raises NoteRefused."""
        lines = text.split("\n")
        if lines.pop() or len(lines) < 3 or not all(lines):
            raise NoteRefused("a checkpoint has at least three lines, none of them empty")
        size, root = decimal(lines[1]), from_base64(lines[2])
        if len(root) != HASH_BYTES:
            raise NoteRefused(f"a root has {HASH_BYTES} bytes, not {len(root)}")
        return cls(lines[0], size, root)


def decimal(text: str) -> int:
    """A number without sign and leading zeros, below 2^63; raises NoteRefused."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteRefused(f"{text[:40]!r} is not a decimal number below 2^63 without leading zeros")
    return int(text)


def from_base64(text: str) -> bytes:
    """Standard base64 in its one canonical spelling; raises NoteRefused."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if b64encode(data).decode() != text:
        raise NoteRefused(f"{text[:100]!r} is not canonical base64")
    return data


def is_key_name(name: str) -> bool:
    """Whether a key may be called this."""
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = from_base64(encoded)
    if mark != "—" or not is_key_name(name) or len(data) <= _KEY_ID_BYTES:
        raise NoteRefused(f"{line[:100]!r} is not a signature line")
    return name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:]
