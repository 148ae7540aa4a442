"""Ask the catalog: which offers fit, cheapest first, and why the others do not.

Built once from tables, asked many times: texts become codes, figures become arrays, and all of it is put in the order
of price, with the rows of each GPU in a list, so that a question costs the rows of one GPU and not the whole table.
Figures are float64 here: they choose and sort, they are never paid.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.gpu import FP16_TFLOPS

SortKey = Literal["price", "score", "vram", "age"]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Test = Callable[[Rows | slice], Mask]
"""of some rows, or of all without copying them"""
_ALL: Final = slice(None)
_NONE: Final[Rows] = np.empty(0, dtype=np.intp)
_FEW: Final = 16
"""up to this part of all rows it is quicker to sort them than to pick them from the whole order"""


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
    """The offers of one moment, ready to be asked. Positions count rows of the frame it was made from.

    Within, rows stand in the order of price: what was found needs no sorting, and a column is read from end to end.
    """

    def __init__(self, offers: pd.DataFrame, scores: pd.DataFrame | None = None) -> None:
        """From a frame of OFFERS and, for scores and compliance, one of COMPLIANCE_SCORES; without it none complies."""
        self.offers = offers
        self._score_at, compliant, refusals = _verdicts(offers, scores)
        self._position: Rows = np.lexsort((_ranks(offers["offer_id"]), _floats(offers["usd_per_gpu_hour"])))
        order = self._position
        self._network, self._country, self._region, family, key = (
            _Codes(offers[c], order) for c in ("network", "country", "region", "gpu_family", "gpu_key")
        )
        self._price, self._vram, self._cpu, self._memory, self._disk = (
            _floats(offers[c])[order] for c in ("usd_per_gpu_hour", "vram_gib", "cpu_cores", "memory_gib", "disk_gib")
        )
        self._gpus = np.minimum(_floats(offers["units_available"]), _floats(offers["max_gpus_per_order"]))[order]
        self._interruptible = offers["interruptible"].to_numpy(dtype=bool, na_value=True)[order]
        self._tflops = np.array([*(FP16_TFLOPS.get(name, np.nan) for name in family.names), np.nan])[family.codes]
        self._score, self._compliant = self._score_at[order], compliant[order]
        self._refusals = _Codes(refusals, order)
        self._of_gpu = family.rows() | key.rows()
        observed = offers["observed_at"].astype("int64[pyarrow]").to_numpy(dtype=np.int64)[order]
        self._orders = {"score": _Order(-self._score), "vram": _Order(-self._vram), "age": _Order(-observed)}

    def select(self, query: Query) -> Rows:
        """Positions of the offers that fit, in the order asked for; ties in the order of price, then of offer id."""
        if query.gpu is None:
            fitting = [fits(_ALL) for fits, _ in self._tests(query)]
            rows = np.flatnonzero(np.logical_and.reduce(fitting)) if fitting else np.arange(len(self._position))
        else:
            rows = self._of_gpu.get(query.gpu, _NONE)
            for fits, _ in self._tests(query):
                rows = rows[fits(rows)]
        if query.sort != "price":
            rows = self._orders[query.sort].sorted(rows)
        return self._position[rows[: query.limit]]

    def explain(self, query: Query) -> list[tuple[int, tuple[Refusal, ...]]]:
        """Every offer that does not fit: (position, all its reasons), cheapest first."""
        # The reasons of a row as one number, a bit for each: rows share few sets of reasons, each is spelled out once.
        failed = np.zeros(len(self._position), dtype=np.int64)
        words: list[Refusal] = []
        if query.gpu is not None:
            words.append(Refusal.GPU)
            failed[:] = 1
            failed[self._of_gpu.get(query.gpu, _NONE)] = 0
        for fits, reason in self._tests(query):
            misfit = ~fits(_ALL)
            if reason is Refusal.NO_EVIDENCE:  # always the last: above its bit stands what compliance found
                failed[misfit] |= (1 + 2 * self._refusals.codes[misfit]) << len(words)
            else:
                failed |= misfit.astype(np.int64) << len(words)
            words.append(reason)
        rows = np.flatnonzero(failed)
        which, distinct = pd.factorize(failed[rows])
        spelled = [self._spelled(int(bits), words) for bits in distinct]
        reasons = map(spelled.__getitem__, which.tolist())
        return list(zip(self._position[rows].tolist(), reasons, strict=True))

    def score(self, row: int) -> int | None:
        """The compliance score of the offer's provider; None when nobody judged it."""
        score = self._score_at[row]
        return None if np.isnan(score) else int(score)

    def _spelled(self, bits: int, words: Sequence[Refusal]) -> tuple[Refusal, ...]:
        """The reasons that the bits stand for."""
        found = [word for number, word in enumerate(words) if bits >> number & 1]
        if Refusal.NO_EVIDENCE in found:
            known = self._refusals.names[bits >> len(words)]
            found[-1:] = [Refusal(word) for word in known.split(",")]
        return tuple(dict.fromkeys(found))

    def _tests(self, query: Query) -> Iterator[tuple[Test, Refusal]]:
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


class _Codes:
    """A column of texts as small integers, in the order of price; missing, -1, is a text of its own that nothing is."""

    def __init__(self, column: "pd.Series[Any]", order: Rows) -> None:
        codes, names = pd.factorize(column)
        self.codes: Rows = codes[order]
        self.names = [str(name) for name in names]

    def among(self, wanted: Collection[str]) -> Test:
        """Whether the text is one of `wanted`."""
        allowed = np.array([name in wanted for name in self.names] + [False])  # -1 reads the last one
        return lambda rows: allowed[self.codes[rows]]

    def rows(self) -> dict[str, Rows]:
        """For each text the rows that hold it, in the order of price."""
        by_code = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[by_code], np.arange(len(self.names) + 1))
        return {name: by_code[starts[n] : starts[n + 1]] for n, name in enumerate(self.names)}


class _Order:
    """Another order than that of price, least first; among equals that of price. NaN comes last."""

    def __init__(self, key: npt.NDArray[Any]) -> None:
        self._rows: Rows = np.argsort(key, kind="stable")
        self._place: Rows = np.empty_like(self._rows)
        self._place[self._rows] = np.arange(len(key))

    def sorted(self, rows: Rows) -> Rows:
        """`rows` in this order."""
        if len(rows) * _FEW < len(self._rows):
            return rows[np.argsort(self._place[rows])]
        found = np.zeros(len(self._rows), dtype=bool)
        found[rows] = True
        return self._rows[found[self._rows]]


def _ranks(column: "pd.Series[Any]") -> Rows:
    """Where each text stands among all."""
    return np.asarray(pc.rank(pa.array(column), tiebreaker="dense"), dtype=np.intp)


def _floats(column: "pd.Series[Any]") -> Floats:
    """The nearest floats: the same that the texts of a query give. Arrow's own cast of decimals is off by a digit."""
    exact = pa.array(column)
    if pa.types.is_decimal(exact.type):
        exact = exact.cast(pa.string())
    return np.asarray(exact.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _verdicts(offers: pd.DataFrame, scores: pd.DataFrame | None) -> tuple[Floats, Mask, "pd.Series[Any]"]:
    """Score, compliance and refusals of each offer's provider; NaN, False and no evidence where nobody judged it."""
    if scores is None:
        nobody = pd.Series([str(Refusal.NO_EVIDENCE)] * len(offers), dtype=pd.ArrowDtype(pa.string()))
        return np.full(len(offers), np.nan), np.zeros(len(offers), dtype=bool), nobody
    keys = ["network", "provider"]
    joined = offers[keys].merge(scores[[*keys, "score", "compliant", "refusals"]], on=keys, how="left")
    refusals = joined["refusals"].fillna(str(Refusal.NO_EVIDENCE))
    return _floats(joined["score"]), joined["compliant"].to_numpy(dtype=bool, na_value=False), refusals


def _at_least(column: Floats, least: float) -> Test:
    return lambda rows: column[rows] >= least


def _at_most(column: Floats, most: float) -> Test:
    return lambda rows: column[rows] <= most


def _true(column: Mask) -> Test:
    return lambda rows: column[rows]
