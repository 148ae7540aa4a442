"""Build the packaged table of cloud GPU prices: `python scripts/build_cloud_reference.py SOURCE.csv`.

SOURCE has the columns cloud, instance, gpu, gpu_count, gpu_mem_gib, region, usd_per_hour, usd_per_gpu_hour,
spot_usd_per_hour, as_of and source (others are ignored). The same source gives the same bytes. What is left out is
printed with its reason. Reading the table is `necto_pipelines/market/clouds/reference.py`.
"""

import argparse
import csv
import io
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Final

from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.money import plain

TABLE: Final = Path(__file__).parent.parent / "necto_pipelines" / "market" / "reference" / "cloud_gpu_prices.csv"
COLUMNS: Final = ("cloud", "gpu", "instance", "gpu_count", "region", "usd_per_hour", "as_of", "source")

PER_GPU_STEP: Final = Decimal("0.00001")
"""the gathered per-GPU figures are rounded to five decimals"""
LEAST_SHARE_OF_MEDIAN: Final = Decimal("0.7")
"""a machine more than 30 % under its own median over the cloud's regions is a catalogue fault, not a bargain: that is
how published lists came to show GCP's H100 at half its price (skypilot-catalog issue 31 and its kin)"""

MEMORY_GIB: Final = {
    # MicrosoftDocs/azure-compute-docs nccadsh100v5-series.md @05e75b14: one H100 NVL of 94 GB; price lists say 80
    "Standard_NCC40ads_H100_v5": Decimal(94),
}
NOT_FOR_HIRE: Final = {
    # MicrosoftDocs/azure-compute-docs retirement/retired-sizes-list.md @0bdc5d34; the price list still names them
    r"Standard_NC\d+r?s_v3": "retired on 2025-09-30",
    # dstackai/gpuhunt pull request 233: AWS no longer describes them
    r"p3\.\d*xlarge": "no longer sold",
    # half the price of the next size, which holds one whole A10, and no document says that it holds a whole one too
    r"Standard_NC8ads_A10_v4": "share of a GPU not documented",
}

DATE: Final = re.compile(r"\d{4}(-\d{2}-\d{2})?")
"""a source that does not show its commit's day is dated by its year: no day is made up"""

Row = Mapping[str, str]


def build(rows: Iterable[Row]) -> tuple[str, list[tuple[Row, str]]]:
    """The table as CSV text, sorted, and the rows left out, each with its reason."""
    table: list[Row] = []
    dropped: list[tuple[Row, str]] = []
    for row in rows:
        if reason := _fault(row):
            dropped.append((row, reason))
        else:
            table.append(_compact(row))
    prices = defaultdict(list)
    for row in table:
        prices[row["cloud"], row["instance"]].append(Decimal(row["usd_per_hour"]))
    usual = {machine: median(of_all_regions) for machine, of_all_regions in prices.items()}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(table, key=lambda row: [row[name] for name in COLUMNS]):
        median_usd = usual[row["cloud"], row["instance"]]
        if Decimal(row["usd_per_hour"]) < median_usd * LEAST_SHARE_OF_MEDIAN:
            dropped.append((row, f"more than 30 % under the median of its regions, {median_usd}"))
        else:
            writer.writerow(row)
    return text.getvalue(), dropped


def _fault(row: Row) -> str | None:
    """Why the row cannot stand in the table; None when it can."""
    count, usd_per_hour = Decimal(row["gpu_count"]), Decimal(row["usd_per_hour"] or 0)
    per_gpu, spot = Decimal(row["usd_per_gpu_hour"] or 0), Decimal(row["spot_usd_per_hour"] or 0)
    not_for_hire = (reason for name, reason in NOT_FOR_HIRE.items() if re.fullmatch(name, row["instance"]))
    checks = (
        (_gpu(row) is None, "GPU not in the vocabulary"),
        (count < 1 or count != int(count), "a share of a GPU"),
        (usd_per_hour <= 0, "no on-demand price"),
        (abs(usd_per_hour - per_gpu * count) > PER_GPU_STEP * count, "price per GPU and per machine disagree"),
        (spot > usd_per_hour, "spot above on-demand"),
        (not row["source"] or not DATE.match(row["as_of"]), "no source or no date"),
    )
    return next(not_for_hire, next((reason for wrong, reason in checks if wrong), None))


def _gpu(row: Row) -> Gpu | None:
    return normalise_gpu(row["gpu"], memory_gib=float(MEMORY_GIB.get(row["instance"], row["gpu_mem_gib"])))


def _compact(row: Row) -> Row:
    gpu, dated = _gpu(row), DATE.match(row["as_of"])
    return {
        **{name: row[name] for name in ("cloud", "instance", "region", "source")},
        "gpu": gpu.key if gpu else "",
        "gpu_count": str(int(row["gpu_count"])),
        "usd_per_hour": plain(Decimal(row["usd_per_hour"])),
        "as_of": dated.group(0) if dated else "",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Read SOURCE, write the table, and print what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--table", type=Path, default=TABLE, help="where to write (default: into the package)")
    options = parser.parse_args(arguments)
    with options.source.open(newline="", encoding="utf-8") as file:
        text, dropped = build(csv.DictReader(file))
    options.table.write_text(text, encoding="utf-8", newline="\n")
    sys.stdout.write(f"{text.count(chr(10)) - 1} rows written to {options.table}\n")
    for (reason, instance), times in sorted(Counter((reason, row["instance"]) for row, reason in dropped).items()):
        sys.stdout.write(f"left out {times:3d} x {instance}: {reason}\n")


if __name__ == "__main__":
    main()
