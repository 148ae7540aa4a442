"""What the audit log costs: appends against the disk, proofs, and how soon a long log is ready after it is opened.

python benchmarks/audit_log.py [--json] [--quick] [--folder DIR] [--database sqlite|postgresql]

Both databases in one run, each as durable as it comes. The figures of one run and how to read them:
docs/reference/benchmarks.md.
"""

import argparse
import json
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Measurement, as_json, compare, machine, seconds, show
from rich.console import Console
from trail import CLOCK, opened, postgresql, sync_rate

from necto_pipelines.audit.merkle import node_hash
from necto_pipelines.books.books import Books
from necto_pipelines.books.engine import transaction
from necto_pipelines.books.ids import new_uuid
from necto_pipelines.books.tiles import CACHED_TILES, TileCache, tree
from necto_pipelines.model.clock import rfc3339

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
PRODUCERS = 16
BATCHES = (100, 1_000)
GOALS: dict[str, tuple[str, Callable[[Measurement], bool]]] = {
    "one_producer": ("0.8 of the disk's syncs", lambda found: found.ratio >= 0.8),
    "many_producers_sqlite": ("8,000/s", lambda found: found.figure >= 8_000),
    "batch_1000_postgresql": ("40,000/s", lambda found: found.figure >= 40_000),
    "paths_warm": ("20,000/s", lambda found: found.figure >= 20_000),
    "first_append": ("20 ms", lambda found: found.figure <= 0.020),
    "first_proof": ("50 ms", lambda found: found.figure <= 0.050),
}
"""by the beginning of a measurement's name: what is aimed at, and whether it was reached"""


@dataclass(frozen=True)
class Amounts:
    """How much is measured."""

    rounds: int
    appends: int
    rows: int
    log: int
    paths: int
    proofs: int


FULL = Amounts(rounds=7, appends=200, rows=20_000, log=1_000_000, paths=20_000, proofs=200)
QUICK = Amounts(rounds=1, appends=32, rows=1_000, log=2_000, paths=50, proofs=5)


def main() -> None:
    """Measure, and print a table or one JSON object; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="once and little: shows that it runs, measures nothing")
    parser.add_argument("--database", choices=NAMES, help="only this one")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(__file__).parents[1] / "build",
        help="on the disk to be measured; what is written there is removed again (default: build/)",
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    amounts, progress = QUICK if given.quick else FULL, Console(stderr=True)
    facts, measurements = machine(), []
    for database in [given.database] if given.database else NAMES:
        made = tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder)
        with made as folder, progress.status(f"measuring: {NAMES[database]}"):
            measurements += measure(database, Path(folder), amounts)
    goals = judged(measurements)
    if given.json:
        print(json.dumps(json.loads(as_json(measurements, facts, quick=given.quick)) | {"goals": goals}, indent=2))
        return
    show(Console(), measurements, facts)
    for name, goal in goals.items():
        print(f"{'reached' if goal['reached'] else 'missed '}  {name}: {goal['goal']}")


def measure(database: str, folder: Path, amounts: Amounts) -> list[Measurement]:
    """Every measurement on one database, one after the other."""
    with served(database, folder) as url:
        with opened(url, folder / "files") as books:
            found = measure_appends(database, books, folder, amounts)
            fill(books, amounts.log)
            books.sign()
        found += measure_reopening(database, url, folder, amounts)
        with opened(url, folder / "files") as books:
            found += measure_proofs(database, books, amounts)
            if not books.verify().ok:
                raise RuntimeError("the log that was just written is broken")
    return found


@contextmanager
def served(database: str, folder: Path) -> Iterator[str]:
    """The URL of a new database."""
    if database == "sqlite":
        yield f"sqlite:///{folder / 'books.db'}"
    else:
        with postgresql(folder / "postgresql") as url:
            yield url


def measure_appends(database: str, books: Books, folder: Path, amounts: Amounts) -> list[Measurement]:
    """Leaves that are on the disk when their producer goes on."""
    name = NAMES[database]
    kinds: list[tuple[str, str, Callable[[], float]]] = [
        ("one_producer", "one producer", lambda: single_rate(books, amounts.appends, 1)),
        (
            "many_producers",
            f"{PRODUCERS} producers",
            lambda: single_rate(books, amounts.appends * PRODUCERS, PRODUCERS),
        ),
        *(
            (f"batch_{size}", f"batches of {size:,}", lambda size=size: batch_rate(books, amounts.rows, size))
            for size in BATCHES
        ),
    ]
    return [
        compare(
            f"{key}_{database}",
            f"durable appends, {name}, {what}",
            figure,
            "fdatasync of 4 KiB in the same folder",
            lambda: sync_rate(folder, amounts.appends),
            unit="per s",
            repetitions=amounts.rounds,
        )
        for key, what, figure in kinds
    ]


def measure_reopening(database: str, url: str, folder: Path, amounts: Amounts) -> list[Measurement]:
    """The first act on books that were just opened, against the same act a moment later."""
    acts: dict[str, tuple[str, Callable[[Books], object]]] = {
        "first_append": ("append", lambda books: books.append(small_event())),
        "first_proof": ("proof", lambda books: books.proof(amounts.log // 3)),
    }
    found = []
    for key, (what, act) in acts.items():
        last: list[float] = []

        def first(act: Callable[[Books], object] = act, last: list[float] = last) -> float:
            with opened(url, folder / "files") as books:
                taken = [seconds(lambda: act(books)) for _ in range(2)]
            last.append(taken[1])
            return taken[0]

        def second(last: list[float] = last, first: Callable[[], float] = first) -> float:
            if not last:
                first()
            return last[-1]

        found.append(
            compare(
                f"{key}_{database}",
                f"first {what} after opening {amounts.log:,} leaves, {NAMES[database]}",
                first,
                f"the {what} after it",
                second,
                unit="s",
                repetitions=amounts.rounds,
            )
        )
    return found


def measure_proofs(database: str, books: Books, amounts: Amounts) -> list[Measurement]:
    """Audit paths in the whole log: from tiles that are kept, from tiles that are read, and as a whole proof."""
    draw = random.Random(1)
    size = books.audit_size()
    recent = min(size, CACHED_TILES * 128)
    newest = [size - 1 - draw.randrange(recent) for _ in range(amounts.paths)]
    anywhere = [draw.randrange(amounts.log) for _ in range(amounts.proofs)]
    cache = TileCache()

    def paths(indexes: list[int], kept: TileCache | None) -> Callable[[], float]:
        def made() -> float:
            with transaction(books._engine, write=False) as connection:
                stored = tree(connection, size, kept)
                return len(indexes) / seconds(lambda: [stored.inclusion(index) for index in indexes])

        return made

    def whole() -> float:
        return len(anywhere) / seconds(lambda: [books.proof(index) for index in anywhere])

    def hashed() -> float:
        steps = size.bit_length()
        digest = bytes(32)
        return amounts.proofs / seconds(lambda: [node_hash(digest, digest) for _ in range(steps * amounts.proofs)])

    paths(newest, cache)()
    kinds = {
        "paths_warm": (f"audit paths of the newest {recent:,} leaves, tiles kept", paths(newest, cache)),
        "paths_cold": ("audit paths of any leaves, tiles read each time", paths(anywhere, None)),
        "proofs": ("proofs of any leaves: entry, path and checkpoint, checked", whole),
    }
    return [
        compare(
            f"{key}_{database}",
            f"{what}, {NAMES[database]}",
            figure,
            f"hashing a path of {size.bit_length()} hashes",
            hashed,
            unit="per s",
            repetitions=amounts.rounds,
        )
        for key, (what, figure) in kinds.items()
    ]


def judged(measurements: list[Measurement]) -> dict[str, dict[str, Any]]:
    """Each measurement that has a goal, and whether it was reached."""
    return {
        found.name: {"goal": goal, "reached": reached(found)}
        for found in measurements
        for beginning, (goal, reached) in GOALS.items()
        if found.name.startswith(beginning)
    }


def single_rate(books: Books, appends: int, producers: int) -> float:
    """Leaves per second when each producer waits for each of its leaves."""

    def produce() -> None:
        for _ in range(appends // producers):
            books.append(small_event())

    threads = [threading.Thread(target=produce) for _ in range(producers)]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return appends // producers * producers / seconds(run)


def batch_rate(books: Books, rows: int, size: int) -> float:
    """Leaves per second in batches, each of them one transaction; making the events is not counted."""
    batches = [[small_event() for _ in range(size)] for _ in range(-(-rows // size))]
    return len(batches) * size / seconds(lambda: [books.append_all(batch) for batch in batches])


def fill(books: Books, leaves: int) -> None:
    """Make the log so long."""
    while (missing := leaves - books.audit_size()) > 0:
        books.append_all(small_event() for _ in range(min(missing, 4_000)))


def small_event() -> dict[str, Any]:
    """An event of about 200 bytes, as they come in bulk."""
    now = CLOCK.now()
    return {
        "v": 2,
        "id": str(new_uuid(now)),
        "ts": rfc3339(now),
        "type": "quote.seen",
        "actor": {"kind": "service", "name": "benchmark"},
        "body": {"network": "akash", "usd_per_hour": "1.25"},
    }


if __name__ == "__main__":
    main()
