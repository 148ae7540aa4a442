"""What an order on Aethir owes: the rate of the order, downtime by mode, settlement at midnight."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.sandbox.aethir_rules import fixed_ath, owed_ath, paid_time, settled_until

DAY = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
moments = st.integers(0, 96 * 60).map(lambda minutes: DAY + timedelta(minutes=minutes))
spans = st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))


def hours(*pairs: tuple[float, float]) -> list[tuple[datetime, datetime]]:
    return [(DAY + start * HOUR, DAY + end * HOUR) for start, end in pairs]


@pytest.mark.parametrize(
    ("mode", "outages", "paid"),
    [
        ("ON_DEMAND", [], 36),
        ("RESERVE", [], 36),
        ("ON_DEMAND", [(13, 15)], 34),
        ("RESERVE", [(13, 15)], 24),
        ("ON_DEMAND", [(23, 25)], 34),
        ("RESERVE", [(23, 25)], 0),
        ("RESERVE", [(24, 24.5)], 12),
        ("ON_DEMAND", [(13, 15), (14, 16)], 33),
        ("RESERVE", [(13, 14), (20, 21)], 24),
        ("ON_DEMAND", [(0, 13)], 35),
        ("RESERVE", [(0, 12)], 36),
        ("ON_DEMAND", [(47, 90)], 35),
        ("ON_DEMAND", [(60, 90)], 36),
        ("ON_DEMAND", [(0, 90)], 0),
        ("RESERVE", [(0, 90)], 0),
        ("RESERVE", [(14, 14)], 36),
    ],
)
def test_on_demand_does_not_pay_the_broken_part_and_reserve_not_the_whole_day(
    mode: str, outages: list[tuple[float, float]], paid: float
) -> None:
    [span] = hours((12, 48))
    assert paid_time(mode, span, hours(*outages)) == paid * HOUR


@given(spans, st.lists(spans, max_size=5))
def test_reserve_pays_no_more_than_on_demand_and_both_no_more_than_the_time(
    span: tuple[datetime, datetime], outages: list[tuple[datetime, datetime]]
) -> None:
    reserve, on_demand = (paid_time(mode, span, outages) for mode in ("RESERVE", "ON_DEMAND"))
    assert timedelta(0) <= reserve <= on_demand <= span[1] - span[0]
    minutes = int((span[1] - span[0]) / timedelta(minutes=1))
    each = [span[0] + timedelta(minutes=n) for n in range(minutes)]
    broken = sum(any(start <= minute < end for start, end in outages) for minute in each)
    assert on_demand == timedelta(minutes=minutes - broken)


@given(
    usd=st.decimals("0.01", "800", places=4),
    rate=st.decimals("0.000001", "10", places=6).filter(bool),
    booked=st.integers(1, 8784),
    part=st.floats(0, 1),
)
def test_no_part_of_an_order_costs_more_than_was_fixed_for_all_of_it(
    usd: Decimal, rate: Decimal, booked: int, part: float
) -> None:
    whole = fixed_ath(usd, booked, rate)
    assert owed_ath(usd, booked * HOUR * part, rate) <= whole
    assert whole - owed_ath(usd, booked * HOUR, rate) <= Decimal("0.000001")


def test_what_is_owed_is_fiat_at_the_rate_of_the_order() -> None:
    assert owed_ath(Decimal("2.50"), 3 * HOUR, Decimal("0.025")) == 300
    assert owed_ath(Decimal("2.50"), HOUR, Decimal("0.03")) == Decimal("83.333333")
    assert fixed_ath(Decimal("2.50"), 1, Decimal("0.03")) == Decimal("83.333334")


def test_an_open_order_is_settled_at_midnight_and_one_that_ended_at_its_end() -> None:
    assert settled_until(None, DAY + 23.9 * HOUR) == DAY
    assert settled_until(None, DAY + 24 * HOUR) == DAY + 24 * HOUR
    assert settled_until(DAY + HOUR, DAY + 30 * HOUR) == DAY + HOUR
