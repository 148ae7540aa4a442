"""Leaves that change no row: many producers, one transaction for all that wait, each told its index.

A disk makes a hundred leaves durable as fast as one. So one thread of each process takes everything that waits and
commits it at once; processes follow one another by the lock on the log's head. Changes of business rows do not come
this way (`recording.py`), and leaves that may wait for their index are put into the inbox (`inbox.py`).
"""

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Final

from sqlalchemy import Connection, Engine

from necto_pipelines.books.audit_log import Entry, LeafLog
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.engine import transaction
from necto_pipelines.failures import PermanentFailure

LEAVES_AT_ONCE: Final = 4096
"""a transaction that has this many leaves takes in no further producer"""
_GATHERING: Final = 0.5
"""how long is waited for the producers of the last transaction to come back, as a part of the time which that took"""
_LONGEST_GATHERING_S: Final = 0.005
_STANDING_SQLITE: Final = """
    SELECT id, leaf_index, leaf FROM audit_leaves WHERE id IN (SELECT value FROM json_each(?))
"""
_STANDING_POSTGRESQL: Final = "SELECT id, leaf_index, leaf FROM audit_leaves WHERE id = ANY(%s)"


class Sequencer:
    """Gives leaves their places in the log. Safe from any thread; its own one runs from the first leaf to `close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Request] = deque()
        self._arrived = threading.Condition()
        self._enough = 1
        """how many have to wait before the thread is woken: to wake it for each costs more than the transaction"""
        self._thread: threading.Thread | None = None
        self._closed = False

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Add leaves, all of them or none; their indexes, once they are on the disk.

        A leaf whose id stands in the log already with the same bytes is not added again: its first index is returned.
        So whoever does not know whether an append came through may repeat it. Raises PermanentFailure when an id
        stands for other bytes, and as `engine.transaction` does.
        """
        request = _Request(entries)
        with self._arrived:
            if self._closed:
                raise PermanentFailure("the books are closed; nothing can be appended any more")
            self._waiting.append(request)
            if self._thread is None:
                # A daemon: a program that ends without closing the books must not wait for it for ever.
                self._thread = threading.Thread(target=self._run, name="necto-sequencer", daemon=True)
                self._thread.start()
            if len(self._waiting) >= self._enough:
                self._arrived.notify()
        return request.result()

    def close(self) -> None:
        """Add what waits, and end the thread. Later appends are refused."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
            thread = self._thread
        if thread:
            thread.join()

    def _run(self) -> None:
        producers, took_s = 0, 0.0
        while group := self._next_group(producers, min(took_s * _GATHERING, _LONGEST_GATHERING_S)):
            started = time.perf_counter()
            self._commit(group)
            producers, took_s = len(group), time.perf_counter() - started
            for request in group:
                request.release()

    def _next_group(self, producers: int, gather_s: float) -> list["_Request"]:
        """What waits, when as many wait as last time or the time is up; nothing when the books are closed."""
        group, leaves = [], 0
        with self._arrived:
            self._wait_for(1)
            self._wait_for(producers, gather_s)
            while self._waiting and leaves < LEAVES_AT_ONCE:
                group.append(self._waiting.popleft())
                leaves += len(group[-1].entries)
        return group

    def _wait_for(self, enough: int, longest_s: float | None = None) -> None:
        """Wait until so many requests wait, the books are closed, or the time is up."""
        self._enough = enough
        self._arrived.wait_for(lambda: len(self._waiting) >= enough or self._closed, longest_s)
        self._enough = 1

    def _commit(self, group: Sequence["_Request"]) -> None:
        """One transaction for the group. What the database refuses is tried alone: it must not stop the others."""
        try:
            with transaction(self._engine, write=True) as connection:
                log = LeafLog(connection)
                places = Places(connection, log, [entry for request in group for entry in request.entries])
                for request in group:
                    request.take(places)
                log.store()
        except PermanentFailure as error:
            if len(group) == 1:
                group[0].fail(error)
                return
            for request in group:
                self._commit([request])
        except BaseException as error:  # whatever it was, those who wait must hear of it
            for request in group:
                request.fail(error)


class Places:
    """The places that leaves have in the log already, or get now, in the caller's transaction."""

    def __init__(self, connection: Connection, log: LeafLog, entries: Iterable[Entry]) -> None:
        self._log = log
        self._known = standing(connection, [entry.id for entry in entries])

    def of(self, entries: Sequence[Entry]) -> list[int]:
        """Their indexes. Raises PermanentFailure, and adds none, when an id stands already for other bytes."""
        fresh: dict[str, bytes] = {}
        for entry in entries:
            _, leaf = self._known.get(entry.id, (0, None))
            if entry.leaf != (leaf or fresh.setdefault(entry.id, entry.leaf)):
                raise PermanentFailure(f"id: {entry.id!r} is not allowed; another leaf has it already")
        for entry in entries:
            if entry.id not in self._known:
                self._known[entry.id] = (self._log.add(entry), entry.leaf)
        return [self._known[entry.id][0] for entry in entries]


def standing(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Index and bytes of the leaves with these ids, as far as the log has them."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(_STANDING_SQLITE, (json.dumps(ids),))
    else:
        rows = connection.exec_driver_sql(_STANDING_POSTGRESQL, (list(ids),))
    return {leaf_id: (index, as_bytes(leaf)) for leaf_id, index, leaf in rows}


class _Request:
    """What one producer wants added, and what it is told."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._indexes: list[int] = []
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def take(self, places: Places) -> None:
        """Take the places of its leaves; it alone fails when an id is taken."""
        self._error = None
        try:
            self._indexes = places.of(self.entries)
        except PermanentFailure as error:
            self._error = error

    def fail(self, error: BaseException) -> None:
        self._error = error

    def release(self) -> None:
        """Let the producer go on."""
        self._done.release()

    def result(self) -> list[int]:
        """Wait for the transaction; the indexes, or what went wrong with it."""
        self._done.acquire()
        if self._error:
            raise copy(self._error) from self._error  # several producers may be told of one
        return self._indexes
