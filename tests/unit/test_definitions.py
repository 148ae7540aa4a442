"""The assembled code location: what exists, what depends on what, and that Dagster accepts it all."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from necto_pipelines.assets.sources import ANSWERED
from necto_pipelines.definitions import build_definitions
from necto_pipelines.resources.parquet_io import PARQUET_IO
from necto_pipelines.resources.snapshots import GUARDS
from necto_pipelines.schedules import billing
from necto_pipelines.sensors.automation import COMPLETE_REFRESH


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_definitions()


@pytest.fixture(scope="module")
def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


ASSETS = {
    "akash_offers": ("discovery", set()),
    "render_offers": ("discovery", set()),
    "aethir_offers": ("discovery", set()),
    "provider_catalog": ("discovery", {"akash_offers", "render_offers", "aethir_offers"}),
    "provider_evidence": ("discovery", set()),
    "cloud_prices": ("market", set()),
    "token_prices": ("market", set()),
    "price_comparison": ("market", {"provider_catalog", "cloud_prices", "token_prices", "compliance_scores"}),
    "compliance_scores": ("compliance", {"provider_evidence"}),
    "lease_telemetry": ("reliability", set()),
    "reliability_scores": ("reliability", {"provider_evidence"}),
    "leases": ("billing", set()),
    "usage_charges": ("billing", set()),
    "invoices": ("billing", {"usage_charges", "leases"}),
    "audit_trail": ("audit", set()),
    "evidence_packs": ("audit", {"invoices"}),
}
JOBS = {
    "refresh_catalog": {"akash_offers", "render_offers", "aethir_offers", "provider_evidence"},
    "refresh_market": {"token_prices"},
    "refresh_clouds": {"cloud_prices"},
    "refresh_telemetry": {"lease_telemetry"},
    "refresh_all": set(ASSETS) - {"usage_charges", "invoices", "audit_trail", "evidence_packs"},
    "bill_month": {"leases", "usage_charges", "invoices"},
    "pack_month": {"evidence_packs"},
    "reconcile": {"audit_trail"},
}
SCHEDULES = {
    "discovery": ("refresh_catalog", "*/15 * * * *"),
    "token_market": ("refresh_market", "*/5 * * * *"),
    "cloud_market": ("refresh_clouds", "20 4 * * *"),
    "telemetry": ("refresh_telemetry", "*/15 * * * *"),
    "billing": ("bill_month", "30 2 1 * *"),
    "evidence": ("pack_month", "30 3 2 * *"),
    "history": ("reconcile", "40 * * * *"),
    "whole_history": ("reconcile", "10 3 * * *"),
}
CHECKS = {
    "akash_offers:source_answered",
    "render_offers:source_answered",
    "aethir_offers:source_answered",
    "cloud_prices:source_answered",
    "provider_evidence:source_answered",
    "token_prices:source_answered",
    "provider_catalog:catalog_expectations",
    "compliance_scores:compliance_fails_closed",
    "price_comparison:savings_recomputed",
    "invoices:invoices_readd",
    "audit_trail:dagster_rows_as_sealed",
}


def test_dagster_accepts_the_whole_code_location(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_assets_their_groups_and_their_dependencies(specs: dict[str, dg.AssetSpec]) -> None:
    found = {
        name: (spec.group_name, {dep.asset_key.to_user_string() for dep in spec.deps}) for name, spec in specs.items()
    }
    assert found == ASSETS


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_every_asset_can_be_read_by_a_person(specs: dict[str, dg.AssetSpec], name: str) -> None:
    spec = specs[name]
    assert (spec.description or "").endswith(".")
    assert spec.owners
    assert all(owner in ("team:finance", "team:procurement", "team:compliance") for owner in spec.owners)
    assert len(spec.kinds) == 2
    assert spec.code_version
    assert spec.tags["necto/layer"] in ("source", "derived", "books")
    columns = spec.metadata["dagster/column_schema"].columns
    assert columns
    assert all(column.description for column in columns)


def test_every_asset_is_kept_by_our_io_manager(defs: dg.Definitions) -> None:
    kept = {
        key.to_user_string(): assets_def.get_io_manager_key_for_asset_key(key)
        for assets_def in defs.resolve_asset_graph().assets_defs
        for key in assets_def.keys
    }
    assert kept == dict.fromkeys(ASSETS, PARQUET_IO)


def test_an_asset_has_one_mechanism_only(defs: dg.Definitions, specs: dict[str, dg.AssetSpec]) -> None:
    automated = {name for name, spec in specs.items() if spec.automation_condition}
    assert automated == {name for name, spec in specs.items() if spec.tags["necto/layer"] == "derived"}
    scheduled = set().union(*(JOBS[job] for job, _ in SCHEDULES.values()))
    assert automated.isdisjoint(scheduled)
    assert automated | scheduled == set(ASSETS)


def test_a_cadence_comes_with_a_freshness_policy(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name for name, spec in specs.items() if spec.freshness_policy} == {
        "akash_offers",
        "render_offers",
        "aethir_offers",
        "provider_catalog",
        "provider_evidence",
        "cloud_prices",
        "token_prices",
    }


def test_the_jobs_and_what_they_materialize(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    found = {
        name: {key.to_user_string() for key in repository.get_job(name).asset_layer.executable_asset_keys}
        for name in repository.job_names
        if not name.startswith("__")
    }
    assert found == JOBS | {"procure": set(), "settle": set(), "failover": set(), "anchor": set()}


def test_only_a_job_that_refreshes_all_that_is_derived_says_so(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    complete = {job.name for job in repository.get_all_jobs() if COMPLETE_REFRESH.items() <= job.tags.items()}
    assert complete == {"refresh_all"}


def test_the_schedules_run_from_the_start(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    found = {schedule.name: (schedule.job_name, schedule.cron_schedule) for schedule in repository.schedule_defs}
    assert found == SCHEDULES
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}


def test_the_sensors_run_from_the_start(defs: dg.Definitions) -> None:
    sensors = {sensor.name: sensor for sensor in defs.get_repository_def().sensor_defs}
    watches = {"watch_akash", "watch_render", "watch_aethir"}
    ours = {"derived_assets", "pending_orders", "finished_leases", "seal_ended_runs", "due_checkpoints"}
    assert set(sensors) == ours | watches
    assert {sensor.default_status for sensor in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}


def test_every_check_blocks_but_those_on_silent_sources_and_the_guards_are_among_them(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    found = {f"{key.asset_key.to_user_string()}:{key.name}": graph.get(key).blocking for key in graph.asset_check_keys}
    assert found == {check: not check.endswith(f":{ANSWERED}") for check in CHECKS}
    assert {f"{asset}:{guard}" for asset, guard in GUARDS.items()} <= CHECKS


def test_steps_run_in_the_process_of_their_run(defs: dg.Definitions) -> None:
    assert defs.executor is dg.in_process_executor


def test_nothing_can_be_configured_into_the_runtime(defs: dg.Definitions) -> None:
    """A field would be shown in the launchpad, and what is typed there is kept in the run for ever."""
    for name in JOBS:
        runtime = defs.get_repository_def().get_job(name).resource_defs["runtime"]
        assert dict(runtime.config_schema.config_type.fields) == {}


@pytest.mark.parametrize(
    ("tick", "month"),
    [(datetime(2026, 12, 1, 2, 30, tzinfo=UTC), "2026-11"), (datetime(2027, 1, 1, 2, 30, tzinfo=UTC), "2026-12")],
)
def test_billing_asks_for_the_month_that_has_ended(tick: datetime, month: str) -> None:
    request: Any = billing(dg.build_schedule_context(scheduled_execution_time=tick))
    assert (request.partition_key, request.run_key) == (month, f"bill-{month}")


def test_arguments_may_be_replaced_and_resources_laid_over_ours() -> None:
    replaced = build_definitions(schedules=[], resources={"runtime": "other"})
    assert replaced.schedules == []
    assert set(replaced.resources or {}) >= {"runtime", PARQUET_IO}
    assert (replaced.resources or {})["runtime"] == "other"
