"""What is ordered for a placement, and how the order is recognised again. Pure.

Making an order is not idempotent, so it must be recognisable in a list: its reference carries the hash of what the
placement alone decides. Region and specification are added on sending: they depend on what is quoted at that moment.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_CEILING
from typing import Any

from necto_pipelines.model.money import plain
from necto_pipelines.networks.aethir.quote import Quote
from necto_pipelines.networks.port import Placement


def content_hash(placement: Placement) -> str:
    """SHA-256 in hex of what the placement alone decides, with its token, as sorted JSON."""
    need = placement.requirement
    content = {
        "token": placement.token,
        "gpu": f"{placement.gpu_family}-{placement.vram_gib}GB",
        "gpu_count": need.gpu.count,
        "cpu_cores": plain(need.cpu_cores),
        "memory_gib": plain(need.memory_gib),
        "disk_gib": plain(need.disk_gib),
        "hours": plain(need.hours),
        "countries": list(need.countries),
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def client_ref(content_hash: str) -> str:
    """The reference that an order with this content is made and found under."""
    return f"necto-{content_hash}"


def order_of(placement: Placement, quote: Quote) -> dict[str, Any]:
    """The order. Hours are whole, rounded up: what is released early is paid until then."""
    return {
        "spec": quote.spec,
        "region": quote.region,
        "mode": quote.mode.value,
        "hours": int(placement.requirement.hours.to_integral_value(ROUND_CEILING)),
        "clientRef": client_ref(content_hash(placement)),
    }


def cheapest(quotes: Iterable[Quote], placement: Placement, now: datetime) -> Quote | None:
    """The quote that holds, fits and costs least, not above the cap; None when there is none."""
    fit = [quote for quote in quotes if not quote.fault_at(now) and fits(quote, placement)]
    return min(fit, key=lambda quote: (quote.usd_per_hour, quote.key), default=None)


def fits(quote: Quote, placement: Placement) -> bool:
    """True when one unit serves the placement. A unit is rented whole, so the count of GPUs must be equal."""
    need, gpu = placement.requirement, quote.gpu
    return (
        quote.units > 0
        and (gpu.family, gpu.vram_gib) == (placement.gpu_family, placement.vram_gib)
        and quote.gpus_per_unit == need.gpu.count
        and quote.cpu_cores >= need.cpu_cores
        and quote.memory_gib >= need.memory_gib
        and quote.disk_gib >= need.disk_gib
        and (not need.countries or quote.country in need.countries)
        and need.hours >= quote.min_hours
        and quote.usd_per_hour <= placement.max_usd_per_hour
    )


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
