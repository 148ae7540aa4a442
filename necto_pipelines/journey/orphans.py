"""Runs whose process is gone: end them, so that what they worked on is taken up again.

Dagster's code server reports a run worker that dies. Nobody reports it when the code server died too (a power cut, a
kill of everything): the run would count as under way until run monitoring times it out, hours later, and sensors would
leave its orders to it. Ending one wrongly does no harm: a run that lost its claim on an order can no longer move it.
"""

import json
import os
import socket
from typing import Any

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG  # where a run was started; not exported

PROCESS_TAG = "necto/process"
"""host and process id of a command that carries a run itself"""
CARRIED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def this_process() -> dict[str, str]:
    """The tag for runs that this process carries itself."""
    return {PROCESS_TAG: f"{socket.gethostname()}/{os.getpid()}"}


def end_orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the runs that are under way by name only; returns their ids. Call it before a daemon or a run is started."""
    orphans = [run for run in instance.get_runs(dg.RunsFilter(statuses=CARRIED)) if _is_gone(run)]
    for run in orphans:
        instance.report_run_failed(run, "The process that carried this run is gone.")
    return [run.run_id for run in orphans]


def _is_gone(run: dg.DagsterRun) -> bool:
    """Whether the process that carries a run is certainly gone; false where that cannot be told from here."""
    if info := run.tags.get(GRPC_INFO_TAG):
        return _is_closed(json.loads(info))
    host, _, pid = run.tags.get(PROCESS_TAG, "").partition("/")
    return host == socket.gethostname() and not _is_alive(int(pid))


def _is_closed(address: dict[str, Any]) -> bool:
    """Whether nothing listens any more where the code server listened; `necto up` uses a new socket each time."""
    unix = "socket" in address
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
        probe.settimeout(2)
        try:
            probe.connect(address["socket"] if unix else (address["host"], address["port"]))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
