"""The `failover` graph: failed leases of one network in, the rest of their jobs placed anew.

The first op decides for all of them together, closes and charges them. From there the steps are those of `procure.py`,
op for op: policy and budget are checked again for what is left of each job.
"""

import dagster as dg

from necto_pipelines.jobs.procure import (
    STEP_MEMORY,
    Batch,
    actor_of,
    convert_stablecoin,
    frozen_inputs,
    hold_budget,
    place_leases,
    record_run,
    route_orders,
    screen_offers,
)
from necto_pipelines.procurement.failing_over import give_up
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.runtime import RuntimeResource


class FailoverConfig(dg.Config):
    """Which network's leases failed."""

    network: str
    lease_ids: list[str]
    """those that the watch saw; every lease of the network that has failed when the run begins is given up"""
    order_ids: list[str]
    """their orders, for which no other run is started meanwhile"""


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "reliability"})
def fail_over(context: dg.OpExecutionContext, config: FailoverConfig, runtime: RuntimeResource) -> Batch:
    """Give up the failed leases in one decision, close and charge each, and claim the orders to be placed anew."""
    necto = runtime.get()
    inputs = frozen_inputs(context.instance, necto)
    with necto.books.change(actor_of(context)) as change:
        change.start_run(planned_steps(context.instance, context.run), inputs=[pin.as_input for pin in inputs.pins])
    given_up = give_up(necto, config.network, inputs, actor_of(context))
    for lease_id, reason in given_up.not_closed:
        context.log.warning("%s is not closed yet and will be tried again: %s", lease_id, reason)
    rows = [
        dg.TableRecord(
            {
                "lease": failover.lease_id,
                "order": failover.order_id,
                "provider": failover.provider,
                "cause": failover.cause.value,
                "reason": failover.reason,
                "failover": failover.number,
                "delivered_hours": str(failover.delivered_hours),
            }
        )
        for failover in given_up.failovers
    ]
    context.add_output_metadata(
        {
            "given_up": dg.MetadataValue.table(rows or [dg.TableRecord({"lease": "none: they have recovered"})]),
            "to_place_anew": len(given_up.to_route),
            "not_closed": dg.MetadataValue.json(dict(given_up.not_closed)),
            "inputs": dg.MetadataValue.json([pin.model_dump(mode="json") for pin in inputs.pins]),
        }
    )
    return Batch(given_up.to_route, inputs)


@dg.graph
def failover_graph() -> None:
    """Failed leases in, the rest of their jobs placed anew."""
    record_run(place_leases(convert_stablecoin(hold_budget(route_orders(screen_offers(fail_over()))))))


failover_job = failover_graph.to_job(
    name="failover",
    description="Gives up failed leases in one decision and places the rest of their jobs anew; started by a watch.",
    executor_def=dg.in_process_executor,
    # A run that died is not repeated step by step: settle and procure runs go on from the books.
    tags={"necto/flow": "failover", "dagster/max_retries": "0"},
)
