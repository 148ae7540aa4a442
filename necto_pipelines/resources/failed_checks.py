"""Asset checks that failed in a month, from Dagster's own table of check executions (as of Dagster 1.13)."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._serdes import deserialize_value
from sqlalchemy import select

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.clock import rfc3339

_FAILED: Final = "FAILED"


def failed_checks(instance: dg.DagsterInstance, month: str) -> list[dict[str, str]]:
    """asset, check, at, description of every check that did not pass in `month` (YYYY-MM, UTC), by time.

    PermanentFailure when the instance's storage is of a kind whose tables are not known here.
    """
    log = instance.event_log_storage
    if not isinstance(log, SqlEventLogStorage):
        raise PermanentFailure(f"Dagster keeps its events in {type(log).__name__}: its checks cannot be listed")
    checks = AssetCheckExecutionsTable.c
    query = select(checks.evaluation_event).where(checks.execution_status == _FAILED).order_by(checks.id)
    query = query.where(checks.evaluation_event.is_not(None))
    with log.index_connection() as connection:
        texts = list(connection.execute(query).scalars())
    found = [told for text in texts if (told := _told(deserialize_value(text, EventLogEntry)))["at"].startswith(month)]
    return sorted(found, key=lambda told: (told["at"], told["asset"], told["check"]))


def _told(entry: EventLogEntry) -> dict[str, str]:
    evaluation = entry.get_dagster_event().asset_check_evaluation_data
    return {
        "asset": evaluation.asset_key.to_user_string(),
        "check": evaluation.check_name,
        "at": rfc3339(datetime.fromtimestamp(entry.timestamp, UTC)),
        "description": evaluation.description or "",
    }
