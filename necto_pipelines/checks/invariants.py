"""Our own invariants: compliance fails closed, savings and invoices re-add. Each names the rows that break it."""

import warnings
from collections.abc import Sequence
from decimal import Decimal

import dagster as dg
import pandas as pd

from necto_pipelines.assets.billing import MONTHS
from necto_pipelines.billing.invoicing import check_invoice
from necto_pipelines.market.comparison import savings_pct
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.money import cents
from necto_pipelines.model.tables import records
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import GUARDS, SHA256

_SHOWN = 20
_SAVINGS = (
    ("savings_pct", "depin_usd_per_gpu_hour", "cloud_usd_per_gpu_hour"),
    ("order_savings_pct", "depin_usd_per_hour", "cloud_usd_per_hour"),
)
"""a saving of PRICE_COMPARISON and the two prices it follows from"""


@dg.asset_check(
    asset="compliance_scores",
    name=GUARDS["compliance_scores"],
    blocking=True,
    description="Nobody is compliant with a refusal, without evidence or off the scale; nobody is refused in silence.",
)
def compliance_fails_closed(compliance_scores: pd.DataFrame) -> dg.AssetCheckResult:
    """Blocks when the scores say yes where they may not."""
    return _verdict(compliance_scores, compliance_faults(compliance_scores))


@dg.asset_check(
    asset="price_comparison",
    blocking=True,
    description="Every saving follows from the two prices beside it.",
)
def savings_recomputed(price_comparison: pd.DataFrame) -> dg.AssetCheckResult:
    """Recomputes the savings from the table itself."""
    return _verdict(price_comparison, savings_faults(price_comparison))


with warnings.catch_warnings():
    # A check of a partitioned asset that has no partitions itself would load every month (dagster reference, B.5).
    warnings.simplefilter("ignore", dg.PreviewWarning)

    @dg.asset_check(
        asset="invoices",
        partitions_def=MONTHS,
        blocking=True,
        description="Lines and totals re-add to the cent, and the books hold the same invoices.",
    )
    def invoices_readd(
        context: dg.AssetCheckExecutionContext, runtime: RuntimeResource, invoices: pd.DataFrame
    ) -> dg.AssetCheckResult:
        """Adds up the month's lines and holds them against the invoices in the books."""
        booked = runtime.get().books.invoices(month=context.partition_key)
        return _verdict(invoices, invoice_faults(invoices, booked))


def compliance_faults(scores: pd.DataFrame) -> list[str]:
    """Rows of COMPLIANCE_SCORES that do not fail closed."""
    faults = []
    for row in records(scores):
        who, refused = f"{row['network']}/{row['provider']}", bool(row["refusals"])
        if row["compliant"] is None or row["score"] is None or not 0 <= row["score"] <= 100:
            faults.append(f"{who}: no verdict, or a score outside 0 to 100 ({row['score']})")
        if row["compliant"] and refused:
            faults.append(f"{who}: compliant in spite of {row['refusals']}")
        if row["compliant"] and not (row["evidence_sha256"] and row["evidence_observed_at"]):
            faults.append(f"{who}: compliant without evidence")
        if row["compliant"] is False and not refused:
            faults.append(f"{who}: refused without a reason")
    return faults


def savings_faults(comparison: pd.DataFrame) -> list[str]:
    """Rows of PRICE_COMPARISON whose savings, per GPU-hour or per order, are not what their prices give."""
    faults = []
    for row in records(comparison):
        for stated, offer, cloud in _SAVINGS:
            expected = savings_pct(row[offer], row[cloud])
            if row[stated] != expected:
                faults.append(
                    f"{row['gpu_count']} x {row['gpu_key']} ({row['choice']}) against {row['cloud']}: "
                    f"{stated} is stated as {row[stated]} %, {expected} % it is"
                )
    return faults


def invoice_faults(lines: pd.DataFrame, booked: Sequence[Invoice]) -> list[str]:
    """What does not re-add in the INVOICES lines of a month, or differs from the invoices `booked`."""
    faults = [f"{invoice.number}: {fault}" for invoice in booked for fault in check_invoice(invoice)]
    totals: dict[str, Decimal] = {}
    for row in records(lines):
        totals[row["number"]] = totals.get(row["number"], Decimal(0)) + row["amount_usd"]
        if cents(row["quantity"] * row["unit_price_usd"]) != row["amount_usd"]:
            faults.append(
                f"{row['number']} line {row['position']}: {row['quantity']} x {row['unit_price_usd']}"
                f" is not {row['amount_usd']}"
            )
    due = {invoice.number: invoice.total_usd for invoice in booked}
    for number in sorted(totals.keys() | due.keys()):
        if totals.get(number) != due.get(number):
            faults.append(f"{number}: lines add up to {totals.get(number)}, the books say {due.get(number)}")
    return faults


def _verdict(frame: pd.DataFrame, faults: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not faults,
        description="; ".join(faults[:_SHOWN]) or f"holds for all {len(frame)} rows",
        metadata={SHA256: frame.attrs[SHA256], "necto/faults": len(faults)},
    )
