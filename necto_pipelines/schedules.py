"""Cadences that a person owns and may pause: how often sources are asked. Derived assets follow by themselves
(`sensors/automation.py`); outside facts start runs through sensors."""

import dagster as dg

from necto_pipelines.assets.billing import MONTHS
from necto_pipelines.checks.reconciliation import EVERYTHING, EXTENT
from necto_pipelines.jobs.reconcile import reconcile_job
from necto_pipelines.jobs.refresh import (
    bill_month,
    pack_month,
    refresh_catalog,
    refresh_clouds,
    refresh_market,
    refresh_telemetry,
)

RUNNING = dg.DefaultScheduleStatus.RUNNING

discovery = dg.ScheduleDefinition(
    name="discovery",
    description="Ask every network for its offers and evidence.",
    job=refresh_catalog,
    cron_schedule="*/15 * * * *",
    default_status=RUNNING,
)
token_market = dg.ScheduleDefinition(
    name="token_market",
    description="Ask for token prices.",
    job=refresh_market,
    cron_schedule="*/5 * * * *",
    default_status=RUNNING,
)
cloud_market = dg.ScheduleDefinition(
    name="cloud_market",
    description="Read the clouds' prices, live or from the dated reference.",
    job=refresh_clouds,
    cron_schedule="20 4 * * *",
    default_status=RUNNING,
)
telemetry = dg.ScheduleDefinition(
    name="telemetry",
    description="Take what the watch has seen of running leases out of the books.",
    job=refresh_telemetry,
    cron_schedule="*/15 * * * *",
    default_status=RUNNING,
)
history = dg.ScheduleDefinition(
    name="history",
    description="Hold the newest runs against their seals.",
    job=reconcile_job,
    cron_schedule="40 * * * *",
    default_status=RUNNING,
)
whole_history = dg.ScheduleDefinition(
    name="whole_history",
    description="Hold all runs against their seals.",
    job=reconcile_job,
    cron_schedule="10 3 * * *",
    tags={EXTENT: EVERYTHING},
    default_status=RUNNING,
)


@dg.schedule(
    job=bill_month,
    cron_schedule="30 2 1 * *",
    default_status=RUNNING,
    description="Invoice the month that has ended; what settles later goes onto a further invoice.",
)
def billing(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The month before the tick."""
    month = MONTHS.get_prev_partition_window(context.scheduled_execution_time)
    if month is None:
        raise ValueError(f"{context.scheduled_execution_time}: no billing month has ended yet")
    return dg.RunRequest(run_key=f"bill-{month.start:%Y-%m}", partition_key=f"{month.start:%Y-%m}")


@dg.schedule(
    job=pack_month,
    cron_schedule="30 3 2 * *",
    default_status=RUNNING,
    description="Pack the evidence of the month that has ended.",
)
def evidence(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The month before the tick."""
    month = MONTHS.get_prev_partition_window(context.scheduled_execution_time)
    if month is None:
        raise ValueError(f"{context.scheduled_execution_time}: no month has ended yet")
    return dg.RunRequest(run_key=f"evidence-{month.start:%Y-%m}", partition_key=f"{month.start:%Y-%m}")


schedules = [discovery, token_market, cloud_market, telemetry, history, whole_history, billing, evidence]
