"""Watch the leases of each network, and start a `failover` run for those that have failed, all of them together."""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from necto_pipelines.failures import Unavailable
from necto_pipelines.jobs.failover import failover_job
from necto_pipelines.procurement.judging import failed_leases
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.procurement.watching import watch
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.sensors.unfinished import busy_ids


def watch_sensors(networks: Sequence[str], interval_s: int) -> list[dg.SensorDefinition]:
    """One sensor for each network, so that one that hangs does not keep the others from being watched."""
    return [watch_sensor(network, interval_s) for network in networks]


def watch_sensor(network: str, interval_s: int) -> dg.SensorDefinition:
    """`watch_<network>`: looks at every active lease there, every `interval_s` seconds."""

    @dg.sensor(
        name=f"watch_{network}",
        job=failover_job,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Looks at every active lease on {network.title()}, keeps telemetry, notes every change of health,"
        " and starts one failover run for the leases that have failed.",
    )
    def watched(context: dg.SensorEvaluationContext, runtime: RuntimeResource) -> dg.RunRequest | dg.SkipReason:
        necto = runtime.get()
        evidence = _evidence(context.instance, necto)
        seen = watch(necto, network, evidence, service("watch"))
        if not seen:
            return dg.SkipReason(f"no active lease on {network}")
        busy = busy_ids(context.instance, failover_job.name, "fail_over", "lease_ids")
        failed = [each for each in failed_leases(necto, network, evidence) if each.lease.id not in busy]
        if not failed:
            return dg.SkipReason(f"{len(seen)} leases watched, {sum(row.healthy is True for row in seen)} healthy")
        ids, order_ids = [each.lease.id for each in failed], [each.order.id for each in failed]
        config = {"network": network, "lease_ids": ids, "order_ids": order_ids}
        return dg.RunRequest(
            run_key=f"{network}/{necto.clock.now():%Y%m%dT%H%M}/{'+'.join(ids)}",
            run_config=dg.RunConfig(ops={"fail_over": {"config": config}}),
            tags={
                "necto/network": network,
                "necto/lease": ",".join(ids)[:1000],
                "necto/order": ",".join(order_ids)[:1000],
                "necto/cause": ",".join(sorted({each.cause for each in failed})),
            },
        )

    return watched


def _evidence(instance: dg.DagsterInstance, necto: Runtime) -> pd.DataFrame | None:
    """The newest evidence; None while there is none, which the policy's own limit of age then judges."""
    try:
        return latest_snapshot(instance, necto.warehouse, "provider_evidence").frame
    except Unavailable:
        return None
