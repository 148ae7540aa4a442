"""Usage tiles the life of a lease and adds up to what the network settled."""

import itertools
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from billing_examples import lease, utc
from hypothesis import example, given
from hypothesis import strategies as st

from necto_pipelines.billing.metering import largest_remainder, month_bounds, month_of, usage_of
from necto_pipelines.failures import PermanentFailure

starts = st.timedeltas(timedelta(0), timedelta(days=1500)).map(lambda later: utc(2025, 1, 1) + later)
lengths = st.timedeltas(timedelta(0), timedelta(days=400))
settled = st.integers(0, 10**13)


@given(
    starts,
    lengths,
    st.integers(0, 10**13),
    st.decimals("0.01", "800", places=4),
    st.decimals("0.000001", "10", places=6).filter(bool),
)
def test_a_lease_settled_in_ath_is_charged_at_the_rate_that_was_fixed_with_its_prices(
    start: datetime, length: timedelta, units: int, usd_per_hour: Decimal, rate: Decimal
) -> None:
    bound = lease(
        started_at=start,
        closed_at=start + length,
        native_unit="ATH/hour",
        usd_per_hour=usd_per_hour,
        native_amount=(usd_per_hour / rate).quantize(Decimal("1e-12")),
    )
    pieces = usage_of(bound, settled_native=Decimal(units) / 1_000_000)
    assert sum(piece.native_units for piece in pieces) == Decimal(units) / 1_000_000
    worth = Decimal(units) * rate / 1_000_000
    assert abs(sum(piece.usd for piece in pieces) - worth) <= Decimal("1e-6") + worth * Decimal("1e-8")
    for piece in pieces:
        assert piece.usd * 1_000_000 == int(piece.usd * 1_000_000) >= 0


def test_four_hours_in_ath_cost_four_times_the_price_in_dollars() -> None:
    november, december = usage_of(
        lease(
            started_at=utc(2026, 11, 30, 21),
            closed_at=utc(2026, 12, 1, 1),
            native_unit="ATH/hour",
            usd_per_hour=Decimal("2.35"),
            native_amount=Decimal("75.142290720726"),
        ),
        settled_native=Decimal("300.569163"),
    )
    assert (november.usd, december.usd) == (Decimal("7.05"), Decimal("2.35"))
    assert (november.native_units, december.native_units) == (Decimal("225.426872"), Decimal("75.142291"))


@given(starts, lengths, st.integers(1, 64), settled)
@example(datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC), timedelta(microseconds=2), 1, 1)
def test_pieces_tile_the_life_of_a_lease_and_add_up_to_the_settled_amount(
    start: datetime, length: timedelta, gpus: int, units: int
) -> None:
    pieces = usage_of(lease(started_at=start, closed_at=start + length, gpu_count=gpus), settled_native=Decimal(units))
    assert pieces[0].period_start == start
    assert pieces[-1].period_end == start + length
    for before, after in itertools.pairwise(pieces):
        assert before.period_end == after.period_start
    for piece in pieces:
        first, next_month = month_bounds(month_of(piece.period_start))
        assert first <= piece.period_start <= piece.period_end <= next_month
        assert piece.native_units == int(piece.native_units) >= 0
        assert piece.usd * 1_000_000 == piece.native_units
        hours = Decimal((piece.period_end - piece.period_start) // timedelta(microseconds=1) * gpus) / 3_600_000_000
        assert abs(piece.gpu_hours - hours) <= Decimal("5e-10")
    assert len(pieces) == 1 or all(piece.period_end > piece.period_start for piece in pieces)
    assert sum(piece.native_units for piece in pieces) == units
    assert sum(piece.usd for piece in pieces) == Decimal(units) / 1_000_000
    assert len({piece.id for piece in pieces}) == len(pieces)


def test_a_lease_over_a_month_end_is_shared_by_duration() -> None:
    # 29 November 12:00 to 2 December 12:00: 36 hours in each month; the odd unit goes to the earlier piece.
    november, december = usage_of(lease(), settled_native=Decimal(900_000_001))
    assert (november.period_end, december.period_start) == (utc(2026, 12, 1), utc(2026, 12, 1))
    assert (november.gpu_hours, december.gpu_hours) == (Decimal(288), Decimal(288))
    assert (november.native_units, december.native_units) == (450_000_001, 450_000_000)
    assert (november.usd, december.usd) == (Decimal("450.000001"), Decimal(450))


def test_a_lease_closed_at_the_month_end_leaves_no_empty_piece() -> None:
    pieces = usage_of(lease(started_at=utc(2026, 11, 30), closed_at=utc(2026, 12, 1)), settled_native=Decimal(1))
    assert [month_of(piece.period_start) for piece in pieces] == ["2026-11"]


def test_months_are_those_of_utc_whatever_the_offset() -> None:
    tokyo = timezone(timedelta(hours=9))
    pieces = usage_of(
        lease(started_at=datetime(2026, 12, 1, 8, tzinfo=tokyo), closed_at=datetime(2026, 12, 1, 10, tzinfo=tokyo)),
        settled_native=Decimal(10),
    )
    assert [(month_of(piece.period_start), piece.native_units) for piece in pieces] == [("2026-11", 5), ("2026-12", 5)]


def test_a_lease_without_length_still_carries_what_was_settled() -> None:
    (piece,) = usage_of(lease(closed_at=utc(2026, 11, 29, 12)), settled_native=Decimal(7))
    assert (piece.gpu_hours, piece.native_units) == (0, 7)


@pytest.mark.parametrize(
    ("changes", "amount", "named"),
    [
        ({"closed_at": None}, "1", "closed_at"),
        ({"started_at": None}, "1", "started_at"),
        ({"closed_at": utc(2026, 11, 1)}, "1", "before it started"),
        ({"started_at": utc(2026, 11, 29).replace(tzinfo=None)}, "1", "no offset"),
        ({"native_unit": "uakt/block"}, "1", "'uakt'"),
        ({"native_unit": "EUR/hour"}, "1", "'EUR'"),
        ({"native_unit": "USD/hour"}, "1.0000001", "1.0000001 USD is not allowed"),
        ({"native_unit": "USD/hour"}, "-0.01", "-0.01 USD is not allowed"),
        ({}, "1.5", "1.5 uact is not allowed"),
        ({}, "-1", "-1 uact is not allowed"),
        ({}, "NaN", "NaN uact is not allowed"),
        ({}, "12345678901234.000000000000000001", "is not allowed"),
        ({"settled_native": "2"}, "1", "with 2 uact settled, not 1"),
    ],
)
def test_a_lease_that_cannot_be_metered_is_refused_by_name(changes: dict[str, object], amount: str, named: str) -> None:
    with pytest.raises(PermanentFailure, match=named) as refusal:
        usage_of(lease(**changes), settled_native=Decimal(amount))
    assert "lse_1" in str(refusal.value)


def test_the_bare_unit_of_a_settlement_is_known_too() -> None:
    assert len(usage_of(lease(native_unit="uact"), settled_native=Decimal("2.000000"))) == 2


@given(starts, lengths, settled)
def test_a_lease_settled_in_dollars_is_shared_to_the_micro_dollar(
    start: datetime, length: timedelta, micro_dollars: int
) -> None:
    paid = Decimal(micro_dollars) / 1_000_000
    pieces = usage_of(
        lease(started_at=start, closed_at=start + length, native_unit="USD/hour", block_seconds=None),
        settled_native=paid,
    )
    assert sum(piece.usd for piece in pieces) == sum(piece.native_units for piece in pieces) == paid
    assert all(piece.native_units == piece.usd == round(piece.usd, 6) for piece in pieces)


def test_dollars_and_cents_over_a_month_end_keep_their_last_millionth() -> None:
    november, december = usage_of(lease(native_unit="USD/hour"), settled_native=Decimal("1.000001"))
    assert (november.usd, december.usd) == (Decimal("0.500001"), Decimal("0.5"))
    assert (november.native_units, december.native_units) == (november.usd, december.usd)


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_shares_add_up_and_stay_within_one_unit_of_their_proportion(total: int, weights: list[int]) -> None:
    shares = largest_remainder(total, weights)
    assert sum(shares) == total
    if whole := sum(weights):
        assert all(abs(share * whole - total * weight) < whole for share, weight in zip(shares, weights, strict=True))


def test_a_hundred_dollars_in_three_equal_parts_keep_their_cent() -> None:
    assert largest_remainder(10_000, [1, 1, 1]) == [3334, 3333, 3333]


@pytest.mark.parametrize(("month", "after"), [("2026-11", utc(2026, 12, 1)), ("2026-12", utc(2027, 1, 1))])
def test_a_month_ends_where_the_next_begins(month: str, after: datetime) -> None:
    assert month_bounds(month)[1] == after
