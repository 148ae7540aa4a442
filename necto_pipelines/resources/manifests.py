"""The manifest that a run opens in the trail before it writes anything else; closed in `procurement/sealing.py`."""

from collections.abc import Sequence

import dagster as dg


def planned_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Sequence[str]:
    """The steps that a run means to take, in their order; none when Dagster holds no plan of it."""
    plan = run.execution_plan_snapshot_id
    return instance.get_execution_plan_snapshot(plan).step_keys_to_execute if plan else ()
