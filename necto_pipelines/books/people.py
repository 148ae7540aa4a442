"""The people whose data the books hold, by their pseudonyms: finding one, counting what is held, and who claims it.

The values themselves are sealed (`openings.py`); seeing and erasing them stands in `privacy_changes.py`.
"""

import json
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from necto_pipelines.books.audit_log import leaves_naming
from necto_pipelines.books.openings import Openings, is_pseudonym, plain_requesters
from necto_pipelines.books.subject_keys import alias_of
from necto_pipelines.failures import InvalidInput, Problem


@dataclass(frozen=True)
class Person:
    """What is held about somebody. `subject` is the pseudonym in tables, `alias` the one in leaves."""

    subject: str
    alias: str | None
    """None while no leaf speaks of the person, and after the key was destroyed"""
    openings: int
    plain_rows: int
    """orders whose requester an older Necto wrote down as plain text"""
    claim: str | None
    """the reference of a legal claim that holds the data"""


class People:
    """Look-ups within one transaction."""

    def __init__(self, connection: Connection, openings: Openings) -> None:
        self._connection = connection
        self._openings = openings

    def all(self) -> list[Person]:
        """Everybody about whom anything is held, by pseudonym."""
        openings = Counter(each.subject for each in self._openings.all())
        keys = self._openings.keys
        plain = Counter(keys.pseudonym(name) for name in plain_requesters(self._connection).values())
        return [
            Person(subject, self.alias(subject), openings[subject], plain[subject], self.claim_on(subject))
            for subject in sorted({*openings, *plain})
        ]

    def find(self, who: str) -> str:
        """The pseudonym in tables of somebody given by name or address, or by either pseudonym.

        Raises InvalidInput for a pseudonym of which nothing is held, and for an empty name.
        """
        if not who.strip():
            raise InvalidInput([Problem("subject", who, "write a name or address as it was given, or a pseudonym")])
        if not is_pseudonym(who):
            return self._openings.keys.pseudonym(who)
        found = [person.subject for person in self.all() if who in (person.subject, person.alias)]
        if not found:
            raise InvalidInput([Problem("subject", who, "nothing is held under this pseudonym: `necto privacy list`")])
        return found[0]

    def alias(self, subject: str) -> str | None:
        """What the person goes by in leaves; None without a key."""
        key = self._openings.keys.key(subject)
        return alias_of(key) if key else None

    def claim_on(self, subject: str) -> str | None:
        """The reference of the legal claim that holds a person's data; None when none does."""
        alias, claim = self.alias(subject), None
        for _, leaf in leaves_naming(self._connection, "subject", alias) if alias else ():
            event = json.loads(leaf)
            if event["type"] == "privacy.held":
                claim = str(event["body"]["reference"])
            if event["type"] == "privacy.freed":
                claim = None
        return claim

    def plain_rows_of(self, subject: str) -> dict[str, str]:
        """Orders whose requester stands there in plain text and is this person: order id -> that text."""
        plain, keys = plain_requesters(self._connection), self._openings.keys
        return {order_id: name for order_id, name in plain.items() if keys.pseudonym(name) == subject}
