"""Ask the catalog: which offers fit, cheapest first, and why the others do not.

Built once from tables, asked many times: texts become codes, figures become arrays, and each GPU has the list of its
rows already in the order of price, so that a question costs the rows of one GPU and not the whole table. Figures are
float64 here: they choose and sort, they are never paid.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.gpu import FP16_TFLOPS

SortKey = Literal["price", "score", "vram", "age"]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Query:
    """What is looked for. None, zero or empty asks nothing; amounts are in the units of their names."""

    networks: frozenset[str] = frozenset()
    gpu: str | None = None
    """a family (`H100`) or a key (`H100-80GB`), as `model.gpu.wanted_gpu` writes them"""
    min_vram_gib: float = 0
    min_fp16_tflops: float = 0
    """dense FP16 of one GPU; a GPU whose figure is not known does not fit"""
    gpus: int = 1
    """how many GPUs one order needs"""
    min_cpu_cores: float = 0
    min_memory_gib: float = 0
    min_disk_gib: float = 0
    countries: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    interruptible: bool = True
    """False leaves out offers that their provider may take back"""
    compliant: bool = False
    """True takes only providers that pass the house policy"""
    min_score: float = 0
    max_usd_per_gpu_hour: float | None = None
    sort: SortKey = "price"
    limit: int | None = None


class Catalog:
    """The offers of one moment, ready to be asked. Positions count rows of the frame it was made from."""

    def __init__(self, offers: pd.DataFrame, scores: pd.DataFrame | None = None) -> None:
        """From a frame of OFFERS and, for scores and compliance, one of COMPLIANCE_SCORES; without it none complies."""
        self.offers = offers
        self._network, self._country = _Codes(offers["network"]), _Codes(offers["country"])
        self._region, self._family, self._key = (_Codes(offers[c]) for c in ("region", "gpu_family", "gpu_key"))
        self._price, self._vram = _floats(offers["usd_per_gpu_hour"]), _floats(offers["vram_gib"])
        self._gpus = np.minimum(_floats(offers["units_available"]), _floats(offers["max_gpus_per_order"]))
        self._cpu, self._memory, self._disk = (_floats(offers[c]) for c in ("cpu_cores", "memory_gib", "disk_gib"))
        self._interruptible = offers["interruptible"].to_numpy(dtype=bool, na_value=True)
        self._observed = offers["observed_at"].astype("int64[pyarrow]").to_numpy(dtype=np.int64)
        self._tflops = np.array([FP16_TFLOPS.get(name, np.nan) for name in self._family.names])[self._family.codes]
        self._score, self._compliant, self._refusals = _verdicts(offers, scores)
        ids = _Codes(offers["offer_id"], ordered=True).codes
        self._by_price: Rows = np.lexsort((ids, self._price))
        self._of_gpu = self._family.positions(self._by_price) | self._key.positions(self._by_price)

    def select(self, query: Query) -> Rows:
        """Positions of the offers that fit, in the order asked for; ties in the order of price, then of offer id."""
        rows = self._by_price if query.gpu is None else self._of_gpu.get(query.gpu, self._by_price[:0])
        for fits, _ in self._tests(query):
            rows = rows[fits(rows)]
        return self._sorted(rows, query.sort)[: query.limit]

    def explain(self, query: Query) -> list[tuple[int, tuple[Refusal, ...]]]:
        """Every offer that does not fit: (position, all its reasons), cheapest first."""
        reasons: dict[int, list[Refusal]] = {}
        if query.gpu is not None:
            mine = np.zeros(len(self.offers), dtype=bool)
            mine[self._of_gpu.get(query.gpu, self._by_price[:0])] = True
            reasons = {int(row): [Refusal.GPU] for row in self._by_price[~mine[self._by_price]]}
        for fits, reason in self._tests(query):
            for row in self._by_price[~fits(self._by_price)]:
                found = self._refusals[row].split(",") if reason is Refusal.NO_EVIDENCE else [reason]
                reasons.setdefault(int(row), []).extend(Refusal(word) for word in found)
        return [(row, tuple(dict.fromkeys(reasons[row]))) for row in map(int, self._by_price) if row in reasons]

    def score(self, row: int) -> int | None:
        """The compliance score of the offer's provider; None when nobody judged it."""
        score = self._score[row]
        return None if np.isnan(score) else int(score)

    def _tests(self, query: Query) -> Iterator[tuple[Callable[[Rows], Mask], Refusal]]:
        """What the query asks beyond the GPU's name, each as a test on positions with the reason it stands for."""
        for codes, wanted, reason in (
            (self._country, query.countries, Refusal.COUNTRY),
            (self._region, query.regions, Refusal.REGION),
            (self._network, query.networks, Refusal.NETWORK),
        ):
            if wanted:
                yield codes.among(wanted), reason
        for column, least, reason in (
            (self._vram, query.min_vram_gib, Refusal.VRAM),
            (self._tflops, query.min_fp16_tflops, Refusal.COMPUTE),
            (self._gpus, query.gpus, Refusal.CAPACITY),
            (self._cpu, query.min_cpu_cores, Refusal.MACHINE),
            (self._memory, query.min_memory_gib, Refusal.MACHINE),
            (self._disk, query.min_disk_gib, Refusal.MACHINE),
            (self._score, query.min_score, Refusal.SCORE),
        ):
            if least > 0:
                yield _at_least(column, least), reason
        if query.max_usd_per_gpu_hour is not None:
            yield _at_most(self._price, query.max_usd_per_gpu_hour), Refusal.PRICE_CAP
        if not query.interruptible:
            yield _true(~self._interruptible), Refusal.INTERRUPTIBLE
        if query.compliant:
            yield _true(self._compliant), Refusal.NO_EVIDENCE

    def _sorted(self, rows: Rows, key: SortKey) -> Rows:
        """`rows` come in the order of price; any other order is a stable sort on top of it."""
        if key == "price":
            return rows
        by = {"score": -self._score, "vram": -self._vram, "age": -self._observed}[key]
        return rows[np.argsort(by[rows], kind="stable")]


class _Codes:
    """A column of texts as small integers; missing is a text of its own that nothing is among."""

    def __init__(self, column: pd.Series, *, ordered: bool = False) -> None:
        codes, names = pd.factorize(column, sort=ordered)
        self.codes: Rows = codes
        self.names = [str(name) for name in names]

    def among(self, wanted: Collection[str]) -> Callable[[Rows], Mask]:
        """A test on positions: whether the text is one of `wanted`."""
        allowed = np.array([name in wanted for name in self.names] + [False])  # code -1, missing, reads the last one
        return lambda rows: allowed[self.codes[rows]]

    def positions(self, order: Rows) -> dict[str, Rows]:
        """For each text the positions that hold it, in the order of `order`."""
        codes = self.codes[order]
        by_code = order[np.argsort(codes, kind="stable")]
        starts = np.searchsorted(np.sort(codes), np.arange(len(self.names) + 1))
        return {name: by_code[starts[n] : starts[n + 1]] for n, name in enumerate(self.names)}


def _floats(column: pd.Series) -> Floats:
    return np.asarray(column.astype("float64[pyarrow]").to_numpy(na_value=np.nan), dtype=np.float64)


def _verdicts(offers: pd.DataFrame, scores: pd.DataFrame | None) -> tuple[Floats, Mask, list[str]]:
    """Score, compliance and refusals of each offer's provider; NaN, False and no evidence where nobody judged it."""
    if scores is None:
        return np.full(len(offers), np.nan), np.zeros(len(offers), dtype=bool), [Refusal.NO_EVIDENCE] * len(offers)
    keys = ["network", "provider"]
    joined = offers[keys].merge(scores[[*keys, "score", "compliant", "refusals"]], on=keys, how="left")
    refusals = joined["refusals"].fillna(Refusal.NO_EVIDENCE).tolist()
    return _floats(joined["score"]), joined["compliant"].to_numpy(dtype=bool, na_value=False), refusals


def _at_least(column: Floats, least: float) -> Callable[[Rows], Mask]:
    return lambda rows: column[rows] >= least


def _at_most(column: Floats, most: float) -> Callable[[Rows], Mask]:
    return lambda rows: column[rows] <= most


def _true(column: Mask) -> Callable[[Rows], Mask]:
    return lambda rows: column[rows]
