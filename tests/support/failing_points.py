"""A process that works on the books and, at one step of its writing, is killed or told that disk or database failed.

A step is just before or just after a statement, a commit, a COPY, and each call that makes a file durable or names it.
"""

import errno
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal

from support.books_backends import ACTOR, Backend
from support.log_events import an_event

from necto_pipelines.books import log_rows
from necto_pipelines.books.books import Books
from necto_pipelines.failures import NectoError

Harm = Literal["kill", "error"]
STEPS = 360
"""nearly as many as the two rounds of work take"""
ROUNDS = 2
_FILE_CALLS = ("open", "fsync", "link", "replace", "unlink")


class FailingPoint:
    """Counts steps, and does its harm at one of them."""

    def __init__(self, at: int, harm: Harm) -> None:
        self.passed = 0
        self._at = at
        self._harm = harm
        self._lock = threading.Lock()

    def step(self, error: Callable[[], BaseException]) -> None:
        """One more step; at the chosen one the process dies, or the error is raised."""
        with self._lock:
            self.passed += 1
            if self.passed != self._at:
                return
        if self._harm == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise error()

    def around(
        self,
        call: Callable[..., Any],
        error: Callable[[], BaseException],
        instead: Callable[..., Any] = lambda *_, **__: None,
    ) -> Callable[..., Any]:
        """The call with a step before it and one after it; when the one before fails, `instead` is done."""

        def stepping(*given: Any, **named: Any) -> Any:
            try:
                self.step(error)
            except Exception:
                instead(*given, **named)
                raise
            result = call(*given, **named)
            self.step(error)
            return result

        return stepping

    def put_into(self, books: Books) -> None:
        """Make every write of this process a pair of steps."""
        dialect: Any = books._engine.dialect
        broken = dialect.loaded_dbapi.OperationalError
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            setattr(dialect, name, self.around(getattr(dialect, name), lambda: broken("disk I/O error")))
        # PostgreSQL's transaction is over when its commit fails; SQLite's may go on.
        over = {"instead": dialect.do_rollback} if dialect.name == "postgresql" else {}
        dialect.do_commit = self.around(dialect.do_commit, lambda: broken("disk I/O error"), **over)
        log_rows._copy = self.around(log_rows._copy, lambda: NectoError("COPY failed"))
        for name in _FILE_CALLS:
            setattr(os, name, self.around(getattr(os, name), lambda: OSError(errno.EIO, "Input/output error")))


class Said:
    """What the process told before it went on, in a file that survives it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, **facts: Any) -> None:
        os.write(self._handle, (json.dumps(facts) + "\n").encode())

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def work_until_harmed(backend: Backend, said_at: Path, seed: int) -> None:
    """Rounds of appends by two threads, batches, posts, changes, signatures and publications; one step fails."""
    draw = random.Random(seed)
    point = FailingPoint(draw.randrange(1, STEPS), draw.choice(["kill", "error"]))
    said = Said(said_at)
    opened = backend.open()
    point.put_into(opened)
    for count in range(ROUNDS):
        beside = threading.Thread(target=_append_some, args=(opened, said))
        beside.start()
        _append_some(opened, said)
        for act in (_append_batch, _post, _change, _sign, _publish):
            _tried(partial(act, opened, said, backend, count), said)
        beside.join()
    opened.close()
    said.say(ended=True, passed=point.passed)


def _tried(act: Callable[[], None], said: Said) -> None:
    try:
        act()
    except (NectoError, OSError) as error:
        said.say(failed=str(error))
    except BaseException as error:
        said.say(unexpected=repr(error))
        raise


def _append_some(opened: Books, said: Said) -> None:
    for _ in range(3):
        event = an_event()
        said.say(tried=[event])
        _tried(lambda event=event: said.say(appended=[[event["id"], opened.append(event)]]), said)


def _append_batch(opened: Books, said: Said, _backend: Backend, count: int) -> None:
    events = [an_event() for _ in range(60 + 60 * (count % 2))]
    said.say(tried=events)
    indexes = opened.append_all(events)
    said.say(appended=[[event["id"], index] for event, index in zip(events, indexes, strict=True)])


def _post(opened: Books, said: Said, _backend: Backend, _count: int) -> None:
    event = an_event()
    opened.post(event)
    said.say(posted=event["id"])
    opened.sequence()


def _change(opened: Books, said: Said, _backend: Backend, count: int) -> None:
    with opened.change(ACTOR) as change:
        change.set_budget("research", Decimal(count + 1))
    said.say(changed=True)


def _sign(opened: Books, said: Said, _backend: Backend, _count: int) -> None:
    said.say(signed=opened.sign())


def _publish(opened: Books, said: Said, backend: Backend, _count: int) -> None:
    opened.export(backend.folder / "published", proofs=2)
    said.say(published=True)
