"""Keep the log up: leaves that wait get their places, and what Dagster logged of a run is sealed once it has ended.

What a seal is stands in `procurement/sealing.py`.
"""

import json
from datetime import datetime

import dagster as dg

from necto_pipelines.model.clock import SystemClock, parse_rfc3339, rfc3339
from necto_pipelines.procurement.sealing import seal_ended
from necto_pipelines.resources.dagster_events import event_rows
from necto_pipelines.resources.runtime import RuntimeResource

Place = tuple[datetime, str]


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Seals the events of every run that has ended, of every code location, and of none; and gives leaves"
    " that wait in the inbox their places in the log. Resetting its cursor has it look through all runs again.",
)
def seal_ended_runs(context: dg.SensorEvaluationContext, runtime: RuntimeResource) -> dg.SkipReason:
    """Not a run status sensor: those follow event ids, and fire before a run has written its last events."""
    books = runtime.get().books
    # Dagster writes the machine's time beside its events, whatever time the market has.
    now = SystemClock().now()
    sealed = seal_ended(event_rows(context.instance), books, now=now, after=_place_in(context.cursor))
    if sealed.place:
        context.update_cursor(json.dumps([rfc3339(sealed.place[0]), sealed.place[1]]))
    placed = books.sequence()
    if placed or sealed.runs or sealed.late_parts or sealed.runless:
        books.sign()
    return dg.SkipReason(
        f"sealed {sealed.runs} runs, {sealed.late_parts} late parts and {sealed.runless} events of no run;"
        f" {sealed.waiting} runs have only just ended, {sealed.damaged} cannot be read"
    )


def _place_in(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    moment, run_id = json.loads(cursor)
    return parse_rfc3339(moment), run_id
