"""What an order is expected to cost at an offer: more than its list price times its hours.

    compute    = price x GPUs x hours
    conversion = compute x share      fees and slippage, only where stablecoin is changed into the network's own unit
    risk       = weight x (1 - survival) x REDO_SHARE x compute
    transfer   = moving the data, where a price of that is known; else absent, never nothing

What it rests on: a lease is as likely to be lost in one hour as in any other, and is lost once at most, for a second
loss of the same order is rarer than these figures are exact. The time it takes to place the order anew costs no money
and is left out. Which chance of survival holds is for `reliability` to say; what ranks an offer stands in `strategies`.

Each part is rounded up to whole micro-dollars, so that parts add up exactly and none is hidden by rounding.
"""

from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

from necto_pipelines.model.decision import ExpectedCost
from necto_pipelines.model.money import cents_up
from necto_pipelines.routing.unchecked import unchecked

REDO_SHARE: Final = Decimal("0.5")
"""share of the compute that is done again after a loss: a job that keeps nothing, lost at a random moment, has done
half of it on average. A job that saves its state loses less; its order says so by a smaller weight of risk."""
_MICRO_USD: Final = Decimal("0.000001")


class Compute(NamedTuple):
    """What follows from the price alone, the same at every provider that asks it."""

    exact_usd: Decimal
    compute_usd: Decimal
    conversion_usd: Decimal
    paid_usd: Decimal
    """compute and conversion together; whole cents, rounded up"""


def expected_cost(
    *,
    usd_per_gpu_hour: Decimal,
    gpus: int,
    hours: Decimal,
    conversion_share: Decimal,
    survival: Decimal,
    risk_weight: Decimal,
    transfer_usd: Decimal | None = None,
) -> ExpectedCost:
    """The parts for one order at one price. `survival` is the chance, 0 to 1, that a lease outlasts the hours."""
    compute = compute_of(usd_per_gpu_hour, gpus, hours, conversion_share)
    return with_risk(compute, risk_share(survival, risk_weight), transfer_usd)


def compute_of(usd_per_gpu_hour: Decimal, gpus: int, hours: Decimal, conversion_share: Decimal) -> Compute:
    """The compute and its conversion."""
    exact = usd_per_gpu_hour * gpus * hours
    return Compute(exact, _up(exact), _up(exact * conversion_share), cents_up(exact * (1 + conversion_share)))


def risk_share(survival: Decimal, risk_weight: Decimal) -> Decimal:
    """What the risk comes to, as a share of the compute."""
    return risk_weight * (1 - survival) * REDO_SHARE


def with_risk(compute: Compute, share: Decimal, transfer_usd: Decimal | None = None) -> ExpectedCost:
    """All parts, where the risk comes to that share of the compute."""
    return unchecked(  # every part comes out of `quantize`: a finite Decimal
        ExpectedCost,
        {
            "compute_usd": compute.compute_usd,
            "conversion_usd": compute.conversion_usd,
            "risk_usd": _up(share * compute.exact_usd),
            "transfer_usd": None if transfer_usd is None else _up(transfer_usd),
        },
    )


def _up(usd: Decimal) -> Decimal:
    return usd.quantize(_MICRO_USD, ROUND_CEILING)
