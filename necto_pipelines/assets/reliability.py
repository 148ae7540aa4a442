"""How leases fare: what the watch has seen, and how likely a lease is to last at each provider.

The books hold what was seen first; sensors write it there.
"""

from collections import Counter

import dagster as dg
import pandas as pd

from necto_pipelines.assets.evidence import markdown_table
from necto_pipelines.model.state import LeaseState
from necto_pipelines.model.tables import LEASE_TELEMETRY, RELIABILITY_SCORES, records
from necto_pipelines.procurement.outcomes import lease_outcomes
from necto_pipelines.reliability.scoring import score_reliability
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.sensors.automation import when_inputs_change


@dg.asset(
    description="Every look at a running lease that is still kept: health, latency, replicas, runway and cost so far.",
    group_name="reliability",
    owners=["team:procurement"],
    kinds={"sql", "parquet"},
    tags={"necto/layer": "books"},
    metadata=table_metadata(LEASE_TELEMETRY),
    code_version="1",
    io_manager_key=PARQUET_IO,
)
def lease_telemetry(runtime: RuntimeResource) -> dg.MaterializeResult[pd.DataFrame]:
    """A snapshot of the books, ordered by lease and time; with a table of how the active leases fare now."""
    books = runtime.get().books
    leases = {lease.id: lease for lease in books.leases()}
    seen = books.telemetry()
    newest = {row.lease_id: row for row in seen}
    rows = [
        row.model_dump()
        | {name: getattr(leases[row.lease_id], name) for name in ("order_id", "network", "provider_name", "mode")}
        for row in seen
    ]
    active = [lease for lease in leases.values() if lease.state is LeaseState.ACTIVE]
    health = {lease.id: books.health(lease.id) for lease in active}
    now = [
        (lease.id, lease.provider_name, known.health, known.since, look.cost_usd, look.runway_hours, known.detail)
        for lease in active
        if (known := health[lease.id]) and (look := newest.get(lease.id))
    ]
    return dg.MaterializeResult(
        value=LEASE_TELEMETRY.frame(rows),
        metadata={
            "necto/active": len(active),
            "necto/health": dg.MetadataValue.json(
                dict(Counter(str(known.health) for known in health.values() if known))
            ),
            "necto/failovers": len(books.failovers()),
            "necto/now": markdown_table(("lease", "provider", "health", "since", "USD", "runway h", "detail"), now),
        },
    )


@dg.asset(
    description="The chance that a lease lasts at each provider, from its uptime and from our own leases there.",
    group_name="reliability",
    owners=["team:procurement"],
    kinds={"pandas", "parquet"},
    tags={"necto/layer": "derived"},
    metadata=table_metadata(RELIABILITY_SCORES),
    code_version="1",
    automation_condition=when_inputs_change(),
    io_manager_key=PARQUET_IO,
)
def reliability_scores(runtime: RuntimeResource, provider_evidence: pd.DataFrame) -> dg.MaterializeResult[pd.DataFrame]:
    """To look at; routing reckons anew, on the evidence it has pinned and the leases of that moment."""
    handle = runtime.get()
    outcomes = lease_outcomes(handle.books, handle.clock.now())
    scores = score_reliability(provider_evidence, outcomes)
    worst = sorted(records(scores), key=lambda row: (row["score"], row["provider_name"]))[:20]
    columns = ("provider_name", "score", "uptime_7d", "leases", "leases_lost")
    return dg.MaterializeResult(
        value=scores,
        metadata={
            "necto/leases": len(outcomes),
            "necto/leases_lost": sum(outcome.lost for outcome in outcomes),
            "necto/least_reliable": markdown_table(columns, ([row[name] for name in columns] for row in worst)),
        },
    )
