"""What the simulated Aethir quotes. ALL OF IT IS MADE UP: Aethir publishes no price list, and no quote was at hand.

Prices lie above what the simulated Akash asks for the same GPU, so that a made-up figure never leads a comparison.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from necto_pipelines.sandbox.seeded import whole

COUNTERPARTY = "Aethir (simulated)"
CONTRACT = "simulated, no contract"
REGIONS = {"us-east": "US", "eu-central": "DE", "ap-southeast": "SG"}
RESERVE_SHARE = Decimal("0.80")
"""what a reserved hour costs, as a share of an hour on demand"""
RESERVE_HOURS = 24


@dataclass(frozen=True)
class Spec:
    """A unit that is rented whole. `usd` is for one GPU and hour on demand, before each region's surcharge."""

    name: str
    gpu_model: str
    gpus: int
    vram_gib: int
    usd: Decimal


SPECS = (
    Spec("h100-1x", "NVIDIA H100 SXM5 80GB", 1, 80, Decimal("4.10")),
    Spec("h100-8x", "NVIDIA H100 SXM5 80GB", 8, 80, Decimal("3.95")),
    Spec("h200-8x", "NVIDIA H200 141GB", 8, 141, Decimal("5.40")),
    Spec("l40s-4x", "NVIDIA L40S 48GB", 4, 48, Decimal("1.60")),
    Spec("rtx4090-1x", "NVIDIA RTX 4090", 1, 24, Decimal("0.75")),
)


@dataclass(frozen=True)
class Row:
    """A quote: a unit in a region, on demand or reserved. `units` is how many there are in all."""

    spec: Spec
    region: str
    mode: str
    usd_per_gpu_hour: Decimal
    min_hours: int
    units: int

    @property
    def key(self) -> tuple[str, str, str]:
        return self.spec.name, self.region, self.mode

    @property
    def country(self) -> str:
        return REGIONS[self.region]

    @property
    def usd_per_hour(self) -> Decimal:
        """For the whole unit."""
        return self.usd_per_gpu_hour * self.spec.gpus

    @property
    def provider(self) -> str:
        """Counterparty and region, as a tenant would name the seller."""
        return f"aethir-simulated-{self.region}"


def rows(seed: int) -> list[Row]:
    """Every quote there is, the same for the same seed."""
    return [row for region in REGIONS for spec in SPECS for row in _rows(seed, region, spec)]


def quoted_on(today: date) -> date:
    """The simulated quotes are given anew each Monday."""
    return today - timedelta(days=today.weekday())


def valid_until(today: date) -> date:
    """They hold for two weeks from then."""
    return quoted_on(today) + timedelta(days=13)


def _rows(seed: int, region: str, spec: Spec) -> list[Row]:
    surcharge = Decimal(whole(0, 15, seed, "aethir", "price", region, spec.name)) / 100
    usd, units = spec.usd + surcharge, whole(1, 4, seed, "aethir", "units", region, spec.name)
    reserved = (usd * RESERVE_SHARE).quantize(Decimal("0.0001"))
    return [
        Row(spec, region, "ON_DEMAND", usd, 1, units),
        Row(spec, region, "RESERVE", reserved, RESERVE_HOURS, units),
    ]
