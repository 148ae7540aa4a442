"""How Alembic runs the migrations: inside the transaction that `engine.migrate` has begun.

Migrations are written by hand, with plain types, and never change once released. The test that compares a fresh
database with `tables.metadata` says whether a new one is complete.
"""

from alembic import context

from necto_pipelines.books.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
