"""The books as data: leases, a month's charges and its invoices, by job `bill_month`. The books remain the truth."""

import dagster as dg
import pandas as pd

from necto_pipelines.assets.evidence import markdown_table
from necto_pipelines.failures import Stale
from necto_pipelines.model.tables import INVOICES, LEASES, USAGE_CHARGES
from necto_pipelines.procurement.invoicing import issue_month
from necto_pipelines.procurement.runtime import service
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import MODE

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2026-01", fmt="%Y-%m", end_offset=2)
"""Billing months, YYYY-MM in UTC. The running month exists, so that it can be looked at before it ends; so does the
next one, because the clock of a simulated market may run ahead of the real one."""


@dg.asset(
    description="Every lease in the books: what was bought where, at which binding price, and where it stands.",
    group_name="billing",
    owners=["team:procurement"],
    kinds={"sql", "parquet"},
    tags={"necto/layer": "books"},
    metadata=table_metadata(LEASES),
    code_version="1",
    io_manager_key=PARQUET_IO,
)
def leases(runtime: RuntimeResource) -> dg.MaterializeResult[pd.DataFrame]:
    """A snapshot of the books, ordered by lease."""
    rows = sorted(runtime.get().books.leases(), key=lambda lease: lease.id)
    return dg.MaterializeResult(
        value=LEASES.frame(rows), metadata={"necto/active": sum(lease.state == "active" for lease in rows)}
    )


@dg.asset(
    description="Every priced charge of a billing month, unrounded, with the invoice it stands on once there is one.",
    group_name="billing",
    owners=["team:finance"],
    kinds={"sql", "parquet"},
    tags={"necto/layer": "books"},
    metadata=table_metadata(USAGE_CHARGES),
    code_version="1",
    partitions_def=MONTHS,
    io_manager_key=PARQUET_IO,
)
def usage_charges(context: dg.AssetExecutionContext, runtime: RuntimeResource) -> dg.MaterializeResult[pd.DataFrame]:
    """A snapshot of the books, ordered by charge; labelled with the mode of the leases charged for."""
    books = runtime.get().books
    rows = sorted(books.charges(month=context.partition_key), key=lambda charge: charge.id)
    charged = {charge.lease_id for charge in rows}
    modes = sorted({lease.mode for lease in books.leases() if lease.id in charged})
    return dg.MaterializeResult(
        value=USAGE_CHARGES.frame(rows),
        metadata={
            "necto/usd": str(sum((charge.amount_usd for charge in rows), start=0)),
            "necto/not_invoiced": sum(charge.invoice_number is None for charge in rows),
            **({MODE: ",".join(modes)} if modes else {}),
        },
    )


@dg.asset(
    description="The lines of a billing month's invoices; materializing it issues what is not invoiced yet.",
    group_name="billing",
    owners=["team:finance"],
    kinds={"sql", "parquet"},
    tags={"necto/layer": "books"},
    metadata=table_metadata(INVOICES),
    code_version="1",
    partitions_def=MONTHS,
    io_manager_key=PARQUET_IO,
)
def invoices(
    context: dg.AssetExecutionContext, runtime: RuntimeResource, usage_charges: pd.DataFrame, leases: pd.DataFrame
) -> dg.MaterializeResult[pd.DataFrame]:
    """Charges that arose after the snapshot was read are refused here: their invoice could not be walked back."""
    handle, month = runtime.get(), context.partition_key
    charges = handle.books.charges(month=month)
    unseen = {charge.id for charge in charges} - set(usage_charges["id"])
    unknown = {charge.lease_id for charge in charges} - set(leases["id"])
    if unseen or unknown:
        raise Stale(
            f"the books hold {len(unseen)} charges of {month} and {len(unknown)} leases that are not in usage_charges"
            " and leases yet: refresh these first (job bill_month)"
        )
    actor = service("billing", run_id=context.run.run_id, job=context.run.job_name, step="invoices")
    with handle.books.change(actor) as change:
        change.start_run(planned_steps(context.instance, context.run))
    issued = issue_month(handle, month, actor)
    lines = [
        {
            **{name: getattr(line, name) for name in type(line).model_fields},
            "number": invoice.number,
            "tenant": invoice.tenant,
            "month": invoice.month,
            "issued_at": invoice.issued_at,
            "simulated": invoice.simulated,
        }
        for invoice in issued
        for line in invoice.lines
    ]
    return dg.MaterializeResult(
        value=INVOICES.frame(lines),
        metadata={
            "necto/invoices": markdown_table(
                ("number", "tenant", "lines", "USD", "simulated"),
                [(i.number, i.tenant, len(i.lines), i.total_usd, i.simulated) for i in issued],
            )
        },
    )
