"""The arithmetic of one priced line: unit price from amount and quantity, and the amount back from both.

Policy `line-half-up-2`: the amount of a line is quantity x unit price, rounded half-up to the cent (away from zero for
credits). Who reads the printed figures must come to the printed amount, so the unit price is chosen for it here.
"""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.money import cents

UNIT_PRICE_STEP: Final = Decimal("0.0000000001")
MAX_QUANTITY: Final = Decimal(10_000_000)
"""beyond it, one step of the unit price could move a line by more than the cent it is meant to mend"""
# Products of the widest figures allowed here stay exact; the default of 28 digits would round some.
_DIGITS: Final = 60


def line_amount(quantity: Decimal, unit_price_usd: Decimal) -> Decimal:
    """What a line of these printed figures costs, in whole cents."""
    with localcontext(prec=_DIGITS):
        return whole_cents(quantity * unit_price_usd)


def whole_cents(amount: Decimal) -> Decimal:
    """Half-up to the cent, without the minus sign that a rounded small credit would keep (`-0.00`)."""
    return cents(amount) + 0


def unit_price(amount_usd: Decimal, quantity: Decimal) -> Decimal:
    """US dollars per unit, to ten decimals, with which the line re-adds to the cent: for every amount and quantity

        line_amount(quantity, unit_price(amount, quantity)) == whole_cents(amount)

    It is the quotient rounded half-up. Where the lost digits would carry the product over the edge of a cent, the
    neighbouring price on the other side is taken: the rounding error of the product is at most half a step x quantity,
    so one step is enough.

    Raises PermanentFailure unless 0 < quantity <= MAX_QUANTITY.
    """
    if not 0 < quantity <= MAX_QUANTITY:
        raise PermanentFailure(f"a quantity of {quantity} cannot be priced; it must be above 0, at most {MAX_QUANTITY}")
    with localcontext(prec=_DIGITS):
        price = (amount_usd / quantity).quantize(UNIT_PRICE_STEP, ROUND_HALF_UP)
        if line_amount(quantity, price) != whole_cents(amount_usd):
            price += UNIT_PRICE_STEP if quantity * price < amount_usd else -UNIT_PRICE_STEP
        return price + 0  # a vanishing credit is 0, not -0
