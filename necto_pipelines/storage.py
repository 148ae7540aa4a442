"""Dagster's own storage: SQLite in its home, or PostgreSQL, guarded against deletion, when NECTO_DATABASE_URL is set.

`dagster.yaml` has no conditionals, so it names this class and this class chooses. Every process of one home must see
the same variable: webserver, daemon, code server and runs.
"""

import logging
import os
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.storage.base_storage import DagsterStorage  # not exported; dagster-postgres builds on it too
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from necto_pipelines.settings import Settings

_log = logging.getLogger(__name__)

_DOES: Final = "necto_append_only"
"""the name of our triggers and of their function, in whichever schema Dagster's tables are"""
_REFUSED: Final = {
    "event_logs": "UPDATE OR DELETE OR TRUNCATE",
    "runs": "DELETE OR TRUNCATE",  # its rows say how far a run is, and change with it
    "run_tags": "DELETE OR TRUNCATE",
    "asset_keys": "DELETE OR TRUNCATE",  # its rows name each asset's newest event; a wipe changes them
}
_FUNCTION: Final = f"""
    CREATE OR REPLACE FUNCTION {_DOES}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% on % refused: Dagster''s history is evidence here, and nothing is taken from it', tg_op,
            tg_table_name USING errcode = 'restrict_violation',
            hint = 'see docs/operations/reconciliation.md of Necto for what to do instead';
    END $$
"""
_TRIGGERS: Final = {
    f"{_DOES}_{table}": f"CREATE TRIGGER {_DOES}_{table} BEFORE {acts} ON {table} FOR EACH STATEMENT"
    f" EXECUTE FUNCTION {_DOES}()"
    for table, acts in _REFUSED.items()
} | {
    f"{_DOES}_wipe": f"CREATE TRIGGER {_DOES}_wipe BEFORE UPDATE ON asset_keys FOR EACH ROW WHEN"
    " (new.wipe_timestamp IS NOT NULL AND new.wipe_timestamp IS DISTINCT FROM old.wipe_timestamp)"
    f" EXECUTE FUNCTION {_DOES}()"
}
_GUARDING_LOCK: Final = 0x6E656374
"""the advisory lock that keeps two processes from making the triggers at once"""


class NectoStorage(DagsterStorage, ConfigurableClass):
    """Makes the stock storage that the settings ask for; it is never instantiated itself."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing: the environment decides."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # it chooses a storage and never is one
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> DagsterStorage[dg.DagsterInstance]:
        """PostgreSQL when a database is set. Otherwise SQLite below DAGSTER_HOME or, where that is not set (somebody
        typed `dagster dev` in the repository), below Necto's home."""
        settings = Settings()
        if settings.database_url is None:
            home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
            return DagsterSqliteStorage(str(home.resolve()), inst_data=inst_data)
        from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415  half a second that SQLite need not pay

        url = with_psycopg2(settings.database_url.get_secret_value())
        storage = DagsterPostgresStorage(url, inst_data=inst_data)  # which makes its tables when they are not there
        guard_dagster_tables(url)
        return storage


def guard_dagster_tables(url: str) -> bool:
    """Let PostgreSQL refuse whoever deletes runs, edits or deletes events, or wipes an asset; true when it does so now.

    The triggers are made once, by the first process that may: it takes the owner of the tables. When Dagster works as
    another role, as it should in production, the owner runs this once; until then, or while somebody has disabled a
    trigger, the answer is false and a warning is logged. Dagster goes on as before, for it only ever adds events. A
    guard and no evidence: an owner can take it away again, and then the seals tell what was done.
    """
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            if not _TRIGGERS.keys() <= _standing(connection).keys():
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_GUARDING_LOCK})")
                connection.execute(text(_FUNCTION))
                for name in _TRIGGERS.keys() - _standing(connection).keys():
                    connection.exec_driver_sql(_TRIGGERS[name])
            disabled = [name for name, enabled in _standing(connection).items() if not enabled]
    except ProgrammingError as error:
        _log.warning("Dagster's tables are not guarded against deletion: %s", error.orig)
        return False
    finally:
        engine.dispose()
    if disabled:
        _log.warning("Dagster's tables are not guarded against deletion: disabled are %s", ", ".join(sorted(disabled)))
    return not disabled


def _standing(connection: Connection) -> dict[str, bool]:
    """Our triggers that stand, and whether each is enabled."""
    # The tables that the search path leads to, as for Dagster itself.
    query = "SELECT tgname, tgenabled <> 'D' FROM pg_trigger WHERE tgrelid = ANY(%s::regclass[])"
    rows = connection.exec_driver_sql(query, ([*_REFUSED],))
    return {name: enabled for name, enabled in rows if name in _TRIGGERS}


def with_psycopg2(url: str) -> str:
    """The URL with its driver named: SQLAlchemy 2.1 takes a bare `postgresql://` for psycopg 3, with which
    dagster-postgres cannot write events (dagster issue #33958)."""
    scheme, colon, rest = url.partition("://")
    return f"postgresql+psycopg2{colon}{rest}" if scheme in ("postgres", "postgresql") else url
