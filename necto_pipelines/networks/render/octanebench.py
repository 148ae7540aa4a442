"""What a rendering job on Render costs: OctaneBench-hours by tier, in credits of one euro. Pure.

    cost in EUR = OctaneBench score x hours / OctaneBench-hours per EUR of the tier

Source: know.rendernetwork.com/basics/how-much-does-rndr-cost; help.otoy.com article 360042934271. Render reckons the
same way before a job starts, without uploading and processing times; the job itself may come to more. Submitting jobs
belongs to `jobs.py`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.money import cents_up


@dataclass(frozen=True)
class Tier:
    """A tier as its price is published. Rates are set by Render and change rarely; `as_of` is when they were read."""

    number: int
    name: str
    ob_hours_per_eur: int
    released: bool
    note: str
    source: str = "know.rendernetwork.com/basics/how-much-does-rndr-cost"
    as_of: str = "2026-11-22"


TIERS: Final = {
    tier.number: tier
    for tier in (
        Tier(
            1,
            "Trusted",
            100,
            released=False,
            note="not yet released; the rate is that of 2021, with 25 OctaneBench-hours per token beside it",
            source="help.otoy.com/hc/en-us/articles/360042934271",
        ),
        Tier(2, "Priority", 100, released=True, note="first in the queue, on faster nodes"),
        Tier(3, "Economy", 200, released=True, note="no place in the queue and no speed is promised"),
    )
}


@dataclass(frozen=True)
class Estimate:
    """What a job would cost in one tier. `eur` is rounded up to the cent; one credit is one euro."""

    tier: Tier
    ob_hours: Decimal
    eur: Decimal


def estimate(ob_hours: Decimal, tier: int) -> Estimate:
    """The cost of so many OctaneBench-hours. `InvalidInput` for a tier that cannot be bought, or no work at all."""
    released = [number for number, known in TIERS.items() if known.released]
    problems = []
    if tier not in released:
        names = ", ".join(f"{number} ({TIERS[number].name})" for number in released)
        problems.append(Problem("tier", tier, f"these tiers can be bought: {names}"))
    if not ob_hours.is_finite() or ob_hours <= 0:
        problems.append(Problem("ob_hours", str(ob_hours), "write a number above 0"))
    if problems:
        raise InvalidInput(problems)
    return Estimate(TIERS[tier], ob_hours, cents_up(ob_hours / TIERS[tier].ob_hours_per_eur))


def ob_hours_of(ob_score: Decimal, minutes_per_frame: Decimal, frames: int) -> Decimal:
    """OctaneBench-hours of a scene, from one frame rendered on a machine of a known score.

    >>> ob_hours_of(Decimal(400), Decimal(3), 250)
    Decimal('5000')
    """
    facts = {"ob_score": ob_score, "scene_minutes": minutes_per_frame, "frames": Decimal(frames)}
    problems = [
        Problem(name, str(value), "write a number above 0")
        for name, value in facts.items()
        if not value.is_finite() or value <= 0
    ]
    if problems:
        raise InvalidInput(problems)
    return ob_score * minutes_per_frame * frames / 60
