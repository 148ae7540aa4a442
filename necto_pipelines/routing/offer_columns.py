"""The offers of one moment as columns, ready to be held against many orders. What an order asks stands in `matching`.

Texts, exact decimals and times are coded: each different value is kept once and every row says which one it has, so
that a question is put to each value once and not to each row. Counts and sizes are arrays.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.offer import PriceBasis

Value = TypeVar("Value", bound=Hashable)
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_SHOWN: Final = ("offer_id", "network", "provider", "provider_name", "gpu_key", "country", "usd_per_gpu_hour")
"""columns that a candidate takes over as they are, in the order of its fields; `price_basis` comes after them"""
_MAY_BE_MISSING: Final = ("country", "gpus_per_unit", "min_hours", "valid_until", "interruptible")
_COLUMNS: Final = (
    *_SHOWN,
    *("price_basis", "gpu_family", "vram_gib", "units_available", "max_gpus_per_order", "gpus_per_unit", "min_hours"),
    *("cpu_cores", "memory_gib", "disk_gib", "interruptible", "observed_at", "valid_until"),
)


@dataclass(frozen=True)
class Coded(Generic[Value]):
    """A column: its different values, and for each row the place of its own among them."""

    values: Sequence[Value]
    codes: Rows

    @classmethod
    def of(cls, column: Sequence[Value]) -> "Coded[Value]":
        """The values in the order in which they first come."""
        places: dict[Value, int] = {}
        codes = np.array([places.setdefault(value, len(places)) for value in column], dtype=np.intp)
        return cls(list(places), codes)

    def mask(self, test: Callable[[Value], bool]) -> Mask:
        """The rows whose value passes."""
        return np.array([test(value) for value in self.values], dtype=np.bool_)[self.codes]

    def spread(self, each: Sequence[Any]) -> list[Any]:
        """For every row what stands in `each` at the place of its value."""
        return [each[code] for code in self.codes.tolist()]

    def texts(self, rows: Rows, write: Callable[[Value], str]) -> list[str]:
        """A text for each of those rows, written once for each value."""
        codes = self.codes[rows].tolist()
        written = {code: write(self.values[code]) for code in set(codes)}
        return [written[code] for code in codes]


class OfferColumns:
    """The columns of a frame of OFFERS that routing reads. Rows stand in the order of their offer ids.

    PermanentFailure when a value is missing that every offer must have, for such an offer cannot be judged.
    """

    def __init__(self, offers: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(offers[list(_COLUMNS)], preserve_index=False)
        _complete(table)
        read: dict[str, list[Any]] = {name: table[name].to_pylist() for name in _COLUMNS}
        order = sorted(range(table.num_rows), key=read["offer_id"].__getitem__)
        column = {name: [values[row] for row in order] for name, values in read.items()}
        self.ids: list[str] = column["offer_id"]
        self.place = Coded.of(list(zip(column["network"], column["provider"], strict=True)))
        self.network, self.country, self.min_hours, self.unit = (
            Coded.of(column[name]) for name in ("network", "country", "min_hours", "gpus_per_unit")
        )
        self.gpu = Coded.of(list(zip(column["gpu_key"], column["gpu_family"], strict=True)))
        self.vram = Coded.of(column["vram_gib"])
        self.free = Coded.of(list(zip(column["units_available"], column["max_gpus_per_order"], strict=True)))
        self.most_gpus: Ints = np.array([min(each) for each in self.free.values], dtype=np.int64)[self.free.codes]
        sizes = ("cpu_cores", "memory_gib", "disk_gib")
        self.machine = Coded.of(list(zip(*(column[name] for name in sizes), strict=True)))
        self.cores, self.memory, self.disk = (np.array(column[name], dtype=np.float64) for name in sizes)
        self.interruptible: Mask = np.array([value is True for value in column["interruptible"]], dtype=np.bool_)
        basis = [PriceBasis(word) for word in column["price_basis"]]
        self.validity = Coded.of(list(zip(basis, column["observed_at"], column["valid_until"], strict=True)))
        self.price = Coded.of(column["usd_per_gpu_hour"])
        self._prices = sorted(self.price.values)
        rank = {price: place for place, price in enumerate(self._prices)}
        self._price_rank: Rows = np.array([rank[price] for price in self.price.values], dtype=np.intp)[self.price.codes]
        self.tariff = Coded.of(list(zip(self.price.codes.tolist(), self.network.codes.tolist(), strict=True)))
        """the place of the price and that of the network: what is paid follows from both"""
        self.stake = Coded.of(list(zip(self.tariff.codes.tolist(), self.place.codes.tolist(), strict=True)))
        """the place of the tariff and that of the provider: the risk follows from both"""
        shown = zip(*(column[name] for name in _SHOWN), basis, strict=True)
        self.shown = [dict(zip((*_SHOWN, "price_basis"), row, strict=True)) for row in shown]
        """for each row the fields that a candidate takes over, in their order"""

    def above(self, usd_per_gpu_hour: Decimal) -> Mask:
        """The rows whose price is higher."""
        return self._price_rank >= bisect_right(self._prices, usd_per_gpu_hour)

    def smaller(self, cpu_cores: Decimal, memory_gib: Decimal, disk_gib: Decimal) -> Mask:
        """The rows whose provider has less free of any of these."""
        return (
            (self.cores < _at_least(cpu_cores))
            | (self.memory < _at_least(memory_gib))
            | (self.disk < _at_least(disk_gib))
        )

    def of_places(self, places: Collection[tuple[str, str]]) -> Mask:
        """The rows of these (network, provider)."""
        wanted = frozenset(places)
        return self.place.mask(wanted.__contains__)

    def named(self, texts: Mapping[str, str]) -> dict[int, str]:
        """Row -> what `texts` says of its offer id, where it says something."""
        return {row: text for row, offer_id in enumerate(self.ids) if (text := texts.get(offer_id))} if texts else {}


def _at_least(amount: Decimal) -> float:
    """The smallest float that is not below `amount`: what is below the one is below the other, exactly."""
    near = float(amount)
    return near if Decimal(near) >= amount else float(np.nextafter(near, np.inf))


def _complete(table: pa.Table) -> None:
    for name in _COLUMNS:
        column = table[name]
        if name not in _MAY_BE_MISSING and (column.null_count or _has_nan(column)):
            raise PermanentFailure(f"the offers lack a value in column {name}, which every offer must have")


def _has_nan(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_floating(column.type) and np.isnan(column.to_numpy()).any())
