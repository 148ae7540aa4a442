"""The catalog's Great Expectations suite: what passes, what fails it, and that a failure stops everything after."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.dagster_world import World, answer, offer

from necto_pipelines.assets.compliance import compliance_scores
from necto_pipelines.assets.discovery import discovery_assets
from necto_pipelines.assets.market import cloud_prices, price_comparison, token_prices
from necto_pipelines.checks.expectations import catalog_expectations, catalog_suite, one_line, validate
from necto_pipelines.checks.invariants import compliance_fails_closed
from necto_pipelines.failures import Unavailable
from necto_pipelines.model.tables import OFFERS
from necto_pipelines.resources.snapshots import GUARDS, SHA256, latest_snapshot, newest

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def faults(world: World, *rows: dict[str, Any]) -> list[str]:
    """The failed expectations of a catalog with these rows (of which a row may lack what no Offer could lack)."""
    raw = answer(b"raw", world.clock.now())
    plain = [offer(raw, provider=f"akash1{index}") for index in range(len(rows))]
    frame = OFFERS.frame(
        {**OFFERS.frame([given]).to_dict("records")[0], **changes} for given, changes in zip(plain, rows, strict=True)
    )
    verdict = validate(frame, catalog_suite(now=world.clock.now(), max_age=HOUR))
    failed = [one_line(outcome) for outcome in verdict["results"] if not outcome["success"]]
    assert verdict["success"] is (not failed)
    return failed


def test_a_good_catalog_passes(world: World) -> None:
    assert faults(world, {}, {"country": None}, {"units_available": 0}) == []


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        ([], "table: expect_table_row_count_to_be_between found 0"),
        ([{"offer_id": "same"}, {"offer_id": "same"}], "offer_id: 2 rows fail expect_column_values_to_be_unique (same"),
        ([{"usd_per_gpu_hour": Decimal(0)}], "usd_per_gpu_hour: 1 rows"),
        ([{"usd_per_gpu_hour": Decimal("100.01")}], "usd_per_gpu_hour: 1 rows"),
        ([{"usd_per_gpu_hour": None}], "usd_per_gpu_hour: 1 rows fail expect_column_values_to_not_be_null"),
        ([{"gpu_key": "H100-81GB"}], "gpu_key: 1 rows fail expect_column_values_to_be_in_set (H100-81GB)"),
        ([{"country": "Germany"}], "country: 1 rows"),
        ([{"country": "de"}], "country: 1 rows"),
        ([{"country": "DE\n"}], "country: 1 rows"),
        ([{"units_available": -1}], "units_available: 1 rows"),
        ([{"raw_sha256": "0" * 63}], "raw_sha256: 1 rows"),
        ([{"mode": "snapshot"}], "mode: 1 rows"),
        ([{"price_basis": "guess"}], "price_basis: 1 rows"),
    ],
)
def test_each_defect_is_found_and_named(world: World, rows: list[dict[str, Any]], column: str) -> None:
    [fault] = faults(world, *rows)
    assert fault.startswith(column)


@pytest.mark.parametrize("age_s", [3601, -121])
def test_an_offer_too_old_or_from_the_future_is_found(world: World, age_s: int) -> None:
    [fault] = faults(world, {}, {"observed_at": world.clock.now() - timedelta(seconds=age_s)})
    assert fault.startswith("observed_at: 1 rows")


def test_a_private_quote_may_be_old_as_long_as_it_holds(world: World) -> None:
    now = world.clock.now()
    quote = {"price_basis": "private_quote", "observed_at": now - timedelta(days=20)}
    assert faults(world, {}, quote | {"valid_until": now + HOUR}) == []
    [fault] = faults(world, {}, quote | {"valid_until": now})
    assert fault.startswith("valid_until: 1 rows fail expect_column_values_to_be_between")
    [fault] = faults(world, {}, quote)
    assert fault.startswith("valid_until: 1 rows fail expect_column_values_to_not_be_null")


# In Dagster


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


ASSETS = [
    *discovery_assets(["akash"]),
    cloud_prices,
    token_prices,
    compliance_scores,
    price_comparison,
    catalog_expectations,
    compliance_fails_closed,
]


def _on_the_catalog(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [verdict] = [v for v in result.get_asset_check_evaluations() if v.check_name == GUARDS["provider_catalog"]]
    return verdict


def test_a_bad_catalog_fails_its_check_and_blocks_what_comes_after(world: World, instance: dg.DagsterInstance) -> None:
    world.offer_rows({"country": "Germany"})
    result = world.materialize(instance, ASSETS, raise_on_error=False)
    verdict = _on_the_catalog(result)
    assert not verdict.passed
    assert verdict.blocking
    assert "country: 1 rows fail expect_column_values_to_match_regex (Germany)" in (verdict.description or "")
    assert [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()].count(
        "price_comparison"
    ) == 0
    with pytest.raises(Unavailable):
        latest_snapshot(instance, world.warehouse, "provider_catalog")


def test_a_good_catalog_lets_the_rest_go_on_and_names_the_bytes_it_judged(
    world: World, instance: dg.DagsterInstance
) -> None:
    result = world.materialize(instance, ASSETS)
    verdict = _on_the_catalog(result)
    assert verdict.passed
    assert verdict.metadata[SHA256].value == newest(instance, "provider_catalog").sha256
    assert newest(instance, "price_comparison").rows == 24, "an H100, four counts, anyone and compliant, three clouds"


def test_loading_the_definitions_does_not_import_great_expectations() -> None:
    code = "import necto_pipelines.definitions, sys; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
