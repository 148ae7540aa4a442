"""Start a `procure` run when orders are due, all of them together."""

import dagster as dg

from necto_pipelines.jobs.failover import failover_job
from necto_pipelines.jobs.procure import procure
from necto_pipelines.procurement.procuring import due_orders
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.sensors.unfinished import busy_ids


@dg.sensor(
    job=procure,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts one procure run for all pending orders, and again for orders whose run died.",
)
def pending_orders(context: dg.SensorEvaluationContext, runtime: RuntimeResource) -> dg.RunRequest | dg.SkipReason:
    """One run request for the orders that are due and that no unfinished run was started for."""
    necto = runtime.get()
    busy = busy_ids(context.instance, procure.name, "freeze_inputs", "order_ids")
    busy |= busy_ids(context.instance, failover_job.name, "fail_over", "order_ids")
    orders = [order for order in due_orders(necto) if order.id not in busy]
    if not orders:
        return dg.SkipReason("no order is due")
    ids = [order.id for order in orders]
    return dg.RunRequest(
        # A tick that is evaluated twice asks once; a run that died is asked for again in the next minute.
        run_key=f"{necto.clock.now():%Y%m%dT%H%M}/{'+'.join(ids)}",
        run_config=dg.RunConfig(ops={"freeze_inputs": {"config": {"order_ids": ids}}}),
        tags={
            "necto/order": ",".join(ids)[:1000],
            "necto/tenant": ",".join(sorted({order.request.tenant for order in orders}))[:1000],
        },
    )
