"""Migrations build exactly the tables that the code names, once, beside Dagster's own."""

# Fixtures come by import and are asked for by name.
# ruff: noqa: F811

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from support.books_backends import ORIGIN, Backend, backend, books, migrated_file, postgres  # noqa: F401
from support.books_steps import events, give_budget

from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import MIGRATIONS, migrate, open_engine, transaction, version
from necto_pipelines.books.tables import metadata
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.clock import FrozenClock

pytestmark = pytest.mark.integration


def test_a_fresh_database_is_exactly_what_the_code_names(backend: Backend):
    engine = open_engine(backend.url)
    with transaction(engine, write=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_names_of_constraints_are_those_of_the_code(backend: Backend):
    engine = open_engine(backend.url)
    with transaction(engine, write=False) as connection:
        found = inspect(connection)
        for table in metadata.tables.values():
            assert found.get_pk_constraint(table.name)["name"] == table.primary_key.name
            assert {key["name"] for key in found.get_foreign_keys(table.name)} == {
                key.constraint.name for column in table.columns for key in column.foreign_keys
            }
            unique_indexes = {index["name"]: index["unique"] for index in found.get_indexes(table.name)}
            assert {index.name: bool(index.unique) for index in table.indexes}.items() <= unique_indexes.items()
    engine.dispose()


def test_opening_again_migrates_nothing_and_keeps_everything(books: Books, backend: Backend):
    give_budget(books)
    engine = open_engine(backend.url)
    migrate(engine)
    migrate(engine)
    with transaction(engine, write=False) as connection:
        assert version(connection) == ScriptDirectory(str(MIGRATIONS)).get_current_head()
    engine.dispose()
    assert [event["type"] for event in events(books)] == ["budget.set"]


def test_books_of_a_newer_necto_are_left_alone(backend: Backend):
    backend.run("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(PermanentFailure, match="9999"):
            backend.open()
    finally:
        newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
        touched = backend.run(f"UPDATE alembic_version SET version_num = '{newest}' WHERE version_num = '9999'")
    assert touched == 1


def test_our_tables_stand_beside_dagsters_in_one_postgresql_database(postgres, tmp_path):
    url = postgres.empty_database()
    dagsters = open_engine(f"{url}&options=-csearch_path%3Dpublic")
    with transaction(dagsters, write=True) as connection:
        connection.execute(text("CREATE TABLE public.alembic_version (version_num text)"))
        connection.execute(text("INSERT INTO public.alembic_version VALUES ('dagsters own')"))
        connection.execute(text("CREATE TABLE public.runs (id int)"))
    dagsters.dispose()
    books = Books.open(url, clock=FrozenClock(), keys=tmp_path, checkpoints=tmp_path, origin=ORIGIN)
    give_budget(books)
    engine = open_engine(url)
    with transaction(engine, write=False) as connection:
        found = inspect(connection)
        assert set(found.get_table_names(schema="public")) == {"alembic_version", "runs"}
        assert set(found.get_table_names(schema="necto")) == {*metadata.tables, "alembic_version"}
        marks = connection.execute(text("SELECT version_num FROM public.alembic_version")).scalars().all()
        assert marks == ["dagsters own"]
    engine.dispose()
    books.close()
