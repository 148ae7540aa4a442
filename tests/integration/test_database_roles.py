"""The role that Necto works with on PostgreSQL: enough for everything it does, and no way to change the trail."""

# Fixtures come by import and are asked for by name.
# ruff: noqa: F811

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from support.books_backends import ACTOR, ORIGIN, PostgresServer, postgres  # noqa: F401
from support.books_steps import give_budget, leased
from support.log_events import an_event, check_log
from support.samples import sample_charge, sample_conversion, sample_invoice, sample_telemetry, sample_usage

from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import open_engine, transaction
from necto_pipelines.books.roles import APPEND_ONLY, DELETED_FROM, role_statements
from necto_pipelines.books.tables import metadata
from necto_pipelines.failures import InvalidInput, PermanentFailure
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.lease import EffectState, Lease
from necto_pipelines.model.state import LeaseState

pytestmark = pytest.mark.integration
ROLE = "necto_app"


@pytest.fixture(scope="module")
def owned(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of books that their owner made, with the rights given, and given again as after an upgrade."""
    url = postgres.empty_database()
    _open(url, tmp_path_factory.mktemp("owner")).close()
    engine = open_engine(url)
    for _ in range(2):
        with transaction(engine, write=True) as connection:
            for statement in role_statements(ROLE):
                connection.exec_driver_sql(statement)
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def as_app(owned: str) -> str:
    return owned.replace("postgresql://postgres:@", f"postgresql://{ROLE}:@", 1)


@pytest.fixture
def books(as_app: str, tmp_path: Path) -> Iterator[Books]:
    opened = _open(as_app, tmp_path)
    yield opened
    opened.close()


def _open(url: str, folder: Path) -> Books:
    return Books.open(url, clock=FrozenClock(), keys=folder / "keys", checkpoints=folder / "checkpoints", origin=ORIGIN)


def test_the_role_does_a_whole_orders_changes_signs_and_verifies(books: Books):
    lease: Lease = leased(books)
    order_id = lease.order_id
    with books.change(ACTOR) as change:
        change.claim([order_id], "run-1")
        change.hold(order_id, Decimal(60))
        change.begin_effect("k", "swap", order_id, 1, {"client_id": "k"})
        change.record_conversion(sample_conversion(order_id))
        change.end_effect("k", EffectState.DONE, {"ref": "1"})
        change.move_lease(lease.id, LeaseState.ACTIVE)
        change.record_usage([sample_usage()])
        change.record_charges([sample_charge(order_id)])
        change.issue_invoice("acme", "2026-11", sample_invoice)
        change.settle_hold(order_id, Decimal(40))
        change.release(order_id, reason="done")
        change.post(an_event())
        change.record_telemetry([sample_telemetry()])
        change.drop_telemetry(datetime(2027, 1, 1, tzinfo=UTC))
    books.append_all([an_event() for _ in range(300)])
    assert books.sequence() == 1
    assert books.sign() is not None
    check_log(books, range(0, books.audit_size(), 17))


def test_reopening_as_the_role_needs_no_right_to_make_tables(as_app: str, tmp_path: Path):
    opened = _open(as_app, tmp_path)
    give_budget(opened)
    opened.close()


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE necto.{table} SET {column} = {column}",
        "DELETE FROM necto.{table}",
        "TRUNCATE necto.{table} CASCADE",
        "ALTER TABLE necto.{table} DISABLE TRIGGER ALL",
        "DROP TRIGGER {table}_no_change ON necto.{table}",
        "DROP TABLE necto.{table} CASCADE",
    ],
)
def test_the_role_cannot_change_what_is_only_added_to(as_app: str, table: str, statement: str):
    column = next(iter(metadata.tables[table].columns)).name
    engine = open_engine(as_app)
    with (
        pytest.raises(PermanentFailure, match=r"permission denied|must be owner|trigger .* does not exist"),
        transaction(engine, write=True) as connection,
    ):
        connection.execute(text(statement.format(table=table, column=column)))
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "CREATE TABLE necto.mine (id int)",
        "DELETE FROM necto.orders",
        "TRUNCATE necto.audit_inbox",
        "UPDATE necto.alembic_version SET version_num = '0'",
        "CREATE ROLE another",
    ],
)
def test_the_role_cannot_get_round_its_rights(as_app: str, statement: str):
    engine = open_engine(as_app)
    with (
        pytest.raises(PermanentFailure, match=r"permission denied|must be owner"),
        transaction(engine, write=True) as connection,
    ):
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_every_append_only_table_has_its_triggers_too(owned: str):
    """The grants keep the application from it, the triggers keep the owner from doing it by mistake."""
    engine = open_engine(owned)
    with transaction(engine, write=False) as connection:
        found = connection.exec_driver_sql(
            "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal"
        )
        assert set(found.scalars()) == APPEND_ONLY - {"audit_names"}
    engine.dispose()
    assert not APPEND_ONLY & DELETED_FROM


@pytest.mark.parametrize("name", ["", "App", "1app", "app; DROP TABLE x", 'a"b', "a" * 64])
def test_a_role_has_a_plain_name(name: str):
    with pytest.raises(InvalidInput, match="role"):
        role_statements(name)
