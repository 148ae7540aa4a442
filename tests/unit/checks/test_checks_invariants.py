"""Our own invariants find what they are for."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from necto_pipelines.checks.invariants import compliance_faults, invoice_faults, savings_faults
from necto_pipelines.model.tables import COMPLIANCE_SCORES, INVOICES, PRICE_COMPARISON

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCORE = {
    "network": "akash",
    "provider": "akash1alpha",
    "policy": "standard",
    "score": 100,
    "compliant": True,
    "refusals": "",
    "evidence_observed_at": NOW,
    "evidence_sha256": "0" * 64,
}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"compliant": False, "refusals": "provider_offline", "score": 0}, None),
        ({"refusals": "provider_offline"}, "compliant in spite of provider_offline"),
        ({"evidence_sha256": None}, "compliant without evidence"),
        ({"evidence_observed_at": None}, "compliant without evidence"),
        ({"compliant": False}, "refused without a reason"),
        ({"compliant": None}, "no verdict"),
        ({"score": 101}, "a score outside 0 to 100"),
        ({"score": None}, "a score outside 0 to 100"),
    ],
)
def test_compliance_fails_closed(changes: dict[str, Any], fault: str | None) -> None:
    faults = compliance_faults(COMPLIANCE_SCORES.frame([SCORE | changes]))
    assert [fault in found for found in faults] == ([True] if fault else [])


@pytest.mark.parametrize(("stated", "count"), [("75.00", 0), ("75.01", 1), (None, 1)])
@pytest.mark.parametrize("column", ["savings_pct", "order_savings_pct"])
def test_a_saving_that_its_prices_do_not_give_is_found(column: str, stated: str | None, count: int) -> None:
    row = {
        "gpu_key": "H100-80GB",
        "gpu_count": 2,
        "choice": "cheapest",
        "cloud": "aws",
        "depin_usd_per_gpu_hour": Decimal("1.25"),
        "depin_usd_per_hour": Decimal("2.50"),
        "cloud_usd_per_gpu_hour": Decimal(5),
        "cloud_usd_per_hour": Decimal(10),
        "savings_pct": Decimal("75.00"),
        "order_savings_pct": Decimal("75.00"),
    }
    faults = savings_faults(PRICE_COMPARISON.frame([row | {column: Decimal(stated) if stated else None}]))
    assert len(faults) == count
    assert all(f"2 x H100-80GB (cheapest) against aws: {column} is stated as" in fault for fault in faults)


LINE = {
    "number": "NECTO-2026-000001",
    "position": 1,
    "quantity": Decimal("10.5"),
    "unit_price_usd": Decimal("1.25"),
    "amount_usd": Decimal("13.13"),
}


def test_a_line_that_does_not_multiply_is_found() -> None:
    faults = invoice_faults(INVOICES.frame([LINE | {"amount_usd": Decimal("13.12")}]), [])
    assert "line 1: 10.5" in faults[0]


def test_a_number_that_the_books_do_not_know_is_found() -> None:
    [fault] = invoice_faults(INVOICES.frame([LINE]), [])
    assert fault.startswith("NECTO-2026-000001: lines add up to 13.13")
    assert fault.endswith("the books say None")
