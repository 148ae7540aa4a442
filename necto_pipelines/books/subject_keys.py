"""One key for each person whose data the books hold, kept outside the database: who destroys it has erased them.

A backup of the database holds ciphertext only, so it need not be found and rewritten when somebody asks for erasure.
What is encrypted under the keys stands in `openings.py`.
"""

import hmac
import os
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from necto_pipelines.audit.note import decode_base64
from necto_pipelines.books.files import create_file, sync_folder
from necto_pipelines.failures import PermanentFailure

KEY_FILE: Final = "privacy.key"
"""the key that wraps the others and makes pseudonyms, in base64, readable by its owner only"""
SUBJECTS: Final = "subjects"
"""the folder of wrapped keys, one file for each person"""
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12

Random = Callable[[int], bytes]
"""so many bytes that nobody can guess"""


class SubjectKeys(Protocol):
    """Where the keys of people are kept. A person goes by a pseudonym, which only the keys lead to.

    A pseudonym stands in tables and is erased with all else. In leaves stands another one: `alias_of`.
    """

    def pseudonym(self, name: str) -> str:
        """`sub_` and 32 hex digits, the same for every way to write the name."""

    def key(self, subject: str) -> bytes | None:
        """The person's key; None when it was destroyed or never made."""

    def make(self, subject: str) -> bytes:
        """The person's key, made now if there is none."""

    def destroy(self, subject: str) -> bool:
        """Put the person's key beyond recovery; False when there is none."""


def alias_of(key: bytes) -> str:
    """What a person goes by in leaves, which stay for ever: made from the person's key, so that it tells nothing of
    anybody once the key is destroyed."""
    return f"sub_{hmac.new(key, b'necto alias in leaves', sha256).hexdigest()[:32]}"


def normalised(name: str) -> str:
    """A name or address in the one form that its pseudonym is made from: Unicode NFKC, no case, no outer spaces."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


class SubjectKeyFolder:
    """Keys as files in `keys/subjects`, each wrapped (AES-256-GCM) by `keys/privacy.key`.

    A file's name is a keyed hash too: whoever sees the folder learns neither who is in it nor which pseudonyms are.
    Several hosts that share the books must share the folder.
    """

    def __init__(self, keys: Path, random: Random = os.urandom) -> None:
        self._keys = keys
        self._random = random

    def pseudonym(self, name: str) -> str:
        return f"sub_{hmac.new(self._secret('pseudonyms'), normalised(name).encode(), sha256).hexdigest()[:32]}"

    def key(self, subject: str) -> bytes | None:
        secret = self._secret("wrapping")
        try:
            text = self._file(subject).read_bytes()
            if not text.strip(b"\0"):
                return None  # overwritten, and then the machine stopped
            wrapped = decode_base64(text.decode().strip())
            return AESGCM(secret).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], subject.encode())
        except FileNotFoundError:
            return None
        except (ValueError, InvalidTag):  # the cause may show what is left of the key
            raise PermanentFailure(
                f"the key of {subject} cannot be read: it is damaged, or {self._keys / KEY_FILE} is not the key that "
                "wraps it; restore both from one backup of the keys"
            ) from None

    def make(self, subject: str) -> bytes:
        standing = self.key(subject)
        if standing is not None:
            return standing
        nonce = self._random(_NONCE_BYTES)
        wrapped = AESGCM(self._secret("wrapping")).encrypt(nonce, self._random(KEY_BYTES), subject.encode())
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):  # another process was first: its key holds
            create_file(self._file(subject), b64encode(nonce + wrapped) + b"\n", mode=0o600)
        made = self.key(subject)
        if made is None:
            raise PermanentFailure(f"the key of {subject} is half destroyed: finish it with `necto privacy erase`")
        return made

    def destroy(self, subject: str) -> bool:
        file = self._file(subject)
        try:
            with file.open("r+b", buffering=0) as held:
                held.write(bytes(os.fstat(held.fileno()).st_size))
                os.fsync(held.fileno())
        except FileNotFoundError:
            return False
        file.unlink(missing_ok=True)
        sync_folder(self._folder)
        return True

    @property
    def _folder(self) -> Path:
        return self._keys / SUBJECTS

    def _file(self, subject: str) -> Path:
        return self._folder / hmac.new(self._secret("files"), subject.encode(), sha256).hexdigest()[:32]

    def _secret(self, use: str) -> bytes:
        """A secret of its own for each use, all from the one key file, which is made on first use."""
        file = self._keys / KEY_FILE
        if not file.exists():
            if self._folder.is_dir() and any(self._folder.iterdir()):
                raise PermanentFailure(f"{file} is gone, and with it what wraps the keys in {self._folder}; restore it")
            self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                create_file(file, b64encode(self._random(KEY_BYTES)) + b"\n", mode=0o600)
        try:
            secret = decode_base64(file.read_text().strip())
        except ValueError:
            secret = b""  # the cause would show the key
        if len(secret) != KEY_BYTES:
            raise PermanentFailure(f"{file}: not a key; it holds {KEY_BYTES} bytes in base64")
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"necto privacy {use}".encode()).derive(secret)
