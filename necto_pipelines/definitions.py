"""Everything Dagster knows of Necto, assembled in one place."""

import warnings
from typing import Any

import dagster as dg

from necto_pipelines.assets import audit_trail, billing, compliance, discovery, evidence_pack, market, reliability
from necto_pipelines.checks import expectations, invariants, reconciliation
from necto_pipelines.jobs import anchoring as anchor_jobs
from necto_pipelines.jobs import failover, procure, reconcile, refresh, settle
from necto_pipelines.networks.registry import open_networks
from necto_pipelines.resources.parquet_io import PARQUET_IO, parquet_io_manager
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.schedules import schedules
from necto_pipelines.sensors import anchoring, automation, health, leases, orders, sealing
from necto_pipelines.settings import Settings

# Dagster binds resources to sensors through a parameter of its own that it calls beta; the text says nothing to a user.
warnings.filterwarnings("ignore", message="Parameter `owners` of initializer", category=dg.BetaWarning)

assets = [
    market.cloud_prices,
    market.token_prices,
    market.price_comparison,
    compliance.compliance_scores,
    reliability.lease_telemetry,
    reliability.reliability_scores,
    billing.leases,
    billing.usage_charges,
    billing.invoices,
    audit_trail.audit_trail,
    evidence_pack.evidence_packs,
]
"""besides the group `discovery`, which has an asset for each network that is set up"""
checks = [
    expectations.catalog_expectations,
    invariants.compliance_fails_closed,
    invariants.savings_recomputed,
    invariants.invoices_readd,
    reconciliation.dagster_rows_as_sealed,
]
jobs = [
    *refresh.jobs,
    procure.procure,
    settle.settle_job,
    failover.failover_job,
    anchor_jobs.anchor_job,
    reconcile.reconcile_job,
]
sensors = [
    automation.derived_assets,
    orders.pending_orders,
    leases.finished_leases,
    sealing.seal_ended_runs,
    anchoring.due_checkpoints,
]
"""besides one for each network that is set up, which watches its leases"""
resources: dict[str, Any] = {
    "runtime": RuntimeResource(),
    PARQUET_IO: parquet_io_manager,
    # between the ops of a buying run, which a later run takes over from the books and never from these values
    procure.STEP_MEMORY: dg.mem_io_manager,
}


def build_definitions(**overrides: Any) -> dg.Definitions:
    """The code location. `overrides` replace arguments of `dg.Definitions`; `resources` given are laid over ours."""
    settings = Settings()
    networks = tuple(open_networks(settings, settings.clock()))
    parts: dict[str, Any] = {
        "assets": [*discovery.discovery_assets(networks), *assets],
        "asset_checks": checks,
        "jobs": jobs,
        "schedules": schedules,
        "sensors": [*sensors, *health.watch_sensors(networks, settings.watch_interval_s)],
        # Steps are calls over HTTP and small frames: a process for each would cost five CPU-seconds apiece.
        "executor": dg.in_process_executor,
    }
    return dg.Definitions(**(parts | overrides | {"resources": resources | overrides.get("resources", {})}))


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads; runs in the code server, not at import."""
    return build_definitions()
