"""Dagster's own storage: SQLite in its home, or PostgreSQL when NECTO_DATABASE_URL is set.

`dagster.yaml` has no conditionals, so it names this class and this class chooses. Every process of one home must see
the same variable: webserver, daemon, code server and runs.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.base_storage import DagsterStorage  # not exported; dagster-postgres builds on it too
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from necto_pipelines.settings import Settings


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

        return DagsterPostgresStorage(with_psycopg2(settings.database_url.get_secret_value()), inst_data=inst_data)


def with_psycopg2(url: str) -> str:
    """The URL with its driver named: SQLAlchemy 2.1 takes a bare `postgresql://` for psycopg 3, with which
    dagster-postgres cannot write events (dagster issue #33958)."""
    scheme, colon, rest = url.partition("://")
    return f"postgresql+psycopg2{colon}{rest}" if scheme in ("postgres", "postgresql") else url
