"""The question as tables: which columns they have, what is wrong with them, and the problem they pose."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from necto_pipelines.failures import InvalidInput
from necto_pipelines.failures import Problem as Fault
from necto_pipelines.model.decision import Refusal
from necto_pipelines.routing.optimum.candidates import Offers, Requirements, Sets, Wishes
from necto_pipelines.routing.optimum.problem import Floats, Ints, Problem, Scarcity, assemble

_PAIRS = 10_000_000
"""pairs looked at together, some hundreds of MB; the bound covers those left out too"""
_FEWEST, _MOST = 64, 512
"""pairs an order at first"""

OFFER_COLUMNS = ("offer_id", "gpu", "gpu_memory_gib", "country", "evidence", "usd_per_gpu_hour", "gpus_available")
ORDER_COLUMNS = (
    "order_id",
    "gpus_needed",
    "gpu_any_of",
    "min_gpu_memory_gib",
    "country_any_of",
    "evidence_all_of",
    "hours",
    "max_usd_per_gpu_hour",
    "cost_centre",
    "refusal_cost_usd",
)
BUDGET_COLUMNS = ("cost_centre", "limit_usd")


@dataclass(frozen=True)
class Limits:
    """How good a plan must be, and what it must keep besides capacity and budgets. Empty means no such limit."""

    gap: float = 5e-4
    """(cost - bound) / cost at which the search ends; 0 asks for the optimum"""
    usd_per_provider: Mapping[str, float] = field(default_factory=dict)
    """most USD placed at a provider (column `provider` of the offers)"""
    usd_per_network: Mapping[str, float] = field(default_factory=dict)
    """most USD placed in a network (column `network` of the offers)"""


@dataclass(frozen=True)
class Question:
    """Tables that passed every check, sorted by their ids, so that the order in which rows come changes nothing."""

    order_ids: pa.ChunkedArray
    offer_ids: pa.ChunkedArray
    requirements: Requirements
    refusal_cost: Floats
    group: Ints | None
    scarcities: tuple[Scarcity, ...]

    @classmethod
    def of(
        cls,
        orders: pa.Table | pd.DataFrame,
        offers: pa.Table | pd.DataFrame,
        budgets: pa.Table | pd.DataFrame,
        limits: Limits,
    ) -> "Question":
        """Raises InvalidInput with everything that is wrong with the tables."""
        orders, offers, budgets = (_arrow(each) for each in (orders, offers, budgets))
        _check(orders, offers, budgets, limits)
        orders = _listed(orders, "gpu_any_of", "country_any_of", "evidence_all_of").sort_by("order_id")
        offers = _listed(offers, "evidence").sort_by("offer_id")
        return cls(
            orders["order_id"],
            offers["offer_id"],
            Requirements(*_columns(orders, offers)),
            _numbers(orders, "refusal_cost_usd"),
            _codes(orders, "group"),
            tuple(_scarcities(orders, offers, budgets, limits)),
        )

    def first_width(self, gap: float) -> Ints:
        """How many pairs of each order to look at first: for the optimum, as many as memory allows."""
        orders = len(self.order_ids)
        return np.full(orders, np.clip(_PAIRS // max(orders, 1), _FEWEST, _MOST if gap > 0 else None))

    def problem(self, most: Ints) -> Problem:
        """The problem with the `most[order]` cheapest fitting offers of each order."""
        pairs = self.requirements.pairs(most)
        return assemble(
            units=self.requirements.wishes.gpus,
            refusal_cost=self.refusal_cost,
            capacity=self.requirements.offers.gpus,
            order=pairs.order,
            offer=pairs.offer,
            cost=pairs.cost,
            tail_cost=pairs.tail_cost,
            group=self.group,
            limits=self.scarcities,
        )


def _scarcities(orders: pa.Table, offers: pa.Table, budgets: pa.Table, limits: Limits) -> list[Scarcity]:
    """Budgets, and the limits that were asked for."""
    once = np.ones(orders.num_rows)
    centre = pc.index_in(_text(orders["cost_centre"]), value_set=_text(budgets["cost_centre"])).to_numpy()
    result = [Scarcity(Refusal.BUDGET, centre, None, once, True, _numbers(budgets, "limit_usd"))]
    for column, most in (("provider", limits.usd_per_provider), ("network", limits.usd_per_network)):
        if most:
            key = pc.index_in(_text(offers[column]), value_set=pa.array(sorted(most), pa.large_string()))
            ceiling = np.array([most[name] for name in sorted(most)], dtype=np.float64)
            result.append(Scarcity(Refusal.CONCENTRATION, None, _or_none(key), once, True, ceiling))
    apart = _codes(orders, "apart")
    domain = _codes(offers, "failure_domain" if "failure_domain" in offers.column_names else "provider")
    if apart is not None and domain is not None and apart.max(initial=-1) >= 0:
        domains = int(domain.max(initial=0)) + 1
        ceiling = np.ones((int(apart.max()) + 1) * domains)
        result.append(Scarcity(Refusal.APART, np.where(apart < 0, -1, apart * domains), domain, once, False, ceiling))
    return result


def _columns(orders: pa.Table, offers: pa.Table) -> tuple[Offers, Wishes]:
    """The requirements as numbers: names become codes that both tables share."""
    gpus, countries, evidence = (
        pc.unique(pa.chunked_array([*_text(left).chunks, *_text(right).chunks], pa.large_string()))
        for left, right in (
            (offers["gpu"], _flat(orders["gpu_any_of"])),
            (offers["country"], _flat(orders["country_any_of"])),
            (_flat(offers["evidence"]), _flat(orders["evidence_all_of"])),
        )
    )
    return (
        Offers(
            gpu=pc.index_in(_text(offers["gpu"]), value_set=gpus).to_numpy(),
            memory_gib=_numbers(offers, "gpu_memory_gib"),
            country=pc.index_in(_text(offers["country"]), value_set=countries).to_numpy(),
            evidence=_sets(offers["evidence"], evidence),
            usd_per_gpu_hour=_numbers(offers, "usd_per_gpu_hour"),
            gpus=_whole(offers, "gpus_available"),
        ),
        Wishes(
            gpus=_whole(orders, "gpus_needed"),
            gpu_any_of=_sets(orders["gpu_any_of"], gpus),
            memory_gib=_numbers(orders, "min_gpu_memory_gib"),
            country_any_of=_sets(orders["country_any_of"], countries),
            evidence_all_of=_sets(orders["evidence_all_of"], evidence),
            hours=_numbers(orders, "hours"),
            max_usd_per_gpu_hour=_numbers(orders, "max_usd_per_gpu_hour"),
        ),
    )


def _check(orders: pa.Table, offers: pa.Table, budgets: pa.Table, limits: Limits) -> None:
    """Raise InvalidInput with everything that is wrong with the tables."""
    named = {"orders": orders, "offers": offers, "budgets": budgets}
    wanted = {"orders": ORDER_COLUMNS, "offers": OFFER_COLUMNS, "budgets": BUDGET_COLUMNS}
    extra = [
        name for name, most in (("provider", limits.usd_per_provider), ("network", limits.usd_per_network)) if most
    ]
    wanted["offers"] = (*OFFER_COLUMNS, *extra)
    faults = [
        Fault(f"{table}.{column}", None, "the table needs this column")
        for table, columns in wanted.items()
        for column in columns
        if column not in named[table].column_names
    ]
    if faults:
        raise InvalidInput(faults)
    for table, column in (("orders", "order_id"), ("offers", "offer_id"), ("budgets", "cost_centre")):
        counts = named[table][column].value_counts()
        twice = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
        faults += [Fault(f"{table}.{column}", row["values"].as_py(), "each may occur once") for row in twice[:1]]
    for table, column, least in _LEAST:
        values = named[table][column]
        numbers = pc.cast(values, pa.float64())
        wrong = values.filter(
            pc.invert(pc.fill_null(pc.and_(pc.greater_equal(numbers, least), pc.is_finite(numbers)), False))
        )
        faults += [Fault(f"{table}.{column}", value.as_py(), f"a number from {least:g}") for value in wrong[:1]]
    centres = _text(orders["cost_centre"])
    unknown = centres.filter(pc.invert(pc.is_in(centres, value_set=_text(budgets["cost_centre"]))))
    faults += [Fault("orders.cost_centre", name.as_py(), "one that has a row in budgets") for name in unknown[:1]]
    if faults:
        raise InvalidInput(faults)


_LEAST = (
    ("orders", "gpus_needed", 1.0),
    ("orders", "min_gpu_memory_gib", 0.0),
    ("orders", "hours", 0.0),
    ("orders", "max_usd_per_gpu_hour", 0.0),
    ("orders", "refusal_cost_usd", 0.0),
    ("offers", "gpu_memory_gib", 0.0),
    ("offers", "usd_per_gpu_hour", 0.0),
    ("offers", "gpus_available", 0.0),
    ("budgets", "limit_usd", 0.0),
)


def _arrow(table: pa.Table | pd.DataFrame) -> pa.Table:
    return table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.large_string())


def _listed(table: pa.Table, *columns: str) -> pa.Table:
    """The table with these columns as lists of names, whatever kind of list they came as."""
    for column in columns:
        lists = pc.cast(table[column], pa.large_list(pa.large_string()))
        table = table.set_column(table.column_names.index(column), column, lists)
    return table


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pc.list_flatten(chunk) for chunk in column.chunks], pa.large_string())


def _numbers(table: pa.Table, column: str) -> Floats:
    return np.asarray(pc.cast(table[column], pa.float64()).to_numpy())


def _whole(table: pa.Table, column: str) -> Ints:
    return np.asarray(pc.cast(table[column], pa.int64()).to_numpy())


def _sets(column: pa.ChunkedArray, names: pa.Array) -> Sets:
    lists = pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    code = pc.index_in(pc.list_flatten(lists), value_set=names)
    return Sets(pc.list_parent_indices(lists).to_numpy(), code.to_numpy())


def _codes(table: pa.Table, column: str) -> Ints | None:
    """Names as numbers in the order of the names, -1 where there is none; None when the table has no such column."""
    if column not in table.column_names:
        return None
    names = pc.unique(_text(table[column]).drop_null()).sort()
    return _or_none(pc.index_in(_text(table[column]), value_set=names))


def _or_none(codes: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(codes, -1).to_numpy())
