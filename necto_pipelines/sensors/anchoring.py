"""Start an `anchor` run when a checkpoint is due at any of its places."""

from datetime import datetime
from typing import Final

import dagster as dg

from necto_pipelines.jobs.anchoring import anchor_job
from necto_pipelines.procurement.anchoring import due_anchors
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.sensors.unfinished import UNFINISHED

AGAIN_S: Final = 600
"""a place that failed is tried again after so long, or after the interval if that is shorter"""


@dg.sensor(
    job=anchor_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts an anchor run when the audit log has grown and a place's interval is over.",
)
def due_checkpoints(context: dg.SensorEvaluationContext, runtime: RuntimeResource) -> dg.RunRequest | dg.SkipReason:
    """One run at a time; none where nothing is set up."""
    necto = runtime.get()
    due = due_anchors(necto)
    if not due:
        return dg.SkipReason("no anchor is set up, or none is due")
    if context.instance.get_runs(dg.RunsFilter(job_name=anchor_job.name, statuses=UNFINISHED), limit=1):
        return dg.SkipReason("an anchor run is under way")
    return dg.RunRequest(run_key=_window(necto.clock.now(), min(AGAIN_S, necto.settings.anchor_interval_s)))


def _window(now: datetime, seconds: int) -> str:
    """Equal for moments of the same stretch of time, so that Dagster starts one run in it."""
    return f"anchor-{int(now.timestamp()) // seconds * seconds}"
