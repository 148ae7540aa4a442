"""Removing what was deleted from the database's files too: pages and row versions that a database keeps for a while.

What is deleted, and why, is decided in `privacy_changes.py`. Copies of the files made before, and the disk's own
blocks, are out of reach here: `docs/concepts/privacy.md` says what follows from that.
"""

from contextlib import closing

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from necto_pipelines.failures import Unavailable

_REWRITTEN = ("audit_openings", "requesters")
"""tables from which an erasure takes something"""
_AGAIN = "what was erased is gone for every reader; erase again later to clear the files too"


def scrub(engine: Engine, *, whole_file: bool = False) -> None:
    """Rewrite the tables that erasures take from, so that nothing deleted is left in free space or in SQLite's WAL.

    SQLite overwrites what it deletes (`secure_delete`), so its WAL is all that is left to clear; `whole_file` rewrites
    the file as well, for a version of Necto that did not set this. Raises `Unavailable` when somebody uses the tables
    all the time, or on PostgreSQL may not be kept from them by the role that asks.
    """
    if engine.dialect.name == "sqlite":
        _scrub_sqlite(engine, whole_file=whole_file)
    else:
        _scrub_postgresql(engine)


def _scrub_sqlite(engine: Engine, *, whole_file: bool) -> None:
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        try:
            if whole_file:
                cursor.execute("VACUUM")
            (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1, 0, 0)
        except engine.dialect.loaded_dbapi.OperationalError as error:
            raise Unavailable(f"the database's file is in use ({error}); {_AGAIN}") from error
    if busy:
        raise Unavailable(f"somebody reads the database all the time; {_AGAIN}")


def _scrub_postgresql(engine: Engine) -> None:
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            before = _files(connection)
            connection.execute(text(f"VACUUM (FULL) {', '.join(_REWRITTEN)}"))
            after = _files(connection)
    except DBAPIError as error:
        raise Unavailable(f"the tables are in use ({error.orig}); {_AGAIN}") from error
    # PostgreSQL only warns a role that may not rewrite a table, and passes over the table.
    if any(old == new for old, new in zip(before, after, strict=True)):
        statement = f"VACUUM (FULL) {', '.join(_REWRITTEN)}"
        raise Unavailable(f"the tables' owner must run {statement}; what was erased is gone for every reader")


def _files(connection: Connection) -> list[int]:
    """The number of each table's file; a rewritten table has another one."""
    return [connection.execute(select(func.pg_relation_filenode(table))).scalar_one() for table in _REWRITTEN]
