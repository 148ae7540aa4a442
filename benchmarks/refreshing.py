"""A refresh of the catalog, from the bytes of networks' answers to tables in the warehouse.

Both sides read the same bytes and write the same table. The yardstick does nothing else: no row is looked at.
"""

import gc
import io
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from answers import Answers, answers_of

from necto_pipelines.assets.discovery import union_of_offers
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.tables import OFFERS
from necto_pipelines.networks.akash import catalog as akash
from necto_pipelines.networks.reading import collector_paused
from necto_pipelines.networks.render import catalog as dispersed
from necto_pipelines.warehouse.warehouse import Warehouse

MODE: Final = SourceMode.SANDBOX
PEAK: Final = Path("/proc/self/clear_refs")
"""Linux: writing 5 here forgets the highest memory use so far"""


@dataclass(frozen=True)
class Cost:
    """Medians over the repetitions; `peak_mib` is memory beyond the answers themselves, None where it is not told."""

    cpu_s: float
    wall_s: float
    peak_mib: float | None = None


@dataclass(frozen=True)
class Compared:
    """What was done and what it cost, beside the least that could be done."""

    what: str
    ours: Cost
    yardstick_what: str
    yardstick: Cost

    @property
    def ratio(self) -> float:
        """Processor time in yardsticks."""
        return self.ours.cpu_s / self.yardstick.cpu_s


def made(offers: int) -> Answers:
    """The answers, always the same for a number of offers."""
    return answers_of(offers, FrozenClock())


def measure_refresh(offers: int, repetitions: int, folder: Path) -> list[Compared]:
    """The refresh of all networks, the same with the joint catalog, and the refresh of each network."""
    answers = made(offers)
    network_tables = {"akash": _akash(answers), "dispersed": _dispersed(answers)}
    if (rows := sum(table.num_rows for table in network_tables.values())) < offers * 0.95:
        raise RuntimeError(f"only {rows} offers were read where about {offers} are")
    cases = {
        "akash": (replace(answers, pages=(), registry=()), ("akash",)),
        "dispersed": (_without_akash(answers), ("dispersed",)),
        "all": (answers, ("akash", "dispersed")),
    }
    found = []
    for name, (part, networks) in cases.items():
        tables = [network_tables[network] for network in networks]
        kept = sum(table.num_rows for table in tables)
        yardstick = partial(least_work, part, tables, folder)
        what = f"{kept:,} offers from {part.size_mib:.0f} MiB of JSON"
        works = {f"{what}, {name}": partial(refresh, part, folder)}
        if name == "all":
            works[f"{what}, and the joint catalog"] = partial(refresh, part, folder, joint=True)
        for label, work in works.items():
            ours, least = _in_turn(work, yardstick, repetitions)
            found.append(Compared(label, ours, "json.loads and Parquet write of the same", least))
    rested = partial(least_work_rested, answers, list(network_tables.values()), folder)
    ours, least = _in_turn(partial(refresh, answers, folder), rested, repetitions)
    found.append(Compared(f"{what}, all", ours, "the same with Python's collector paused", least))
    return found


def refresh(answers: Answers, folder: Path, *, joint: bool = False) -> None:
    """Decode, check, normalise and keep each network's offers; with `joint` read them back and keep the catalog."""
    warehouse = Warehouse(mkdtemp(dir=folder))
    blobs = [warehouse.write_frame(table) for table in _tables(answers)]
    if joint:
        catalog = union_of_offers([warehouse.read_frame(blob.sha256) for blob in blobs])
        warehouse.write_frame(OFFERS.arrow(catalog))


def least_work(answers: Answers, tables: list[pa.Table], folder: Path) -> None:
    """Decode the bytes and forget them; write the tables."""
    read_only(answers)
    for table in tables:
        pq.write_table(table, Path(mkdtemp(dir=folder)) / "table.parquet", compression="zstd")


def least_work_rested(answers: Answers, tables: list[pa.Table], folder: Path) -> None:
    """The same without Python's collector, which takes most of the time of decoding one long list."""
    with collector_paused():
        least_work(answers, tables, folder)


def read_only(answers: Answers) -> None:
    """Decode each answer and forget it."""
    for answer in answers.all:
        json.loads(answer.body)


def normalised(answers: Answers) -> pa.Table:
    """The offers of all networks as one table."""
    return pa.concat_tables(_tables(answers)).combine_chunks()


def parquet_of(table: pa.Table) -> None:
    """Write the table into memory."""
    pq.write_table(table, io.BytesIO(), compression="zstd")


def _tables(answers: Answers) -> list[pa.Table]:
    return [read(answers) for read, there in ((_akash, answers.akash), (_dispersed, answers.pages)) if there]


def _akash(answers: Answers) -> pa.Table:
    return OFFERS.arrow(OFFERS.frame(akash.offers_of(*answers.akash, mode=MODE).rows))


def _dispersed(answers: Answers) -> pa.Table:
    return OFFERS.arrow(OFFERS.frame(dispersed.offers_of(answers.pages, answers.registry, mode=MODE).rows))


def _without_akash(answers: Answers) -> Answers:
    return replace(answers, akash=())


def _in_turn(work: Callable[[], None], yardstick: Callable[[], None], repetitions: int) -> tuple[Cost, Cost]:
    """Both costs. A first round warms caches and lazy imports and does not count."""
    taken: list[list[tuple[float, float]]] = [[], []]
    for _ in range(repetitions + 1):
        for samples, each in zip(taken, (yardstick, work), strict=True):
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            each()
            samples.append((time.process_time() - cpu, time.perf_counter() - wall))
    least, ours = (
        Cost(median(cpu for cpu, _ in samples[1:]), median(wall for _, wall in samples[1:]), _peak_of(each))
        for samples, each in zip(taken, (yardstick, work), strict=True)
    )
    return ours, least


def _peak_of(work: Callable[[], None]) -> float | None:
    """The memory it takes in a process of its own, where nothing was freed before that it could use again, MiB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        return other.submit(_peak, work).result()


def _peak(work: Callable[[], None]) -> float | None:
    if not PEAK.exists():
        return None
    gc.collect()
    PEAK.write_text("5")
    before = _memory_mib("VmRSS")
    work()
    return _memory_mib("VmHWM") - before


def _memory_mib(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0
