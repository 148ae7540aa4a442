"""What every change is made of: rows that are written, and the leaf that names them with their digests.

Which changes there are stands in `order_changes.py`, `money_changes.py` and `watch_changes.py`.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from sqlalchemy import Connection, Table, insert, select, type_coerce, update
from sqlalchemy.sql.dml import Insert, Update
from sqlalchemy.types import NullType

from necto_pipelines.books.audit_log import LeafLog
from necto_pipelines.books.columns import row_digest
from necto_pipelines.books.ids import new_uuid
from necto_pipelines.books.reads import Reads
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.clock import Clock, rfc3339

ROWS_PER_LEAF: Final = 16
"""a row takes about 160 bytes in a leaf, and a leaf holds 4 KiB: more rows are spread over further leaves"""
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

    def __init__(self, connection: Connection, actor: Actor, clock: Clock) -> None:
        self.reads = Reads(lambda: nullcontext(connection))
        """the books as this change leaves them so far"""
        self._connection = connection
        self._actor = actor
        self._clock = clock
        self._log = LeafLog(connection)
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
        `blobs` name what was read by its SHA-256. Raises `InvalidLeaf` for anything else and beyond 4 KiB.
        """
        return self._leaf(kind, subject or {}, body, inputs=inputs, blobs=blobs)

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
    ) -> int:
        """Append the leaf of one change; returns its index, the first one when the rows need several leaves."""
        parts = [rows[start : start + ROWS_PER_LEAF] for start in range(0, len(rows), ROWS_PER_LEAF)] or [()]
        indexes = []
        for number, part in enumerate(parts, start=1):
            now = self._clock.now()
            event: dict[str, Any] = {
                "v": 1,
                "id": str(new_uuid(now)),
                "ts": rfc3339(now),
                "type": kind,
                "actor": {"kind": self._actor.kind, "name": self._actor.name},
                "subject": dict(subject),
                "rows": [{"table": row.table, "key": row.key, "sha256": row.sha256} for row in part],
                "inputs": list(inputs),
                "body": dict(body) if len(parts) == 1 else {**body, "part": number, "parts": len(parts)},
            }
            if self._actor.run:
                event["run"] = self._actor.run
            if blobs:
                event["blobs"] = list(blobs)
            indexes.append(self._log.append(event))
        self._unlogged.difference_update(rows)
        return indexes[0]


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
