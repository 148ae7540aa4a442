"""The code location as it runs: every asset refreshed against the sandbox over a socket, and Dagster validating it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from support.sandbox_server import running_sandbox

from necto_pipelines.definitions import build_definitions
from necto_pipelines.model.tables import records
from necto_pipelines.resources.lineage import broken_links, lineage, walk
from necto_pipelines.resources.snapshots import latest_snapshot, newest
from necto_pipelines.settings import Settings
from necto_pipelines.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh home with the simulated networks listening."""
    for name in [name for name in os.environ if name.startswith("NECTO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NECTO_HOME", str(tmp_path))
    with running_sandbox(Settings().sandbox_clock()) as url:
        monkeypatch.setenv("NECTO_SANDBOX_PORT", url.rpartition(":")[2])
        yield tmp_path


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster with the real dagster.yaml below that home."""
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    shutil.copy(ROOT / "necto_pipelines" / "dagster.yaml", dagster_home)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home))
    with dg.DagsterInstance.from_config(str(dagster_home)) as opened:
        yield opened


def test_everything_refreshes_from_the_sandbox_and_every_check_passes(home: Path, instance: dg.DagsterInstance) -> None:
    result = build_definitions().get_repository_def().get_job("refresh_all").execute_in_process(instance=instance)
    verdicts = {verdict.check_name: verdict.passed for verdict in result.get_asset_check_evaluations()}
    assert verdicts == {
        "source_answered": True,
        "catalog_expectations": True,
        "compliance_fails_closed": True,
        "savings_recomputed": True,
    }

    warehouse = Warehouse(home / "warehouse")
    comparison = latest_snapshot(instance, warehouse, "price_comparison")
    assert len(comparison.frame) > 0
    assert newest(instance, "price_comparison").mode == "sandbox,snapshot"
    tree = lineage(instance, "price_comparison")
    assert broken_links(tree, warehouse) == []
    assert {node.made.run_id for node in walk(tree)} == {result.run_id}

    catalog = latest_snapshot(instance, warehouse, "provider_catalog")
    raw = {row["raw_sha256"] for row in records(catalog.frame)}
    assert all(warehouse.has(sha256) for sha256 in raw), "every price can be shown as the network gave it"


def test_a_month_without_orders_is_billed_as_empty(instance: dg.DagsterInstance) -> None:
    job = build_definitions().get_repository_def().get_job("bill_month")
    result = job.execute_in_process(instance=instance, partition_key="2026-11")
    assert result.success
    assert newest(instance, "invoices", "2026-11").rows == 0


def test_dagster_validates_the_workspace_from_the_repository_root(home: Path) -> None:
    command = [str(Path(sys.executable).parent / "dagster"), "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout
