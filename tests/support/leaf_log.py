"""Logs of many entries in no time: leaves put into the books without the business layer above them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from support.books_backends import Backend

from necto_pipelines.books.audit_log import LeafLog
from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import open_engine, transaction
from necto_pipelines.model.clock import rfc3339

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
AT_ONCE = 8_192


def event(number: int, **overrides: Any) -> dict[str, Any]:
    """The event of entry `number`: one second after the one before, with an id and facts of its own."""
    return {
        "v": 2,
        "id": f"0193510e-7c00-7000-8000-{number:012x}",
        "ts": rfc3339(START + timedelta(seconds=number)),
        "type": "test.appended",
        "actor": {"kind": "service", "name": "test"},
        "subject": {},
        "rows": [],
        "inputs": [],
        "body": {"number": number},
        "retention": "log",
        "basis": "none",
    } | overrides


def append(backend: Backend, events: Sequence[dict[str, Any]]) -> None:
    """Append whole events in one transaction."""
    engine = open_engine(backend.url)
    with transaction(engine, write=True) as connection:
        log = LeafLog(connection)
        for each in events:
            log.append(each)
        log.store()
    engine.dispose()


def grow(backend: Backend, books: Books, size: int) -> None:
    """Append events until the log has `size` entries."""
    for start, stop in _batches(books.audit_size(), size):
        append(backend, [event(number) for number in range(start, stop)])


def _batches(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for first in range(start, stop, AT_ONCE):
        yield first, min(stop, first + AT_ONCE)
