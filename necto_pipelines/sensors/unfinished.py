"""Runs that are queued or under way: what a sensor must not start a second time."""

from typing import Any

import dagster as dg

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def busy_ids(instance: dg.DagsterInstance, job_name: str, op: str, field: str) -> set[str]:
    """The ids that unfinished runs of a job were started for, read from their run configuration."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED))
    configs: list[Any] = [run.run_config for run in runs]
    return {item for config in configs for item in config["ops"][op]["config"][field]}
