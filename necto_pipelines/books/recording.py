"""What every change is made of: rows that are written, and the leaf that names them with their digests.

Which changes there are stands in `order_changes.py`, `money_changes.py` and `watch_changes.py`.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from sqlalchemy import Connection, Table, insert, select, type_coerce, update
from sqlalchemy.sql.dml import Insert, Update
from sqlalchemy.types import NullType

from necto_pipelines.audit.registry import REGISTRY, Registry
from necto_pipelines.books.anchors import latest_anchored
from necto_pipelines.books.audit_log import Entry, LeafLog, leaves_naming
from necto_pipelines.books.columns import row_digest
from necto_pipelines.books.ids import new_uuid
from necto_pipelines.books.inbox import post
from necto_pipelines.books.openings import Openings, PersonalValue
from necto_pipelines.books.reads import Reads
from necto_pipelines.books.subject_keys import SubjectKeys
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.clock import Clock, rfc3339

LEAF_VERSION: Final = 2
"""since 2 a leaf fits the registry, is found by its run, and names the newest checkpoint whose time is proved"""
ROWS_PER_LEAF: Final = 16
"""a row takes about 160 bytes in a leaf, and a leaf holds 4 KiB: more rows are spread over further leaves"""
REGISTRY_SUBJECT: Final = ("registry", "events")
"""by this subject the leaves about the registry of event types are found"""
_REASON_LENGTH: Final = 300
"""characters of a free text that a leaf repeats; the whole text stands in the row, under its digest"""


@dataclass(frozen=True)
class Actor:
    """Who makes a change. `name` is a role or a service, never a person's name: it stands in every leaf."""

    kind: Literal["service", "human"]
    name: str
    run_id: str | None = None
    job: str | None = None
    step: str | None = None

    @property
    def run(self) -> dict[str, str]:
        """The Dagster run it acts in, as far as there is one."""
        given = {"dagster_run_id": self.run_id, "job": self.job, "step": self.step}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Written:
    """A row as the database holds it now: its table, its key, and the digest of all its columns."""

    table: str
    key: str
    sha256: str


class Recording:
    """One transaction under way. Every row that is written in it must be logged in it, or it is not stored."""

    def __init__(
        self,
        connection: Connection,
        actor: Actor,
        clock: Clock,
        *,
        keys: SubjectKeys | None = None,
        publish: Registry | None = None,
    ) -> None:
        """`keys` encrypt what is personal; `publish` is logged before the first leaf, unless the log has it already."""
        self.reads = Reads(lambda: nullcontext(connection))
        """the books as this change leaves them so far"""
        self._connection = connection
        self._actor = actor
        self._clock = clock
        self._log = LeafLog(connection)
        self._anchored = latest_anchored(connection)
        self._openings = Openings(connection, keys)
        self._publish = publish
        self._unlogged: set[Written] = set()

    def note(
        self,
        kind: str,
        body: Mapping[str, Any],
        subject: Mapping[str, str] | None = None,
        inputs: Sequence[Mapping[str, Any]] = (),
        blobs: Sequence[Mapping[str, Any]] = (),
    ) -> int:
        """Log an event that changes no row (`run.started`, `catalog.frozen`, …) and return its index in the log.

        `body` holds facts as strings, integers and booleans, nothing personal; `subject` ids by kind; `inputs` and
        `blobs` name what was read by its SHA-256. Raises `InvalidLeaf` for a type that is not in the registry, for what
        does not fit the type, and beyond 4 KiB.
        """
        return self._leaf(kind, subject or {}, body, inputs=inputs, blobs=blobs)

    def post(self, event: Mapping[str, Any]) -> None:
        """Put a whole leaf into the inbox: stored with this change, it gets its place in the log later (`inbox.py`)."""
        post(self._connection, Entry.of(event))

    @property
    def published(self) -> bool:
        """Whether the log names the registry that was to be published, as far as this change can tell."""
        return self._publish is None

    def finish(self) -> None:
        """Store the leaves; called once, before the commit. A row without its leaf stops the whole change."""
        if self._unlogged:
            rows = ", ".join(f"{row.table} {row.key}" for row in self._unlogged)
            raise PermanentFailure(f"written but not logged, so nothing is stored: {rows}")
        self._log.store()

    def _insert(self, table: Table, values: Mapping[str, Any]) -> Written:
        """Store a new row."""
        return self._write(table, insert(table).values(values))

    def _update(self, table: Table, key: str | tuple[object, ...], values: Mapping[str, Any]) -> Written:
        """Change the row with this key: its text, or one value for each key column."""
        parts = key if isinstance(key, tuple) else (key,)
        matches = (column == part for column, part in zip(table.primary_key.columns, parts, strict=True))
        return self._write(table, update(table).where(*matches).values(values))

    def _record(self, table: Table, values: Mapping[str, Any], may_differ: str | None = None) -> Written | None:
        """Store a fact that never changes; None when it stands already, so that a repeated step changes nothing.

        Raises PermanentFailure when the same id stands for something else, in a column other than `may_differ`.
        """
        standing = self._connection.execute(select(table).where(table.c.id == values["id"])).mappings().one_or_none()
        if standing is None:
            return self._insert(table, values)
        differing = [name for name, value in values.items() if standing[name] != value and name != may_differ]
        if differing:
            raise PermanentFailure(f"{table.name} {values['id']} stands already with other {', '.join(differing)}")
        return None

    def _write(self, table: Table, statement: Insert | Update) -> Written:
        stored = dict(self._connection.execute(statement.returning(*as_stored(table))).mappings().one())
        written = Written(table.name, key_of(table, stored), row_digest(stored))
        self._unlogged.add(written)
        return written

    def _leaf(
        self,
        kind: str,
        subject: Mapping[str, str],
        body: Mapping[str, Any],
        *,
        rows: Sequence[Written] = (),
        inputs: Sequence[Mapping[str, Any]] = (),
        blobs: Sequence[Mapping[str, Any]] = (),
        personal: Mapping[str, PersonalValue] | None = None,
    ) -> int:
        """Append the leaf of one change; returns its index, the first one when the rows need several leaves.

        Of `personal` the leaf holds commitments only, by label; what opens them is kept apart, to be erasable.
        """
        self._publish_registry()
        parts = [rows[start : start + ROWS_PER_LEAF] for start in range(0, len(rows), ROWS_PER_LEAF)] or [()]
        indexes = []
        for number, part in enumerate(parts, start=1):
            facts = {
                "subject": dict(subject),
                "rows": [{"table": row.table, "key": row.key, "sha256": row.sha256} for row in part],
                "inputs": list(inputs),
                "body": dict(body) if len(parts) == 1 else {**body, "part": number, "parts": len(parts)},
            }
            if blobs:
                facts["blobs"] = list(blobs)
            indexes.append(self._append(self._actor, kind, facts, personal if number == 1 else None))
        self._unlogged.difference_update(rows)
        return indexes[0]

    def _append(
        self, actor: Actor, kind: str, facts: dict[str, Any], personal: Mapping[str, PersonalValue] | None = None
    ) -> int:
        now = self._clock.now()
        event: dict[str, Any] = {
            "v": LEAF_VERSION,
            "id": str(new_uuid(now)),
            "ts": rfc3339(now),
            "type": kind,
            "actor": {"kind": actor.kind, "name": actor.name},
            **facts,
        }
        if actor.run:
            event["run"] = actor.run
        if personal:
            event["commit"] = {
                label: self._openings.seal(event["id"], label, each) for label, each in sorted(personal.items())
            }
        if self._anchored:
            size, root = self._anchored
            event["after"] = {"size": size, "root": root}
        defined = REGISTRY.check(kind, event["subject"], event["body"], event.get("commit", {}))
        event["retention"], event["basis"] = defined.retention, defined.basis
        return self._log.append(event)

    def _publish_registry(self) -> None:
        """Log which registry holds from here on, unless the newest leaf about it says so already. No run does this."""
        registry, self._publish = self._publish, None
        if registry is None or published_registry(self._connection) == registry.sha256:
            return
        body = {"version": registry.version, "sha256": registry.sha256}
        facts = {"subject": dict([REGISTRY_SUBJECT]), "rows": [], "inputs": [], "body": body}
        self._append(Actor("service", "registry"), "registry.published", facts)


def published_registry(connection: Connection) -> str | None:
    """The digest of the registry that holds by the log; None while it names none."""
    published = leaves_naming(connection, *REGISTRY_SUBJECT)
    return str(json.loads(published[-1][1])["body"]["sha256"]) if published else None


def as_stored(table: Table) -> list[Any]:
    """The columns of a table as the driver gives them, without our types: what a row's digest is made of."""
    return [type_coerce(column, NullType()).label(column.name) for column in table.columns]


def key_of(table: Table, row: Mapping[str, Any]) -> str:
    """The row's key as it stands in leaves: the key columns joined by a slash."""
    return "/".join(str(row[column.name]) for column in table.primary_key.columns)


def columns_of(model: BaseModel) -> dict[str, Any]:
    """The model's fields as values of the columns of the same names."""
    return {name: getattr(model, name) for name in type(model).model_fields}


def brief(reason: str) -> str:
    """As much of a free text as a leaf repeats."""
    return reason if len(reason) <= _REASON_LENGTH else f"{reason[: _REASON_LENGTH - 1]}…"
