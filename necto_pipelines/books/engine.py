"""Opening the database: where it is, how it is made durable, one transaction, and bringing it to the newest version.

SQLite and PostgreSQL behave alike from here on: changes follow one another, each sees all that went before, and what
was committed stays. What is written in a transaction stands in `changes.py` and its neighbours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from necto_pipelines.failures import InvalidInput, PermanentFailure, Problem, Unavailable, Unknown

SCHEMA: Final = "necto"
"""our schema in PostgreSQL: Dagster's tables, and its own alembic_version, stand in `public` of the same database"""
LOCK_WAIT_S: Final = 30
"""how long a change waits for the ones before it"""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = 0x6E6563746F
""""necto": the advisory lock that keeps two processes from migrating PostgreSQL at once"""


def open_engine(url: str) -> Engine:
    """An engine on `sqlite:///path` or `postgresql://…`; nothing is read or written yet.

    Raises InvalidInput for any other database, without repeating the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _bad_url("not a URL") from error
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg2"):
        return _postgresql(parsed)
    if parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        return _sqlite(parsed)
    raise _bad_url(parsed.drivername)


@contextmanager
def transaction(engine: Engine, *, write: bool) -> Iterator[Connection]:
    """One transaction: a consistent snapshot to read, or a change that is stored as a whole or not at all.

    Raises `Unavailable` when the database does not answer or a change waited too long, `PermanentFailure` when it
    refuses what was asked, and `Unknown` when it went away while committing: read again to see what was stored.
    """
    try:
        with (
            engine.connect().execution_options(**_options(engine, write=write)) as connection,
            connection.begin() as begun,
        ):
            yield connection
            try:
                begun.commit()
            except OperationalError as error:
                raise Unknown(f"the books went away during a commit: {error.orig}") from error
    except (OperationalError, InterfaceError) as error:
        raise Unavailable(f"the books do not answer: {error.orig}") from error
    except PoolTimeout as error:
        raise Unavailable(f"the books do not answer: {error}") from error
    except StatementError as error:
        raise PermanentFailure(f"the books refuse this: {error.orig}") from error


def migrate(engine: Engine) -> None:
    """Create the tables, or bring them to the newest version; concurrent callers wait for each other.

    Raises PermanentFailure when a newer Necto made the database.
    """
    config = Config(config_args={"script_location": str(MIGRATIONS)})
    with transaction(engine, write=False) as connection:
        if version(connection) == ScriptDirectory.from_config(config).get_current_head():
            return
    with transaction(engine, write=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise PermanentFailure(f"the books are of a version that this Necto does not know: {error}") from error


def version(connection: Connection) -> str | None:
    """The migration at which the database stands; None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def _postgresql(url: URL) -> Engine:
    given = url.query.get("options", "")
    ours = f"-csearch_path={SCHEMA} -clock_timeout={LOCK_WAIT_S}s"
    return create_engine(
        # SQLAlchemy 2.1 takes a bare postgresql:// for psycopg 3, beside which Dagster's storage does not work.
        url.set(drivername="postgresql+psycopg2").difference_update_query(["options"]),
        connect_args={"options": f"{given} {ours}".strip()},
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": LOCK_WAIT_S}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: see `begin`
        # A cell that somebody filled with other bytes by hand must be found by `verify`, not make it fail.
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        cursor = connection.cursor()
        # FULL: with NORMAL a power cut may take back a commit, and then a signed checkpoint would outlive its leaves.
        # secure_delete: what is erased is overwritten, not left in free pages.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("necto_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _options(engine: Engine, *, write: bool) -> dict[str, Any]:
    if engine.dialect.name == "sqlite":
        return {"necto_write": write}
    if write:
        # After the lock on the log's head is held, each statement must see what the change before it committed.
        return {"isolation_level": "READ COMMITTED"}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _bad_url(found: str) -> InvalidInput:
    return InvalidInput(
        [Problem("database_url", found, "use sqlite:///path/to/file or postgresql://user@host/database")]
    )
