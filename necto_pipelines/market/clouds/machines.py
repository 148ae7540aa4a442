"""What is in a machine that a cloud rents out: its GPUs, cores, memory and local disks.

Price lists name machines without saying (AWS, Azure) or price the parts without saying how many a machine has (GCP), so
the shapes come from a table of our own, each row with its source. What a part costs stands in the clouds' modules.
"""

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Final

from necto_pipelines.model.gpu import Gpu, normalise_gpu

TABLE: Final = "reference/cloud_machines.csv"
UNKNOWN_MACHINE: Final = "machine type is not in our table of machines (market/reference/cloud_machines.csv)"
SHARE_OF_A_GPU: Final = "a share of a GPU"


@dataclass(frozen=True)
class Machine:
    """One machine type. `gpu_count` is a fraction where a machine gets a share of a GPU."""

    name: str
    gpu: Gpu
    gpu_count: Decimal
    vcpu: Decimal
    memory_gib: Decimal
    local_ssd_gib: Decimal
    """disks that are billed with the machine, as GCP does; 0 elsewhere"""


@cache
def machines_of(cloud: str) -> dict[str, Machine]:
    """The machine types of `cloud` that have GPUs, by name."""
    text = files("necto_pipelines.market").joinpath(TABLE).read_text(encoding="utf-8")
    found = (_machine(row) for row in csv.DictReader(text.splitlines()) if row["cloud"] == cloud)
    return {machine.name: machine for machine in found}


def _machine(row: dict[str, str]) -> Machine:
    gpu = normalise_gpu(row["gpu"])
    if gpu is None:
        raise ValueError(f"{TABLE}: {row['machine']} has a GPU outside the vocabulary: {row['gpu']!r}")
    return Machine(
        name=row["machine"],
        gpu=gpu,
        gpu_count=Decimal(row["gpu_count"]),
        vcpu=Decimal(row["vcpu"]),
        memory_gib=Decimal(row["memory_gib"]),
        local_ssd_gib=Decimal(row["local_ssd_gib"]),
    )
