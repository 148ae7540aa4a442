"""The `reconcile` job: the audit trail as an asset, and the check that holds Dagster's rows against the seals."""

import dagster as dg

reconcile_job = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.assets("audit_trail"),
    description="Compares Dagster's rows with the seals, of the newest runs or of all (tag `necto/reconcile: all`).",
    tags={"necto/kind": "audit"},
)
