"""Invoices re-add, whatever order their charges come in; a tampered one is told apart."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random

import pytest
from billing_examples import ISSUED_AT, NUMBER, charge, fee, gain, invoice, many, utc
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.billing.invoicing import build_invoice, check_invoice
from necto_pipelines.billing.pricing import whole_cents
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Charge, ChargeKind


@st.composite
def charge_lists(draw: st.DrawFn) -> list[Charge]:
    charges = []
    for index in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(ChargeKind))
        compute = kind is ChargeKind.COMPUTE
        make = charge if compute else fee
        charges.append(
            make(
                id=f"chg_{index}",
                kind=kind,
                network=draw(st.sampled_from(["akash", "render"])),
                lease_id=draw(st.sampled_from(["lse_1", "lse_2"])),
                cost_centre=draw(st.sampled_from(["research", "risk"])),
                quantity=draw(st.decimals(Decimal("0.000000001"), 50_000, places=9)) if compute else Decimal(1),
                amount_usd=draw(st.decimals(0 if compute else -1000, 10**6, places=6)),
            )
        )
    return charges


@given(charge_lists(), st.randoms(use_true_random=False))
def test_an_invoice_re_adds_and_does_not_depend_on_the_order_of_charges(charges: list[Charge], random: Random) -> None:
    issued = invoice(*charges)
    shuffled = list(charges)
    random.shuffle(shuffled)
    assert invoice(*shuffled) == issued
    assert check_invoice(issued) == []
    assert issued.total_usd == sum(line.amount_usd for line in issued.lines)
    assert Counter(charge.id for charge in charges) == Counter(
        name for line in issued.lines for name in line.charge_ids
    )
    by_id = {charge.id: charge for charge in charges}
    for line in issued.lines:
        behind = [by_id[charge_id] for charge_id in line.charge_ids]
        assert line.amount_usd == whole_cents(sum((charge.amount_usd for charge in behind), Decimal(0)))
        assert line.quantity == sum(charge.quantity for charge in behind)
        assert {(line.lease_id, line.cost_centre)} == {(charge.lease_id, charge.cost_centre) for charge in behind}


def test_a_line_reads_as_what_was_bought() -> None:
    assert [(line.description, str(line.amount_usd)) for line in invoice().lines] == [
        ("GPU compute H100-80GB (Akash)", "288.00"),
        ("Conversion fee USDC to AKT (Akash)", "0.29"),
        ("Conversion gain (negative slippage) USDC to AKT (Akash)", "-0.04"),
    ]
    loss, settled = invoice(gain(amount_usd="0.5"), charge(unit="settlement", quantity="1")).lines[::-1]
    assert loss.description == "Conversion slippage USDC to AKT (Akash)"
    assert settled.description == "GPU compute H100-80GB (Akash), settled without metered time"


def test_charges_of_one_lease_and_kind_share_a_line_at_their_average_price() -> None:
    (line,) = invoice(fee(id="chg_b", amount_usd="0.30"), fee(id="chg_a", amount_usd="0.25")).lines
    assert (line.quantity, line.unit_price_usd, line.amount_usd) == (2, Decimal("0.275"), Decimal("0.55"))
    assert line.charge_ids == ("chg_a", "chg_b")


def test_the_period_of_a_line_spans_its_charges() -> None:
    early = charge(id="chg_a", period_start=utc(2026, 11, 1), period_end=utc(2026, 11, 2))
    late = charge(id="chg_b", period_start=utc(2026, 11, 29), period_end=utc(2026, 12, 1))
    (line,) = invoice(late, early).lines
    assert (line.period_start, line.period_end) == (utc(2026, 11, 1), utc(2026, 12, 1))


def test_the_total_is_the_sum_of_rounded_lines_not_the_rounded_sum() -> None:
    # Three lines of 0.125 print 0.13 each: a reader adds 0.39, though the exact sum is 0.375.
    charges = [fee(id=f"chg_{lease}", lease_id=lease, amount_usd="0.125") for lease in ("lse_1", "lse_2", "lse_3")]
    assert invoice(*charges).total_usd == Decimal("0.39")


def test_an_invoice_is_due_the_agreed_days_after_its_utc_day_of_issue() -> None:
    late = datetime(2026, 12, 1, 5, tzinfo=timezone(timedelta(hours=9)))  # still 30 November in UTC
    issued = build_invoice(NUMBER, "meridian", "2026-11", [charge()], issued_at=late, simulated=True, due_days=14)
    assert issued.due_on == date(2026, 12, 14)


@pytest.mark.parametrize(
    ("charges", "named"),
    [
        ([], "there are no charges"),
        ([charge(), charge()], "charge chg_1 is given more than once"),
        ([charge(tenant="other")], "of tenant other, not of meridian"),
        ([charge(month="2026-10")], "of month 2026-10, not of 2026-11"),
        ([charge(invoice_number="NECTO-2026-000007")], "stands on invoice NECTO-2026-000007 already"),
        ([charge(quantity="0")], "quantity of 0 cannot be priced"),
        ([charge(period_start=utc(2026, 10, 31))], "is not within 2026-11"),
    ],
)
def test_charges_that_do_not_belong_together_are_refused(charges: list[Charge], named: str) -> None:
    with pytest.raises(PermanentFailure, match=named):
        build_invoice(NUMBER, "meridian", "2026-11", charges, issued_at=ISSUED_AT, simulated=True)


def test_every_fault_of_the_charges_is_named_at_once() -> None:
    with pytest.raises(PermanentFailure, match=r"tenant other.*month 2026-10"):
        build_invoice(
            NUMBER,
            "meridian",
            "2026-11",
            [charge(tenant="other", month="2026-10")],
            issued_at=ISSUED_AT,
            simulated=True,
        )


def test_an_invoice_can_be_built_again_from_its_own_charges() -> None:
    assert invoice(charge(invoice_number=NUMBER)) == invoice(charge())


def _with_line(**changes: object) -> dict[str, object]:
    lines = invoice().lines
    return {"lines": (lines[0].model_copy(update=changes), *lines[1:])}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (_with_line(amount_usd=Decimal("288.01")), "192 GPU-hours x 1.5000000000 is 288.00, not 288.01"),
        (_with_line(quantity=Decimal(193)), "line 1: 193 GPU-hours x 1.5000000000 is 289.50, not 288.00"),
        (_with_line(unit_price_usd=Decimal("1.6")), "is 307.20, not 288.00"),
        (_with_line(amount_usd=Decimal("288.001")), "is 288.00, not 288.001"),
        (_with_line(quantity=Decimal(-192), unit_price_usd=Decimal("-1.5")), "quantity -192 is not above zero"),
        (_with_line(charge_ids=()), "no charge is named"),
        (_with_line(charge_ids=("chg_2",)), "charge chg_2 stands more than once"),
        (_with_line(lease_id=""), "lease_id is empty"),
        (_with_line(description=""), "description is empty"),
        (_with_line(period_start=utc(2026, 10, 1)), "is not within 2026-11"),
        (_with_line(period_end=utc(2026, 12, 1, 0, 0, 1)), "is not within 2026-11"),
        (_with_line(period_end=utc(2026, 11, 1)), "before its start"),
        (_with_line(period_end=utc(2026, 11, 5).replace(tzinfo=None)), "has no offset"),
        (_with_line(position=2), "do not run from 1"),
        ({"total_usd": Decimal("288.26")}, "the total is 288.26, the lines add up to 288.25"),
        ({"lines": ()}, "there are no lines"),
        ({"number": "2026-1"}, "is not of the form SERIES-YYYY-000001"),
        ({"number": "NECTO-2025-000001"}, "counts in another year"),
        ({"month": "2026-13"}, "month '2026-13' is not of the form"),
        ({"tenant": ""}, "no tenant is named"),
        ({"currency": "EUR"}, "currency 'EUR' is not USD"),
        ({"rounding_policy": "sum-half-even-2"}, "rounding policy 'sum-half-even-2' is unknown"),
        ({"issued_at": utc(2026, 12, 1).replace(tzinfo=None)}, "has no offset"),
        ({"due_on": date(2026, 11, 30)}, "before it was issued"),
    ],
)
def test_a_changed_invoice_is_found_out(changes: dict[str, object], fault: str) -> None:
    faults = check_invoice(invoice().model_copy(update=changes))
    assert any(fault in found for found in faults), faults


def test_a_sound_invoice_has_no_faults() -> None:
    issued = invoice(*many(60))
    assert check_invoice(issued) == []
    assert check_invoice(Invoice.model_validate_json(issued.model_dump_json())) == []
    assert issued.issued_at.tzinfo is UTC
