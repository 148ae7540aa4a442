"""The gate for offers: which can be believed, and for each other one, why not. For every network alike.

Networks list what strangers enter, and readers slip in units. One H100 for 0.0001 USD would win every order, one for
9999 would make the whole catalog fail its checks: such a row is set aside with its reason, and the others are used. The
memory of a card is judged where it is named (model/gpu.py): a size its maker never sold is no GPU of ours. Cloud
prices have a gate of their own (market/clouds/plausibility.py), which knows more of them.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from necto_pipelines.model.answer import Listing
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import Offer

USUAL_USD_PER_GPU_HOUR: Final[Mapping[str, Decimal]] = {
    family: Decimal(usd)
    for family, usd in {
        "B300": "6.00", "B200": "5.00", "H200": "4.45", "H100": "2.71", "A100": "1.71", "RTXPRO6000": "1.45",
        "RTX5090": "0.67", "RTX4000ADA": "0.41", "RTX4090": "0.39", "V100": "0.36", "P2000": "0.25",
        "RTX3090TI": "0.25",
        "RTX8000": "0.21", "RTX6000": "0.17", "RTX3090": "0.16", "RTX4080": "0.15", "T4": "0.15", "RTX3060": "0.14",
        "P40": "0.08", "GTX1070TI": "0.08", "M4000": "0.06", "GTX1050": "0.05", "GTX1050TI": "0.03", "P4": "0.03",
    }.items()
}  # fmt: skip
"""Akash's list prices of 2026-09-20 (api-evangelist/akash plans/plans.yml @4301f93c844d)"""
TIMES: Final = 20
"""an offer this many times dearer or cheaper than usual is not one: sellers differ by a few times, and slips of units
by more (per day for per hour is 24, cents for dollars 100, per month 730)"""
CHEAPEST_USD: Final = Decimal("0.001")
DEAREST_USD: Final = Decimal(100)
"""where nothing usual is known: a thirtieth of the cheapest card listed, and five times the dearest of the clouds"""
MOST: Final[Mapping[str, float]] = {
    "units_available": 100_000,
    "max_gpus_per_order": 100_000,
    "cpu_cores": 1_000_000,
    "memory_gib": 10_000_000,
    "disk_gib": 100_000_000,
}
"""of one provider: a data centre of thousands of machines has less"""


def believable(listing: Listing[Offer]) -> Listing[Offer]:
    """The listing with the offers that can be believed; each other one is set aside as (offer, reason)."""
    doubted = {offer.offer_id: reason for offer in listing.rows if (reason := doubt(offer))}
    if not doubted:
        return listing
    rows = tuple(offer for offer in listing.rows if offer.offer_id not in doubted)
    return replace(listing, rows=rows, quarantined=(*listing.quarantined, *doubted.items()))


def doubt(offer: Offer) -> str:
    """Why the offer cannot be believed; empty when it can."""
    usual = USUAL_USD_PER_GPU_HOUR.get(offer.gpu.family)
    least, most = (usual / TIMES, min(usual * TIMES, DEAREST_USD)) if usual else (CHEAPEST_USD, DEAREST_USD)
    usd = offer.usd_per_gpu_hour
    if not least <= usd <= most:
        told = f"; usual is {plain(usual)}" if usual else ""
        return f"{plain(usd)} USD per GPU-hour cannot be: {plain(least)} to {plain(most)} can be believed{told}"
    for name, limit in MOST.items():
        amount = getattr(offer, name)
        if not 0 <= amount <= limit:
            return f"{name} {amount:g} cannot be: 0 to {limit:g} can be believed"
    return ""
