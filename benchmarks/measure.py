"""What a measurement is, how it is repeated, and how it is shown. What is measured stands in the modules beside this.

A time or a rate alone says more about the machine than about the program. So each figure stands beside a yardstick,
something simple that was measured in turn with it, and only the ratio of the two is worth remembering.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

Unit = Literal["s", "per s"]
LIBRARIES = ("dagster", "pandas", "pyarrow", "sqlalchemy")


@dataclass(frozen=True)
class Measurement:
    """A figure and its yardstick: medians over the repetitions, with the lowest and highest value of each.

    In seconds less is better, in `per s` more is. `ratio` is figure / yardstick.
    """

    name: str
    what: str
    figure: float
    figure_range: tuple[float, float]
    yardstick_what: str
    yardstick: float
    yardstick_range: tuple[float, float]
    unit: Unit
    repetitions: int

    @property
    def ratio(self) -> float:
        """How many times the yardstick the figure is."""
        return self.figure / self.yardstick


@dataclass(frozen=True)
class Extent:
    """How much is measured: as `make bench` does, or just enough to see that everything runs.

    Appends are taken in many short rounds: a shared disk changes its speed tenfold from one second to the next.
    """

    repetitions: int
    offers: int
    orders: int
    append_rounds: int
    appends: int
    entries: int
    proofs: int
    starts: int


FULL = Extent(
    repetitions=5, offers=10_000, orders=5, append_rounds=15, appends=100, entries=20_000, proofs=50, starts=7
)
QUICK = Extent(repetitions=1, offers=100, orders=1, append_rounds=1, appends=8, entries=50, proofs=2, starts=1)


def compare(
    name: str,
    what: str,
    figure: Callable[[], float],
    yardstick_what: str,
    yardstick: Callable[[], float],
    *,
    unit: Unit,
    repetitions: int,
) -> Measurement:
    """Take yardstick and figure in turn, so that a machine that grows busy slows both; each call gives one value.

    A first round warms caches and lazy imports and does not count, unless there is only one.
    """
    rounds = repetitions + (repetitions > 1)
    pairs = [(yardstick(), figure()) for _ in range(rounds)][-repetitions:]
    yardsticks, figures = zip(*pairs, strict=True)
    return Measurement(
        name=name,
        what=what,
        figure=median(figures),
        figure_range=(min(figures), max(figures)),
        yardstick_what=yardstick_what,
        yardstick=median(yardsticks),
        yardstick_range=(min(yardsticks), max(yardsticks)),
        unit=unit,
        repetitions=repetitions,
    )


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes by the wall's clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """What the figures were measured on; nothing that names this very machine."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def as_json(measurements: list[Measurement], facts: dict[str, Any], *, quick: bool) -> str:
    """One object: the day, the machine, and each measurement with its ratio."""
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "quick": quick,
        "machine": facts,
        "measurements": [asdict(each) | {"ratio": each.ratio} for each in measurements],
    }
    return json.dumps(document, indent=2)


def show(console: Console, measurements: list[Measurement], facts: dict[str, Any]) -> None:
    """A table for people."""
    table = Table(
        title="Speed, as ratios against a yardstick of the same run", box=box.SIMPLE_HEAD, title_justify="left"
    )
    for heading in ("measured", "figure", "yardstick", "", "ratio"):
        table.add_column(heading, justify="right" if heading in ("figure", "ratio") else "left", overflow="fold")
    table.columns[3].justify = "right"
    for each in measurements:
        better = "less" if each.unit == "s" else "more"
        figure, yardstick = (_value(value, each.unit) for value in (each.figure, each.yardstick))
        table.add_row(each.what, figure, each.yardstick_what, yardstick, f"{each.ratio:.3g} × ({better} is better)")
    console.print(table)
    console.print("  ".join(f"{name} {value}" for name, value in facts.items()), style="dim")


def _value(value: float, unit: Unit) -> str:
    if unit == "per s":
        return f"{value:,.0f}/s" if value >= 10 else f"{value:.2g}/s"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - not a file on any disk
            named = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(named, platform.processor())
    except OSError:
        return platform.processor()
