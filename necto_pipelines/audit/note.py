"""Signed notes (C2SP signed-note v1): text under Ed25519 signatures that other tools can open.

Key names and texts are checked here; what a note says (a checkpoint, a proof) is read elsewhere. Where keys are kept
belongs to `books`.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from necto_pipelines.failures import AuditBroken, PermanentFailure

ED25519 = b"\x01"
"""Signature type byte of plain Ed25519 (C2SP signed-note, "Signature types")."""

KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = PRIVATE_KEY_BYTES = 32
MAX_SIGNATURES = 100
"""C2SP asks for at least 16; golang.org/x/mod/sumdb/note stops at 100."""

_SIGNATURE_MARK = "— "
_CONTROL_CHARACTER = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY_ID = re.compile(r"[0-9a-f]{8}")

_FIELD_PRIME = 2**255 - 19
_ORDER_EIGHT_Y = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_LOW_ORDER_Y = {0, 1, _FIELD_PRIME - 1, _ORDER_EIGHT_Y, _FIELD_PRIME - _ORDER_EIGHT_Y}
"""The y coordinates of the eight points whose order divides 8. Signatures under such a key fit many texts."""


class NoteRefused(AuditBroken):
    """A note that is malformed, or not signed by a key we trust."""


class KeyRefused(PermanentFailure):
    """A key, or the name of one, that must not be used."""


@dataclass(frozen=True)
class Verifier:
    """An Ed25519 public key under a name; checks signatures."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_public_key(self.public_key)

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """Read `name+hash+base64(0x01 || public key)`; raises `KeyRefused` for anything else and for low-order keys."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            key = decode_base64(encoded)
        except ValueError as error:
            raise KeyRefused(f"key: {text!r} is not allowed; {error}") from error
        if key[:1] != ED25519:
            raise KeyRefused(f"key: {text!r} is not allowed; only Ed25519 keys (type 1)")
        verifier = cls(name, key[1:])
        if not _VKEY_ID.fullmatch(key_id) or bytes.fromhex(key_id) != verifier.key_id:
            raise KeyRefused(f"key: {text!r} is not allowed; its hash should be {verifier.key_id.hex()}")
        return verifier

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || newline || 0x01 || public key), its first four bytes."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """The text form that `from_vkey` reads, as golang.org/x/mod/sumdb/note writes it."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self.public_key).decode()}"

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey(Protocol):
    """Whatever signs for the log with Ed25519: a key in a file here, a key management service elsewhere."""

    @property
    def name(self) -> str:
        """The key's name: the log's origin."""

    @property
    def vkey(self) -> str:
        """The public key in text form."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over `message`."""


class Signer:
    """The signing key whose private half is in memory. Never shows its secret except through `private_bytes`."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key from the system's randomness."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, name: str, secret: bytes) -> Self:
        """The key with this 32-byte seed (RFC 8032)."""
        if len(secret) != PRIVATE_KEY_BYTES:
            raise KeyRefused(f"private key: {len(secret)} bytes are not allowed; exactly {PRIVATE_KEY_BYTES}")
        return cls(name, Ed25519PrivateKey.from_private_bytes(secret))

    def private_bytes(self) -> bytes:
        """The 32-byte seed: keep it where nobody else reads."""
        return self._key.private_bytes_raw()

    @property
    def name(self) -> str:
        """The key's name, which stands in each signature line."""
        return self.verifier.name

    @property
    def vkey(self) -> str:
        """The public key in text form, to hand to whoever verifies."""
        return self.verifier.vkey

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over `message`."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Signer({self.vkey!r})"


def sign_note(text: str, signers: Sequence[SigningKey]) -> str:
    """The note: `text`, a blank line, one signature line for each signer.

    The text ends in a newline and has no other control characters; raises `NoteRefused` otherwise.
    """
    if not signers:
        raise NoteRefused("note: at least one signer is needed")
    verifiers = [Verifier.from_vkey(signer.vkey) for signer in signers]
    _by_identity(verifiers)
    _check_text(text)
    message = text.encode()
    lines = [
        f"{_SIGNATURE_MARK}{verifier.name} {b64encode(verifier.key_id + signer.sign(message)).decode()}\n"
        for signer, verifier in zip(signers, verifiers, strict=True)
    ]
    return text + "\n" + "".join(lines)


def open_note(note: str, verifiers: Sequence[Verifier]) -> str:
    """The text of a note that at least one of `verifiers` signed; raises as `signers_of` does."""
    return signers_of(note, verifiers)[0]


def signers_of(note: str, verifiers: Sequence[Verifier]) -> tuple[str, list[Verifier]]:
    """The text of a note, and those of `verifiers` that signed it: at least one.

    Signatures by other keys are ignored, however they share a name or an id with ours. Raises `NoteRefused` when the
    note is malformed, when a signature line of a known key fails even if another one holds, and when no known key
    signed.
    """
    known = _by_identity(verifiers)
    text, lines = _split(note)
    message = text.encode()
    signers = []
    for line in lines:
        name, key_id, signature = _signature_of(line)
        verifier = known.get((name, key_id))
        if verifier is None:
            continue
        if not verifier.verify(message, signature):
            raise NoteRefused(f"note: the signature of {name}+{key_id.hex()} does not hold for this text")
        signers.append(verifier)
    if not signers:
        names = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known) or "nobody"
        raise NoteRefused(f"note: not signed by a known key; known is {names}")
    return text, signers


def decode_base64(text: str) -> bytes:
    """Standard base64 (RFC 4648 section 4) with padding and one spelling only; raises ValueError."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{text[:100]!r} is not base64") from error
    # b64decode takes any value for the unused last bits, so that two texts would stand for the same bytes.
    if b64encode(data).decode() != text:
        raise ValueError(f"{text[:100]!r} is not base64 in its one spelling")
    return data


def _by_identity(verifiers: Sequence[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) is not verifier:
            raise KeyRefused(f"key: two keys are called {verifier.name}+{verifier.key_id.hex()}; give each once")
    return known


def _split(note: str) -> tuple[str, list[str]]:
    """Text and signature lines, parted at the last blank line."""
    _check_text(note)
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")[:-1]
    if not blank or not lines:
        raise NoteRefused("note: no signatures; they follow the last blank line")
    if len(lines) > MAX_SIGNATURES:
        raise NoteRefused(f"note: {len(lines)} signatures are not allowed; at most {MAX_SIGNATURES}")
    return text + "\n", lines


def _signature_of(line: str) -> tuple[str, bytes, bytes]:
    """Name, key id and signature bytes of one line."""
    name, _, encoded = line.removeprefix(_SIGNATURE_MARK).partition(" ")
    try:
        data = decode_base64(encoded)
    except ValueError as error:
        raise NoteRefused(f"note: signature line {line[:100]!r}: {error}") from error
    if not line.startswith(_SIGNATURE_MARK) or not _is_name(name) or len(data) <= KEY_ID_BYTES:
        raise NoteRefused(f"note: {line[:100]!r} is not a signature line")
    return name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:]


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteRefused("note: text must end in a newline")
    if found := _CONTROL_CHARACTER.search(text):
        raise NoteRefused(f"note: control character {found.group()!r} is not allowed; newline is the only one")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoteRefused("note: lone surrogates are not allowed; text must be valid UTF-8") from error


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _check_name(name: str) -> None:
    if not _is_name(name) or _CONTROL_CHARACTER.search(name):
        raise KeyRefused(f"key name: {name!r} is not allowed; some text without spaces and without +")


def _check_public_key(key: bytes) -> None:
    if len(key) != PUBLIC_KEY_BYTES:
        raise KeyRefused(f"public key: {len(key)} bytes are not allowed; exactly {PUBLIC_KEY_BYTES}")
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if y >= _FIELD_PRIME:
        raise KeyRefused("public key: not allowed; the point is not in its one spelling (RFC 8032 section 5.1.3)")
    if y in _LOW_ORDER_Y:
        raise KeyRefused("public key: not allowed; a point of low order signs nothing")
