"""Changes to what the books hold about people: showing it, holding it for a claim, erasing it. Each leaves its leaf.

How values are sealed stands in `openings.py`; whether they may be erased is decided in `audit/erasure.py`.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, update

from necto_pipelines.audit.erasure import ERASURE_BASES, HeldValue, objections
from necto_pipelines.audit.registry import REGISTRY
from necto_pipelines.books.openings import ERASED, Opening, SealedOpening
from necto_pipelines.books.people import People
from necto_pipelines.books.recording import Recording
from necto_pipelines.books.subject_keys import alias_of
from necto_pipelines.books.tables import audit_openings, requesters
from necto_pipelines.failures import InvalidInput, PermanentFailure, Problem, Refused, Unavailable
from necto_pipelines.model.clock import parse_rfc3339

ENTRIES_PER_LEAF: Final = 200
"""as the registry allows: indexes that one leaf lists"""
_ORDER_LABEL: Final = ("order.submitted", "requested_by")
"""the event and label that rows of older versions would have been sealed under"""


@dataclass(frozen=True)
class Erased:
    """What an erasure destroyed: openings of so many leaves, and rows that an older Necto had written as plain text."""

    leaves: int
    plain_rows: int
    key: bool
    """whether there was a key to destroy"""
    entries: tuple[int, ...]
    """the leaves that log it; none when there was nothing to destroy"""


class PrivacyChanges(Recording):
    """What may happen to data about people. `subject` is always a person's pseudonym in tables."""

    @property
    def people(self) -> People:
        """The people in the books, as this change leaves them so far."""
        return People(self._connection, self._openings)

    def disclose(self, indexes: Collection[int], why: str) -> dict[int, dict[str, Opening]]:
        """Open what some entries commit to: index -> label -> salt and value; what is erased is left out.

        A leaf `privacy.opened` for each person says which entries were opened and `why`: `shown` or `disclosed`.
        """
        return self._opened(self._openings.of_entries(indexes), why)

    def disclose_subject(self, subject: str) -> dict[int, dict[str, Opening]]:
        """Open everything that is held about a person, for the person's own access (GDPR article 15); logged too."""
        return self._opened(self._openings.of_subject(subject), "subject_access")

    def hold_subject(self, subject: str, reference: str) -> int:
        """Forbid that a person's data are erased while a legal claim needs them; `reference` names the claim.

        Raises InvalidInput when nothing is held about the person, or another claim holds it already.
        """
        if not self._openings.of_subject(subject) and not self.people.plain_rows_of(subject):
            raise InvalidInput([Problem("subject", subject, "nothing is held about this person")])
        if claim := self.people.claim_on(subject):
            raise InvalidInput([Problem("reference", reference, f"the claim {claim} holds the data already")])
        alias = alias_of(self._openings.keys.make(subject))
        return self._leaf("privacy.held", {"subject": alias}, {"reference": reference})

    def free_subject(self, subject: str) -> int:
        """Allow it again. Raises InvalidInput when no claim holds the data."""
        alias, claim = self.people.alias(subject), self.people.claim_on(subject)
        if alias is None or claim is None:
            raise InvalidInput([Problem("subject", subject, "no legal claim holds the data of this person")])
        return self._leaf("privacy.freed", {"subject": alias}, {"reference": claim})

    def erase_subject(self, subject: str, basis: str) -> Erased:
        """Destroy what the books hold about a person: every opening, every plain text, and the person's key.

        Leaves and rows that carry a digest stay as they are. The key goes last and before the commit, while nobody
        else can write: if the commit fails, what remains is ciphertext that nobody can read, and erasing again
        finishes it. Raises Refused (`must_be_kept`) naming every reason why it may not be, InvalidInput for a ground
        that article 17(1) does not have.
        """
        if basis not in ERASURE_BASES:
            raise InvalidInput([Problem("basis", basis, f"grounds of GDPR article 17(1): {', '.join(ERASURE_BASES)}")])
        sealed, plain = self._openings.of_subject(subject), self.people.plain_rows_of(subject)
        reasons = objections(basis, self._held(sealed, plain), self.people.claim_on(subject), self._clock.now())
        if reasons:
            raise Refused(f"{subject} is not erased: {'; '.join(reasons)}", code="must_be_kept")
        self._connection.execute(delete(audit_openings).where(audit_openings.c.subject == subject))
        mark = update(requesters).values(requested_by=ERASED)
        self._connection.execute(mark.where(requesters.c.requested_by == subject))
        for order_id in plain:
            self._connection.execute(mark.where(requesters.c.order_id == order_id))
        entries = self._log_erasure(subject, basis, sealed, len(plain)) if sealed or plain else ()
        key = self._openings.keys.destroy(subject)
        return Erased(len({each.leaf_id for each in sealed}), len(plain), key, entries)

    def _log_erasure(self, subject: str, basis: str, sealed: Sequence[SealedOpening], plain: int) -> tuple[int, ...]:
        """The leaves that name the entries whose openings are destroyed: one, unless there are very many."""
        about = {"subject": self.people.alias(subject) or f"sub_{secrets.token_hex(16)}"}
        indexes = sorted({each.index for each in sealed if each.index is not None})
        labels = ",".join(sorted({each.label for each in sealed} | ({_ORDER_LABEL[1]} if plain else set())))
        logged = []
        for start in range(0, len(indexes) or 1, ENTRIES_PER_LEAF):
            part = indexes[start : start + ENTRIES_PER_LEAF]
            body: dict[str, Any] = {"leaves": len(part), "labels": labels, "basis": basis}
            if part:
                body["entries"] = part
            if plain and start == 0:
                body["plain_rows"] = plain
            logged.append(self._leaf("privacy.erased", about, body))
        return tuple(logged)

    def _opened(self, sealed: Sequence[SealedOpening], why: str) -> dict[int, dict[str, Opening]]:
        opened: dict[int, dict[str, Opening]] = {}
        by_subject: dict[str, list[SealedOpening]] = {}
        for each in sealed:
            opening = self._openings.open(each)
            if opening is not None and each.index is not None:
                opened.setdefault(each.index, {})[each.label] = opening
                by_subject.setdefault(each.subject, []).append(each)
        for subject, seen in sorted(by_subject.items()):
            alias = alias_of(self._openings.keys.make(subject))
            indexes = sorted({each.index for each in seen if each.index is not None})
            labels = ",".join(sorted({each.label for each in seen}))
            for start in range(0, len(indexes), ENTRIES_PER_LEAF):
                entries = indexes[start : start + ENTRIES_PER_LEAF]
                body = {"entries": entries, "labels": labels, "why": why}
                self._leaf("privacy.opened", {"subject": alias}, body)
        return opened

    def _held(self, sealed: Sequence[SealedOpening], plain: Iterable[str]) -> list[HeldValue]:
        values = []
        for each in sealed:
            if each.index is None:
                raise Unavailable(f"leaf {each.leaf_id} waits for its place in the log; try again in a moment")
            values.append(_held_value(each.event["type"], each.label, each.event))
        for order_id in plain:
            made_at = self.reads.order(order_id).submitted_at
            personal = REGISTRY.types[_ORDER_LABEL[0]].personal[_ORDER_LABEL[1]]
            values.append(HeldValue(*_ORDER_LABEL, made_at, personal))
        return values


def _held_value(kind: str, label: str, event: Mapping[str, Any]) -> HeldValue:
    try:
        personal = REGISTRY.types[kind].personal[label]
    except KeyError:
        raise PermanentFailure(f"{label} of {kind} is not defined as personal data; a newer Necto wrote it") from None
    return HeldValue(kind, label, parse_rfc3339(event["ts"]), personal)
