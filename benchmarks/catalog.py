"""`make bench`: what the catalog costs: refreshing it, and asking it. Ratios against yardsticks of the same run.

python benchmarks/catalog.py [--offers 100000] [--skypilot DIR] [--repetitions 3] [--quick] [--json] [--folder DIR]

`--skypilot` names a folder of price lists in SkyPilot's format (`…/<cloud>/vms.csv`), which are then what is asked;
without it a made-up table of the same size and shape is. The figures of one run and how to read them:
docs/reference/benchmarks.md.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import Extent, Measurement, compare, machine, seconds
from rich import box
from rich.console import Console
from rich.table import Table

STATEMENT = (
    "Times belong to the machine; the ratios do not. Both sides of each ratio took turns in the same process, and the"
    " ratio is of the medians of their processor times."
)


def main() -> None:
    """Measure, and print tables or one JSON object; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offers", type=int, default=100_000, help="offers in the refresh (default: %(default)s)")
    parser.add_argument("--skypilot", type=Path, help="folder of price lists to ask (default: a made-up table)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each side (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="once and little: shows that it runs, measures nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "build", help="where to write")
    given = parser.parse_args()
    if given.quick:
        given.offers, given.repetitions = 400, 1
    given.folder.mkdir(parents=True, exist_ok=True)
    facts, progress = machine(), Console(stderr=True)
    # Imported here: not before --help was answered.
    from querying import measure_queries
    from refreshing import measure_refresh

    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder,
        progress.status(f"refreshing {given.offers:,} offers"),
    ):
        refresh = measure_refresh(given.offers, given.repetitions, Path(folder))
    with progress.status("asking"):
        queries = measure_queries(given.skypilot, given.repetitions, quick=given.quick)
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "quick": given.quick,
        "statement": STATEMENT,
        "machine": facts,
        "refresh": [asdict(each) | {"ratio": each.ratio} for each in refresh],
        "queries": asdict(queries),
    }
    if given.json:
        print(json.dumps(document, indent=2))
    else:
        show(Console(), document)


def show(console: Console, document: dict[str, Any]) -> None:
    """Tables for people."""
    table = _table("Refreshing", "what", "s (wall)", "MiB", "yardstick", "s (wall)", "MiB", "ratio")
    for each in document["refresh"]:
        ours, yardstick = ((_pair(side), _mib(side["peak_mib"])) for side in (each["ours"], each["yardstick"]))
        table.add_row(each["what"], *ours, each["yardstick_what"], *yardstick, f"{each['ratio']:.2f} ×")
    console.print(table)
    asked = document["queries"]
    table = _table(
        f"{asked['queries']} questions to {asked['rows']:,} rows ({asked['source']}); every answer is the naive one's",
        *("", "p50 ms", "p99 ms", "max ms", "p50 wall", "p99 wall", "times ours"),
    )
    for name, spread in asked["spreads"].items():
        figures = (spread[key] for key in ("p50_ms", "p99_ms", "max_ms", "p50_wall_ms", "p99_wall_ms"))
        table.add_row(name, *(f"{figure:.3f}" for figure in figures), f"{asked['times_ours'][name]:.3g} ×")
    console.print(table)
    console.print(f"Building the index, once for each catalog: {asked['load_s']:.2f} s of processor time.")
    console.print(document["statement"], style="dim")
    console.print("  ".join(f"{name} {value}" for name, value in document["machine"].items()), style="dim")


def measure_catalog(extent: Extent) -> list[Measurement]:
    """For `spine.py`: normalising `extent.offers` offers, against reading the same JSON and writing the table."""
    from refreshing import made, normalised, parquet_of, read_only

    answers = made(extent.offers)
    table = normalised(answers)

    def least_work() -> None:
        read_only(answers)
        parquet_of(table)

    return [
        compare(
            "catalog_normalisation",
            f"{table.num_rows:,} offers from {answers.size_mib:.0f} MiB of networks' JSON to an Arrow table",
            lambda: seconds(lambda: normalised(answers)),
            "json.loads of the same bytes, and writing the table as Parquet",
            lambda: seconds(least_work),
            unit="s",
            repetitions=extent.repetitions,
        )
    ]


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("", "what", "yardstick") else "right", overflow="fold")
    return table


def _pair(side: dict[str, Any]) -> str:
    return f"{side['cpu_s']:.2f} ({side['wall_s']:.2f})"


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


if __name__ == "__main__":
    main()
