"""Whether a provider can serve a group of an SDL, with which GPUs, and at what price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from necto_pipelines.sandbox import tariffs
from necto_pipelines.sandbox.fleet import Fleet, Provider, Resources, Stock


@dataclass(frozen=True)
class Quote:
    """What a provider would bid: uact per block for the whole group, and the GPUs it would set aside by key."""

    price: Decimal
    gpus: dict[str, int]


def needs_of(group: Mapping[str, Any]) -> Resources:
    """All units of a group together."""
    total = Resources()
    for item in group["resources"]:
        unit, count = item["resource"], item["count"]
        total += Resources(
            cpu=int(unit["cpu"]["units"]["val"]) * count,
            memory=int(unit["memory"]["size"]["val"]) * count,
            disk=sum(int(disk["size"]["val"]) for disk in unit["storage"]) * count,
            gpus=gpus_of(unit) * count,
        )
    return total


def gpus_of(unit: Mapping[str, Any]) -> int:
    """GPUs of one unit."""
    return int(((unit.get("gpu") or {}).get("units") or {}).get("val") or 0)


def may_serve(fleet: Fleet, provider: Provider, group: Mapping[str, Any]) -> bool:
    """True when the provider is online, has the attributes and signatures asked for, and was large enough if empty."""
    return (
        fleet.online(provider)
        and needs_of(group).fits_in(provider.total)
        and _meets(fleet, provider, group["requirements"])
    )


def quote(provider: Provider, group: Mapping[str, Any], left: Resources, gpus_left: Mapping[str, int]) -> Quote | None:
    """The bid of a provider that may serve the group, or None when it has too little left or would cost too much.

    `left` is what it can still offer, `gpus_left` the same for each of its GPU models.
    """
    if not needs_of(group).fits_in(left):
        return None
    remaining, chosen = dict(gpus_left), dict[str, int]()
    usd_per_month = Decimal(0)
    for item in group["resources"]:
        unit, wanted = item["resource"], gpus_of(item["resource"]) * item["count"]
        usd_per_month += tariffs.machine_usd_per_month(unit) * item["count"]
        if not wanted:
            continue
        stock = _cheapest(provider, unit["gpu"].get("attributes") or (), wanted, remaining)
        if stock is None or stock.usd_per_hour is None:
            return None
        remaining[stock.key] -= wanted
        chosen[stock.key] = chosen.get(stock.key, 0) + wanted
        usd_per_month += tariffs.gpu_usd_per_month(stock.usd_per_hour) * wanted
    price = tariffs.uact_per_block(usd_per_month)
    return Quote(price, chosen) if price <= ceiling_of(group) else None


def ceiling_of(group: Mapping[str, Any]) -> Decimal:
    """The most the tenant pays for the group, in uact per block: price per unit times units, added up."""
    return sum((Decimal(item["price"]["amount"]) * item["count"] for item in group["resources"]), Decimal(0))


def _meets(fleet: Fleet, provider: Provider, requirements: Mapping[str, Any]) -> bool:
    """The provider has the attributes asked for, and the auditors asked for signed just these."""
    signed_by = requirements.get("signed_by") or {}
    any_of, all_of = signed_by.get("any_of") or (), signed_by.get("all_of") or ()
    wanted = [(item["key"], item["value"]) for item in requirements.get("attributes") or ()]
    if any(pair not in provider.attributes for pair in wanted):
        return False

    def signed(auditor: str) -> bool:
        keys = [key for key, _ in wanted]
        return fleet.signed_by(provider, auditor) and all(auditor in fleet.auditors_of(provider, key) for key in keys)

    return all(signed(auditor) for auditor in all_of) and (not any_of or any(signed(auditor) for auditor in any_of))


def _cheapest(
    provider: Provider, attributes: Sequence[Mapping[str, str]], wanted: int, left: Mapping[str, int]
) -> Stock | None:
    fitting = [
        stock
        for stock in provider.stock
        if stock.usd_per_hour is not None and left.get(stock.key, 0) >= wanted and asks_for(attributes, stock.key)
    ]
    return min(fitting, key=lambda stock: stock.usd_per_hour or Decimal(0), default=None)


def asks_for(attributes: Sequence[Mapping[str, str]], gpu_key: str) -> bool:
    """True when an SDL's GPU attributes, such as `vendor/nvidia/model/h100/ram/80Gi`, take the GPU; none takes any."""
    wanted = [item["key"] for item in attributes if item["value"] == "true"]
    return not wanted or any(_takes(key, gpu_key) for key in wanted)


def _takes(wanted: str, gpu_key: str) -> bool:
    asked, own = _parts(wanted), _parts(gpu_key)
    return all(value == "*" or own.get(name) == value for name, value in asked.items())


def _parts(key: str) -> dict[str, str]:
    parts = key.lower().split("/")
    return dict(zip(parts[::2], parts[1::2], strict=False))
