"""How a provider prices a group of resources, and how its price reads in dollars at the Console.

A provider adds monthly dollar targets and divides by 429,909 blocks a month (akash-network/helm-charts,
charts/akash-provider/scripts/price_script_generic.sh @0b5b7e7d081b). The Console reads a price back at 600 blocks an
hour (akash-network/console, gpu-price.service.ts @15894e209d2e). Neither is the real pace of blocks: see `blocks.py`.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from necto_pipelines.sandbox.fleet import GIB

BLOCKS_PER_MONTH = 429_909
CONSOLE_BLOCKS_PER_HOUR = 600
USD_PER_CORE_MONTH = Decimal("1.60")
USD_PER_MEMORY_GIB_MONTH = Decimal("0.80")
USD_PER_DISK_GIB_MONTH = {
    "ephemeral": Decimal("0.02"),
    "beta1": Decimal("0.01"),
    "beta2": Decimal("0.03"),
    "beta3": Decimal("0.04"),
}
USD_PER_ENDPOINT_MONTH = Decimal("0.05")
_SMALLEST = Decimal("0.000001")


def gpu_usd_per_month(shown_usd_per_hour: Decimal) -> Decimal:
    """The monthly target behind a GPU price as the Console shows it: its 600 blocks an hour at 429,909 a month."""
    return shown_usd_per_hour * BLOCKS_PER_MONTH / CONSOLE_BLOCKS_PER_HOUR


def uact_per_block(usd_per_month: Decimal) -> Decimal:
    """The bid for a monthly target, in uact per block (one uact is a millionth of a dollar), rounded up at 1e-6."""
    return (usd_per_month * 1_000_000 / BLOCKS_PER_MONTH).quantize(_SMALLEST, rounding=ROUND_CEILING)


def machine_usd_per_month(unit: Mapping[str, Any]) -> Decimal:
    """Target for the CPU, memory, disks and endpoints of one resource unit of a group spec, GPUs left out."""
    usd = USD_PER_CORE_MONTH * int(unit["cpu"]["units"]["val"]) / 1000
    usd += USD_PER_MEMORY_GIB_MONTH * int(unit["memory"]["size"]["val"]) / GIB
    for disk in unit["storage"]:
        usd += _disk_target(disk.get("attributes") or ()) * int(disk["size"]["val"]) / GIB
    return usd + USD_PER_ENDPOINT_MONTH * len(unit.get("endpoints") or ())


def _disk_target(attributes: Sequence[Mapping[str, str]]) -> Decimal:
    kind = next((item["value"] for item in attributes if item["key"] == "class"), "ephemeral")
    return USD_PER_DISK_GIB_MONTH.get(kind, USD_PER_DISK_GIB_MONTH["ephemeral"])
