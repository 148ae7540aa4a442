"""Which machine of a cloud an offer or an order is held against: the same GPU model, else the nearest better one.

Pure functions on records of `CLOUD_PRICES`. What an offer saves against it stands in `comparison`, what a past order
would have cost there in `elsewhere`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from necto_pipelines.market.clouds.regions import place_group, remoteness
from necto_pipelines.model.gpu import FP16_TFLOPS, normalise_gpu

SAME, PROXY = "same", "proxy"


@dataclass(frozen=True)
class Need:
    """What a machine must have to serve: `gpu_count` GPUs at once, each with at least `vram_gib`."""

    gpu_family: str | None
    """None when any GPU with the memory will do"""
    vram_gib: int
    gpu_count: int
    homes: frozenset[str] = frozenset()
    """parts of the world (`clouds.regions`) it should stand in; empty when anywhere is as good"""


@dataclass(frozen=True)
class Machine:
    """An on-demand machine in one region, at its price for the whole machine and for each of its GPUs."""

    cloud: str
    instance: str
    gpu_key: str
    gpu_family: str
    vram_gib: int
    gpu_count: int
    region: str
    region_group: str | None
    usd_per_hour: Decimal
    usd_per_gpu_hour: Decimal
    as_of: str
    source: str
    mode: str


@dataclass(frozen=True)
class Twin:
    """The machine of a cloud that answers a need, and how alike it is."""

    machine: Machine
    kind: str
    """`same` or `proxy`"""
    same_region_group: bool | None
    """None when the need names no part of the world"""

    @property
    def proxy_gpu(self) -> str | None:
        """The better GPU that stands in; None when the model is the same."""
        return self.machine.gpu_key if self.kind == PROXY else None


class Machines:
    """What the clouds rent out on demand, ready to be asked for twins."""

    def __init__(self, prices: Iterable[Mapping[str, Any]]) -> None:
        """From records of `CLOUD_PRICES`. Of machines alike in GPU, size and part of the world the cheapest is kept."""
        cheapest: dict[tuple[Any, ...], Machine] = {}
        for machine in sorted((_machine(row) for row in prices if row["usd_per_hour"] > 0), key=_order):
            alike = (machine.cloud, machine.gpu_key, machine.gpu_count, machine.region_group)
            cheapest.setdefault(alike, machine)
        self._by_cloud: dict[str, list[Machine]] = {}
        for machine in cheapest.values():
            self._by_cloud.setdefault(machine.cloud, []).append(machine)

    @property
    def clouds(self) -> list[str]:
        """The clouds that rent anything out, by name."""
        return sorted(self._by_cloud)

    def twin(self, cloud: str, need: Need) -> Twin | None:
        """The machine of `cloud` that would have to be rented for `need`; None when it has nothing as good.

        1. Only machines with enough GPUs, each with enough memory.
        2. Those with the same GPU model (a greater memory size of it counts); a place further off does not matter.
        3. Where there are none, a proxy: those whose GPU is at least as strong in dense FP16, and of the same vendor,
           as a job built for CUDA runs on no other. It is the nearest better one, passing over any that a stronger one
           undercuts: nobody would rent it, and it would flatter the saving.
        4. Of those the nearest part of the world, and there the cheapest whole machine: all of it must be rented.
        """
        serving = [
            machine
            for machine in self._by_cloud.get(cloud, [])
            if machine.gpu_count >= need.gpu_count and machine.vram_gib >= need.vram_gib
        ]
        same = [machine for machine in serving if need.gpu_family in (None, machine.gpu_family)]
        found = min(
            same or _better(serving, need.gpu_family),
            key=lambda machine: (remoteness(machine.region_group, need.homes), *_order(machine)),
            default=None,
        )
        if found is None:
            return None
        at_home = found.region_group in need.homes if need.homes else None
        return Twin(machine=found, kind=SAME if same else PROXY, same_region_group=at_home)


def _better(machines: Iterable[Machine], family: str | None) -> list[Machine]:
    """Those whose GPU is known to be at least as strong; none when the strength of `family` itself is not known."""
    if family not in FP16_TFLOPS:
        return []
    vendor, least = _vendor(family), FP16_TFLOPS[family]
    return [m for m in machines if FP16_TFLOPS.get(m.gpu_family, 0) >= least and _vendor(m.gpu_family) == vendor]


def _vendor(family: str) -> str | None:
    gpu = normalise_gpu(family)
    return gpu.vendor if gpu else None


def cheapest_of(prices: Mapping[str, Decimal]) -> str | None:
    """The cloud with the least of these prices, the first by name among equals; None when there are none."""
    return min(sorted(prices), key=lambda cloud: prices[cloud], default=None)


def known_homes(groups: Collection[str | None]) -> frozenset[str]:
    """The parts of the world among `groups` that are known."""
    return frozenset(group for group in groups if group)


def _machine(row: Mapping[str, Any]) -> Machine:
    copied = {name: row[name] for name in Machine.__dataclass_fields__ if name != "region_group"}
    return Machine(region_group=place_group(None, row["region"]), **copied)


def _order(machine: Machine) -> tuple[Any, ...]:
    """Cheapest first; among equals the weaker, the smaller, then by name: the same prices give the same machine."""
    strength = FP16_TFLOPS.get(machine.gpu_family, 0)
    return (
        machine.usd_per_hour,
        strength,
        machine.vram_gib,
        machine.gpu_count,
        machine.instance,
        machine.region,
        machine.gpu_key,
        machine.as_of,
        machine.source,
        machine.mode,
    )
