"""Money: Decimal US dollars and integer token units, never binary floating point.

Rounding policy `line-half-up-2`: quantities and unit prices stay unrounded, each line is rounded half-up to the cent,
totals are sums of rounded lines. It is written into each invoice, so that a reader can re-add it (EN 16931 BR-CO-10).
"""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

ROUNDING_POLICY = "line-half-up-2"
MICRO = 1_000_000
CENT = Decimal("0.01")


def _exact(value: object) -> object:
    """YAML and JSON give 2.5 as a float; its shortest text is what the writer meant."""
    return str(value) if isinstance(value, float) else value


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("a finite number is needed")
    return value


ExactDecimal = Annotated[
    Decimal,
    BeforeValidator(_exact),
    AfterValidator(_finite),
    PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json"),
]
"""A Decimal that is read from text without loss and written as plain text."""


def cents(amount: Decimal) -> Decimal:
    """Round half-up to whole cents."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def cents_up(amount: Decimal) -> Decimal:
    """Round up to whole cents: for reserving money, where too little is the wrong side to err on."""
    return amount.quantize(CENT, rounding=ROUND_CEILING)


def to_micro(amount: Decimal) -> int:
    """Whole micro-units (uact, uakt, 1e-6 USDC) covering `amount`, rounded up."""
    return int((amount * MICRO).to_integral_value(rounding=ROUND_CEILING))


def from_micro(units: int) -> Decimal:
    """The amount that `units` micro-units stand for, exactly."""
    return Decimal(units) / MICRO


def plain(amount: Decimal) -> str:
    """Decimal text without an exponent and without trailing zeros: '2', '0.0001', '10.5'."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
