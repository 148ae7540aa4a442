"""Derived assets are requested when the content of an input changed, and only then."""

from collections.abc import Iterator

import dagster as dg
import pytest

from necto_pipelines.sensors.automation import COMPLETE_REFRESH, derived_assets, when_inputs_change


class Plant:
    """Two sources and what is derived from them; `request()` is one tick of the automation sensor."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        @dg.asset
        def left() -> None: ...

        @dg.asset
        def right() -> None: ...

        @dg.asset(deps=[left, right], automation_condition=when_inputs_change())
        def derived() -> None: ...

        @dg.asset_check(asset=left, blocking=True)
        def guard() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        self.instance = instance
        self.defs = dg.Definitions(assets=[left, right, derived], asset_checks=[guard])
        self.cursor = None
        self.guard = dg.AssetCheckKey(dg.AssetKey("left"), "guard")

    def materialize(self, asset: str, version: str, *, guarded: bool = True) -> None:
        tags = {"dagster/data_version": version}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, tags=tags))
        if asset == "left":
            self.judge(passed=guarded)

    def judge(self, *, passed: bool) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=self.guard.asset_key, check_name=self.guard.name, passed=passed, metadata={}, blocking=True
            )
        )

    def request(self) -> bool:
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return result.get_num_requested(dg.AssetKey("derived")) > 0


@pytest.fixture
def plant() -> Iterator[Plant]:
    """All three materialized once, seen by the sensor, and nothing to do."""
    with dg.DagsterInstance.ephemeral() as instance:
        ready = Plant(instance)
        for asset in ("left", "right", "derived"):
            ready.materialize(asset, "1")
        assert not ready.request()
        yield ready


def test_the_same_data_version_again_requests_nothing(plant: Plant) -> None:
    plant.materialize("left", "1")
    assert not plant.request()


@pytest.mark.parametrize("source", ["left", "right"])
def test_a_new_data_version_requests_once(plant: Plant, source: str) -> None:
    plant.materialize(source, "2")
    assert plant.request()
    assert not plant.request()


def test_dagsters_own_eager_would_have_run_for_nothing() -> None:
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.asset
        def source() -> None: ...

        @dg.asset(deps=[source], automation_condition=dg.AutomationCondition.eager())
        def derived() -> None: ...

        defs, same = dg.Definitions(assets=[source, derived]), {"dagster/data_version": "1"}
        for asset in ("source", "derived"):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, tags=same))
        cursor = dg.evaluate_automation_conditions(defs, instance).cursor
        instance.report_runless_asset_event(dg.AssetMaterialization("source", tags=same))
        assert dg.evaluate_automation_conditions(defs, instance, cursor=cursor).total_requested == 1


def test_a_change_waits_for_the_blocking_check_and_is_not_forgotten(plant: Plant) -> None:
    plant.materialize("left", "2", guarded=False)
    assert not plant.request()
    assert not plant.request()
    plant.judge(passed=True)
    assert plant.request()


def test_a_change_while_the_asset_is_being_refreshed_is_not_lost(plant: Plant) -> None:
    run = plant.instance.create_run_for_job(
        plant.defs.resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({dg.AssetKey("derived")}),
        status=dg.DagsterRunStatus.STARTED,
    )
    plan = dg.DagsterEvent(
        "ASSET_MATERIALIZATION_PLANNED", run.job_name, event_specific_data=_planned(dg.AssetKey("derived"))
    )
    plant.instance.report_dagster_event(plan, run.run_id)
    plant.materialize("left", "2")
    assert not plant.request(), "it is in progress"
    plant.materialize("derived", "1")
    plant.instance.report_run_canceled(plant.instance.get_run_by_id(run.run_id))
    assert plant.request()


def test_a_run_that_failed_is_not_requested_again_and_again(plant: Plant) -> None:
    plant.materialize("right", "2")
    assert plant.request()
    assert not any(plant.request() for _ in range(5)), "nothing was materialized, and nothing changed"


def test_a_complete_refresh_leaves_nothing_to_follow(plant: Plant) -> None:
    everything = [*plant.defs.assets, *plant.defs.asset_checks]
    dg.materialize(everything, instance=plant.instance, tags=COMPLETE_REFRESH)
    assert not plant.request()
    dg.materialize(everything, instance=plant.instance, selection=["right"])
    assert plant.request()


def test_the_sensor_runs_from_the_start() -> None:
    assert derived_assets.default_status is dg.DefaultSensorStatus.RUNNING


def _planned(key: dg.AssetKey) -> object:
    from dagster._core.events import AssetMaterializationPlannedData

    return AssetMaterializationPlannedData(asset_key=key)
