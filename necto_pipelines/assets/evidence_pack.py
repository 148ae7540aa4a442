"""Evidence packs as an asset: one a month, for an auditor or regulator; the pack itself is a file below the home."""

import dagster as dg
import pandas as pd

from necto_pipelines.assets.billing import MONTHS
from necto_pipelines.assets.evidence import markdown_table
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.tables import EVIDENCE_FILES
from necto_pipelines.procurement.evidence_pack import pack_month
from necto_pipelines.procurement.runtime import service
from necto_pipelines.resources.failed_checks import failed_checks
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource


@dg.asset(
    description="A month's evidence for an auditor: every invoice proved, controls, verification, incidents.",
    group_name="audit",
    owners=["team:compliance"],
    kinds={"file", "parquet"},
    tags={"necto/layer": "books"},
    metadata=table_metadata(EVIDENCE_FILES),
    code_version="1",
    partitions_def=MONTHS,
    deps=["invoices"],
    io_manager_key=PARQUET_IO,
)
def evidence_packs(context: dg.AssetExecutionContext, runtime: RuntimeResource) -> dg.MaterializeResult[pd.DataFrame]:
    """The files of the pack, by path. A pack that shows a failure is kept, and then the run fails."""
    month, necto = context.partition_key, runtime.get()
    actor = service("audit", run_id=context.run.run_id, job=context.run.job_name, step="evidence_packs")
    with necto.books.change(actor) as change:
        change.start_run(planned_steps(context.instance, context.run))
    pack = pack_month(necto, month, actor, failed_checks(context.instance, month))
    if not pack.ok:
        raise PermanentFailure(f"the evidence of {month} does not hold: index.html in {pack.path} says what failed")
    rows = [
        {**vars(file), "month": month, "pack_sha256": pack.sha256}
        for file in sorted(pack.files, key=lambda file: file.path)
    ]
    return dg.MaterializeResult(
        value=EVIDENCE_FILES.frame(rows),
        metadata={
            "evidence/pack": dg.MetadataValue.path(str(pack.path)),
            "evidence/sha256": pack.sha256,
            "evidence/leaf_index": pack.leaf_index,
            "evidence/contents": markdown_table(("month", "invoices", "files"), [(month, pack.invoices, len(rows))]),
        },
    )
