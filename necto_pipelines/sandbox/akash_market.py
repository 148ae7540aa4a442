"""What the Console API tells everybody about the market: providers, GPUs, prices and totals.

Shapes: akash-network/console apps/api/swagger/openapi.json (@d84c9e93d790), with the fields that live answers have
beyond it (`stats`, `priceUakt`, and what `?debug=true` adds to the prices). All totals are counted from the providers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from statistics import median
from typing import Any

from necto_pipelines.sandbox import tariffs
from necto_pipelines.sandbox.capacity import Usage, left_at
from necto_pipelines.sandbox.fleet import GIB, NOTHING, Provider, Stock
from necto_pipelines.sandbox.fleet_table import Flaw, GpuModel
from necto_pipelines.sandbox.seeded import digest
from necto_pipelines.sandbox.world import World


@dataclass(frozen=True)
class Holding:
    """GPUs of one model at one provider with what is free of them now."""

    provider: Provider
    stock: Stock
    free: int

    @property
    def in_use(self) -> int:
        """Leased by anybody, or set aside for open bids."""
        return self.stock.count - self.free


def iso(moment: datetime) -> str:
    """A time as JavaScript prints it, to the millisecond."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def holdings(world: World, providers: Iterable[Provider]) -> list[Holding]:
    """GPUs by provider and model."""
    usage = world.chain.usage()
    rows = []
    for provider in providers:
        _, gpus = left_at(provider, usage[provider.address])
        rows += [Holding(provider, stock, gpus[stock.key]) for stock in provider.stock]
    return rows


def provider_rows(world: World, now: datetime, addresses: set[str] | None) -> list[dict[str, Any]]:
    """Rows of GET /v1/providers; `addresses` leaves only these."""
    usage = world.chain.usage()
    return [
        _provider_row(world, provider, usage[provider.address], now)
        for provider in world.fleet.providers
        if addresses is None or provider.address in addresses
    ]


def gpu_prices(world: World, now: datetime, *, debug: bool) -> dict[str, Any]:
    """Answer of GET /v1/gpu-prices: per model the lowest, highest, mean, weighted and middle price of live providers.

    The real service reads prices off month-old bids; here each provider's own GPU price is taken, its machine left out.
    """
    groups = _by_model(holdings(world, world.fleet.live()))
    akt_usd = world.feed.usd("AKT", now)
    return {
        "availability": {
            "total": sum(item.stock.count for items in groups.values() for item in items),
            "available": sum(item.free for items in groups.values() for item in items),
        },
        "models": [_model_price(world, gpu, items, akt_usd, now, debug=debug) for gpu, items in groups.items()],
    }


def gpu_list(rows: Iterable[Holding], vendor: str | None, model: str | None, ram: str | None) -> dict[str, Any]:
    """Answer of GET /v1/gpu for these holdings, narrowed by vendor, model and memory size."""
    groups = {
        gpu: items
        for gpu, items in _by_model(rows).items()
        if vendor in (None, gpu.vendor) and model in (None, gpu.model) and ram in (None, gpu.ram)
    }
    details: dict[str, list[dict[str, Any]]] = {}
    for gpu, items in groups.items():
        row = {
            "model": gpu.model,
            "ram": gpu.ram,
            "interface": gpu.interface,
            "allocatable": sum(item.stock.count for item in items),
            "allocated": sum(item.in_use for item in items),
        }
        details.setdefault(gpu.vendor, []).append(row)
    rows_of_all = [row for rows_of_vendor in details.values() for row in rows_of_vendor]
    total = {name: sum(row[name] for row in rows_of_all) for name in ("allocatable", "allocated")}
    return {"gpus": {"total": total, "details": details}}


def network_capacity(world: World) -> dict[str, Any]:
    """Answer of GET /v1/network-capacity: sums over live providers."""
    usage, live = world.chain.usage(), world.fleet.live()
    total, active, pending = NOTHING, NOTHING, NOTHING
    for provider in live:
        used = usage[provider.address]
        total += provider.total
        active = active + provider.taken + used.leased
        pending += used.reserved

    def stat(name: str) -> dict[str, int]:
        parts = _stat(getattr(total, name), getattr(active, name), getattr(pending, name))
        return parts | {"total": getattr(total, name)}

    none = {"active": 0, "pending": 0, "available": 0, "total": 0}
    storage = {"ephemeral": stat("disk"), "persistent": none, "total": stat("disk")}
    return {
        "activeProviderCount": len(live),
        "resources": {"cpu": stat("cpu"), "gpu": stat("gpus"), "memory": stat("memory"), "storage": storage},
    }


def market_data(world: World, now: datetime) -> dict[str, Any]:
    """Answer of GET /v1/market-data: as at the real service, only the price is real."""
    figures = dict.fromkeys(("volume", "marketCap", "marketCapRank", "priceChange24h", "priceChangePercentage24"), 0)
    return {"price": float(world.feed.usd("AKT", now))} | figures


def _by_model(rows: Iterable[Holding]) -> dict[GpuModel, list[Holding]]:
    groups: dict[GpuModel, list[Holding]] = {}
    for row in rows:
        groups.setdefault(row.stock.gpu, []).append(row)
    return dict(sorted(groups.items(), key=lambda group: (group[0].vendor, group[0].model, group[0].ram)))


def _model_price(
    world: World, gpu: GpuModel, items: list[Holding], akt_usd: Decimal, now: datetime, *, debug: bool
) -> dict[str, Any]:
    priced = [item for item in items if item.stock.usd_per_hour is not None]
    row: dict[str, Any] = {
        "vendor": gpu.vendor,
        "model": gpu.model,
        "ram": gpu.ram,
        "interface": gpu.interface,
        "availability": {
            "total": sum(item.stock.count for item in items),
            "available": sum(item.free for item in items),
        },
        "providerAvailability": {"total": len(items), "available": sum(item.free > 0 for item in items)},
        "price": _spread([(_usd(item), item.stock.count) for item in priced], "USD"),
        "priceUakt": _spread([(_usd(item) / akt_usd * 1_000_000, item.stock.count) for item in priced], "uakt"),
    }
    if debug:
        row["providerAvailability"]["providers"] = [_debug_provider(item) for item in items]
        row["bidCount"] = len(priced)
        row["providersWithBestBid"] = [
            {"provider": _debug_provider(item), "bestBid": _debug_bid(world, gpu, item, akt_usd, now)}
            for item in priced
        ]
    return row


def _usd(item: Holding) -> Decimal:
    return item.stock.usd_per_hour or Decimal(0)


def _spread(values: list[tuple[Decimal, int]], currency: str) -> dict[str, Any] | None:
    """Prices with their weights as the service sums them up; None where nobody quoted one."""
    if not values:
        return None
    prices, weight = [price for price, _ in values], sum(count for _, count in values)
    figures = {
        "min": min(prices),
        "max": max(prices),
        "avg": sum(prices, Decimal(0)) / len(prices),
        "weightedAverage": sum((price * count for price, count in values), Decimal(0)) / weight,
        "med": median(prices),
    }
    rounded = {name: float(value.quantize(Decimal("0.01"), ROUND_HALF_UP)) for name, value in figures.items()}
    return {"currency": currency} | rounded


def _debug_provider(item: Holding) -> dict[str, Any]:
    return {
        "owner": item.provider.address,
        "hostUri": item.provider.host_uri,
        "allocated": item.in_use,
        "allocatable": item.stock.count,
    }


def _debug_bid(world: World, gpu: GpuModel, item: Holding, akt_usd: Decimal, now: datetime) -> dict[str, Any]:
    hourly = _usd(item)
    height = world.blocks.height_at(now) - 500
    names = {"vendor": gpu.vendor, "model": gpu.model, "ram": gpu.ram, "interface": gpu.interface}
    return {
        "height": height,
        "txHash": digest(world.seed, item.provider.address, gpu.model, "pricing bid").hex().upper(),
        "datetime": iso(world.blocks.time_of(height)),
        "provider": item.provider.address,
        "aktTokenPrice": float(akt_usd),
        "hourlyPrice": float(hourly),
        "monthlyPrice": float(tariffs.gpu_usd_per_month(hourly).quantize(Decimal("0.01"), ROUND_HALF_UP)),
        "deployment": {"owner": world.owner, "cpuUnits": 100, "memoryUnits": GIB, "storageUnits": GIB, "gpus": [names]},
    }


def _stat(total: int, active: int, pending: int) -> dict[str, int]:
    return {"active": active, "pending": pending, "available": total - active - pending}


def _provider_row(world: World, provider: Provider, used: Usage, now: datetime) -> dict[str, Any]:
    online, attributes = world.fleet.online(provider), dict(provider.attributes)
    active = provider.taken + used.leased

    def stat(name: str) -> Mapping[str, int]:
        parts = (getattr(provider.total, name), getattr(active, name), getattr(used.reserved, name))
        return _stat(*parts) if online else _stat(0, 0, 0)

    return {
        "owner": provider.address,
        "name": None if provider.flaw is Flaw.LONG_GONE else provider.host,
        "hostUri": provider.host_uri,
        "createdHeight": provider.created_height,
        "email": None,
        "website": None,
        "lastCheckDate": iso(now),
        "lastOnlineDate": iso(now) if online else None,
        "deploymentCount": None,
        "leaseCount": None,
        "cosmosSdkVersion": "v0.53.7-akash.2",
        "akashVersion": "0.14.2" if provider.valid_version else "0.6.11",
        "isOnline": online,
        "isValidVersion": provider.valid_version,
        "isAudited": any(world.fleet.auditors_of(provider, key) for key in attributes),
        "uptime1d": provider.uptime[0],
        "uptime7d": provider.uptime[1],
        "uptime30d": provider.uptime[2],
        "ipRegion": provider.place.city,
        "ipRegionCode": None,
        "ipCountry": provider.place.country_name,
        "ipCountryCode": provider.place.country,
        "ipLat": provider.place.latitude,
        "ipLon": provider.place.longitude,
        "gpuModels": [
            {
                "vendor": stock.gpu.vendor,
                "model": stock.gpu.model,
                "ram": stock.gpu.ram,
                "interface": stock.gpu.interface,
            }
            for stock in provider.stock
        ],
        "attributes": [
            {"key": key, "value": value, "auditedBy": world.fleet.auditors_of(provider, key)}
            for key, value in provider.attributes
        ],
        "stats": {
            "cpu": stat("cpu"),
            "gpu": stat("gpus"),
            "memory": stat("memory"),
            "storage": {"ephemeral": stat("disk"), "persistent": _stat(0, 0, 0)},
        },
        **_described(provider, attributes),
    }


def _described(provider: Provider, attributes: Mapping[str, str]) -> dict[str, Any]:
    """The provider's own attributes once more, as columns."""
    return {
        "host": attributes["host"],
        "organization": attributes["organization"],
        "statusPage": None,
        "locationRegion": attributes["location-region"],
        "country": attributes["country"],
        "city": attributes["city"],
        "timezone": attributes["timezone"],
        "locationType": attributes["location-type"],
        "hostingProvider": None,
        "hardwareCpu": attributes["hardware-cpu"],
        "hardwareCpuArch": attributes["hardware-cpu-arch"],
        "hardwareGpuVendor": attributes.get("hardware-gpu"),
        "hardwareGpuModels": [stock.gpu.model for stock in provider.stock],
        "hardwareDisk": None,
        "featPersistentStorage": True,
        "featPersistentStorageType": None,
        "hardwareMemory": attributes["hardware-memory"],
        "networkProvider": None,
        "networkSpeedDown": int(attributes["network-speed-down"]),
        "networkSpeedUp": int(attributes["network-speed-up"]),
        "tier": attributes["tier"],
        "featEndpointCustomDomain": True,
        "workloadSupportChia": False,
        "workloadSupportChiaCapabilities": None,
        "featEndpointIp": False,
    }
