"""The printed quantity times the printed unit price is the printed amount."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from necto_pipelines.billing.pricing import MAX_QUANTITY, UNIT_PRICE_STEP, line_amount, unit_price, whole_cents
from necto_pipelines.failures import PermanentFailure

quantities = st.decimals(Decimal("0.000000001"), MAX_QUANTITY, places=9)
amounts = st.decimals(-(10**9), 10**9, places=6)
# Half cents are where the lost digits of a unit price would carry a line to the wrong side.
ties = st.integers(-(10**9), 10**9).map(lambda half_cents: Decimal(2 * half_cents + 1) / 200)
long_amounts = st.decimals(-1000, 1000, places=24)


@given(st.one_of(amounts, ties, long_amounts), quantities)
@example(Decimal("288.005"), Decimal("191.7"))
@example(Decimal("-0.005"), Decimal("0.000000001"))
@example(Decimal("0.00499999999999"), Decimal(1))
def test_a_line_re_adds_to_the_cent_of_its_exact_amount(amount: Decimal, quantity: Decimal) -> None:
    price = unit_price(amount, quantity)
    assert line_amount(quantity, price) == whole_cents(amount)
    assert abs(price - amount / quantity) <= UNIT_PRICE_STEP * Decimal("1.5")
    assert -price.as_tuple().exponent == 10


def test_the_neighbouring_price_is_taken_where_ten_digits_would_lose_a_cent() -> None:
    amount, quantity = Decimal("100.005"), Decimal(7)
    nearest = (amount / quantity).quantize(UNIT_PRICE_STEP, ROUND_HALF_UP)
    assert line_amount(quantity, nearest) == Decimal("100.00")
    assert unit_price(amount, quantity) == nearest + UNIT_PRICE_STEP
    assert line_amount(quantity, nearest + UNIT_PRICE_STEP) == Decimal("100.01")


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        ("0.1", "1.85", "0.19"),  # 0.185: half-even gives 0.18
        ("0.1", "1.95", "0.20"),
        ("1", "2.675", "2.68"),  # as binary floating point it is 2.67
        ("1", "0.005", "0.01"),
        ("1", "0.0049999999", "0.00"),
        ("1", "-0.005", "-0.01"),
        ("1", "-0.0049999999", "0.00"),
        ("47616.123456789", "123.4567890123", "5878533.71"),
    ],
)
def test_lines_are_rounded_half_up(quantity: str, price: str, amount: str) -> None:
    assert str(line_amount(Decimal(quantity), Decimal(price))) == amount


@given(st.decimals(0, 10**6, places=3))
def test_a_credit_is_rounded_as_far_as_a_charge(amount: Decimal) -> None:
    assert whole_cents(-amount) == -whole_cents(amount)


def test_a_credit_too_small_to_show_prints_no_minus_sign() -> None:
    assert str(whole_cents(Decimal("-0.001"))) == "0.00"
    assert str(unit_price(Decimal("-0.00000000001"), Decimal(1))) == "0E-10"


@pytest.mark.parametrize("quantity", ["0", "-1", "10000000.000000001"])
def test_a_quantity_that_cannot_be_priced_is_refused(quantity: str) -> None:
    with pytest.raises(PermanentFailure, match=quantity):
        unit_price(Decimal(1), Decimal(quantity))
