"""Charges carry what was settled and converted, to whom it belongs, and nothing twice."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from billing_examples import conversion, lease, order, utc
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.billing.charges import compute_charges, conversion_charges
from necto_pipelines.billing.metering import month_of, usage_of
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.lease import Charge, ChargeKind


def test_a_compute_charge_prices_gpu_hours_at_what_was_settled() -> None:
    november, december = compute_charges(order(), lease(), usage_of(lease(), settled_native=Decimal(900_000_000)))
    assert (november.kind, november.quantity, november.unit) == (ChargeKind.COMPUTE, Decimal(288), "GPU-hours")
    assert (november.amount_usd, november.unit_price_usd) == (Decimal(450), Decimal("1.5625"))
    assert (november.month, december.month) == ("2026-11", "2026-12")
    assert (november.tenant, november.cost_centre) == ("meridian", "research")
    assert (november.order_id, november.lease_id) == ("ord_1", "lse_1")
    assert (november.network, november.resource, november.invoice_number) == ("akash", "H100-80GB", None)


@given(st.timedeltas(timedelta(0), timedelta(days=200)), st.integers(0, 10**12))
def test_the_charges_of_a_lease_add_up_to_its_settlement(length: timedelta, units: int) -> None:
    held = lease(closed_at=utc(2026, 11, 29, 12) + length)
    charges = compute_charges(order(), held, usage_of(held, settled_native=Decimal(units)))
    assert sum(charge.amount_usd for charge in charges) == Decimal(units) / 1_000_000
    assert all(charge.month == month_of(charge.period_start) for charge in charges)


def test_money_without_metered_time_is_charged_as_a_settlement() -> None:
    held = lease(closed_at=utc(2026, 11, 29, 12))
    (charge,) = compute_charges(order(), held, usage_of(held, settled_native=Decimal(7_000_000)))
    assert (charge.quantity, charge.unit, charge.unit_price_usd) == (1, "settlement", 7)


def test_neither_time_nor_money_is_no_charge() -> None:
    held = lease(closed_at=utc(2026, 11, 29, 12))
    assert compute_charges(order(), held, usage_of(held, settled_native=Decimal(0))) == []


def test_time_that_cost_nothing_is_a_charge_of_nothing() -> None:
    charges = compute_charges(order(), lease(), usage_of(lease(), settled_native=Decimal(0)))
    assert [charge.amount_usd for charge in charges] == [0, 0]


@pytest.mark.parametrize(
    ("fee", "slippage", "expected"),
    [
        ("0.1", "0.25", [("conversion_fee", "0.1"), ("slippage", "0.25")]),
        ("0.1", "0", [("conversion_fee", "0.1")]),
        ("0", "-0.07", [("slippage", "-0.07")]),
        ("0", "0.000", []),
    ],
)
def test_a_conversion_is_charged_for_fee_and_slippage_with_their_signs(
    fee: str, slippage: str, expected: list[tuple[str, str]]
) -> None:
    charges = conversion_charges(order(), lease(), [conversion(fee_usd=fee, slippage_usd=slippage)])
    assert [(charge.kind, str(charge.amount_usd)) for charge in charges] == expected
    assert all(charge.unit_price_usd == charge.amount_usd for charge in charges)


@pytest.mark.parametrize(("at", "month"), [(utc(2026, 11, 30, 23, 59, 59), "2026-11"), (utc(2026, 12, 1), "2026-12")])
def test_a_conversion_is_charged_in_the_month_it_was_made(at: datetime, month: str) -> None:
    charges = conversion_charges(order(), lease(), [conversion(at=at)])
    assert {(charge.month, charge.resource, charge.lease_id) for charge in charges} == {(month, "USDC to AKT", "lse_1")}


def test_charging_again_gives_the_same_charges_with_the_same_ids() -> None:
    def charged() -> list[Charge]:
        used = usage_of(lease(), settled_native=Decimal(10**9))
        swaps = [conversion(), conversion(id="cnv_2")]
        return [*compute_charges(order(), lease(), used), *conversion_charges(order(), lease(), swaps)]

    assert charged() == charged()
    assert len({charge.id for charge in charged()}) == 6


def test_facts_of_another_order_or_lease_are_not_charged() -> None:
    used = usage_of(lease(id="lse_2"), settled_native=Decimal(1))
    with pytest.raises(PermanentFailure, match="belongs to lease lse_2, not to lse_1"):
        compute_charges(order(), lease(), used)
    with pytest.raises(PermanentFailure, match="belongs to order ord_1, not to ord_2"):
        compute_charges(order(id="ord_2"), lease(), [])
    with pytest.raises(PermanentFailure, match="cnv_1 belongs to ord_9, not to ord_1"):
        conversion_charges(order(), lease(), [conversion(order_id="ord_9")])
