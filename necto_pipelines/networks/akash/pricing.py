"""What an Akash price means in dollars: micro-ACT per block, and a block time that has to be measured.

1 ACT is worth 1 US dollar by protocol (AEP-76). Constants for the block time differ between 5.9 and 6.5 seconds from
tool to tool, so every conversion here takes the seconds that were measured between two blocks of the chain.
Reading the blocks belongs to the adapter.
"""

from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from necto_pipelines.model.money import MICRO

NATIVE_UNIT: Final = "uact/block"
SECONDS_PER_HOUR: Final = 3600
CONSOLE_BLOCK_SECONDS: Final = Decimal(6)
"""what the Console API itself reckons with, in its list prices too; used only where nothing could be measured"""
USD_STEP: Final = Decimal("1e-12")
_UACT_STEP: Final = Decimal("1e-6")
_SECONDS_STEP: Final = Decimal("1e-6")
_DIGITS: Final = 60
"""wide enough that products of the chain's 18-place amounts stay exact"""


def usd_per_hour(uact_per_block: Decimal, block_seconds: Decimal) -> Decimal:
    """US dollars per hour for micro-ACT per block, to 12 decimal places.

    >>> usd_per_hour(Decimal(4424), Decimal("5.876"))
    Decimal('2.710415248468')
    """
    with localcontext(prec=_DIGITS):
        exact = uact_per_block * SECONDS_PER_HOUR / (MICRO * block_seconds)
        return exact.quantize(USD_STEP, rounding=ROUND_HALF_UP)


def highest_uact_per_block(max_usd_per_hour: Decimal, block_seconds: Decimal) -> Decimal:
    """The highest price, to 6 decimal places of a micro-ACT, that does not cost more than `max_usd_per_hour`."""
    with localcontext(prec=_DIGITS):
        exact = max_usd_per_hour * MICRO * block_seconds / SECONDS_PER_HOUR
        return exact.quantize(_UACT_STEP, rounding=ROUND_DOWN)


def block_seconds(old_height: int, old_time: datetime, new_height: int, new_time: datetime) -> Decimal:
    """Average seconds per block between two blocks, to the microsecond. `ValueError` when they do not lie in order."""
    elapsed = new_time - old_time
    if new_height <= old_height or elapsed.total_seconds() <= 0:
        raise ValueError(f"block {new_height} at {new_time} does not follow block {old_height} at {old_time}")
    microseconds = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    with localcontext(prec=_DIGITS):
        return (Decimal(microseconds) / MICRO / (new_height - old_height)).quantize(_SECONDS_STEP)
