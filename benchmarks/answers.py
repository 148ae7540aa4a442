"""Answers of networks as large as wanted, in the shapes their sources document, made from a seed and nothing else.

The rows have every field of the real ones (reference of 2026-11-22), read or not, because a reader has to get past the
others too. As in real lists, some providers have no GPU, some have none free, and a few rows are faulty.
"""

import json
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock, rfc3339

SEED: Final = 3
DISPERSED_SHARE: Final = 0.5
PAGE: Final = 50
"""Dispersed's own limit"""
FAULTY_SHARE: Final = 0.002
GPUS: Final = (
    ("h100", "80Gi", "SXM5", 2.1), ("h200", "141Gi", "SXM5", 2.9), ("a100", "80Gi", "SXM4", 1.2),
    ("a100", "40Gi", "PCIe", 0.8), ("l40s", "48Gi", "PCIe", 0.9), ("rtx4090", "24Gi", "PCIe", 0.4),
    ("rtx3090", "24Gi", "PCIe", 0.2), ("t4", "16Gi", "PCIe", 0.12), ("b200", "180Gi", "SXM6", 4.4),
    ("v100", "32Gi", "SXM2", 0.3), ("neverheardof", "7Gi", "PCIe", 0.3),
)  # fmt: skip
"""model, memory, socket and about what it costs; the last is in no vocabulary, and is set aside with its reason"""
CARDS: Final = (
    ("NVIDIA RTX 4090", 24, 0.35), ("NVIDIA RTX 3090", 24, 0.2), ("NVIDIA GeForce RTX 5090", 32, 0.6),
    ("NVIDIA A100", 80, 1.1), ("NVIDIA H100", 80, 1.9), ("NVIDIA L40S", 48, 0.8), ("NVIDIA T4", 16, 0.11),
)  # fmt: skip
PLACES: Final = (
    ("US", "United States", "Dallas", "na-us-southwest"), ("DE", "Germany", "Hesse", "eu-central"),
    ("NL", "Netherlands", "North Holland", "eu-west"), ("SG", "Singapore", "Singapore", "as-southeast"),
    ("CA", "Canada", "Quebec", "na-ca-central"), ("FI", "Finland", "Uusimaa", "eu-north"),
)  # fmt: skip
REGIONS: Final = ("us-east-1", "us-west-2", "eu-central-1", "de-west-1", "nl-north-1", "sg-east-1", "ca-east-1")


@dataclass(frozen=True)
class Answers:
    """What one refresh has to read."""

    akash: tuple[RawAnswer, ...]
    """providers and prices, or nothing"""
    pages: tuple[RawAnswer, ...]
    """Dispersed's machines"""
    registry: tuple[RawAnswer, ...]
    """Dispersed's cards"""

    @property
    def all(self) -> tuple[RawAnswer, ...]:
        """Every answer."""
        return (*self.akash, *self.pages, *self.registry)

    @property
    def size_mib(self) -> float:
        """How much there is to read."""
        return sum(len(answer.body) for answer in self.all) / 2**20


def answers_of(offers: int, clock: FrozenClock, seed: int = SEED) -> Answers:
    """Answers from which about `offers` offers are read, by shares of `DISPERSED_SHARE`."""
    chance = random.Random(seed)
    machines = round(offers * DISPERSED_SHARE)
    providers, bids = _market(offers - machines, chance, rfc3339(clock.now() - timedelta(days=1)))
    cards = [_uuid(chance) for _ in CARDS]
    rows = [_machine(number, cards, chance) for number in range(machines)]
    url = "https://dispersed.example/v1"
    return Answers(
        (
            _answer("https://akash.example/v1/providers", providers, clock),
            _answer("https://akash.example/v1/gpu-prices", {"availability": {}, "models": bids}, clock),
        ),
        tuple(_answer(f"{url}/compute/offers", _page(rows, start), clock) for start in range(0, len(rows), PAGE)),
        (_answer(f"{url}/gpu-registry", _page([{"uuid": card} for card in cards], 0), clock),),
    )


def _market(offers: int, chance: random.Random, bid_at: str) -> tuple[list[Any], list[Any]]:
    """Providers with at least `offers` readable offers, and the prices of their models with each one's own best bid."""
    bids: list[list[Any]] = [[] for _ in GPUS]
    providers, seen = [], 0
    while seen < offers:
        owner = f"akash1{chance.getrandbits(190):038x}"[:44]
        held = sorted(chance.sample(range(len(GPUS)), chance.choice((0, 1, 1, 1, 1, 1, 2, 2))))
        free = 0 if chance.random() < 0.2 else chance.randint(len(held), 8 * max(1, len(held)))
        faulty = chance.random() < FAULTY_SHARE
        providers.append(_provider(owner, held, free, chance) | ({"uptime7d": 17} if faulty else {}))
        seen += sum(GPUS[which][0] != GPUS[-1][0] for which in held) if free and not faulty else 0
        for which in held:
            if chance.random() < 0.9:
                bids[which].append(_bid(owner, which, bid_at, chance))
    models = [_price(which, own) for which, own in enumerate(bids)]
    return providers, models


def _provider(owner: str, held: list[int], free: int, chance: random.Random) -> dict[str, Any]:
    country, land, city, region = chance.choice(PLACES)
    host = f"{owner[6:14]}.example"
    said = {
        "host": host, "organization": f"{host} (made up)", "region": region, "location-region": region,
        "country": country, "city": city, "timezone": "utc+1", "location-type": "datacenter", "hardware-cpu": "amd",
        "hardware-cpu-arch": "x86-64", "hardware-memory": "ddr5ecc", "network-speed-up": "10000",
        "network-speed-down": "10000", "tier": "community", "feat-persistent-storage": "true",
    }  # fmt: skip
    for which in held:
        model = f"capabilities/gpu/vendor/nvidia/model/{GPUS[which][0]}"
        said |= {model: "true", f"{model}/ram/{GPUS[which][1]}": "true"}
    auditors = ["akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"] if chance.random() < 0.7 else []
    level = {"active": 14400, "pending": 0}
    return {
        "owner": owner, "name": host, "hostUri": f"https://provider.{host}:8443", "createdHeight": 10891979,
        "email": None, "website": None, "lastCheckDate": "2026-11-22T12:00:00.000Z",
        "lastOnlineDate": "2026-11-22T12:00:00.000Z", "deploymentCount": None, "leaseCount": None,
        "cosmosSdkVersion": "v0.53.7-akash.2", "akashVersion": "0.14.2", "isOnline": chance.random() < 0.95,
        "isValidVersion": True, "isAudited": bool(auditors), "uptime1d": 1, "uptime7d": round(chance.random(), 4),
        "uptime30d": 0.9937, "ipRegion": city, "ipRegionCode": None, "ipCountry": land, "ipCountryCode": country,
        "ipLat": "32.78", "ipLon": "-96.80",
        "gpuModels": [_gpu(which) for which in held],
        "attributes": [{"key": key, "value": value, "auditedBy": auditors} for key, value in said.items()],
        "stats": {
            "cpu": level | {"available": chance.randint(1, 960) * 100},
            "gpu": level | {"available": free},
            "memory": level | {"available": chance.randint(1, 900) << 30},
            "storage": {
                "ephemeral": level | {"available": chance.randint(1, 20_000) << 30},
                "persistent": level | {"available": 0},
            },
        },
        "host": host, "organization": f"{host} (made up)", "statusPage": None, "locationRegion": region,
        "country": country, "city": city, "timezone": "utc+1", "locationType": "datacenter", "hostingProvider": None,
        "hardwareCpu": "amd", "hardwareCpuArch": "x86-64", "hardwareGpuVendor": "nvidia",
        "hardwareGpuModels": [GPUS[which][0] for which in held], "hardwareDisk": None, "featPersistentStorage": True,
        "featPersistentStorageType": None, "hardwareMemory": "ddr5ecc", "networkProvider": None,
        "networkSpeedDown": 10000, "networkSpeedUp": 10000, "tier": "community", "featEndpointCustomDomain": True,
        "workloadSupportChia": False, "workloadSupportChiaCapabilities": None, "featEndpointIp": False,
    }  # fmt: skip


def _gpu(which: int) -> dict[str, Any]:
    return dict(zip(("vendor", "model", "ram", "interface"), ("nvidia", *GPUS[which][:3]), strict=True))


def _bid(owner: str, which: int, at: str, chance: random.Random) -> dict[str, Any]:
    hourly = round(GPUS[which][3] * chance.uniform(0.8, 1.6), 4)
    return {
        "provider": {"owner": owner, "hostUri": f"https://provider.{owner[6:14]}.example:8443", "allocated": 4,
                     "allocatable": 8},
        "bestBid": {
            "height": 29638175, "txHash": f"{chance.getrandbits(256):064X}", "datetime": at, "provider": owner,
            "aktTokenPrice": 0.53704, "hourlyPrice": hourly, "monthlyPrice": round(hourly * 716.5, 2),
            "deployment": {"owner": owner, "cpuUnits": 100, "memoryUnits": 1 << 30, "storageUnits": 1 << 30,
                           "gpus": [_gpu(which)]},
        },
    }  # fmt: skip


def _price(which: int, own: list[Any]) -> dict[str, Any]:
    mean = GPUS[which][3]
    spread = {"currency": "USD", "min": mean, "max": mean * 2, "avg": mean * 1.2, "weightedAverage": mean, "med": mean}
    return _gpu(which) | {
        "availability": {"total": len(own) * 8, "available": len(own) * 4},
        "providerAvailability": {"total": len(own), "available": len(own)},
        "price": spread, "priceUakt": spread | {"currency": "uakt"}, "bidCount": len(own), "providersWithBestBid": own,
    }  # fmt: skip


def _machine(number: int, cards: list[str], chance: random.Random) -> dict[str, Any]:
    which, count = chance.randrange(len(CARDS)), chance.choice((1, 1, 1, 2, 4, 8))
    name, vram, usd = CARDS[which]
    hourly = None if chance.random() < FAULTY_SHARE else round(usd * count * chance.uniform(0.8, 1.6), 3)
    return {
        "offer_id": f"of_{number:08d}", "region_code": chance.choice(REGIONS), "availability": {},
        "hardware_summary": {
            "gpu_count": count, "gpu_model_label": name, "gpu_registry_uuid": cards[which],
            "gpu_models": [{"name": name, "count": count, "min_vram_gib": vram, "gpu_registry_uuid": cards[which]}],
            "min_gpu_vram_gib": vram, "cpu_cores": 8 * count, "ram_gib": chance.choice((32, 62.5, 64)) * count,
            "storage_gib": 500,
        },
        "pricing": {"hourly_rate_usd": hourly, "quoted_at": "2026-11-22T00:00:00Z"},
    }  # fmt: skip


def _page(rows: list[Any], start: int) -> dict[str, Any]:
    return {"data": rows[start : start + PAGE], "page": start // PAGE + 1, "limit": PAGE, "total": len(rows)}


def _uuid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _answer(url: str, document: object, clock: FrozenClock) -> RawAnswer:
    return raw_answer(url, json.dumps(document, separators=(",", ":")).encode(), clock)
