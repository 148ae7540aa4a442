"""How near the joint allocation comes to the least possible cost, how fast, and in how much memory.

`python benchmarks/allocation.py --instance DIR` reads `orders.parquet`, `offers.parquet` and `budgets.parquet` there
and writes `plan.parquet` (order_id, offer_id, units) beside them; without `--instance` a market is drawn from
`--orders`, `--offers` and `--seed`. `--compare` solves the same instance greedily and by HiGHS alone in the same run.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from necto_pipelines.failures import InvalidInput
from necto_pipelines.routing.optimum.milp import Effort, reoptimise
from necto_pipelines.routing.optimum.placement import NOWHERE, Choices, Placement
from necto_pipelines.routing.optimum.plans import Plan, plan
from necto_pipelines.routing.optimum.problem import Problem
from necto_pipelines.routing.optimum.questions import Limits, Question

TABLES = ("orders", "offers", "budgets")
_SERIES = ("P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13")
_PLACES = tuple(f"{first}{second}" for first in "ABCDE" for second in "ABCD")
_PAPERS = ("audited", "dpa", "hipaa", "iso27001", "kyb", "pci", "soc2")


def main() -> int:
    """Solve one instance and print what came of it."""
    arguments = _arguments()
    try:
        if arguments.instance:
            tables = [pq.read_table(arguments.instance / f"{name}.parquet") for name in TABLES]
        else:
            tables = draw(arguments.orders, arguments.offers, arguments.seed)
        start, begin = time.perf_counter(), time.process_time()
        result = plan(*tables, limits=Limits(gap=arguments.gap))
    except (InvalidInput, OSError, pa.ArrowInvalid) as error:
        print(error, file=sys.stderr)
        return 2
    figures = _figures(result, tables[0].num_rows) | {
        "wall_s": round(time.perf_counter() - start, 3),
        "cpu_s": round(time.process_time() - begin, 3),
        "peak_mb": round(_peak_mb(), 1),
        "method": result.method,
    }
    target = arguments.instance or arguments.write
    if target:
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(result.assignments.select(["order_id", "offer_id", "units"]), target / "plan.parquet")
    if arguments.write and not arguments.instance:
        for name, table in zip(TABLES, tables, strict=True):
            pq.write_table(table, target / f"{name}.parquet")
    if arguments.compare:
        figures["compared"] = _compared(tables, figures, arguments.time_limit)
    print(json.dumps(figures) if arguments.json else _readable(figures))
    return 0


def draw(orders: int, offers: int, seed: int) -> list[pa.Table]:
    """A random market: orders, offers, budgets.

    Ten series of GPUs, each about 1.4 times as dear as the one before; offers of 1 to 32 GPUs whose prices scatter;
    orders of 1 to 8 GPUs that take two neighbouring series in about a third of twenty countries; ten cost centres with
    nine tenths of what their orders would cost at usual prices.
    """
    random = np.random.default_rng(seed)
    usual = 0.25 * 1.4 ** np.arange(len(_SERIES))
    memory = 12 * (1 + np.arange(len(_SERIES)))
    series, wanted = random.integers(0, len(_SERIES), offers), random.integers(0, len(_SERIES), orders)
    gpus = random.choice([1, 1, 2, 2, 3, 4, 8], orders)
    hours = np.round(random.gamma(2.0, 10.0, orders) + 0.5, 1)
    centre = random.integers(0, 10, orders)
    next_series = np.minimum(wanted + 1, len(_SERIES) - 1)
    expected = gpus * hours * usual[wanted]

    def some(names: tuple[str, ...], share: float, rows: int, least: int) -> list[list[str]]:
        held = random.random((rows, len(names))) < share
        if least:
            held[np.arange(rows), random.integers(0, len(names), rows)] = True
        return [[name for name, has in zip(names, row, strict=True) if has] for row in held]

    return [
        pa.table(
            {
                "order_id": [f"order-{number}" for number in range(orders)],
                "gpus_needed": gpus,
                "gpu_any_of": [sorted({_SERIES[a], _SERIES[b]}) for a, b in zip(wanted, next_series, strict=True)],
                "min_gpu_memory_gib": memory[wanted],
                "country_any_of": some(_PLACES, 0.3, orders, 1),
                "evidence_all_of": some(_PAPERS, 0.15, orders, 0),
                "hours": hours,
                "max_usd_per_gpu_hour": np.round(2.0 * usual[next_series], 4),
                "cost_centre": [f"centre-{number}" for number in centre],
                "refusal_cost_usd": np.full(orders, 10_000.0),
            }
        ),
        pa.table(
            {
                "offer_id": [f"offer-{number}" for number in range(offers)],
                "gpu": [_SERIES[number] for number in series],
                "gpu_memory_gib": memory[series],
                "country": [_PLACES[number] for number in random.integers(0, len(_PLACES), offers)],
                "evidence": some(_PAPERS, 0.5, offers, 0),
                "usd_per_gpu_hour": np.round(usual[series] * random.lognormal(0.0, 0.3, offers), 4),
                "gpus_available": random.choice([1, 2, 4, 6, 8, 16, 32], offers),
            }
        ),
        pa.table(
            {
                "cost_centre": [f"centre-{number}" for number in range(10)],
                "limit_usd": np.round(0.9 * np.bincount(centre, expected, 10), 2),
            }
        ),
    ]


def _compared(tables: list[pa.Table], ours: dict[str, Any], time_limit_s: float) -> dict[str, dict[str, Any]]:
    """Greedy and HiGHS alone on the same instance; `gap` is against our bound, `costs_more` against our cost."""
    question, result = Question.of(*tables, Limits()), {}
    problem = question.problem(question.first_width(gap=5e-4))
    methods: dict[str, Callable[[], tuple[float, int]]] = {
        "greedy": lambda: greedily(problem),
        "highs": lambda: by_highs(problem, columns=64, time_limit_s=time_limit_s),
    }
    for name, method in methods.items():
        start, begin = time.perf_counter(), time.process_time()
        cost, refused = method()
        result[name] = {
            "cost": round(cost, 2),
            "refused": refused,
            "gap": (cost - ours["bound"]) / cost,
            "costs_more": cost / ours["cost"] - 1,
            "wall_s": round(time.perf_counter() - start, 3),
            "cpu_s": round(time.process_time() - begin, 3),
            "times_as_long": round((time.process_time() - begin) / ours["cpu_s"], 2),
            "peak_mb": round(_peak_mb(), 1),
        }
    return result


def greedily(problem: Problem) -> tuple[float, int]:
    """One order after another, as they come, at its cheapest offer with room in the budget. Cost, orders refused."""
    placement = Placement(problem)
    everything = Choices.of(problem, np.arange(len(problem.cost)), problem.cost)
    for order in range(problem.orders):
        placement.settle(everything, order, by_cost=True)
    return placement.cost, int((placement.pair == NOWHERE).sum())


def by_highs(problem: Problem, *, columns: int, time_limit_s: float) -> tuple[float, int]:
    """HiGHS alone, from the greedy plan, over the cheapest `columns` offers of each order and those of that plan."""
    placement = Placement(problem)
    everything = Choices.of(problem, np.arange(len(problem.cost)), problem.cost)
    for order in range(problem.orders):
        placement.settle(everything, order, by_cost=True)
    rank = np.arange(len(problem.cost)) - problem.start[problem.order]
    reoptimise(
        placement,
        np.arange(problem.orders),
        np.flatnonzero(rank < columns),
        Effort(relative_gap=1e-4, nodes=2**31 - 1, time_limit_s=time_limit_s),
    )
    return placement.cost, int((placement.pair == NOWHERE).sum())


def _figures(result: Plan, orders: int) -> dict[str, Any]:
    placed = result.assignments.num_rows
    return {
        "placed": placed,
        "refused": orders - placed,
        "cost": result.cost_usd,
        "bound": result.bound_usd,
        "gap": result.gap,
    }


def _readable(figures: dict[str, Any]) -> str:
    lines = [f"{name:>10}  {value}" for name, value in figures.items() if name != "compared"]
    for name, each in figures.get("compared", {}).items():
        lines += ["", f"{name}:", *(f"{key:>15}  {value}" for key, value in each.items())]
    return "\n".join(lines)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instance", type=Path, help="folder with the three tables; plan.parquet is written there")
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--offers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="folder for the drawn tables and their plan")
    parser.add_argument("--gap", type=float, default=5e-4, help="stop when (cost - bound) / cost is that small")
    parser.add_argument("--compare", action="store_true", help="solve it greedily and by HiGHS alone too")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for HiGHS alone")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
