"""Rounding laws, and money that never passes through a float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from necto_pipelines.model.money import CENT, ExactDecimal, cents, cents_up, from_micro, plain, to_micro

AMOUNTS = st.decimals(min_value=Decimal("-1E9"), max_value=Decimal("1E9"), places=12)


class Priced(BaseModel):
    usd: ExactDecimal


@given(AMOUNTS)
def test_rounding_to_cents_moves_an_amount_by_half_a_cent_at_most(amount: Decimal) -> None:
    assert abs(cents(amount) - amount) <= CENT / 2
    assert cents(amount).as_tuple().exponent == -2


@given(AMOUNTS)
def test_rounding_twice_changes_nothing(amount: Decimal) -> None:
    assert cents(cents(amount)) == cents(amount)
    assert cents_up(cents_up(amount)) == cents_up(amount)


@given(AMOUNTS, AMOUNTS)
def test_rounding_keeps_the_order_of_amounts(one: Decimal, other: Decimal) -> None:
    low, high = sorted([one, other])
    assert cents(low) <= cents(high)
    assert cents_up(low) <= cents_up(high)


@given(AMOUNTS)
def test_rounding_is_the_same_for_a_debt_and_a_credit(amount: Decimal) -> None:
    assert cents(-amount) == -cents(amount)


@pytest.mark.parametrize(
    ("amount", "rounded"), [("0.005", "0.01"), ("0.015", "0.02"), ("0.0049", "0.00"), ("-0.005", "-0.01")]
)
def test_half_a_cent_goes_away_from_zero(amount: str, rounded: str) -> None:
    assert cents(Decimal(amount)) == Decimal(rounded)


@given(AMOUNTS)
def test_a_reservation_is_never_too_small(amount: Decimal) -> None:
    assert amount <= cents_up(amount) < amount + CENT


@given(AMOUNTS)
def test_micro_units_cover_the_amount_and_no_more_than_one_unit_extra(amount: Decimal) -> None:
    covered = from_micro(to_micro(amount))
    assert amount <= covered < amount + Decimal("0.000001")


@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_micro_units_survive_the_way_there_and_back(units: int) -> None:
    assert to_micro(from_micro(units)) == units


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_plain_text_says_the_same_amount_without_an_exponent(amount: Decimal) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text.upper()
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("2.00", "2"), ("0.000100", "0.0001"), ("10.5", "10.5"), ("1E+3", "1000"), ("100", "100"), ("1E-7", "0.0000001")],
)
def test_plain_text_is_what_a_person_would_write(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.decimals(min_value=0, max_value=10**6, places=6))
def test_money_goes_through_json_without_loss(amount: Decimal) -> None:
    assert Priced.model_validate_json(Priced(usd=amount).model_dump_json()).usd == amount


def test_a_float_means_what_its_writer_wrote() -> None:
    assert Priced(usd=0.1).usd == Decimal("0.1")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", float("nan"), float("inf"), "ten", None])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Priced.model_validate({"usd": value})
