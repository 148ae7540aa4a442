"""Several threads and processes on the same books: changes follow one another, and each act happens once."""

# Fixtures come by import and are asked for by name.
# ruff: noqa: F811

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.books_backends import ACTOR, Backend, backend, books, migrated_file, postgres  # noqa: F401
from support.books_steps import events, give_budget, leased, submitted
from support.samples import sample_charge, sample_invoice

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.failures import Refused
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Charge

pytestmark = pytest.mark.integration
PROCESSES = multiprocessing.get_context("spawn")


class Four:
    """Four processes that open the same books and begin at the same moment."""

    def __init__(self, pool: Any, gate: Any) -> None:
        self._pool, self._gate = pool, gate

    def run(self, work: Callable[..., Any], backend: Backend) -> list[Any]:
        """The results of `work(books, number)` for the numbers 0 to 3, each in its own process."""
        tasks = [(work, backend, self._gate, number) for number in range(4)]
        return self._pool.starmap(_started_together, tasks, chunksize=1)


@pytest.fixture(scope="module")
def four() -> Iterator[Four]:
    with PROCESSES.Manager() as manager:
        pool = PROCESSES.Pool(4)
        yield Four(pool, manager.Barrier(4))
        # Let them end: a pool that is terminated may wait for one of its processes for ever.
        pool.close()
        pool.join()


def _started_together(work: Callable[..., Any], backend: Backend, gate: Any, number: int) -> Any:
    opened = backend.open()
    gate.wait(60)
    try:
        return work(opened, number)
    finally:
        opened.close()


def append_fifty(opened: Books, number: int) -> list[int]:
    indexes = []
    for count in range(50):
        with opened.change(ACTOR) as change:
            indexes.append(change.note("run.started", {"planned": f"writer {number}", "steps": count}))
    return indexes


def claim_all(opened: Books, number: int) -> list[str]:
    claimed = []
    for order in opened.orders():
        run_id = f"run-{number}"
        with opened.change(Actor("service", "procurement", run_id=run_id)) as change:
            claimed += [found.id for found in change.claim([order.id], run_id)]
    return claimed


def hold_all(opened: Books, number: int) -> int:
    held = 0
    for order in opened.orders()[number::4]:
        with suppress(Refused), opened.change(ACTOR) as change:
            change.hold(order.id, Decimal("7.50"))
            held += 1
    return held


def begin_all(opened: Books, number: int) -> list[str]:
    begun = []
    (order,) = opened.orders()
    for count in range(20):
        with opened.change(ACTOR) as change:
            effect, now = change.begin_effect(f"k{count}", "swap", order.id, 1, {"writer": number})
        begun += [effect.key] if now else []
    return begun


def issue_all(opened: Books, number: int) -> list[str]:
    """Process 0 fails in each invoice it begins, the others finish them."""
    numbers = []
    for tenant in [f"tenant-{count}" for count in range(12)]:
        with suppress(ZeroDivisionError), opened.change(ACTOR) as change:
            invoice = change.issue_invoice(tenant, "2026-11", sample_invoice if number else _broken_build)
            numbers += [invoice.number] if invoice else []
    return numbers


def _broken_build(number: str, charges: Sequence[Charge]) -> Invoice:
    raise ZeroDivisionError


def sign_often(opened: Books, number: int) -> int:
    signed = 0
    for _ in range(10):
        with opened.change(ACTOR) as change:
            change.note("run.started", {"planned": f"writer {number}"})
        signed += opened.sign() is not None
    return signed


def read_key(opened: Books, number: int) -> str:
    return opened.vkey


def test_four_processes_append_fifty_leaves_each_without_a_gap(books: Books, backend: Backend, four: Four):
    indexes = four.run(append_fifty, backend)
    assert sorted(index for each in indexes for index in each) == list(range(200))
    for each in indexes:
        assert each == sorted(each)
    found = Counter(event["body"]["planned"] for event in events(books))
    assert found == {f"writer {number}": 50 for number in range(4)}
    assert books.verify().ok


def test_eight_threads_append_without_a_gap(books: Books):
    with ThreadPoolExecutor(8) as pool:
        indexes = list(pool.map(lambda number: append_fifty(books, number), range(8)))
    assert sorted(index for each in indexes for index in each) == list(range(400))
    assert books.verify().ok


def test_of_all_runs_that_claim_an_order_one_wins(books: Books, backend: Backend, four: Four):
    orders = [submitted(books).id for _ in range(25)]
    claimed = four.run(claim_all, backend)
    assert sorted(order for each in claimed for order in each) == sorted(orders)
    for number, each in enumerate(claimed):
        assert {books.order(order).run_id for order in each} <= {f"run-{number}"}


def test_holds_taken_at_the_same_time_never_exceed_the_budget(books: Books, backend: Backend, four: Four):
    give_budget(books, 100)
    for _ in range(40):
        submitted(books, budget_usd=Decimal(1))
    held = four.run(hold_all, backend)
    assert sum(held) == 13, "13 x 7.50 = 97.50, the fourteenth does not fit"
    assert books.budget("research").held_usd == Decimal("97.50")
    assert books.verify().ok


def test_an_act_is_begun_by_one_process_only(books: Books, backend: Backend, four: Four):
    order = submitted(books)
    begun = four.run(begin_all, backend)
    assert sorted(key for each in begun for key in each) == sorted(f"k{count}" for count in range(20))
    assert len(books.effects(order.id)) == 20


def test_invoice_numbers_have_no_gap_under_concurrency_and_failures(books: Books, backend: Backend, four: Four):
    lease = leased(books)
    with books.change(ACTOR) as change:
        change.record_charges(
            sample_charge(lease.order_id, lease.id, f"chg_{count}", tenant=f"tenant-{count}") for count in range(12)
        )
    numbers = [number for each in four.run(issue_all, backend) for number in each]
    assert sorted(numbers) == [f"NECTO-2026-{count:06d}" for count in range(1, 13)]
    assert [invoice.number for invoice in books.invoices()] == sorted(numbers)
    assert books.verify().ok


def test_processes_that_sign_at_once_sign_one_history(books: Books, backend: Backend, four: Four):
    assert sum(four.run(sign_often, backend)) >= 1
    books.sign()
    verdict = books.verify()
    assert verdict.ok
    assert (verdict.size, verdict.covered) == (40, 40)
    assert verdict.checkpoints == len(list(backend.checkpoints.iterdir()))


def test_books_verify_at_any_moment_while_others_write_and_sign(books: Books):
    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(sign_often, books, number) for number in range(2)]
        verdicts = [books.verify()]
        while not all(work.done() for work in working):
            verdicts.append(books.verify())
        assert sum(work.result() for work in working) > 0  # one may sign all that both wrote
    assert [verdict.faults for verdict in verdicts if not verdict.ok] == []


def test_processes_that_open_new_books_at_once_share_one_key(
    request: pytest.FixtureRequest, backend: Backend, four: Four, tmp_path: Path
):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    if backend.name == "postgresql":
        url = request.getfixturevalue("postgres").empty_database()
    fresh = Backend(backend.name, url, tmp_path / "fresh")
    assert len(set(four.run(read_key, fresh))) == 1
    opened = fresh.open()
    give_budget(opened)
    assert opened.verify().ok
    opened.close()


def die_in_a_change(backend: Backend, ready: Any) -> None:
    with backend.open().change(ACTOR) as change:
        change.set_budget("research", Decimal(1))
        change.note("run.started", {"planned": "to die"})
        change.finish()
        ready.set()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_in_a_change_leaves_nothing_and_blocks_nobody(books: Books, backend: Backend):
    give_budget(books, 500)
    before = (books.budgets(), books.leaves())
    ready = PROCESSES.Event()
    process = PROCESSES.Process(target=die_in_a_change, args=(backend, ready))
    process.start()
    process.join(60)
    assert ready.is_set()
    assert process.exitcode == -signal.SIGKILL
    assert (books.budgets(), books.leaves()) == before
    give_budget(books, 600)
    assert (books.audit_size(), books.verify().ok) == (2, True)
