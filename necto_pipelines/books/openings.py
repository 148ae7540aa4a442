"""Openings: the values that leaves commit to and their salts, encrypted under the key of the person they are about.

What a commitment is stands in `audit/commitment.py`, the keys in `subject_keys.py`. Who may see an opening, and that
seeing it is logged, belongs to `privacy_changes.py`.
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from necto_pipelines.audit.commitment import SALT_BYTES, commitment, opens
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.subject_keys import Random, SubjectKeys
from necto_pipelines.books.tables import audit_leaves, audit_openings, requesters
from necto_pipelines.failures import AuditBroken, PermanentFailure

ERASED: Final = "erased"
"""stands in `requesters` in place of whoever asked, once that is erased"""
_PSEUDONYM: Final = re.compile("sub_[0-9a-f]{32}")
_NONCE_BYTES: Final = 12
_INDEXES_AT_ONCE: Final = 500


@dataclass(frozen=True)
class PersonalValue:
    """A value that enters a leaf as a commitment, and whom it is about: what that person is called."""

    value: str
    person: str


@dataclass(frozen=True)
class Opening:
    """What one entry commits to under one label: enough for anybody to recompute the commitment."""

    salt: bytes
    value: str

    def as_json(self) -> dict[str, str]:
        """As `openings/<INDEX>.json` of an export has it."""
        return {"salt": b64encode(self.salt).decode(), "value": self.value}


@dataclass(frozen=True)
class SealedOpening:
    """An opening as it is stored, with the leaf it belongs to. `index` is None while the leaf waits for its index."""

    leaf_id: str
    label: str
    subject: str
    nonce: bytes
    ciphertext: bytes
    index: int | None
    event: dict[str, Any]


class Openings:
    """The openings in the database, within one transaction."""

    def __init__(self, connection: Connection, keys: SubjectKeys | None, random: Random = os.urandom) -> None:
        self._connection = connection
        self._given_keys = keys
        self._random = random

    @property
    def keys(self) -> SubjectKeys:
        """Where people's keys are kept. Raises PermanentFailure for books that were opened without such a place."""
        if self._given_keys is None:
            raise PermanentFailure("these books were opened without a place for people's keys; they hold no people")
        return self._given_keys

    def seal(self, leaf_id: str, label: str, personal: PersonalValue) -> str:
        """Keep the opening of a value under a fresh salt; returns the commitment that the leaf is to hold."""
        subject = self.keys.pseudonym(personal.person)
        salt, nonce = self._random(SALT_BYTES), self._random(_NONCE_BYTES)
        plain = salt + personal.value.encode()
        row = {
            "leaf_id": leaf_id,
            "label": label,
            "subject": subject,
            "nonce": nonce,
            "ciphertext": AESGCM(self.keys.make(subject)).encrypt(nonce, plain, _belongs_to(leaf_id, label)),
        }
        self._connection.execute(insert(audit_openings).values(row))
        return commitment(salt, label, personal.value)

    def open(self, sealed: SealedOpening) -> Opening | None:
        """The value and its salt; None when the person's key is destroyed.

        Raises AuditBroken when what is stored is not what was sealed, or not what the leaf commits to.
        """
        key = self.keys.key(sealed.subject)
        if key is None:
            return None
        what = f"the opening of {sealed.label} in leaf {sealed.leaf_id}"
        try:
            belongs_to = _belongs_to(sealed.leaf_id, sealed.label)
            plain = AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, belongs_to)
        except (InvalidTag, ValueError):
            raise AuditBroken(f"{what} is not as it was sealed: somebody changed it, or the person's key") from None
        opening = Opening(plain[:SALT_BYTES], plain[SALT_BYTES:].decode())
        committed = str(sealed.event.get("commit", {}).get(sealed.label, ""))
        if not opens(committed, opening.salt, sealed.label, opening.value):
            raise AuditBroken(f"{what} is not what the leaf commits to")
        return opening

    def of_subject(self, subject: str) -> list[SealedOpening]:
        """All openings about a person, oldest leaf first."""
        return self._sealed(audit_openings.c.subject == subject)

    def of_entries(self, indexes: Collection[int]) -> list[SealedOpening]:
        """All openings that belong to some entries of the log."""
        wanted, found = sorted(indexes), []
        for start in range(0, len(wanted), _INDEXES_AT_ONCE):
            found += self._sealed(audit_leaves.c.leaf_index.in_(wanted[start : start + _INDEXES_AT_ONCE]))
        return found

    def all(self) -> list[SealedOpening]:
        """All openings, oldest leaf first."""
        return self._sealed(audit_openings.c.subject != "")

    def _sealed(self, which: Any) -> list[SealedOpening]:
        both = audit_openings.outerjoin(audit_leaves, audit_leaves.c.id == audit_openings.c.leaf_id)
        query = select(audit_openings, audit_leaves.c.leaf_index, audit_leaves.c.leaf).select_from(both).where(which)
        return [
            SealedOpening(
                leaf_id=row.leaf_id,
                label=row.label,
                subject=row.subject,
                nonce=as_bytes(row.nonce),
                ciphertext=as_bytes(row.ciphertext),
                index=row.leaf_index,
                event={} if row.leaf is None else json.loads(as_bytes(row.leaf)),
            )
            for row in self._connection.execute(query.order_by(audit_leaves.c.leaf_index, audit_openings.c.label))
        ]


def plain_requesters(connection: Connection) -> dict[str, str]:
    """Orders whose requester an older Necto wrote down as plain text: order id -> that text."""
    rows = connection.execute(select(requesters.c.order_id, requesters.c.requested_by))
    return {row.order_id: row.requested_by for row in rows if not is_pseudonym(row.requested_by, or_erased=True)}


def is_pseudonym(text: str, *, or_erased: bool = False) -> bool:
    """Whether a text is a person's pseudonym, or the mark of an erased one."""
    return bool(_PSEUDONYM.fullmatch(text)) or (or_erased and text == ERASED)


def _belongs_to(leaf_id: str, label: str) -> bytes:
    return f"{leaf_id}\0{label}".encode()
