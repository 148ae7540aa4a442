"""Whether Dagster's rows are still what was sealed. How that is found out stands in `procurement/reconciling.py`."""

from collections import Counter
from typing import Final

import dagster as dg

from necto_pipelines.model.clock import SystemClock
from necto_pipelines.procurement.reconciling import FindingKind, reconcile
from necto_pipelines.resources.dagster_events import event_rows
from necto_pipelines.resources.runtime import RuntimeResource

EXTENT: Final = "necto/reconcile"
"""tag of a run: `all` has every sealed run compared, anything else the newest ones"""
EVERYTHING: Final = "all"
NEWEST_RUNS: Final = 500
_SHOWN: Final = 100


@dg.asset_check(
    asset="audit_trail",
    blocking=True,
    description="Dagster's rows are those that were sealed: none edited, missing, forged or unlogged, nothing wiped.",
)
def dagster_rows_as_sealed(context: dg.AssetCheckExecutionContext, runtime: RuntimeResource) -> dg.AssetCheckResult:
    """Names every row that is not as it was sealed; an event that somebody only reported by hand is a warning."""
    everything = context.run.tags.get(EXTENT) == EVERYTHING
    found = reconcile(
        event_rows(context.instance),
        runtime.get().books,
        now=SystemClock().now(),
        newest=None if everything else NEWEST_RUNS,
    )
    kinds = Counter(finding.kind.value for finding in found.findings)
    grave = kinds.total() - kinds[FindingKind.REPORTED.value]
    rows = [
        dg.TableRecord({"kind": each.kind.value, "run": each.run_id, "event": each.storage_id, "what": each.what})
        for each in found.findings[:_SHOWN]
    ]
    return dg.AssetCheckResult(
        passed=not found.findings,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=(
            f"{found.events} events of {found.runs} runs are as they were sealed"
            if not found.findings
            else "; ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        ),
        metadata={
            "necto/faults": len(found.findings),
            "necto/kinds": dg.MetadataValue.json(dict(sorted(kinds.items()))),
            "necto/runs": found.runs,
            "necto/events": found.events,
            "necto/extent": EVERYTHING if everything else f"the newest {NEWEST_RUNS} runs",
            **({"necto/findings": dg.MetadataValue.table(rows, schema=_COLUMNS)} if rows else {}),
        },
    )


_COLUMNS: Final = dg.TableSchema(
    columns=[
        dg.TableColumn("kind", description="edited, missing, forged, unlogged, wiped or reported"),
        dg.TableColumn("run", description="run id; empty where no run is concerned"),
        dg.TableColumn("event", type="int", description="Dagster's id of the row"),
        dg.TableColumn("what", description="what was found"),
    ]
)
