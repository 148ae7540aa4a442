"""Dagster's event rows as its databases hold them: SQLite, a file for each run beside an index, or one table.

Layouts as of Dagster 1.13. On SQLite the rows of run R stand in `history/runs/R.db` and those of no run in `.db` there;
`index.db` holds copies, under ids of their own, of the kinds of events that are asked for across runs. PostgreSQL has
one table. Texts are read as bytes and never written anew; files are opened for reading only, for Dagster would make
an empty one for a run that it has deleted.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._serdes import deserialize_value
from sqlalchemy import Connection, and_, or_, select, text
from sqlalchemy.exc import SQLAlchemyError

from necto_pipelines.failures import AuditBroken, PermanentFailure, Unavailable
from necto_pipelines.procurement.event_rows import RUNLESS, EndedRun, EventRows, Pointer, RawEvent, asset_name

_ENDED: Final = tuple(
    status.value for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
)
_COPIED: Final = frozenset(
    kind.value for kinds in (ASSET_EVENTS, ASSET_CHECK_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS) for kind in kinds
)
_ASSET_KINDS: Final = frozenset(kind.value for kinds in (ASSET_EVENTS, ASSET_CHECK_EVENTS) for kind in kinds)
_AT_ONCE: Final = 500
"""ids in one query"""
_BUSY_S: Final = 30
_NO_TIME: Final = datetime.fromtimestamp(0, UTC)
_OF_RUN: Final = "WHERE run_id = :run_id OR (:run_id = '' AND run_id IS NULL)"
_EXTENT: Final = "SELECT count(*), max(id) FROM event_logs WHERE run_id = :run_id OR (:run_id = '' AND run_id IS NULL)"
_ASSETS: Final = (
    "SELECT id, asset_key, last_materialization FROM asset_keys"
    " WHERE last_materialization IS NOT NULL AND id > :last ORDER BY id LIMIT :at_once"
)
_CHECKS: Final = (
    "SELECT id, asset_key, check_name, evaluation_event, evaluation_event_storage_id FROM asset_check_executions"
    " WHERE evaluation_event_storage_id IS NOT NULL AND id > :last ORDER BY id LIMIT :at_once"
)


def event_rows(instance: dg.DagsterInstance) -> EventRows:
    """The rows behind an instance. PermanentFailure when its storage is of a kind whose tables are not known here."""
    log, runs = instance.event_log_storage, instance.run_storage
    if isinstance(runs, SqlRunStorage):
        if isinstance(log, SqliteEventLogStorage):
            return _ShardedRows(runs, log)
        if isinstance(log, SqlEventLogStorage) and not log.is_run_sharded:
            return _OneTableRows(runs, log)
    raise PermanentFailure(
        f"Dagster keeps its events in {type(log).__name__} and its runs in {type(runs).__name__}: their rows cannot be"
        " sealed; use Dagster's own SQLite or PostgreSQL storage, as `necto_pipelines.storage` makes it"
    )


class _Rows:
    """What both layouts share: the table of runs, and the meaning of rows."""

    def __init__(self, runs: SqlRunStorage) -> None:
        self._runs = runs

    def ended_runs(self, after: tuple[datetime, str] | None, limit: int) -> list[EndedRun]:
        table = RunsTable.c
        query = select(table.run_id, table.pipeline_name, table.status, table.update_timestamp)
        query = query.where(table.status.in_(_ENDED)).order_by(table.update_timestamp, table.run_id).limit(limit)
        if after is not None:
            moment = after[0].astimezone(UTC).replace(tzinfo=None)
            same = and_(table.update_timestamp == moment, table.run_id > after[1])
            query = query.where(or_(table.update_timestamp > moment, same))
        with self._runs.connect() as connection:
            return [
                EndedRun(run_id, job or "", status, _moment(updated))
                for run_id, job, status, updated in connection.execute(query)
            ]

    def statuses(self, run_ids: Collection[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        with self._runs.connect() as connection:
            for some in _portions(run_ids):
                query = select(RunsTable.c.run_id, RunsTable.c.status).where(RunsTable.c.run_id.in_(some))
                found |= {row.run_id: row.status for row in connection.execute(query)}
        return found

    def is_copied(self, event: RawEvent) -> bool:
        return event.kind in _COPIED

    def misfiled(self, event: RawEvent) -> str:
        try:
            said = json.loads(event.text)
            inner = said["dagster_event"] or {}
            expected = {"run_id": said["run_id"], "dagster_event_type": inner.get("event_type_value") or ""}
            if expected["dagster_event_type"] in _ASSET_KINDS:
                entry = deserialize_value(event.text.decode(), EventLogEntry)
                key = entry.get_dagster_event().asset_key
                expected |= {
                    "asset_key": key.to_string() if key else "",
                    "partition": entry.get_dagster_event().partition or "",
                }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return f"its text is no event ({type(error).__name__})"
        stored = {
            "run_id": event.run_id,
            "dagster_event_type": event.kind,
            "asset_key": event.asset,
            "partition": event.partition,
        }
        return ", ".join(f"{name} is {stored[name]!r}" for name, value in expected.items() if stored[name] != value)

    def pointers(self) -> Iterator[Pointer]:
        last = 0
        while rows := self._across(_ASSETS, last=last, at_once=_AT_ONCE):
            said = {key: _object(stored) for _, key, stored in rows}
            repeated = [
                (
                    f"the last materialization of {asset_name(key)}",
                    said[key].get("storage_id"),
                    said[key].get("event_log_entry"),
                )
                for _, key, _ in rows
            ]
            yield from self._compared(repeated)
            last = rows[-1][0]
        last = 0
        while rows := self._across(_CHECKS, last=last, at_once=_AT_ONCE):
            repeated = [
                (f"the result of check {name} of {asset_name(key)}", storage_id, _object(stored))
                for _, key, name, stored, storage_id in rows
            ]
            yield from self._compared(repeated)
            last = rows[-1][0]

    def wiped(self) -> Mapping[str, datetime]:
        rows = self._across("SELECT asset_key, wipe_timestamp FROM asset_keys WHERE wipe_timestamp IS NOT NULL")
        return {key: _moment(at) for key, at in rows}

    def _compared(self, repeated: Sequence[tuple[str, int | None, Any]]) -> Iterator[Pointer]:
        texts = self._texts([storage_id for _, storage_id, _ in repeated if storage_id is not None])
        for what, storage_id, said in repeated:
            event = texts.get(storage_id) if storage_id is not None else None
            yield Pointer(what, storage_id, event is not None, event == said)

    def _texts(self, storage_ids: Sequence[int]) -> dict[int, Any]:
        """The parsed events under these ids of the table that is read across runs."""
        found: dict[int, Any] = {}
        for some in _portions(storage_ids):
            ids = ",".join(str(int(each)) for each in some)
            rows = self._across(f"SELECT id, event FROM event_logs WHERE id IN ({ids})")  # noqa: S608  integers
            found |= {storage_id: _object(event) for storage_id, event in rows}
        return found

    def _across(self, query: str, **values: Any) -> list[Any]:
        """Ask the database that is read across runs."""
        raise NotImplementedError


class _ShardedRows(_Rows):
    """SQLite: a file for each run, and the index."""

    def __init__(self, runs: SqlRunStorage, log: SqliteEventLogStorage) -> None:
        super().__init__(runs)
        self._index = Path(log.path_for_shard("index"))
        self._path: Callable[[str], Path] = lambda run_id: Path(log.path_for_shard(run_id))

    def events(self, run_id: str) -> list[RawEvent]:
        # All of the file, also what was filed under another run there.
        return [_raw(row) for row in _ask(self._path(run_id), f"{_select('sqlite')} ORDER BY id")]

    def extents(self, run_ids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for run_id in run_ids:
            with suppress(AuditBroken):  # told by who reads the rows
                for count, last in _ask(self._path(run_id), "SELECT count(*), max(id) FROM event_logs"):
                    if count:
                        found[run_id] = (count, last)
        return found

    def copies(self, run_id: str) -> Sequence[RawEvent]:
        return [_raw(row) for row in self._across(f"{_select('sqlite')} {_OF_RUN} ORDER BY id", run_id=run_id)]

    def runs_with_events(self) -> Iterator[str]:
        files = {file.name.removesuffix(".db") for file in self._index.parent.glob("*.db")} - {"index"}
        if self._path(RUNLESS).exists():
            files.add(RUNLESS)
        yield from sorted(files | {row[0] for row in self._across("SELECT DISTINCT run_id FROM event_logs")})

    def _across(self, query: str, **values: Any) -> list[Any]:
        return _ask(self._index, query, **values)


class _OneTableRows(_Rows):
    """PostgreSQL, or a single SQLite database: all events in one table."""

    def __init__(self, runs: SqlRunStorage, log: SqlEventLogStorage) -> None:
        super().__init__(runs)
        self._log = log

    def events(self, run_id: str) -> list[RawEvent]:
        with self._connected() as connection:
            query = text(f"{_select(connection.dialect.name)} {_OF_RUN} ORDER BY id")
            return [_raw(row) for row in connection.execute(query, {"run_id": run_id})]

    def extents(self, run_ids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        found = {run_id: self._across(_EXTENT, run_id=run_id)[0] for run_id in run_ids}
        return {run_id: (count, last) for run_id, (count, last) in found.items() if count}

    def copies(self, run_id: str) -> None:
        return None

    def runs_with_events(self) -> Iterator[str]:
        yield from (row[0] or "" for row in self._across("SELECT DISTINCT run_id FROM event_logs ORDER BY run_id"))

    def _across(self, query: str, **values: Any) -> list[Any]:
        with self._connected() as connection:
            return list(connection.execute(text(query), values))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._log.index_connection() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise Unavailable(f"Dagster's event log does not answer: {error}") from error


def _select(dialect: str) -> str:
    """The columns of a `RawEvent`; the text as its bytes, whatever somebody wrote into the cell."""
    as_bytes = "CAST(event AS BLOB)" if dialect == "sqlite" else "convert_to(event, 'UTF8')"
    return f"SELECT id, run_id, {as_bytes}, dagster_event_type, asset_key, partition, timestamp FROM event_logs"  # noqa: S608


def _raw(row: Sequence[Any]) -> RawEvent:
    storage_id, run_id, event, kind, asset, partition, at = row
    return RawEvent(storage_id, run_id or "", bytes(event), kind or "", asset or "", partition or "", _moment(at))


def _ask(file: Path, query: str, **values: Any) -> list[Any]:
    """The rows; none when there is no such file. AuditBroken when it is not as Dagster made it."""
    if not file.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            return connection.execute(query, values).fetchall()
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise Unavailable(f"Dagster's {file.name} is busy: {error}") from error
        raise AuditBroken(f"Dagster's {file.name} is damaged: {error}") from error


def _moment(stored: Any) -> datetime:
    """A time without an offset is in UTC; what is no time at all lies before all others."""
    if isinstance(stored, str):
        try:
            stored = datetime.fromisoformat(stored)
        except ValueError:
            stored = None
    if not isinstance(stored, datetime):
        return _NO_TIME
    return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)


def _object(stored: str | None) -> dict[str, Any]:
    """A JSON object; empty for anything else that somebody put there."""
    try:
        found = json.loads(stored or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _portions(ids: Collection[Any]) -> Iterator[list[Any]]:
    ordered = list(ids)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
