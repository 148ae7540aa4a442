"""A real Dagster instance and real books, both on SQLite or both in one PostgreSQL database, with full rights to both.

A history with two runs and an event of none is made and sealed once for each kind of database; tests work on copies.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from support.books_backends import ORIGIN, PostgresServer

from necto_pipelines.books.books import Books
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.procurement.reconciling import Finding, reconcile
from necto_pipelines.procurement.runtime import service
from necto_pipelines.procurement.sealing import LATE_S, SETTLE_S, Sealed, seal_ended
from necto_pipelines.resources.dagster_events import event_rows
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.storage import with_psycopg2

PACKAGE = Path(__file__).parents[2] / "necto_pipelines"
SETTLED, LATE = timedelta(seconds=SETTLE_S + 1), timedelta(seconds=2 * LATE_S)


@dataclass
class History:
    """Dagster and the books of one home."""

    kind: str
    home: Path
    url: str
    """of the PostgreSQL database; empty on SQLite"""
    instance: dg.DagsterInstance
    books: Books
    clock: FrozenClock
    """the books'; Dagster takes the machine's"""

    @property
    def rows(self) -> Any:
        return event_rows(self.instance)

    def run(self, **options: Any) -> str:
        """One run with a materialization, a check and a line of a log; it writes two leaves."""

        @dg.asset
        def table(context: dg.AssetExecutionContext) -> None:
            context.log.info("price agreed: 100")
            context.add_output_metadata({"rows": 2})
            actor = service("test", run_id=context.run.run_id, job=context.run.job_name, step="table")
            with self.books.change(actor) as change:
                change.start_run(planned_steps(context.instance, context.run))
                change.note("run.outcome", {"orders": 1, "states": "active"})

        @dg.asset_check(asset=table)
        def fits() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)

        return dg.materialize([table, fits], instance=self.instance, **options).run_id

    def seal(self, after: Any = None, later: timedelta = SETTLED, at_most: int = 50) -> Sealed:
        """One look of the sealing, `later` than now."""
        return seal_ended(self.rows, self.books, now=datetime.now(UTC) + later, after=after, at_most=at_most)

    def findings(self, later: timedelta = LATE, newest: int | None = None) -> list[Finding]:
        """One comparison, `later` than now."""
        return list(reconcile(self.rows, self.books, now=datetime.now(UTC) + later, newest=newest).findings)

    def sql(self, statement: str, of: str = "index", **values: Any) -> Any:
        """Run a statement with full rights: in the file of run `of`, in the `index` or in `runs` on SQLite."""
        folder = self.home / "dagster" / "history"
        file = folder / "runs.db" if of == "runs" else folder / "runs" / f"{of}.db"
        engine = create_engine(self.url or f"sqlite:///{file}", poolclass=NullPool)
        with engine.begin() as connection:
            if self.url:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            result = connection.execute(text(statement), values)
            rows = list(result) if result.returns_rows else result.rowcount
        engine.dispose()
        return rows

    def unguard(self) -> None:
        """Take our triggers away, as the tables' owner can."""
        if self.url:
            for table in ("event_logs", "runs", "run_tags", "asset_keys"):
                self.sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")


@contextmanager
def history(kind: str, home: Path, url: str) -> Iterator[History]:
    """Open, or make, what stands below `home`, and in the database at `url` where there is one."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(PACKAGE / "dagster.yaml", dagster_home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(dagster_home))
        if url:
            patch.setenv("NECTO_DATABASE_URL", url)
        else:
            patch.delenv("NECTO_DATABASE_URL", raising=False)
        clock = FrozenClock()
        books = Books.open(
            url or f"sqlite:///{home / 'books.db'}",
            clock=clock,
            keys=home / "keys",
            checkpoints=home / "checkpoints",
            origin=ORIGIN,
        )
        with closing(books), dg.DagsterInstance.from_config(str(dagster_home)) as instance:
            yield History(kind, home, with_psycopg2(url) if url else "", instance, books, clock)


@dataclass(frozen=True)
class Golden:
    """A sealed history to copy, and the ids of its runs."""

    kind: str
    home: Path
    url: str
    runs: tuple[str, str]


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Two runs, an observation that belongs to none, and the seals over all of them."""
    home = tmp_path_factory.mktemp(f"golden-{request.param}")
    url = ""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.empty_database()
    with history(request.param, home, url) as made:
        runs = made.run(), made.run()
        made.instance.report_runless_asset_event(dg.AssetObservation("table"))
        sealed = made.seal()
        assert (sealed.runs, sealed.runless) == (2, 1)
        made.books.sign()
    return Golden(request.param, home, url, runs)


@pytest.fixture
def sealed(golden: Golden, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """A copy of the sealed history."""
    home, url = tmp_path / "home", ""
    shutil.copytree(golden.home, home)
    if golden.url:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.copy_of(golden.url)
    with history(golden.kind, home, url) as copied:
        yield copied
