"""What the simulated clouds charge: the dated reference table and the table of machines that ship with Necto.

Only files are shared with the room that reads the clouds' answers, no code: what the sandbox serves and what is made of
it must not be wrong in the same way. How each cloud dresses these figures stands in `clouds_aws`, `_azure` and `_gcp`.
"""

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Final

PACKAGE: Final = "necto_pipelines"
PRICES: Final = "market/reference/cloud_gpu_prices.csv"
MACHINES: Final = "market/reference/cloud_machines.csv"
SINCE: Final = "2025-01-01T00:00:00Z"
"""when the prices took effect: the table does not say, and the clouds' formats must"""


@dataclass(frozen=True)
class ListedMachine:
    """A machine of one region at its on-demand price in USD per hour."""

    name: str
    region: str
    usd: Decimal
    gpu_count: int


@dataclass(frozen=True)
class Shape:
    """What a machine consists of. `gpu_count` is a fraction where it gets a share of a GPU."""

    name: str
    gpu_count: Decimal
    vcpu: Decimal
    memory_gib: Decimal
    local_ssd_gib: Decimal


@cache
def listed(cloud: str) -> tuple[ListedMachine, ...]:
    """The cloud's machines, in the order of the table."""
    return tuple(
        ListedMachine(row["instance"], row["region"], Decimal(row["usd_per_hour"]), int(row["gpu_count"]))
        for row in _rows(PRICES)
        if row["cloud"] == cloud
    )


@cache
def shapes(cloud: str) -> dict[str, Shape]:
    """The cloud's machine types by name."""
    numbers = ("gpu_count", "vcpu", "memory_gib", "local_ssd_gib")
    return {
        row["machine"]: Shape(row["machine"], *(Decimal(row[number]) for number in numbers))
        for row in _rows(MACHINES)
        if row["cloud"] == cloud
    }


def _rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files(PACKAGE).joinpath(path).read_text(encoding="utf-8").splitlines()))
