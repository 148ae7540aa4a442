"""The `anchor` job: the newest checkpoint of the audit log goes to every place that is set up for it."""

import dagster as dg

from necto_pipelines.procurement.anchoring import JOB, anchor_checkpoint
from necto_pipelines.procurement.runtime import service
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.runtime import RuntimeResource


@dg.op(tags={"kind": "audit"})
def anchor_log(context: dg.OpExecutionContext, runtime: RuntimeResource) -> None:
    """Sign the log and anchor it where it is due; failures are told after all were tried."""
    actor = service("audit", run_id=context.run_id, job=context.job_name, step=context.op.name)
    with runtime.get().books.change(actor) as change:
        change.start_run(planned_steps(context.instance, context.run))
    attempts = anchor_checkpoint(runtime.get(), actor)
    failed = {f"{attempt.kind} {attempt.place}": attempt.failure for attempt in attempts if attempt.failure}
    done = [f"{attempt.kind} {attempt.place}" for attempt in attempts if not attempt.failure]
    context.add_output_metadata(
        {"anchored": dg.MetadataValue.json(done), "size": max((attempt.size for attempt in attempts), default=0)}
    )
    if failed:
        raise dg.Failure(
            f"{len(failed)} of {len(attempts)} anchors did not take the checkpoint",
            metadata={"failed": dg.MetadataValue.json(failed)},
        )


@dg.graph
def anchor_graph() -> None:
    """Sign, place, write down."""
    anchor_log()


anchor_job = anchor_graph.to_job(
    name=JOB,
    description="Puts the newest checkpoint of the audit log where its operator cannot change it; started by a sensor.",
    executor_def=dg.in_process_executor,
    tags={"necto/flow": "audit", "dagster/max_retries": "0"},
)
