"""When a person's data must be erased, and when they must not (GDPR article 17). Not legal advice: it stops a mistake.

Erasing itself belongs to `books/privacy_changes.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from necto_pipelines.audit.event_type import Personal
from necto_pipelines.audit.event_types import RETENTION

ERASURE_BASES: Final = {
    "art17.1a": "no longer needed for what they were collected for",
    "art17.1b": "consent was withdrawn; only for data that rest on consent",
    "art17.1c": "the person objected; only for data that rest on a legitimate interest",
    "art17.1d": "they were processed unlawfully",
    "art17.1e": "a law demands the erasure",
    "art17.1f": "collected from a child for an online service; only for data that rest on consent",
}
"""grounds on which erasure is asked for (GDPR article 17(1))"""
_NEEDS: Final = {"art17.1b": "art6.1a", "art17.1c": "art6.1f", "art17.1f": "art6.1a"}
"""a ground of erasure that supposes a ground of processing"""
LEGAL_OBLIGATION: Final = "art6.1c"


@dataclass(frozen=True)
class HeldValue:
    """One value held about a person: where it came in, when, and how it is defined."""

    event_type: str
    label: str
    made_at: datetime
    personal: Personal


def objections(basis: str, held: Sequence[HeldValue], claim: str | None, now: datetime) -> list[str]:
    """Why the values may not be erased on this ground; empty when they may, or rather must.

    1. Data needed for a legal claim stay: article 17(3)(e). `claim` is the reference of one that is on hold.
    2. Data that a law orders to be kept stay until their time is over: article 17(3)(b).
    3. The ground must fit what the data rest on: consent for 17(1)(b) and (f), a legitimate interest for 17(1)(c).
    """
    found = []
    if claim is not None:
        found.append(f"the data are held for the legal claim {claim} (article 17(3)(e)); free them first")
    for value in held:
        what = f"{value.label} of {value.event_type}"
        until = kept_until(value)
        if value.personal.basis == LEGAL_OBLIGATION and (until is None or until > now):
            how_long = f"until {until.date()}" if until else "as long as the log"
            found.append(f"{what} is kept by law {how_long} (article 17(3)(b))")
        needed = _NEEDS.get(basis)
        if needed and value.personal.basis != needed:
            found.append(f"{basis} does not apply: {what} rests on {value.personal.basis}, not on {needed}")
    return list(dict.fromkeys(found))


def kept_until(value: HeldValue) -> datetime | None:
    """The end of a value's retention: so many years after the calendar year it came in; None: as long as the log."""
    years = RETENTION[value.personal.retention].years
    return None if years is None else datetime(value.made_at.year + years + 1, 1, 1, tzinfo=UTC)
