"""Prices: micro-ACT per block against dollars per hour, exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.networks.akash.pricing import block_seconds, highest_uact_per_block, usd_per_hour

amounts = st.decimals(min_value=0, max_value=10**9, places=18)
seconds = st.decimals(min_value=Decimal("0.5"), max_value=60, places=6)
START = datetime(2026, 7, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("block_time", "expected"),
    [("6", "2.6544"), ("5.876", "2.710415248468"), ("6.5", "2.450215384615")],
)
def test_the_same_bid_costs_what_the_block_time_makes_of_it(block_time: str, expected: str) -> None:
    assert usd_per_hour(Decimal(4424), Decimal(block_time)) == Decimal(expected)


@given(amounts, seconds)
def test_dollars_per_hour_are_right_to_the_twelfth_place(amount: Decimal, block_time: Decimal) -> None:
    exact = Fraction(amount) * 3600 / 10**6 / Fraction(block_time)
    usd = usd_per_hour(amount, block_time)
    assert abs(Fraction(usd) - exact) <= Fraction(1, 2 * 10**12)
    assert usd.as_tuple().exponent == -12


@given(amounts, amounts, seconds)
def test_a_higher_bid_never_costs_less(one: Decimal, other: Decimal, block_time: Decimal) -> None:
    low, high = sorted((one, other))
    assert usd_per_hour(low, block_time) <= usd_per_hour(high, block_time)


@given(amounts, seconds, seconds)
def test_slower_blocks_never_cost_more(amount: Decimal, one: Decimal, other: Decimal) -> None:
    fast, slow = sorted((one, other))
    assert usd_per_hour(amount, slow) <= usd_per_hour(amount, fast)


@given(st.decimals(min_value=Decimal("0.01"), max_value=1000, places=6), seconds)
def test_the_ceiling_keeps_to_the_cap_and_wastes_less_than_a_millionth_unit(cap: Decimal, block_time: Decimal) -> None:
    ceiling = highest_uact_per_block(cap, block_time)
    assert usd_per_hour(ceiling, block_time) <= cap
    assert usd_per_hour(ceiling + Decimal("0.000002"), block_time) > cap


def test_the_block_time_is_measured_between_two_blocks() -> None:
    # The heights of 10 and 17 July 2026, between which blocks took 5.876 s.
    measured = block_seconds(27_652_334, START, 27_761_552, START + timedelta(seconds=641_765))
    assert measured == Decimal("5.876000")


@pytest.mark.parametrize(("new_height", "later_s"), [(100, 60), (99, 60), (101, 0), (101, -6)])
def test_blocks_out_of_order_measure_nothing(new_height: int, later_s: int) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        block_seconds(100, START, new_height, START + timedelta(seconds=later_s))
