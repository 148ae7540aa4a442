"""Two ways to carry the journey: inside this process, or through the running daemon. The steps are the same."""

import time
from collections.abc import Collection
from datetime import timedelta
from typing import Protocol

import dagster as dg
import httpx

from necto_pipelines.definitions import build_definitions
from necto_pipelines.failures import PermanentFailure, Unavailable
from necto_pipelines.journey.orphans import this_process
from necto_pipelines.model.clock import SystemClock
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.procuring import due_orders
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.sealing import SETTLE_S, seal_ended
from necto_pipelines.procurement.settling import due_leases
from necto_pipelines.resources.dagster_events import event_rows
from necto_pipelines.resources.runtime import prepared

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""the event log keeps everything; the terminal shows steps"""
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }
"""


class Driver(Protocol):
    """Runs jobs and waits for what sensors start."""

    def run(self, job: str, *, partition: str | None = None) -> None:
        """Run a job to its end; PermanentFailure when it fails."""

    def until(self, runtime: Runtime, order_id: str, states: Collection[OrderState], timeout_s: float) -> Order:
        """Return the order once it stands in one of `states`. Unavailable when it does not in time."""

    def seal(self, runtime: Runtime) -> str:
        """See to it that what Dagster logged of the runs is sealed; says how, for a person."""


class InProcess:
    """Everything in this process: no server, no daemon. The runs stand in Dagster's storage all the same."""

    def __init__(self, instance: dg.DagsterInstance, runtime: Runtime) -> None:
        self._instance = instance
        self._definitions = build_definitions(resources={"runtime": prepared(runtime)})

    def run(self, job: str, *, partition: str | None = None, run_config: dg.RunConfig | None = None) -> None:
        result = self.attempt(job, partition=partition, run_config=run_config)
        if not result.success:
            raise PermanentFailure(f"run {result.run_id} of {job} failed: {first_failure(result)}")

    def attempt(
        self, job: str, *, partition: str | None = None, run_config: dg.RunConfig | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run a job to its end, however that is."""
        return self._definitions.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            partition_key=partition,
            run_config={**QUIET, "ops": dict(run_config.ops)} if run_config else QUIET,
            tags=this_process(),
            raise_on_error=False,
        )

    def until(self, runtime: Runtime, order_id: str, states: Collection[OrderState], timeout_s: float) -> Order:
        deadline = time.monotonic() + timeout_s
        while (order := runtime.books.order(order_id)).state not in states:
            if time.monotonic() > deadline:
                raise Unavailable(f"order {order_id} is still {order.state} after {timeout_s:g} s: {order.reason}")
            leases = [lease.id for lease in due_leases(runtime, runtime.clock.now())]
            if any(due.id == order_id for due in due_orders(runtime)):
                self.run("procure", run_config=_config("freeze_inputs", order_ids=[order_id]))
            elif leases:
                self.run("settle", run_config=_config("settle_leases", lease_ids=leases))
            else:
                runtime.clock.sleep(1)
        return order

    def seal(self, runtime: Runtime) -> str:
        # Nobody else writes events of runs of this process: there is nothing to wait for.
        settled = SystemClock().now() + timedelta(seconds=SETTLE_S)
        sealed = seal_ended(event_rows(self._instance), runtime.books, now=settled)
        return f"what Dagster logged of {sealed.runs} runs cannot be changed unseen"


class ThroughDaemon:
    """Jobs are launched over GraphQL and orders are left to the sensors: what happens in production."""

    def __init__(self, instance: dg.DagsterInstance, address: str) -> None:
        self._instance = instance
        self._graphql = f"{address}/graphql"

    def ready(self) -> bool:
        """Whether the web server answers and has loaded the code location; PermanentFailure when loading failed."""
        try:
            answer = httpx.post(self._graphql, json={"query": LOCATIONS}, timeout=10).json()
        except (httpx.HTTPError, ValueError):
            return False
        entries = answer["data"]["workspaceOrError"].get("locationEntries", [])
        loaded = [entry["locationOrLoadError"] for entry in entries if entry["loadStatus"] == "LOADED"]
        return any(found and found["__typename"] == "RepositoryLocation" for found in loaded)

    def run(self, job: str, *, partition: str | None = None) -> None:
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        params = {
            "selector": {
                "repositoryLocationName": "necto",
                "repositoryName": "__repository__",
                "pipelineName": job,
            },
            "mode": "default",
            "executionMetadata": {"tags": tags},
        }
        body = {"query": LAUNCH, "variables": {"params": params}}
        answer = httpx.post(self._graphql, json=body, timeout=60).json()
        launched = (answer.get("data") or {}).get("launchRun") or {}
        if launched.get("__typename") != "LaunchRunSuccess":
            raise PermanentFailure(f"{job} could not be launched: {launched or answer}")
        self._finished(launched["run"]["runId"], job)

    def until(self, runtime: Runtime, order_id: str, states: Collection[OrderState], timeout_s: float) -> Order:
        deadline = time.monotonic() + timeout_s
        while (order := runtime.books.order(order_id)).state not in states:
            if time.monotonic() > deadline:
                raise Unavailable(f"order {order_id} is still {order.state} after {timeout_s:g} s: {order.reason}")
            time.sleep(0.3)
        return order

    def seal(self, runtime: Runtime) -> str:
        return f"a sensor seals what Dagster logged of each run, {SETTLE_S:g} s after its end"

    def _finished(self, run_id: str, job: str, timeout_s: float = 600) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run = self._instance.get_run_by_id(run_id)
            if run is not None and run.is_finished:
                if run.is_success:
                    return
                raise PermanentFailure(
                    f"run {run_id} of {job} ended as {run.status.value}; its log is in the Dagster UI"
                )
            time.sleep(0.3)
        raise Unavailable(f"run {run_id} of {job} did not end within {timeout_s:g} s")


def _config(op: str, **values: object) -> dg.RunConfig:
    return dg.RunConfig(ops={op: {"config": values}})


def first_failure(result: dg.ExecuteInProcessResult) -> str:
    """What failed checks found, which names a silent source; else the first step that failed and its error."""
    found = [check.description for check in result.get_asset_check_evaluations() if not check.passed]
    if found:
        return "; ".join(text for text in found if text)
    failures = [event for event in result.all_events if event.is_step_failure]
    error = failures[0].step_failure_data.error if failures else None
    return f"{failures[0].step_key}: {error.message.strip()}" if failures and error else "see its log"
