"""Dagster's history in a real PostgreSQL, with the real dagster.yaml, beside the books in the same database."""

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from dagster_postgres.event_log import PostgresEventLogStorage
from support.books_backends import PostgresServer, postgres  # noqa: F401  the fixture of this name
from support.dagster_world import World

from necto_pipelines.assets.compliance import compliance_scores
from necto_pipelines.assets.discovery import discovery_assets
from necto_pipelines.assets.market import cloud_prices, price_comparison, token_prices
from necto_pipelines.checks.expectations import catalog_expectations
from necto_pipelines.checks.invariants import compliance_fails_closed
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.resources.lineage import broken_links, lineage, walk
from necto_pipelines.resources.snapshots import latest_snapshot, newest
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration
PACKAGE = Path(__file__).parents[2] / "necto_pipelines"
ASSETS = [
    *discovery_assets(["akash"]),
    cloud_prices,
    token_prices,
    compliance_scores,
    price_comparison,
    catalog_expectations,
    compliance_fails_closed,
]


@pytest.fixture
def instance(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres: PostgresServer,  # noqa: F811
) -> Iterator[dg.DagsterInstance]:
    shutil.copy(PACKAGE / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("NECTO_DATABASE_URL", postgres.empty_database())
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def test_lineage_and_guards_hold_on_postgresql(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    books = open_books(Settings(home=tmp_path), FrozenClock())  # in the same database
    world = World(tmp_path, books=books)
    world.materialize(instance, ASSETS)
    good = newest(instance, "provider_catalog")

    world.offer_rows({"usd_per_gpu_hour": Decimal(4000)})
    assert not world.materialize(instance, ASSETS, raise_on_error=False).success
    assert newest(instance, "provider_catalog") != good
    assert latest_snapshot(instance, world.warehouse, "provider_catalog").pin == good.pin

    tree = lineage(instance, "price_comparison")
    assert {node.made.name for node in walk(tree)} == {
        "price_comparison",
        "provider_catalog",
        "akash_offers",
        "cloud_prices",
        "token_prices",
        "compliance_scores",
        "provider_evidence",
    }
    assert broken_links(tree, world.warehouse) == []
    assert books.verify().ok
    books.close()
