"""The sensors that start buying and settling, on a real instance and real books."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.procurement_world import ACTOR, World, procurement_world

from necto_pipelines.definitions import build_definitions
from necto_pipelines.model.state import OrderState
from necto_pipelines.resources.runtime import prepared
from necto_pipelines.sensors.leases import finished_leases
from necto_pipelines.sensors.orders import pending_orders

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with procurement_world(tmp_path) as made:
        yield made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def tick(sensor: dg.SensorDefinition, world: World, instance: dg.DagsterInstance) -> Any:
    with dg.build_sensor_context(instance=instance, resources={"runtime": prepared(world.runtime)}) as context:
        return sensor(context)


def start_run(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    job = build_definitions().resolve_job_def("procure")
    return instance.create_run_for_job(job, run_config=request.run_config, status=status)


def test_nothing_is_started_without_an_order(world: World, instance: dg.DagsterInstance) -> None:
    assert isinstance(tick(pending_orders, world, instance), dg.SkipReason)


def test_all_due_orders_go_into_one_run_found_by_its_tags(world: World, instance: dg.DagsterInstance) -> None:
    ids = [world.submit().id, world.submit(tenant="umbra").id]
    request = tick(pending_orders, world, instance)
    assert request.run_config["ops"]["freeze_inputs"]["config"]["order_ids"] == ids
    assert request.tags["necto/order"] == ",".join(ids)
    assert request.tags["necto/tenant"] == "acme,umbra"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_an_order_that_an_unfinished_run_was_started_for_is_left_to_it(
    world: World, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    world.submit()
    request = tick(pending_orders, world, instance)
    start_run(instance, request, status)
    assert isinstance(tick(pending_orders, world, instance), dg.SkipReason)
    second = world.submit()
    again = tick(pending_orders, world, instance)
    assert again.run_config["ops"]["freeze_inputs"]["config"]["order_ids"] == [second.id]


def test_an_order_whose_run_died_is_started_again(world: World, instance: dg.DagsterInstance) -> None:
    order = world.submit()
    request = tick(pending_orders, world, instance)
    run = start_run(instance, request, dg.DagsterRunStatus.STARTED)
    with world.runtime.books.change(ACTOR) as change:
        change.claim([order.id], run.run_id)
    instance.report_run_failed(run)
    world.clock.advance(60)
    again = tick(pending_orders, world, instance)
    assert again.run_config["ops"]["freeze_inputs"]["config"]["order_ids"] == [order.id]
    assert again.run_key != request.run_key


def test_a_waiting_order_is_left_alone_until_its_time(world: World, instance: dg.DagsterInstance) -> None:
    order = world.submit()
    later = world.clock.now() + timedelta(minutes=10)
    with world.runtime.books.change(ACTOR) as change:
        change.move_order(order.id, OrderState.WAITING, reason="stale: test", next_attempt_at=later)
    assert isinstance(tick(pending_orders, world, instance), dg.SkipReason)
    world.clock.advance(601)
    assert isinstance(tick(pending_orders, world, instance), dg.RunRequest)


def test_a_lease_is_settled_when_its_hours_are_used_up(world: World, instance: dg.DagsterInstance) -> None:
    order = world.procure(world.submit().id)
    assert order.state is OrderState.ACTIVE, order.reason
    (lease,) = world.runtime.books.leases()
    assert isinstance(tick(finished_leases, world, instance), dg.SkipReason)
    world.clock.advance(4 * 3600 + 60)
    request = tick(finished_leases, world, instance)
    assert request.run_config["ops"]["settle_leases"]["config"]["lease_ids"] == [lease.id]
