"""Start a `settle` run when a lease's hours are used up."""

import dagster as dg

from necto_pipelines.jobs.failover import failover_job
from necto_pipelines.jobs.settle import settle_job
from necto_pipelines.procurement.settling import due_leases
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.sensors.unfinished import busy_ids


@dg.sensor(
    job=settle_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a settle run for leases whose hours are used up or whose closing was interrupted.",
)
def finished_leases(context: dg.SensorEvaluationContext, runtime: RuntimeResource) -> dg.RunRequest | dg.SkipReason:
    """One run request for the leases that are due and that no unfinished run was started for."""
    necto = runtime.get()
    now = necto.clock.now()
    busy = busy_ids(context.instance, settle_job.name, "settle_leases", "lease_ids")
    busy |= busy_ids(context.instance, failover_job.name, "fail_over", "lease_ids")
    ids = [lease.id for lease in due_leases(necto, now) if lease.id not in busy]
    if not ids:
        return dg.SkipReason("no lease is due")
    return dg.RunRequest(
        run_key=f"{now:%Y%m%dT%H%M}/{'+'.join(ids)}",
        run_config=dg.RunConfig(ops={"settle_leases": {"config": {"lease_ids": ids}}}),
        tags={"necto/lease": ",".join(ids)[:1000]},
    )
