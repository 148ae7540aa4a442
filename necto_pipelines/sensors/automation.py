"""Derived assets refresh themselves when what they were made from has changed in content, not merely in time.

Conditions: Dagster's `AutomationCondition`. Cadences stand in `schedules.py`; an asset has one mechanism, never both.
"""

from typing import Final

import dagster as dg

AUTOMATION_INTERVAL_S = 10
COMPLETE_REFRESH: Final = {"necto/refresh": "complete"}
"""tag of a run that refreshes the derived assets together with their inputs, so that nothing is left to follow"""


def when_inputs_change() -> dg.AutomationCondition:  # type: ignore[type-arg]  # any kind of target
    """Requested once after an input got a new data version, or after the asset itself went missing.

    Not Dagster's `eager()`: that fires on every materialization, also of the same bytes, and forgets a change that
    comes while the asset is being refreshed. A change is an edge and is latched here until the next request. A run that
    fails is not requested again before its inputs change again: repeating it would fail the same way, without end.
    """
    changed = dg.AutomationCondition.any_deps_match(
        # Not `executed_with_root_target()`: runs of a whole asset job do not record which assets they will touch.
        dg.AutomationCondition.data_version_changed()
        & ~dg.AutomationCondition.executed_with_tags(tag_values=COMPLETE_REFRESH)
    )
    handled = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.initial_evaluation()
    return (
        (changed | dg.AutomationCondition.newly_missing()).since(handled)
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
    ).with_label("when_inputs_change")


derived_assets = dg.AutomationConditionSensorDefinition(
    "derived_assets",
    target=dg.AssetSelection.tag("necto/layer", "derived"),
    # Dagster's own automation sensor is created stopped.
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=AUTOMATION_INTERVAL_S,
    run_tags={"necto/kind": "refresh"},
)
