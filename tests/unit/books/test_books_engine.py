"""Which databases are taken, and how a transaction fails."""

from pathlib import Path

import pytest
from sqlalchemy import text
from support.books_backends import ACTOR, ORIGIN, Backend
from support.books_steps import give_budget

from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import open_engine, transaction
from necto_pipelines.failures import InvalidInput, PermanentFailure, Unavailable
from necto_pipelines.model.clock import FrozenClock


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@host/db",
        "postgres://ada:secret@host/db",
        "postgresql+psycopg2://ada:secret@host/db?sslmode=require",
    ],
)
def test_any_way_to_write_a_postgresql_url_means_psycopg2_and_our_schema(url: str):
    engine = open_engine(url)
    assert engine.url.drivername == "postgresql+psycopg2"
    assert (engine.url.username, engine.url.password, engine.url.host) == ("ada", "secret", "host")
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:secret@host/db",
        "postgresql+psycopg://ada:secret@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "secret, not a URL",
        "",
    ],
)
def test_any_other_database_is_an_input_error_that_does_not_show_the_url(url: str):
    with pytest.raises(InvalidInput, match="sqlite:///path/to/file") as failure:
        open_engine(url)
    assert "secret" not in str(failure.value)


def test_options_of_the_url_are_kept_beside_ours(backend: Backend):
    if backend.name == "sqlite":
        return
    engine = open_engine(f"{backend.url}&options=-cstatement_timeout%3D12345")
    with transaction(engine, write=False) as connection:
        asked = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ("statement_timeout", "search_path")
        ]
    engine.dispose()
    assert asked == ["12345ms", "necto"]


def test_sqlite_is_durable_and_keeps_its_references(backend: Backend):
    engine = open_engine(backend.url)
    with transaction(engine, write=False) as connection:
        if backend.name == "sqlite":
            pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
            assert found == ["wal", 2, 1, 30_000]
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "30s"
    engine.dispose()


def test_a_read_sees_one_moment(books: Books, backend: Backend):
    engine = open_engine(backend.url)
    with transaction(engine, write=False) as connection:
        count = text("SELECT count(*) FROM budgets")
        before = connection.execute(count).scalar_one()
        give_budget(books)
        assert connection.execute(count).scalar_one() == before == 0
    engine.dispose()
    assert len(books.budgets()) == 1


def test_a_database_that_does_not_answer_is_a_transient_failure(tmp_path: Path):
    folders = {"keys": tmp_path, "checkpoints": tmp_path, "origin": ORIGIN, "clock": FrozenClock()}
    for url in (f"sqlite:///{tmp_path}/no/such/folder/books.db", f"postgresql://nobody@/none?host={tmp_path}"):
        with pytest.raises(Unavailable, match="do not answer"):
            Books.open(url, **folders)


def test_a_change_that_waits_too_long_is_a_transient_failure(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("necto_pipelines.books.engine.LOCK_WAIT_S", 0.05 if backend.name == "sqlite" else 1)
    books = backend.open()
    with books.change(ACTOR), pytest.raises(Unavailable, match="do not answer"), books.change(ACTOR):
        pass
    give_budget(books)
    assert books.audit_size() == 1
    books.close()


def test_what_the_database_refuses_is_a_permanent_failure(backend: Backend):
    engine = open_engine(backend.url)
    with pytest.raises(PermanentFailure, match=r"(?i)foreign key"), transaction(engine, write=True) as connection:
        connection.execute(text("INSERT INTO holds VALUES ('ord_unknown', 'nowhere', '1', 'held', '0')"))
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "books.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(PermanentFailure, match="not a database"):
        Books.open(
            f"sqlite:///{tmp_path / 'books.db'}",
            clock=FrozenClock(),
            keys=tmp_path / "keys",
            checkpoints=tmp_path,
            origin=ORIGIN,
        )
