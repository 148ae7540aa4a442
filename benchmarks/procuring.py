"""What a buying run costs beyond what Dagster takes for any run of as many ops.

The run is the real one: real books on SQLite, real HTTP to the sandbox, real event log. Only waiting is left out: the
clock stands still, so the minute in which bids are collected passes at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import dagster as dg
from measure import Extent, Measurement, compare, seconds
from sandbox import running_sandbox

from necto_pipelines.definitions import build_definitions
from necto_pipelines.journey.home import prepare_home
from necto_pipelines.journey.journey import demonstration_order
from necto_pipelines.model.clock import FrozenClock, SystemClock
from necto_pipelines.model.order import OrderRequest
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.procurement.settling import settle
from necto_pipelines.procurement.submission import submit
from necto_pipelines.resources.runtime import prepared
from necto_pipelines.settings import Settings

ACTOR = service("benchmark")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def measure_procure(folder: Path, extent: Extent) -> list[Measurement]:
    """One order bought by the `procure` job, against a graph of as many empty ops in a chain on the same instance."""
    with procurement(folder) as (runtime, instance):
        jobs = build_definitions(resources={"runtime": prepared(runtime)})
        jobs.resolve_job_def("refresh_all").execute_in_process(instance=instance, run_config=QUIET)
        procure = jobs.resolve_job_def("procure")
        ops = len(procure.graph.nodes)
        empty = empty_job(ops)

        def bought() -> float:
            order = submit(runtime.books, demonstration_order(), ACTOR)
            config = QUIET | {"ops": {"freeze_inputs": {"config": {"order_ids": [order.id]}}}}
            took = seconds(lambda: procure.execute_in_process(instance=instance, run_config=config))
            order = runtime.books.order(order.id)
            if order.state is not OrderState.ACTIVE:
                raise RuntimeError(f"nothing was bought, so nothing was measured: {order.state}, {order.reason}")
            # Every run finds the market as the first one did.
            settle(runtime, runtime.books.leases(order_id=order.id)[-1], ACTOR)
            return took

        return [
            compare(
                "procure_run",
                "one order bought by the procure job",
                bought,
                f"a job of {ops} empty ops on the same instance",
                lambda: seconds(lambda: empty.execute_in_process(instance=instance, run_config=QUIET)),
                unit="s",
                repetitions=extent.orders,
            )
        ]


@contextmanager
def procurement(folder: Path) -> Iterator[tuple[Runtime, dg.DagsterInstance]]:
    """A fresh home with its own Dagster storage, a budget, and the sandbox behind it."""
    clock = FrozenClock(SystemClock().now())
    with running_sandbox(clock) as port:
        settings = Settings(home=folder / "home", sandbox_port=port)
        prepare_home(settings)
        runtime = Runtime.open(settings, clock)
        try:
            request: OrderRequest = demonstration_order()
            with runtime.books.change(ACTOR) as change:
                change.set_budget(request.cost_centre, Decimal(1_000_000))
            with dg.DagsterInstance.get() as instance:
                yield runtime, instance
        finally:
            runtime.close()


def empty_job(ops: int) -> dg.JobDefinition:
    """A chain of `ops` ops that do nothing, set up as `procure` is."""

    @dg.op
    def first() -> int:
        return 0

    @dg.op
    def pass_on(value: int) -> int:
        return value

    @dg.graph
    def chain() -> None:
        value = first()
        for number in range(1, ops):
            value = pass_on.alias(f"pass_on_{number}")(value)

    return chain.to_job("empty", resource_defs={"io_manager": dg.mem_io_manager}, executor_def=dg.in_process_executor)
