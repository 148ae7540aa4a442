"""The registry of event types: an event is held against its type before it becomes a leaf; the registry as bytes.

The types themselves stand in `event_types.py`, pages made from them in `registry_page.py`. The registry's digest is
itself a leaf, so that a reader knows by which rules the leaves after it were written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import rfc8785
from jsonschema_rs import Draft202012Validator, ValidationError

from necto_pipelines.audit.event_type import EventType, Retention
from necto_pipelines.audit.event_types import BASES, EVENT_TYPES, PURPOSES, RETENTION
from necto_pipelines.audit.leaf import InvalidLeaf

VERSION: Final = 1
"""counts the published registries; raised with every change to them"""
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class Registry:
    """Types of events by name. A validator is compiled when its type is first written."""

    def __init__(self, types: Sequence[EventType], retention: Mapping[str, Retention], version: int) -> None:
        self.types: Final = {each.name: each for each in sorted(types, key=lambda each: each.name)}
        self.retention: Final = retention
        self.version: Final = version
        self._validators: dict[str, Draft202012Validator] = {}

    def check(
        self, name: str, subject: Mapping[str, Any], body: Mapping[str, Any], commit: Mapping[str, str]
    ) -> EventType:
        """The type called `name`, when subject, body and commitments fit it.

        Raises `InvalidLeaf` for an unknown type, or naming each path that does not fit.
        """
        kind = self.types.get(name)
        if kind is None:
            raise InvalidLeaf(f"event type {name!r} is not in the registry; audit/event_types.py says where to add it")
        said: dict[str, Any] = {"subject": subject, "body": body}
        if commit:
            said["commit"] = commit
        validator = self._validators.get(name) or self._compiled(kind)
        try:
            validator.validate(said)
        except (ValidationError, ValueError) as error:
            raise InvalidLeaf(f"event {name}: {'; '.join(_faults(validator, said)) or error}") from None
        return kind

    def as_json(self) -> dict[str, Any]:
        """The registry as one JSON document."""
        return {
            "version": self.version,
            "dialect": DIALECT,
            "retention": {name: asdict(kept) for name, kept in self.retention.items()},
            "bases": dict(BASES),
            "purposes": dict(PURPOSES),
            "types": {name: _as_json(kind) for name, kind in self.types.items()},
        }

    @cached_property
    def canonical(self) -> bytes:
        """The registry's bytes (RFC 8785): what `registry.json` of an export holds."""
        return rfc8785.dumps(self.as_json())

    @cached_property
    def sha256(self) -> str:
        """The digest of those bytes, as `registry.published` says it."""
        return sha256(self.canonical).hexdigest()

    def _compiled(self, kind: EventType) -> Draft202012Validator:
        self._validators[kind.name] = Draft202012Validator(dict(kind.schema))
        return self._validators[kind.name]


def _faults(validator: Draft202012Validator, said: Mapping[str, Any]) -> list[str]:
    try:
        return [
            f"{'.'.join(str(step) for step in error.instance_path) or 'leaf'}: {ascii(error.message)[1:-1][:200]}"
            for error in validator.iter_errors(said)
        ]
    except ValueError:  # a value that is no JSON
        return []


def _as_json(kind: EventType) -> dict[str, Any]:
    return {
        "says": kind.says,
        "part": kind.part,
        "purpose": kind.purpose,
        "retention": kind.retention,
        "basis": kind.basis,
        "personal": {label: asdict(personal) for label, personal in kind.personal.items()},
        "schema": kind.schema,
    }


REGISTRY: Final = Registry(EVENT_TYPES, RETENTION, VERSION)
"""the registry of this Necto"""


def registry_bytes() -> bytes:
    """What an export ships as `registry.json`: the bytes whose digest the log's newest `registry.published` gives."""
    return REGISTRY.canonical
