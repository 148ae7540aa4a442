"""The simulated providers: machines, prices and what their auditors signed, built from `fleet_table` and a seed.

A provider here is fixed; what is leased on it stands in `chain.py`, and what a test switched stands in `Overrides`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from pydantic import BaseModel

from necto_pipelines.sandbox.addresses import address_of
from necto_pipelines.sandbox.fleet_table import FLEET, GPU_MODELS, PLACES, Flaw, GpuModel, Place, ProviderRow
from necto_pipelines.sandbox.seeded import share, whole

AUDITOR = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"
"""the network's own auditor, by its real address (akash-network/console config/auditors.json, 2026-11-22)"""
GIB = 2**30


@dataclass(frozen=True)
class Resources:
    """An amount of machine: CPU in thousandths of a core, memory and disk in bytes."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0
    gpus: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.cpu + other.cpu, self.memory + other.memory, self.disk + other.disk, self.gpus + other.gpus
        )

    def __sub__(self, other: "Resources") -> "Resources":
        return self + Resources(-other.cpu, -other.memory, -other.disk, -other.gpus)

    def fits_in(self, free: "Resources") -> bool:
        """True when every amount is there."""
        return self.cpu <= free.cpu and self.memory <= free.memory and self.disk <= free.disk and self.gpus <= free.gpus


NOTHING = Resources()


@dataclass(frozen=True)
class Stock:
    """GPUs of one model at a provider; `taken` by tenants that are not ours."""

    gpu: GpuModel
    count: int
    taken: int
    usd_per_hour: Decimal | None

    @property
    def key(self) -> str:
        """The model as attributes name it: `vendor/nvidia/model/h100/ram/80Gi/interface/sxm`."""
        socket = self.gpu.interface.lower().rstrip("0123456789")
        return f"vendor/{self.gpu.vendor}/model/{self.gpu.model}/ram/{self.gpu.ram}/interface/{socket}"


@dataclass(frozen=True)
class Provider:
    """One provider as the network knows it when nothing was switched."""

    address: str
    host: str
    organization: str
    place: Place
    stock: tuple[Stock, ...]
    flaw: Flaw
    total: Resources
    taken: Resources
    created_height: int
    uptime: tuple[float, float, float]
    """share of the last day, week and month that it was seen"""

    @property
    def host_uri(self) -> str:
        """Where its gateway would listen: a name reserved for examples, nothing is there."""
        return f"https://provider.{self.host}:8443"

    @property
    def valid_version(self) -> bool:
        """The network still accepts its software."""
        return self.flaw not in (Flaw.OLD_VERSION, Flaw.LONG_GONE)

    @cached_property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """What it says of itself, in the network's vocabulary (provider-attributes.json)."""
        plain = {
            "host": self.host,
            "organization": self.organization,
            "region": self.place.region,
            "location-region": self.place.region,
            "country": self.place.country,
            "city": self.place.city,
            "timezone": self.place.timezone,
            "location-type": "datacenter",
            "hardware-cpu": "amd",
            "hardware-cpu-arch": "x86-64",
            "hardware-memory": "ddr5ecc",
            "network-speed-up": "10000",
            "network-speed-down": "10000",
            "tier": "community",
            "feat-persistent-storage": "true",
        }
        if self.stock:
            plain["hardware-gpu"] = self.stock[0].gpu.vendor
        for stock in self.stock:
            model = f"capabilities/gpu/vendor/{stock.gpu.vendor}/model/{stock.gpu.model}"
            plain |= {model: "true", f"{model}/ram/{stock.gpu.ram}": "true"}
        return tuple(plain.items())


class Overrides(BaseModel):
    """What a test or a demonstration switched, by provider address: True or False replaces what the table says."""

    online: dict[str, bool] = {}
    audited: dict[str, bool] = {}


class Fleet:
    """All providers, live and not, with what was switched on them. `dead` tells by address who died for the time."""

    def __init__(self, seed: int, overrides: Overrides, dead: Callable[[str], bool] = lambda _: False) -> None:
        self.overrides = overrides
        self._dead = dead
        self.stranger = address_of(seed, "auditor nobody knows")
        counter: Counter[str] = Counter()
        self.providers = tuple(_provider(seed, row, counter) for row in FLEET)
        self._by_address = {provider.address: provider for provider in self.providers}

    def get(self, address: str) -> Provider | None:
        """The provider at this address."""
        return self._by_address.get(address)

    def online(self, provider: Provider) -> bool:
        """The network sees it now."""
        if self._dead(provider.address):
            return False
        switched = self.overrides.online.get(provider.address)
        return provider.flaw not in (Flaw.OFFLINE, Flaw.LONG_GONE) if switched is None else switched

    def live(self) -> list[Provider]:
        """The providers the network counts in its totals."""
        return [provider for provider in self.providers if self.online(provider)]

    def auditors_of(self, provider: Provider, attribute: str) -> list[str]:
        """Who signed this attribute of the provider."""
        audited = self.overrides.audited.get(provider.address, provider.flaw is not Flaw.UNAUDITED)
        if not audited:
            return []
        if provider.flaw is Flaw.REGION_UNSIGNED and attribute in ("region", "location-region"):
            return []
        return [self.stranger] if provider.flaw is Flaw.STRANGE_AUDITOR else [AUDITOR]

    def signed_by(self, provider: Provider, auditor: str) -> bool:
        """True when the auditor signed anything of this provider."""
        return any(auditor in self.auditors_of(provider, key) for key, _ in provider.attributes)


def _provider(seed: int, row: ProviderRow, counter: Counter[str]) -> Provider:
    place = PLACES[row.place]
    kind = GPU_MODELS[row.stock[0].key].model if row.stock else "cpu"
    counter[f"{kind}-{place.country}"] += 1
    host = f"{kind}-{place.country.lower()}-{counter[f'{kind}-{place.country}']}.sandbox.example"
    stock = tuple(Stock(GPU_MODELS[item.key], item.count, item.taken, item.usd_per_hour) for item in row.stock)
    total = _machine(sum(item.count for item in stock), large=any(item.gpu.interface != "PCIe" for item in stock))
    busy = sum(item.taken for item in stock) / max(1, total.gpus) if stock else share(seed, host, "busy")
    taken = Resources(
        # A busy machine keeps room for the GPUs that are still free, so CPU and memory are taken less than GPUs.
        cpu=int(total.cpu * busy * 0.6),
        memory=int(total.memory * busy * 0.6),
        disk=int(total.disk * busy * 0.5),
        gpus=sum(item.taken for item in stock),
    )
    return Provider(
        address=address_of(seed, "provider", host),
        host=host,
        organization=f"{host.partition('.')[0]} (simulated)",
        place=place,
        stock=stock,
        flaw=row.flaw,
        total=total,
        taken=taken,
        created_height=whole(1_000_000, 27_000_000, seed, host, "created"),
        uptime=_uptime(seed, host, row.flaw),
    )


def _machine(gpus: int, *, large: bool) -> Resources:
    cores, memory_gib, disk_gib = (24, 240, 3000) if large else (16, 96, 1500)
    share_of = max(gpus, 4)
    return Resources(
        cpu=share_of * cores * 1000, memory=share_of * memory_gib * GIB, disk=share_of * disk_gib * GIB, gpus=gpus
    )


def _uptime(seed: int, host: str, flaw: Flaw) -> tuple[float, float, float]:
    if flaw is Flaw.LONG_GONE:
        return 1.0, 0.1427, 0.0332
    if flaw is Flaw.FLAKY:
        return 0.9312, 0.8871, 0.9024
    week = round(0.985 + 0.015 * share(seed, host, "uptime"), 4)
    return 1.0, week, round(week - 0.004, 4)
