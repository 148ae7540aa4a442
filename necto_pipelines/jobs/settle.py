"""The `settle` job: leases whose hours are used up are closed, charged, and their orders completed."""

import dagster as dg

from necto_pipelines.failures import NectoError
from necto_pipelines.procurement.runtime import service
from necto_pipelines.procurement.settling import settle
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.runtime import RuntimeResource


class SettleConfig(dg.Config):
    """Which leases to settle."""

    lease_ids: list[str]
    """ids from `necto lease list`; a lease that is closed already is left as it is"""
    reason: str = "hours_used"


@dg.op(tags={"kind": "finance"})
def settle_leases(context: dg.OpExecutionContext, config: SettleConfig, runtime: RuntimeResource) -> None:
    """Close each lease at its network and charge what it used; failures are told after all were tried."""
    necto = runtime.get()
    actor = service("settlement", run_id=context.run_id, job=context.job_name, step=context.op.name)
    with necto.books.change(actor) as change:
        change.start_run(planned_steps(context.instance, context.run))
    failed: dict[str, str] = {}
    for lease_id in config.lease_ids:
        try:
            lease = settle(necto, necto.books.lease(lease_id), actor, reason=config.reason)
            context.log.info("%s closed at %s, settled %s", lease.id, lease.provider_name, lease.settled_native)
        except NectoError as failure:
            failed[lease_id] = str(failure)
    necto.books.sign()
    context.add_output_metadata({"settled": len(config.lease_ids) - len(failed)})
    if failed:
        raise dg.Failure(
            f"{len(failed)} of {len(config.lease_ids)} leases could not be settled",
            metadata={"failed": dg.MetadataValue.json(failed)},
        )


@dg.graph
def settle_graph() -> None:
    """Close, charge, complete."""
    settle_leases()


settle_job = settle_graph.to_job(
    name="settle",
    description="Closes leases whose hours are used up and turns usage into charges; started by a sensor.",
    executor_def=dg.in_process_executor,
    # A run that died is not repeated step by step: the sensor starts a new one, which goes on from the books.
    tags={"necto/flow": "settlement", "dagster/max_retries": "0"},
)
