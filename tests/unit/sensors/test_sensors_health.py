"""The watch of each network, on a real instance, real books and the sandbox; and the job that it starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.failover_world import Drill, drill
from support.procurement_world import ACTOR

from necto_pipelines.assets.reliability import lease_telemetry
from necto_pipelines.definitions import build_definitions
from necto_pipelines.jobs.failover import failover_job
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.failing_over import decide
from necto_pipelines.resources.parquet_io import PARQUET_IO, parquet_io_manager
from necto_pipelines.resources.runtime import prepared
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.sensors.health import watch_sensors
from necto_pipelines.sensors.leases import finished_leases
from necto_pipelines.sensors.orders import pending_orders

pytestmark = pytest.mark.integration
WATCHES = {sensor.name: sensor for sensor in watch_sensors(["akash", "render"], 30)}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Drill]:
    with drill(tmp_path) as world:
        yield world


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def tick(made: Drill, instance: dg.DagsterInstance, sensor: Any = WATCHES["watch_akash"]) -> Any:
    with dg.build_sensor_context(instance=instance, resources={"runtime": prepared(made.world.runtime)}) as context:
        return sensor(context)


def test_each_network_has_a_watch_of_its_own() -> None:
    assert set(WATCHES) == {"watch_akash", "watch_render"}
    assert {sensor.minimum_interval_seconds for sensor in WATCHES.values()} == {30}
    assert {sensor.job_name for sensor in WATCHES.values()} == {"failover"}


def test_nothing_is_watched_without_a_lease(made: Drill, instance: dg.DagsterInstance) -> None:
    assert tick(made, instance).skip_message == "no active lease on akash"


def test_healthy_leases_are_looked_at_and_left_alone(made: Drill, instance: dg.DagsterInstance) -> None:
    made.buy()
    made.world.clock.advance(30)
    assert tick(made, instance).skip_message == "1 leases watched, 1 healthy"
    assert tick(made, instance, WATCHES["watch_render"]).skip_message == "no active lease on render"
    made.world.clock.advance(30)
    tick(made, instance)
    assert len(made.books.telemetry()) == 2


def failing(made: Drill, instance: dg.DagsterInstance) -> dg.RunRequest:
    """The request of the watch after the providers of all leases have died."""
    for lease in made.books.leases(states=[LeaseState.ACTIVE]):
        made.kill(lease.provider)
    made.world.clock.advance(30)
    assert isinstance(tick(made, instance), dg.SkipReason)
    made.world.clock.advance(900)
    request: dg.RunRequest = tick(made, instance)
    return request


def test_all_leases_that_failed_go_into_one_run_and_no_other_run_takes_them_up(
    made: Drill, instance: dg.DagsterInstance
) -> None:
    (first, one), (second, two) = made.buy(), made.buy()
    request = failing(made, instance)
    assert request.run_config["ops"]["fail_over"]["config"] == {
        "network": "akash",
        "lease_ids": [one.id, two.id],
        "order_ids": [first.id, second.id],
    }
    assert request.tags["necto/lease"] == f"{one.id},{two.id}"
    assert (request.tags["necto/network"], request.tags["necto/cause"]) == ("akash", "unknown")
    instance.create_run_for_job(
        build_definitions().resolve_job_def("failover"),
        run_config=request.run_config,
        status=dg.DagsterRunStatus.STARTED,
    )
    assert isinstance(tick(made, instance), dg.SkipReason)
    decide(made.world.runtime, "akash", made.inputs, ACTOR)
    made.world.clock.advance(3600)
    assert isinstance(tick(made, instance, pending_orders), dg.SkipReason)
    assert isinstance(tick(made, instance, finished_leases), dg.SkipReason)


def test_the_job_gives_the_lease_up_and_places_the_rest_anew(made: Drill, instance: dg.DagsterInstance) -> None:
    order, lease = made.buy()
    resources = {"runtime": prepared(made.world.runtime), PARQUET_IO: parquet_io_manager}
    definitions = build_definitions(resources=resources)
    assert definitions.resolve_job_def("refresh_all").execute_in_process(instance=instance).success
    made.world.clock.advance(600)
    request = failing(made, instance)
    job = definitions.resolve_job_def(failover_job.name)
    result = job.execute_in_process(instance=instance, run_config=request.run_config)
    assert result.success
    assert made.books.order(order.id).state is OrderState.ACTIVE, made.books.order(order.id).reason
    old, new = made.books.leases(order_id=order.id)
    assert (old.id, old.state, new.state, new.replaces) == (lease.id, LeaseState.CLOSED, LeaseState.ACTIVE, lease.id)
    assert new.provider != old.provider
    made.assert_sound(order.id, open_deployments=1)
    snapshot = dg.materialize([lease_telemetry], instance=instance, resources=resources)
    assert snapshot.success
    rows = records(latest_snapshot(instance, made.world.runtime.warehouse, "lease_telemetry").frame)
    assert {row["lease_id"] for row in rows} == {lease.id}
    assert [row["healthy"] for row in rows] == [None, None]
