"""Everything here runs on SQLite and on PostgreSQL."""

from support.books_backends import backend, books, migrated_file, postgres

__all__ = ["backend", "books", "migrated_file", "postgres"]
