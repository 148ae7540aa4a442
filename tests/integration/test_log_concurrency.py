"""Four processes append to one log at once: no gap, nothing twice, and every index that was returned proves.

NECTO_FULL_TESTS=1 has each process append 2,000 leaves.
"""

# Fixtures come by import and are asked for by name.
# ruff: noqa: F811

import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from support.books_backends import ACTOR, Backend, backend, books, migrated_file, postgres  # noqa: F401
from support.log_events import an_event, check_log

from necto_pipelines.books.books import Books

pytestmark = pytest.mark.integration
PROCESSES = 4
THREADS = 8
APPENDS = 2_000 if os.environ.get("NECTO_FULL_TESTS") else 300
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "necto_pipelines.books.books"])

Placed = list[tuple[str, int]]
"""ids of leaves, each with the index that was returned for it"""


def in_four_processes(work: Callable[[Books, int], Any], backend: Backend) -> list[Any]:
    """The results of `work(books, number)` of four processes that begin at the same moment."""
    gate = CONTEXT.Barrier(PROCESSES)
    ways = [CONTEXT.Pipe(duplex=False) for _ in range(PROCESSES)]
    processes = [
        CONTEXT.Process(target=_started_together, args=(work, backend, gate, number, answer))
        for number, (_, answer) in enumerate(ways)
    ]
    for process in processes:
        process.start()
    results = [result.recv() if result.poll(120) else None for result, _ in ways]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    return results


def _started_together(work: Callable[[Books, int], Any], backend: Backend, gate: Any, number: int, answer: Any) -> None:
    opened = backend.open()
    gate.wait(60)
    result = work(opened, number)
    opened.close()
    answer.send(result)


def append_singly(opened: Books, number: int) -> Placed:
    """Each thread waits for each of its leaves."""

    def produce(thread: int) -> Placed:
        placed = []
        for count in range(thread, APPENDS, THREADS):
            event = an_event(writer=number, count=count)
            placed.append((event["id"], opened.append(event)))
        return placed

    with ThreadPoolExecutor(THREADS) as pool:
        return [each for placed in pool.map(produce, range(THREADS)) for each in placed]


def append_in_every_way(opened: Books, number: int) -> Placed:
    """One process changes rows, one appends batches, two post; all of them drain the inbox now and then."""
    placed: Placed = []
    for count in range(30):
        if number == 0:
            with opened.change(ACTOR) as change:
                change.set_budget(f"centre-{count}", Decimal(count + 1))
        elif number == 1:
            events = [an_event(count=count) for _ in range(60)]
            placed += zip([event["id"] for event in events], opened.append_all(events), strict=True)
        else:
            event = an_event(writer=number)
            opened.post(event)
            placed.append((event["id"], -1))
        if count % 7 == number:
            opened.sequence()
    return placed


def append_the_same(opened: Books, number: int) -> list[int]:
    return [opened.append(an_event(f"event-{count}", count=count)) for count in range(40)]


def ids(books: Books) -> list[str]:
    return [json.loads(entry.leaf)["id"] for entry in books.leaves()]


def test_appends_of_four_processes_leave_no_gap_and_each_index_proves(books: Books, backend: Backend):
    placed = [each for result in in_four_processes(append_singly, backend) for each in result]
    assert sorted(index for _, index in placed) == list(range(PROCESSES * APPENDS))
    standing = ids(books)
    assert all(standing[index] == leaf_id for leaf_id, index in placed)
    assert len(set(standing)) == PROCESSES * APPENDS
    check_log(books, [index for _, index in placed])


def test_changes_batches_and_posted_leaves_of_four_processes_meet_in_one_log(books: Books, backend: Backend):
    placed = [each for result in in_four_processes(append_in_every_way, backend) for each in result]
    books.sequence()
    standing = ids(books)
    assert len(standing) == len(set(standing)) == 30 + 30 * 60 + 2 * 30
    assert {leaf_id for leaf_id, _ in placed} <= set(standing)
    assert all(standing[index] == leaf_id for leaf_id, index in placed if index >= 0)
    check_log(books, range(0, len(standing), 11))


def test_a_leaf_that_four_processes_append_stands_once(books: Books, backend: Backend):
    results = in_four_processes(append_the_same, backend)
    assert results == [results[0]] * PROCESSES
    assert sorted(results[0]) == list(range(40))
    check_log(books, results[0])
