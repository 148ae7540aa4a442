"""The sensor and the job of anchoring, on a real instance and real books."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.procurement_world import ACTOR, World, procurement_world

from necto_pipelines.jobs.anchoring import anchor_job
from necto_pipelines.resources.runtime import prepared
from necto_pipelines.sensors.anchoring import AGAIN_S, due_checkpoints

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with procurement_world(tmp_path / "home", anchor_copies=[str(tmp_path / "outside")]) as made:
        yield made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def tick(world: World, instance: dg.DagsterInstance) -> Any:
    with dg.build_sensor_context(instance=instance, resources={"runtime": prepared(world.runtime)}) as context:
        return due_checkpoints(context)


def run(world: World, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    resources = {"runtime": prepared(world.runtime)}
    return anchor_job.execute_in_process(instance=instance, resources=resources, raise_on_error=False)


def test_a_due_checkpoint_is_anchored_and_then_nothing_is_due(
    world: World, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert isinstance(tick(world, instance), dg.RunRequest)
    assert run(world, instance).success
    (copy,) = (tmp_path / "outside").iterdir()
    assert copy.read_text() == world.runtime.books.newest_checkpoint()
    assert isinstance(tick(world, instance), dg.SkipReason)


def test_only_one_run_is_under_way(world: World, instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(anchor_job, status=dg.DagsterRunStatus.STARTED)
    assert isinstance(tick(world, instance), dg.SkipReason)


def test_a_place_that_fails_makes_the_run_fail_and_is_not_asked_every_minute(
    world: World, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("not a folder")
    first = tick(world, instance)
    result = run(world, instance)
    assert not result.success
    failure = result.failure_data_for_node("anchor_log")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "1 of 1 anchors" in (failure.user_failure_data.description or "")
    world.clock.advance(AGAIN_S - 1)
    assert tick(world, instance).run_key == first.run_key
    world.clock.advance(1)
    assert tick(world, instance).run_key != first.run_key


def test_without_any_anchor_no_run_is_started(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with procurement_world(tmp_path) as world:
        with world.runtime.books.change(ACTOR) as change:
            change.set_budget("growth", Decimal(1))
        assert isinstance(tick(world, instance), dg.SkipReason)
