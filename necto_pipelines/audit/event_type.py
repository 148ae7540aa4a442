"""What defines a type of event, and the small JSON Schemas that definitions are made of.

Which types there are stands in `event_types.py`; holding an event against its type, and the registry as bytes, in
`registry.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

Schema = Mapping[str, Any]


def text(limit: int = 300) -> Schema:
    """Any text of at most so many characters."""
    return {"type": "string", "maxLength": limit}


def matching(pattern: str) -> Schema:
    """Text that matches a pattern as a whole."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def one_of(names: type[StrEnum] | Iterable[str]) -> Schema:
    """One of these words."""
    return {"enum": sorted(str(name) for name in names)}


def id_of(prefix: str) -> Schema:
    """An id as `books.ids.new_id` makes it, with what is appended to it where things are derived from others."""
    return matching(rf"{prefix}_[0-9A-Za-z_.-]{{1,120}}")


DECIMAL: Final = matching(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?")
"""a quantity or an amount of money as plain decimal text, without exponent"""
WHOLE: Final = matching("[0-9]{1,78}")
"""an integer of any size, such as an amount of a token's smallest unit"""
COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
YES_OR_NO: Final[Schema] = {"type": "boolean"}
TIME: Final = matching(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""RFC 3339 in UTC with microseconds"""
MONTH: Final = matching("[0-9]{4}-(?:0[1-9]|1[0-2])")
SHA256: Final = matching("[0-9a-f]{64}")
ROOT: Final = matching("[A-Za-z0-9+/]{43}=")
"""32 bytes in base64, as a checkpoint writes its root"""
UUID: Final = matching("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SLUG: Final = matching("[a-z0-9][a-z0-9_-]{0,62}")
WORD: Final = matching("[A-Za-z0-9_.:/+-]{1,200}")
"""a name that some system gave: a run, a step, a provider, a reference"""
VKEY: Final = matching(r"[^\s+]{1,200}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44,200}={0,2}")
"""a log's public key, as C2SP signed-note writes it"""
PSEUDONYM: Final = matching("sub_[0-9a-f]{32}")
"""a person, by a keyed hash of what they are called"""


@dataclass(frozen=True)
class Retention:
    """How long a record is kept at least. A leaf stays as long as its log; what may go is what it points to."""

    years: int | None
    """after the end of the calendar year it was made in; None: as long as the log"""
    why: str


@dataclass(frozen=True)
class Personal:
    """A piece of personal data that an event commits to and never holds."""

    says: str
    whose: str
    """the category of people it is about (GDPR article 30(1)(c))"""
    basis: str
    """on which ground it is processed: a key of `BASES`"""
    retention: str
    """how long its opening is kept: a key of `RETENTION`"""
    purpose: str


@dataclass(frozen=True)
class EventType:
    """One type of event. Names of members that may be missing end in `?`; members beyond those named are refused."""

    name: str
    says: str
    part: str
    """the module that writes it"""
    purpose: str
    """a key of `PURPOSES`"""
    retention: str
    basis: str
    subject: Mapping[str, Schema] = field(default_factory=dict)
    body: Mapping[str, Schema] = field(default_factory=dict)
    personal: Mapping[str, Personal] = field(default_factory=dict)
    """labels of the commitments that it may carry"""
    many_rows: bool = False
    """its rows may need several leaves, whose bodies then say which part of how many they are"""

    @property
    def schema(self) -> Schema:
        """JSON Schema (draft 2020-12) of `{"subject": …, "body": …, "commit": …}` of a leaf of this type."""
        parts = {"part?": COUNT, "parts?": COUNT} if self.many_rows else {}
        commit = {f"{label}?": ROOT for label in self.personal}
        return _object(
            {"subject": _object(self.subject), "body": _object({**self.body, **parts}), "commit?": _object(commit)}
        )


def _object(members: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": {name.removesuffix("?"): dict(schema) for name, schema in members.items()},
        "required": sorted(name for name in members if not name.endswith("?")),
        "additionalProperties": False,
    }
