"""Which providers may be bought from under the house policy."""

from collections import Counter

import dagster as dg
import pandas as pd

from necto_pipelines.assets.evidence import markdown_table
from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.tables import COMPLIANCE_SCORES, records
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.sensors.automation import when_inputs_change


@dg.asset(
    description="Every provider judged against the house policy, with a score and each reason of a refusal.",
    group_name="compliance",
    owners=["team:compliance"],
    kinds={"pandas", "parquet"},
    tags={"necto/layer": "derived"},
    metadata=table_metadata(COMPLIANCE_SCORES),
    code_version="1",
    automation_condition=when_inputs_change(),
    io_manager_key=PARQUET_IO,
)
def compliance_scores(runtime: RuntimeResource, provider_evidence: pd.DataFrame) -> dg.MaterializeResult[pd.DataFrame]:
    """An order may ask for more than the house does; it is then judged anew, on the same evidence."""
    handle = runtime.get()
    scores = score_providers(provider_evidence, handle.house_policy, now=handle.clock.now())
    rows = records(scores)
    reasons = Counter(reason for row in rows for reason in (row["refusals"] or "").split(",") if reason)
    return dg.MaterializeResult(
        value=scores,
        metadata={
            "necto/policy": dg.MetadataValue.json(handle.house_policy.model_dump(mode="json")),
            "necto/compliant": sum(row["compliant"] is True for row in rows),
            "necto/refused": sum(row["compliant"] is not True for row in rows),
            "necto/reasons": markdown_table(("reason", "providers"), reasons.most_common()),
        },
    )
