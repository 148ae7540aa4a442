"""The record of processing activities (GDPR article 30) and the page of event types, both made from the registry."""

from collections.abc import Iterator
from typing import Any, Final

from necto_pipelines.audit.event_type import EventType, Schema
from necto_pipelines.audit.event_types import BASES, PURPOSES
from necto_pipelines.audit.registry import REGISTRY, Registry

RECIPIENTS: Final = (
    "nobody outside the operator, unless an opening is disclosed on purpose; each disclosure is an entry of the log"
)
SAFEGUARDS: Final = (
    "personal data stand in no entry of the log, only salted commitments to them",
    "values and salts are encrypted (AES-256-GCM) under a key for each person, kept outside the database",
    "looking at a value is itself logged",
    "erasing a person destroys values, salts and key, and every proof stays valid",
)
"""measures of GDPR article 32 that Necto itself takes"""


def record_of_processing(registry: Registry = REGISTRY) -> dict[str, Any]:
    """What article 30(1) asks to be written down, as far as Necto knows it; the operator adds who and where it is."""
    return {
        "controller": "the operator of this Necto: name, contact and data protection officer are not known to it",
        "activities": [_activity(registry, purpose, why) for purpose, why in PURPOSES.items()],
        "safeguards": list(SAFEGUARDS),
        "registry": {"version": registry.version, "sha256": registry.sha256},
    }


def _activity(registry: Registry, purpose: str, why: str) -> dict[str, Any]:
    kinds = [kind for kind in registry.types.values() if kind.purpose == purpose]
    personal = [(kind, label, each) for kind in kinds for label, each in kind.personal.items()]
    kept = sorted({kind.retention for kind in kinds} | {each.retention for _, _, each in personal})
    return {
        "purpose": why,
        "name": purpose,
        "events": [kind.name for kind in kinds],
        "people": sorted({each.whose for _, _, each in personal}),
        "personal_data": [
            {"event": kind.name, "label": label, "says": each.says, "basis": each.basis, "kept": each.retention}
            for kind, label, each in personal
        ],
        "bases": {basis: BASES[basis] for basis in sorted({kind.basis for kind in kinds})},
        "kept": {name: kept_for(registry, name) for name in kept},
        "recipients": RECIPIENTS if personal else "none: no personal data",
        "third_countries": "none by Necto itself",
    }


def kept_for(registry: Registry, name: str) -> str:
    """A retention class in words."""
    kept = registry.retention[name]
    years = "as long as the log" if kept.years is None else f"{kept.years} years after the calendar year"
    return f"{years}; {kept.why}"


def events_page(registry: Registry = REGISTRY) -> str:
    """`docs/reference/events.md`: every type of event with its members."""
    return "\n".join(_lines(registry))


def _lines(registry: Registry) -> Iterator[str]:
    yield "# Events of the audit trail"
    yield ""
    yield "Made from the registry of event types by `necto audit events --markdown`; do not edit."
    yield ""
    yield f"Version {registry.version}, SHA-256 `{registry.sha256}` of its bytes (`registry.json` of an export)."
    yield "The log names this digest in an entry `registry.published` before the first entry that is written by it."
    yield "Members that may be missing are marked with `?`; no others are allowed."
    yield ""
    yield "| kept | how long at least |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {kept_for(registry, name)} |" for name in registry.retention)
    yield ""
    yield "| ground | GDPR article 6(1) |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {says} |" for name, says in BASES.items())
    for kind in registry.types.values():
        yield from _section(kind)


def _section(kind: EventType) -> Iterator[str]:
    yield ""
    yield f"## {kind.name}"
    yield ""
    yield f"{kind.says} Written by `{kind.part}`, kept `{kind.retention}`, ground `{kind.basis}`."
    yield ""
    for part, members in (("subject", kind.subject), ("body", kind.body)):
        yield from (f"* {part} `{name}`: {_words(schema)}" for name, schema in members.items())
    if kind.many_rows:
        yield "* body `part?`, `parts?`: which of how many entries this is, when its rows need several"
    for label, each in kind.personal.items():
        yield f"* commitment `{label}`: {each.says}; about {each.whose}; ground `{each.basis}`, kept `{each.retention}`"


def _words(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "pattern" in schema:
        return f"text `{schema['pattern'].removeprefix('^(?:').removesuffix(')$').replace('|', chr(92) + '|')}`"
    if schema["type"] == "array":
        return f"list of {_words(schema['items'])}"
    return {
        "string": f"text, at most {schema.get('maxLength')} characters",
        "integer": "count",
        "boolean": "yes or no",
    }[schema["type"]]
