"""The rights of people whose data the books hold: who they are, what is held, disclosing it, and erasing it.

How values are sealed and erased stands in `books/openings.py` and `books/privacy_changes.py`; why anything is held, in
the registry of event types.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from necto_pipelines.audit.erasure import HeldValue, kept_until
from necto_pipelines.audit.event_types import BASES, PURPOSES
from necto_pipelines.audit.processing import RECIPIENTS
from necto_pipelines.audit.registry import REGISTRY
from necto_pipelines.books.books import Actor, Books
from necto_pipelines.books.people import Person
from necto_pipelines.books.privacy_changes import Erased
from necto_pipelines.failures import InvalidInput, Problem, Unavailable
from necto_pipelines.model.clock import parse_rfc3339, rfc3339


@dataclass(frozen=True)
class Erasure:
    """What an erasure destroyed. `left` says what of it could not be cleared from the database's files yet."""

    erased: Erased
    left: str = ""


def people(books: Books) -> list[Person]:
    """Everybody about whom the books hold data, by pseudonym."""
    with books.people() as held:
        return held.all()


def disclosures(books: Books, indexes: Collection[int], actor: Actor) -> dict[int, dict[str, dict[str, str]]]:
    """What goes into `openings/<INDEX>.json` of an export: index -> label -> `salt` (base64) and `value`.

    What is erased is left out. The access is logged before anything is returned.
    """
    with books.change(actor) as change:
        opened = change.disclose(indexes, "disclosed")
    return {index: {label: opening.as_json() for label, opening in labels.items()} for index, labels in opened.items()}


def show_entry(books: Books, index: int, actor: Actor) -> dict[str, str | None]:
    """The personal data that one entry commits to: label -> value, None for an erased one. The access is logged.

    Raises InvalidInput for an index beyond the log, or an entry that commits to nothing.
    """
    entries = books.leaves(index, index + 1)
    if not entries:
        raise InvalidInput([Problem("entry", index, f"the log has {books.audit_size()} entries, counted from 0")])
    committed = json.loads(entries[0].leaf).get("commit", {})
    if not committed:
        raise InvalidInput([Problem("entry", index, "this entry commits to no personal data")])
    with books.change(actor) as change:
        opened = change.disclose([index], "shown").get(index, {})
    return {label: opened[label].value if label in opened else None for label in committed}


def subject_access(books: Books, who: str, actor: Actor) -> dict[str, Any]:
    """Everything that is held about somebody, as GDPR articles 15 and 20 ask: a copy, and what it is for. Logged."""
    with books.change(actor) as change:
        subject = change.people.find(who)
        plain = change.people.plain_rows_of(subject)
        opened = change.disclose_subject(subject)
        alias, claim = change.people.alias(subject), change.people.claim_on(subject)
    held = [
        _held(index, json.loads(books.leaves(index, index + 1)[0].leaf), label, opening.value)
        for index, labels in opened.items()
        for label, opening in labels.items()
    ]
    for order_id, name in plain.items():
        at = rfc3339(books.order(order_id).submitted_at)
        event = {"type": "order.submitted", "ts": at, "subject": {"order": order_id}}
        held.append(_held(None, event, "requested_by", name))
    return {
        "subject": subject,
        "in_leaves": alias,
        "held": held,
        "held_for_claim": claim,
        "accesses": _accesses(books, alias) if alias else [],
        "source": "given by whoever submitted the order",
        "recipients": RECIPIENTS,
        "third_countries": "none by Necto itself; the operator adds where its own machines and backups stand",
        "automated_decisions": "none about people; orders are placed by price and rules",
    }


def erase(books: Books, who: str, basis: str, actor: Actor) -> Erasure:
    """Erase what is held about somebody given by name, address or pseudonym, on a ground of GDPR article 17(1).

    Doing it again finishes what was interrupted, and else changes nothing. Raises Refused (`must_be_kept`) where
    article 17(3) has the data kept, and InvalidInput for an unknown ground.
    """
    with books.change(actor) as change:
        erased = change.erase_subject(change.people.find(who), basis)
    try:
        books.scrub(whole_file=erased.plain_rows > 0)
    except Unavailable as failure:
        return Erasure(erased, str(failure))
    return Erasure(erased)


def hold(books: Books, who: str, reference: str, actor: Actor) -> None:
    """Forbid the erasure of somebody's data while the legal claim `reference` needs them (GDPR article 17(3)(e))."""
    with books.change(actor) as change:
        change.hold_subject(change.people.find(who), reference)


def free(books: Books, who: str, actor: Actor) -> None:
    """Allow it again. Raises InvalidInput when no claim holds the data."""
    with books.change(actor) as change:
        change.free_subject(change.people.find(who))


def _held(index: int | None, event: Mapping[str, Any], label: str, value: str) -> dict[str, Any]:
    personal = REGISTRY.types[event["type"]].personal[label]
    until = kept_until(HeldValue(event["type"], label, parse_rfc3339(event["ts"]), personal))
    return {
        "entry": index,
        "event": event["type"],
        "about": event["subject"],
        "at": event["ts"],
        "label": label,
        "value": value,
        "says": personal.says,
        "purpose": PURPOSES[personal.purpose],
        "basis": f"{personal.basis}: {BASES[personal.basis]}",
        "kept_until": rfc3339(until) if until else "as long as the log",
    }


def _accesses(books: Books, alias: str) -> list[dict[str, Any]]:
    """Who has seen the person's data (article 15(1)(c)): this access included."""
    events = ((index, json.loads(leaf)) for index, leaf in books.leaf_of("subject", alias))
    return [
        {"entry": index, "at": event["ts"], "by": event["actor"], "why": event["body"]["why"]}
        for index, event in events
        if event["type"] == "privacy.opened"
    ]
