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
from typing import Final

from necto_pipelines.model.decision import ExpectedCost

REDO_SHARE: Final = Decimal("0.5")
"""share of the compute that is done again after a loss: a job that keeps nothing, lost at a random moment, has done
half of it on average. A job that saves its state loses less; its order says so by a smaller weight of risk."""
_MICRO_USD: Final = Decimal("0.000001")


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
    compute = usd_per_gpu_hour * gpus * hours
    return ExpectedCost(
        compute_usd=_up(compute),
        conversion_usd=_up(compute * conversion_share),
        risk_usd=_up(risk_weight * (1 - survival) * REDO_SHARE * compute),
        transfer_usd=None if transfer_usd is None else _up(transfer_usd),
    )


def _up(usd: Decimal) -> Decimal:
    return usd.quantize(_MICRO_USD, ROUND_CEILING)
