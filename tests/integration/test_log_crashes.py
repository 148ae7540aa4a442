"""Killed or failing at any step of writing, the log keeps what was acknowledged and never signs another history.

The harm is done again and again to the same books, each time by a process that goes on where the last one ended.
NECTO_FULL_TESTS=1 takes 200 points on each database.
"""

# Fixtures come by import and are asked for by name.
# ruff: noqa: F811

import json
import multiprocessing
import os
from typing import Any

import pytest
from support.books_backends import Backend, backend, books, migrated_file, postgres  # noqa: F401
from support.failing_points import STEPS, Said, work_until_harmed
from support.log_events import an_event, check_log

from necto_pipelines.books.books import Books

pytestmark = pytest.mark.integration
POINTS = 20
BLOCKS = 10 if os.environ.get("NECTO_FULL_TESTS") else 1
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "necto_pipelines.books.books"])


def harm(backend: Backend, seed: int) -> list[dict[str, Any]]:
    """What a process said that was harmed at the seed's point."""
    said_at = backend.folder / f"said-{seed}"
    process = CONTEXT.Process(target=work_until_harmed, args=(backend, said_at, seed))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -9), (seed, process.exitcode)
    return Said.read(said_at)


def gathered(said: list[dict[str, Any]], kind: str) -> list[Any]:
    return [each for facts in said for each in (facts.get(kind) or [])]


def notes(backend: Backend) -> dict[str, str]:
    """The checkpoints that are outside of the database, by file."""
    files = [*backend.checkpoints.glob("checkpoint.*"), *(backend.folder / "published").glob("checkpoint*")]
    return {str(file): file.read_text() for file in files if file.is_file()}


def check(books: Books, backend: Backend, said: list[dict[str, Any]], before: dict[str, str]) -> None:
    """What must hold after each crash, before and after the log goes on."""
    assert gathered(said, "unexpected") == []
    kept = notes(backend)
    changing = str(backend.folder / "published" / "checkpoint")
    assert {name: note for name, note in kept.items() if name in before and name != changing}.items() <= before.items()
    assert before.keys() <= kept.keys()
    signed = [facts["signed"] for facts in said if facts.get("signed")]
    verdict = books.verify([*before.values(), *kept.values(), *signed])
    assert verdict.ok, verdict.faults[:3]

    standing = [json.loads(entry.leaf)["id"] for entry in books.leaves()]
    appended = dict(gathered(said, "appended"))
    assert all(standing[index] == leaf_id for leaf_id, index in appended.items())
    for facts in said:
        if events := facts.get("tried"):
            indexes = books.append_all(events)
            assert [appended.get(event["id"], index) for event, index in zip(events, indexes, strict=True)] == indexes
    books.sequence()
    standing = [json.loads(entry.leaf)["id"] for entry in books.leaves()]
    assert len(standing) == len(set(standing))
    assert {facts["posted"] for facts in said if "posted" in facts} <= set(standing)
    books.append(an_event())
    assert books.sign() is not None


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_crash_or_failed_write_loses_a_leaf_or_forks_the_log(books: Books, backend: Backend, block: int):
    killed = failed = 0
    passed: list[int] = []
    before: dict[str, str] = {}
    for seed in range(block * POINTS, (block + 1) * POINTS):
        said = harm(backend, seed)
        killed += not any(facts.get("ended") for facts in said)
        failed += any("failed" in facts for facts in said)
        passed += [facts["passed"] for facts in said if "passed" in facts]
        check(books, backend, said, before)
        before = notes(backend)
    check_log(books, range(0, books.audit_size(), 101))
    assert min(killed, failed) >= POINTS // 4
    assert max(passed) > STEPS, "each point that may be chosen can be reached"
