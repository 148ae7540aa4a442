"""Everything here runs on SQLite and on PostgreSQL."""

from support.books_backends import backend, books, postgres

__all__ = ["backend", "books", "postgres"]
