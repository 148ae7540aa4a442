"""Questions to a catalog of some 110,000 rows, in process: ours, a naive one, and a bare scan of one column.

Every answer of ours is held against the naive one's, row for row.
"""

import csv
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.gpu import FP16_TFLOPS, Gpu, normalise_gpu
from necto_pipelines.model.tables import COMPLIANCE_SCORES, OFFERS
from necto_pipelines.routing.catalog import Catalog, Query

SEED: Final = 3
ROWS: Final = 110_000
QUESTIONS: Final = 600
EXPLAINED: Final = 100
CLOUD_ROWS: Final = {"azure": 56_671, "gcp": 31_285, "aws": 22_291, "lambda": 425, "shadeform": 118, "vast": 64}
"""rows of published lists (2026), whose proportions the made-up table has"""
GPU_SHARE: Final = 0.05
"""of the rows of those lists; all others are machines without GPUs"""
CARDS: Final = (
    ("T4", 16), ("V100", 16), ("A100", 40), ("A100", 80), ("H100", 80), ("H200", 141), ("L4", 24), ("L40S", 48),
    ("A10", 24), ("K80", 12), ("RTX4090", 24), ("MI300X", 192),
)  # fmt: skip
COUNTRIES: Final = (
    ("europe-west3", "DE"), ("eu-central-1", "DE"), ("germany", "DE"), ("europe-west4", "NL"), ("westeurope", "NL"),
    ("europe-west2", "GB"), ("uk", "GB"), ("eu-west-2", "GB"), ("canada", "CA"), ("ca-", "CA"), ("northamerica", "CA"),
    ("japan", "JP"), ("northeast1", "JP"), ("us", "US"), ("france", "FR"), ("asia-southeast1", "SG"),
)  # fmt: skip
"""where a region lies, by a part of its name; the first that fits. The others have no country, as in many real lists"""


@dataclass(frozen=True)
class Spread:
    """How long answers took, milliseconds: processor time, and what passed on the clock."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    p50_wall_ms: float
    p99_wall_ms: float


@dataclass(frozen=True)
class Asked:
    """What was asked of what, and what it took; `times_ours` are medians over the median of ours, warm."""

    source: str
    rows: int
    queries: int
    found: int
    """offers in all answers together"""
    load_s: float
    spreads: Mapping[str, Spread]
    times_ours: Mapping[str, float]


def measure_queries(folder: Path | None, repetitions: int, *, quick: bool = False) -> Asked:
    """Ask the lists below `folder`, or the made-up table. RuntimeError when an answer differs from the naive one."""
    chance = random.Random(SEED)
    offers, scores = _tables(read_lists(folder) if folder else made_up(2_000 if quick else ROWS, chance), chance)
    queries = questions(offers, QUESTIONS // 10 if quick else QUESTIONS, chance)
    start = time.process_time()
    catalog = Catalog(offers, scores)
    load_s = time.process_time() - start
    naive = Naive(offers, scores)
    prices = naive.table["usd"].to_numpy()

    def scan(query: Query) -> object:
        return np.flatnonzero(prices <= (query.max_usd_per_gpu_hour or 1.0))

    sides: dict[str, Callable[[Query], object]] = {"ours": catalog.select, "naive pandas": naive.select, "scan": scan}
    taken: dict[str, list[tuple[int, int]]] = {
        name: []
        for name in ("ours, cold", "ours, warm", "ours, --explain", "naive pandas", "bare scan of one numpy column")
    }
    names = {"ours": "ours, warm", "naive pandas": "naive pandas", "scan": "bare scan of one numpy column"}
    found = 0
    for turn in range(repetitions + 1):
        for query in queries:
            answers = {}
            for side, ask in sides.items():
                answers[side], cost = _timed(ask, query)
                if turn or side == "ours":
                    taken[names[side] if turn else "ours, cold"].append(cost)
            _same(query, answers["ours"], answers["naive pandas"])
            found += len(answers["ours"]) if turn == 0 else 0
    for query in queries[:EXPLAINED]:
        excluded, cost = _timed(catalog.explain, query)
        taken["ours, --explain"].append(cost)
        everything = len(catalog.select(_unlimited(query))) + len(excluded)
        if everything != len(offers):
            raise RuntimeError(f"{query}: {everything} of {len(offers)} rows are found or explained")
    spreads = {name: _spread(costs) for name, costs in taken.items()}
    ours = spreads["ours, warm"].p50_ms
    return Asked(
        source=f"price lists below {folder.name}" if folder else "made up",
        rows=len(offers),
        queries=len(queries),
        found=found,
        load_s=load_s,
        spreads=spreads,
        times_ours={name: spread.p50_ms / ours for name, spread in spreads.items()},
    )


def _tables(machines: Iterator["Machine"], chance: random.Random) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = list(machines)
    return OFFERS.frame(_offers(rows, chance)), COMPLIANCE_SCORES.frame(_judged(rows, chance))


@dataclass(frozen=True)
class Machine:
    """A row of a price list, as far as offers have a column for it."""

    cloud: str
    instance: str
    gpu: Gpu | None
    gpus: int
    cpu_cores: float
    memory_gib: float
    usd: Decimal | None
    region: str
    country: str | None


def read_lists(folder: Path) -> Iterator[Machine]:
    """Every row of every `<cloud>/vms.csv` below the folder, machines without GPUs too.

    Prices are taken as they stand, though some are wrong: this measures questions. What may be believed of such a list
    is for `market/clouds` to say.
    """
    files = sorted(folder.rglob("vms.csv"))
    if not files:
        raise SystemExit(f"--skypilot {folder}: no vms.csv below it; name a folder with <cloud>/vms.csv")
    for file in files:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines, restkey="beyond", restval=""):
                yield _machine(row, file.parent.name)


def made_up(rows: int, chance: random.Random) -> Iterator[Machine]:
    """Rows in the proportions of real lists: clouds, share of GPUs, many regions, prices over four orders."""
    lands, ways = ("us", "eu", "asia", "uk", "canada"), ("east", "west")
    regions = [f"{land}-{way}{number}" for land in lands for way in ways for number in range(18)]
    for cloud in chance.choices(list(CLOUD_ROWS), weights=list(CLOUD_ROWS.values()), k=rows):
        name, vram = chance.choice(CARDS)
        gpus = chance.choice((1, 1, 2, 4, 8)) if chance.random() < GPU_SHARE else 0
        cores = chance.choice((1, 2, 4, 8, 16, 32, 64, 96, 128))
        region = chance.choice(regions)
        yield Machine(
            cloud=cloud,
            instance=f"{cloud}-{cores}",
            gpu=normalise_gpu(name, memory_gib=vram) if gpus else None,
            gpus=gpus,
            cpu_cores=cores,
            memory_gib=cores * chance.choice((2, 4, 8)),
            usd=Decimal(round(cores * 0.05 * chance.lognormvariate(0, 0.8) * 10**4)) / 10**4,
            region=region,
            country=_country(cloud, region),
        )


def questions(offers: pd.DataFrame, count: int, chance: random.Random) -> list[Query]:
    """Distinct questions as people and routers ask them: most for a GPU, some for anything that is large enough."""
    texts = {name: [str(value) for value in offers[name].dropna().unique()] for name in ("gpu_family", "gpu_key",
             "region", "country", "network")}  # fmt: skip
    asked: dict[Query, None] = {}
    while len(asked) < count:
        about_gpu = chance.random() < 0.75
        gpu = chance.choice(texts[chance.choice(("gpu_family", "gpu_key"))]) if about_gpu else None
        query = Query(
            gpu=gpu if chance.random() < 0.9 else None,
            gpus=chance.choice((1, 1, 2, 4, 8)) if about_gpu else chance.choice((0, 0, 1)),
            networks=_some(texts["network"], 0.15, chance),
            countries=_some(texts["country"], 0.3, chance),
            regions=_some(texts["region"], 0.1, chance),
            min_vram_gib=chance.choice((0, 0, 16, 24, 40, 80)) if about_gpu else 0,
            min_fp16_tflops=chance.choice((0, 0, 0, 100, 300)) if about_gpu else 0,
            min_cpu_cores=chance.choice((0, 0, 4, 16, 64)),
            min_memory_gib=chance.choice((0, 0, 16, 64, 256)),
            max_usd_per_gpu_hour=chance.choice((None, None, 0.5, 1.0, 2.5, 5.0, 12.0)),
            min_score=chance.choice((0, 0, 0, 50)),
            compliant=chance.random() < 0.15,
            sort=chance.choice(("price", "price", "price", "price", "vram", "score", "age")),
            limit=chance.choice((None, 10, 20, 100)),
        )
        asked[query] = None
    return list(asked)


class Naive:
    """The same catalog as anybody would write it: a plain pandas table, a mask for each wish, one sort."""

    def __init__(self, offers: pd.DataFrame, scores: pd.DataFrame) -> None:
        plain = {name: offers[name].tolist() for name in offers.columns}
        judgements = zip(*(scores[name] for name in ("provider", "score", "compliant")), strict=True)
        verdicts = {provider: verdict for provider, *verdict in judgements}
        judged = [verdicts[provider] for provider in plain["provider"]]
        self.table = pd.DataFrame(
            {
                **{name: plain[name] for name in ("offer_id", "network", "country", "region", "gpu_family", "gpu_key")},
                **{name: _numbers(plain[name]) for name in ("vram_gib", "cpu_cores", "memory_gib", "disk_gib")},
                "usd": _numbers(plain["usd_per_gpu_hour"]),
                "gpus": np.minimum(_numbers(plain["units_available"]), _numbers(plain["max_gpus_per_order"])),
                "tflops": [FP16_TFLOPS.get(family, np.nan) for family in plain["gpu_family"]],
                "score": _numbers([score for score, _ in judged]),
                "compliant": [bool(compliant) for _, compliant in judged],
                "seen": [-moment.timestamp() for moment in plain["observed_at"]],
            }
        )
        self.table["less_vram"], self.table["less_score"] = -self.table["vram_gib"], -self.table["score"]

    def select(self, query: Query) -> "np.ndarray[Any, Any]":
        """Positions, as `Catalog.select`."""
        table = self.table
        mask = np.ones(len(table), dtype=bool)
        if query.gpu is not None:
            mask &= (table["gpu_family"] == query.gpu) | (table["gpu_key"] == query.gpu)
        for column, wanted in (("network", query.networks), ("country", query.countries), ("region", query.regions)):
            if wanted:
                mask &= table[column].isin(list(wanted))
        for column, least in (
            ("vram_gib", query.min_vram_gib), ("tflops", query.min_fp16_tflops), ("gpus", query.gpus),
            ("cpu_cores", query.min_cpu_cores), ("memory_gib", query.min_memory_gib), ("score", query.min_score),
        ):  # fmt: skip
            if least:
                mask &= table[column] >= least
        if query.max_usd_per_gpu_hour is not None:
            mask &= table["usd"] <= query.max_usd_per_gpu_hour
        if query.compliant:
            mask &= table["compliant"]
        first = {"price": [], "vram": ["less_vram"], "score": ["less_score"], "age": ["seen"]}[query.sort]
        return table[mask].sort_values([*first, "usd", "offer_id"]).index[: query.limit].to_numpy()


def _timed(ask: Callable[[Query], Any], query: Query) -> tuple[Any, tuple[int, int]]:
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    answer = ask(query)
    return answer, (time.thread_time_ns() - cpu, time.perf_counter_ns() - wall)


def _spread(costs: list[tuple[int, int]]) -> Spread:
    cpu, wall = (np.array(column) / 1e6 for column in zip(*costs, strict=True))
    figures = *np.percentile(cpu, (50, 99, 100)), *np.percentile(wall, (50, 99))
    return Spread(*(round(float(figure), 4) for figure in figures))


def _same(query: Query, ours: Any, naive: Any) -> None:
    if not np.array_equal(ours, naive):
        raise RuntimeError(f"{query}: ours is {ours[:5]} ({len(ours)}), the naive answer {naive[:5]} ({len(naive)})")


def _unlimited(query: Query) -> Query:
    return Query(**{**vars(query), "limit": None})


def _machine(row: Mapping[str, Any], cloud: str) -> Machine:
    count = float(row["AcceleratorCount"] or 0)
    gpu = _gpu(row["AcceleratorName"]) if count >= 1 else None
    usd = _number(row["Price"])
    region = row["Region"].strip(", ")
    instance = row["InstanceType"] or f"{row['AcceleratorName']}x{count:g}"
    return Machine(
        cloud=cloud,
        instance=instance,
        gpu=gpu,
        gpus=int(count),
        cpu_cores=float(row["vCPUs"] or 0),
        memory_gib=float(row["MemoryGiB"] or 0),
        usd=usd / int(count) if usd and count >= 1 else usd,
        region=region,
        country=_country(cloud, region),
    )


@cache
def _gpu(name: str) -> Gpu | None:
    return normalise_gpu(name.removesuffix("-MEGA"))


@cache
def _country(cloud: str, region: str) -> str | None:
    if cloud in ("vast", "lium"):  # "Texas, US, NA", "FI"
        return next((part for part in region.split(", ") if len(part) == 2), None)
    return next((code for part, code in COUNTRIES if part in region.lower()), None)


def _offers(rows: list[Machine], chance: random.Random) -> Iterator[dict[str, Any]]:
    """Rows of OFFERS: as many GPUs free as the machine has, seen within the last hour."""
    now = FrozenClock().now()
    for number, row in enumerate(rows):
        yield {
            "offer_id": f"{row.cloud}/{row.instance}/{row.region}/{chance.getrandbits(32):08x}{number:06d}",
            "network": row.cloud, "provider": f"{row.cloud} {row.region}", "provider_name": row.cloud, "gpu": row.gpu,
            "units_available": row.gpus, "max_gpus_per_order": row.gpus, "cpu_cores": row.cpu_cores,
            "memory_gib": row.memory_gib, "disk_gib": 100.0, "country": row.country, "region": row.region,
            "usd_per_gpu_hour": row.usd and row.usd.quantize(Decimal("1E-12")), "price_basis": "list",
            "native_amount": row.usd and row.usd.quantize(Decimal("1E-12")), "native_unit": "USD/hour",
            "interruptible": False, "observed_at": now - timedelta(seconds=chance.randrange(3600)),
            "source": "benchmark", "mode": "snapshot", "raw_sha256": "0" * 64,
        }  # fmt: skip


def _judged(rows: list[Machine], chance: random.Random) -> Iterator[dict[str, Any]]:
    """A verdict on every provider; a third is refused."""
    for network, provider in sorted({(row.cloud, f"{row.cloud} {row.region}") for row in rows}):
        refused = chance.random() < 1 / 3
        yield {
            "network": network, "provider": provider, "provider_name": provider, "policy": "benchmark",
            "score": chance.randrange(40, 101), "compliant": not refused,
            "refusals": "provider_offline,no_evidence" if refused else "", "details": "",
            "evidence_observed_at": FrozenClock().now(), "evidence_sha256": "0" * 64,
        }  # fmt: skip


def _some(values: list[str], share: float, chance: random.Random) -> frozenset[str]:
    return frozenset(chance.sample(values, min(3, len(values)))) if chance.random() < share else frozenset()


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _numbers(values: list[Any]) -> "np.ndarray[Any, Any]":
    return np.array([np.nan if value is None or value is pd.NA else float(value) for value in values])
