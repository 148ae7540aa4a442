"""The real dagster.yaml: which storage it makes, and that Dagster takes every word of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from support.dagster_world import World

from necto_pipelines.assets.market import cloud_prices
from necto_pipelines.resources.snapshots import newest
from necto_pipelines.storage import NectoStorage, with_psycopg2

ROOT = Path(__file__).parents[2]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    shutil.copy(ROOT / "necto_pipelines" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("NECTO_DATABASE_URL", raising=False)
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def test_the_roots_dagster_yaml_is_the_one_that_is_installed() -> None:
    assert (ROOT / "dagster.yaml").resolve() == ROOT / "necto_pipelines" / "dagster.yaml"


def test_without_a_database_the_history_is_sqlite_in_dagsters_home(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
    World(tmp_path).materialize(instance, [cloud_prices])
    assert newest(instance, "cloud_prices").rows > 100
    assert (tmp_path / "history" / "runs" / "index.db").exists()


def test_without_dagsters_home_the_history_is_in_nectos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("NECTO_DATABASE_URL", raising=False)
    monkeypatch.setenv("NECTO_HOME", str(tmp_path / "home"))
    NectoStorage.from_config_value(None, {})
    assert (tmp_path / "home" / "dagster" / "history" / "runs" / "index.db").exists()


def test_dagster_works_as_the_file_says(instance: dg.DagsterInstance) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert (queue.max_concurrent_runs, queue.should_block_op_concurrency_limited_runs) == (8, True)
    assert queue.tag_concurrency_limits == [
        {"key": "necto/tenant", "value": {"applyLimitPerUniqueValue": True}, "limit": 2}
    ]
    assert instance.get_concurrency_config().pool_config.default_pool_limit == 4
    assert instance.run_coordinator._dequeue_interval_seconds == 1  # type: ignore[attr-defined]
    assert instance.run_monitoring_enabled
    assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert not instance.telemetry_enabled
    assert instance.get_settings("sensors")["use_threads"]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@h:5432/necto", "postgresql+psycopg2://u:p@h:5432/necto"),
        ("postgres://h/necto?sslmode=require", "postgresql+psycopg2://h/necto?sslmode=require"),
        ("postgresql+psycopg2://h/necto", "postgresql+psycopg2://h/necto"),
    ],
)
def test_the_driver_is_always_named(given: str, used: str) -> None:
    assert with_psycopg2(given) == used
