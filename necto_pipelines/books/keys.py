"""The log's keys: the private one in a folder, its rotation, and which key may have signed which checkpoints.

The folder is believed for one thing only, the key that signs now. Which keys signed before it the leaves of type
`log.key.rotated` tell; the signatures of both keys on one checkpoint make a rotation count. When to sign belongs to
`signing.py`.

A rotation goes step by step, each under the lock on the log's head, and may stop after any of them:

1. the new key is written beside the old one (`log.key.next`);
2. the leaf that names both is stored;
3. the next checkpoint carries both signatures, and so every later process goes on from here by itself;
4. the new key takes the old one's place, which destroys the old one.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from necto_pipelines.audit.note import KeyRefused, Signer, SigningKey, Verifier, decode_base64
from necto_pipelines.audit.policy import KeyWindow, Policy, first_signed_by_both
from necto_pipelines.books.audit_log import leaves_naming
from necto_pipelines.books.files import create_file, replace_file, sync_folder
from necto_pipelines.books.incidents import KEY, SigningRefused
from necto_pipelines.failures import AuditBroken

KEY_FILE: Final = "log.key"
"""the private key in base64, readable by its owner only"""
NEXT_KEY_FILE: Final = "log.key.next"
"""the private key that a rotation under way leads to"""
VKEY_FILE: Final = "log.vkey"
"""the public key, to hand to whoever verifies"""
ROTATED: Final = "log.key.rotated"
"""the type of the leaf that names the old key and the new one"""
KEY_SUBJECT: Final = "log_key"
"""the kind of subject under which such leaves are found; its id is the origin"""


@dataclass(frozen=True)
class Rotation:
    """What a leaf says: from the checkpoint that covers `leaf_index` on, the key is `new`. Both in text form."""

    leaf_index: int
    old: str
    new: str


class KeyFolder:
    """The folder with the signing key, made on first use; several processes may use it at once."""

    def __init__(self, folder: Path, origin: str) -> None:
        """Raises KeyRefused when the key's file holds no key."""
        self._folder = folder
        self._origin = origin
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            if not (folder / KEY_FILE).exists():
                self._create(KEY_FILE)
        with suppress(FileExistsError):
            if not (folder / VKEY_FILE).exists():
                create_file(folder / VKEY_FILE, _line(self.current().vkey))

    @property
    def origin(self) -> str:
        """The log's name, which is also the name of each of its keys."""
        return self._origin

    def current(self) -> Signer:
        """The key that signs now, read anew each time: another process may have finished a rotation."""
        return self._read(KEY_FILE)

    def prepared(self) -> Signer:
        """The key that the next rotation leads to, made on first use. Only under the lock on the log's head."""
        if not (self._folder / NEXT_KEY_FILE).exists():
            self._create(NEXT_KEY_FILE)
        return self._read(NEXT_KEY_FILE)

    def signers(self, rotation: Rotation | None, *, covered: bool) -> list[SigningKey]:
        """The keys that sign the next checkpoint. Only under the lock on the log's head.

        `rotation` is the newest one in the log, `covered` says whether the new key has signed a checkpoint that covers
        it; then the new key takes the old one's place now, if it has not already. Raises `SigningRefused` when the
        folder does not hold the key that the log speaks of.
        """
        current = self.current()
        if rotation is None:
            return [current]
        if current.vkey == rotation.new:
            self._publish(current)
            return [current]
        if current.vkey == rotation.old and (self._folder / NEXT_KEY_FILE).exists():
            following = self.prepared()
            if following.vkey == rotation.new:
                if not covered:
                    return [current, following]
                (self._folder / NEXT_KEY_FILE).replace(self._folder / KEY_FILE)
                self._publish(following)
                return [following]
        raise SigningRefused(
            KEY,
            f"leaf {rotation.leaf_index} says that the log's key is now {rotation.new}, and {self._folder} holds no "
            "such key; nothing is signed with another one",
        )

    def _publish(self, key: Signer) -> None:
        """Have the file with the public key agree with the private one."""
        if (self._folder / VKEY_FILE).read_bytes() != _line(key.vkey):
            replace_file(self._folder / VKEY_FILE, _line(key.vkey))
            sync_folder(self._folder)

    def _create(self, name: str) -> None:
        secret = Signer.generate(self._origin).private_bytes()
        create_file(self._folder / name, _line(b64encode(secret).decode()), mode=0o600)

    def _read(self, name: str) -> Signer:
        file = self._folder / name
        try:
            secret = decode_base64(file.read_text().strip())
        except ValueError:
            raise KeyRefused(
                f"{file}: not a private key; it holds 32 bytes in base64"
            ) from None  # the cause shows them
        return Signer.from_private_bytes(self._origin, secret)


def rotations(connection: Connection, origin: str) -> list[Rotation]:
    """All rotations that leaves tell of, oldest first. Raises AuditBroken for one that cannot be read."""
    found = []
    for index, leaf in leaves_naming(connection, KEY_SUBJECT, origin):
        try:
            event = json.loads(leaf)
            if event["type"] == ROTATED:
                found.append(Rotation(index, str(event["body"]["old"]), str(event["body"]["new"])))
        except (ValueError, TypeError, KeyError) as error:
            raise AuditBroken(f"leaf {index} is damaged: it cannot be read as an event about the log's key") from error
    return found


def policy_of(
    told: Sequence[Rotation], current: Verifier, notes: Sequence[str]
) -> tuple[Policy, list[tuple[int | None, str]]]:
    """Which keys may have signed which checkpoints of the log, and what is wrong with that: (leaf index, sentence).

    A key signs the checkpoints that cover the leaf which made it the log's key, and every later one up to the first
    that the next key signed together with it. `current` is the key that signs now; `notes` are all checkpoints known.

    * Each rotation leads on from the key of the one before.
    * One checkpoint above it is signed by both keys. Only the newest may still wait for that: it does not count yet.
    * The last key is `current`; so a leaf that somebody appended cannot make a key of theirs the log's key.
    """
    windows: list[KeyWindow] = []
    wrong: list[tuple[int | None, str]] = []
    key, start = current, 0
    for place, rotation in enumerate(told):
        index = rotation.leaf_index
        try:
            old, new = Verifier.from_vkey(rotation.old), Verifier.from_vkey(rotation.new)
        except KeyRefused as error:
            wrong.append((index, f"leaf {index} tells of a key that must not be used: {error}"))
            continue
        if place and old != key:
            wrong.append((index, f"leaf {index} replaces the key {old.vkey}, and the log's key was {key.vkey}"))
        shared = first_signed_by_both(notes, old, new, above=index)
        if shared is None:
            if rotation is told[-1] and old == current:
                key = old
                break
            wrong.append((index, f"leaf {index} replaces the log's key, and no checkpoint is signed by both keys"))
        windows.append(KeyWindow(old, start, index + 1 if shared is None else shared + 1))
        key, start = new, index + 1
    if told and current not in (key, *(window.verifier for window in windows[-1:])):
        wrong.append((told[-1].leaf_index, f"the log's key is {key.vkey} by its leaves; the key that signs is another"))
    return Policy(current.name, (*windows, KeyWindow(key, start))), wrong


def _line(text: str) -> bytes:
    return f"{text}\n".encode()
