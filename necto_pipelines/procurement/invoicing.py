"""Issue a month's invoices and write their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from necto_pipelines.billing.documents import invoice_csv, invoice_json, invoice_pdf
from necto_pipelines.billing.invoicing import build_invoice, check_invoice
from necto_pipelines.books.books import Actor
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Charge
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.procurement.runtime import Runtime, service


@dataclass(frozen=True)
class InvoiceFiles:
    """Where an invoice's documents stand."""

    json: Path
    csv: Path
    pdf: Path


def issue_month(runtime: Runtime, month: str, actor: Actor | None = None) -> list[Invoice]:
    """Invoice every tenant's charges of `month` (YYYY-MM) that stand on no invoice yet, and write the files.

    Charges arise when a lease is settled, so a month may be invoiced before it ends; what settles later goes onto a
    further invoice. Calling it again issues nothing new. Returns all invoices of the month, oldest first, under a
    signed checkpoint.
    """
    actor = actor or service("billing")
    for tenant in sorted({charge.tenant for charge in runtime.books.charges(month=month, invoiced=False)}):
        with runtime.books.change(actor) as change:
            change.issue_invoice(tenant, month, partial(_build, runtime, tenant, month))
    runtime.books.sign()
    invoices = runtime.books.invoices(month=month)
    for invoice in invoices:
        write_files(runtime, invoice)
    return invoices


def write_files(runtime: Runtime, invoice: Invoice) -> InvoiceFiles:
    """Write the invoice's documents where they are missing; the same invoice always gives the same bytes."""
    files = invoice_files(runtime, invoice)
    files.json.parent.mkdir(parents=True, exist_ok=True)
    for path, render in ((files.json, invoice_json), (files.csv, invoice_csv), (files.pdf, invoice_pdf)):
        if not path.exists():
            part = path.with_suffix(path.suffix + ".part")
            part.write_bytes(render(invoice))
            part.replace(path)
    return files


def invoice_files(runtime: Runtime, invoice: Invoice) -> InvoiceFiles:
    """The paths of an invoice's documents, whether they are written yet or not."""
    stem = runtime.invoice_folder / invoice.month / invoice.number
    return InvoiceFiles(stem.with_suffix(".json"), stem.with_suffix(".csv"), stem.with_suffix(".pdf"))


def _build(runtime: Runtime, tenant: str, month: str, number: str, charges: Sequence[Charge]) -> Invoice:
    leases = {lease.id: lease for lease in runtime.books.leases()}
    simulated = any(leases[charge.lease_id].mode is SourceMode.SANDBOX for charge in charges)
    invoice = build_invoice(number, tenant, month, charges, issued_at=runtime.clock.now(), simulated=simulated)
    if faults := check_invoice(invoice):
        raise PermanentFailure(f"invoice {number} does not add up: {'; '.join(faults)}")
    return invoice
