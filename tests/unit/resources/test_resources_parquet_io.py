"""The IO manager on a real Dagster instance: what is written down is what was written and what was read."""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import text
from support.dagster_world import World

from necto_pipelines.failures import AuditBroken, PermanentFailure, Unavailable
from necto_pipelines.model.tables import COMPLIANCE_SCORES, TOKEN_PRICES, records
from necto_pipelines.resources.lineage import broken_links, lineage, walk
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.snapshots import (
    GUARDS,
    INPUTS,
    MODE,
    SHA256,
    latest_snapshot,
    materializations,
    newest,
)

CLOUDS = dg.StaticPartitionsDefinition(["aws", "gcp"])
usd = {"AKT": Decimal("0.60"), "aws": Decimal(1), "gcp": Decimal(2)}
"""what the toy sources answer; tests change it"""


def prices(world: World, token: str, price: Decimal) -> pd.DataFrame:
    now = world.clock.now()
    row = {"token": token, "usd": price, "published_at": now, "observed_at": now, "source": "toy", "mode": "sandbox"}
    return TOKEN_PRICES.frame([row | {"raw_sha256": "0" * 64}])


OPTIONS: dict[str, Any] = {
    "metadata": table_metadata(TOKEN_PRICES),
    "io_manager_key": PARQUET_IO,
    "code_version": "7",
}


class Toys:
    """A source, a partitioned source, and what is derived from them."""

    def __init__(self, world: World) -> None:
        @dg.asset(**OPTIONS)
        def source() -> pd.DataFrame:
            return prices(world, "AKT", usd["AKT"])

        @dg.asset(**OPTIONS, partitions_def=CLOUDS)
        def by_cloud(context: dg.AssetExecutionContext) -> pd.DataFrame:
            return prices(world, context.partition_key, usd[context.partition_key])

        @dg.asset(**OPTIONS)
        def derived(source: pd.DataFrame) -> pd.DataFrame:
            return source

        @dg.asset(**OPTIONS, partitions_def=CLOUDS)
        def priced(by_cloud: pd.DataFrame, source: pd.DataFrame) -> pd.DataFrame:
            return pd.concat([by_cloud, source])

        @dg.asset(**OPTIONS)
        def all_clouds(by_cloud: dict[str, pd.DataFrame]) -> pd.DataFrame:
            return pd.concat([by_cloud[cloud] for cloud in sorted(by_cloud)])

        self.all = [source, by_cloud, derived, priced, all_clouds]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(usd, "AKT", Decimal("0.60"))
    return World(tmp_path)


def make(world: World, instance: dg.DagsterInstance, *names: str, partition: str | None = None) -> Any:
    return world.materialize(
        instance, Toys(world).all, selection=dg.AssetSelection.assets(*names), partition_key=partition
    )


def metadata(instance: dg.DagsterInstance, name: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def stored_file(world: World, sha256: str) -> Path:
    return world.home / "warehouse" / "sha256" / sha256[:2] / f"{sha256}.parquet"


# What is recorded at a write


def test_the_digest_of_the_stored_bytes_is_dagsters_data_version(world: World, instance: dg.DagsterInstance) -> None:
    make(world, instance, "source")
    event = instance.get_latest_materialization_event(dg.AssetKey("source"))
    assert event is not None
    assert event.asset_materialization is not None
    sha256 = metadata(instance, "source")[SHA256]
    assert (event.asset_materialization.tags or {})["dagster/data_version"] == sha256
    assert hashlib.sha256(stored_file(world, sha256).read_bytes()).hexdigest() == sha256


def test_a_materialization_says_rows_columns_mode_and_the_age_of_its_sources(
    world: World, instance: dg.DagsterInstance
) -> None:
    make(world, instance, "source")
    world.clock.advance(90)
    make(world, instance, "derived")
    said = metadata(instance, "derived")
    assert said["dagster/row_count"] == 1
    assert [column.name for column in said["dagster/column_schema"].columns] == TOKEN_PRICES.schema.names
    assert said["dagster/column_schema"].columns[1].description == "US dollars for one token"
    assert said["necto/source_age_s"] == 90
    assert said[MODE] == "sandbox"
    assert said["necto/preview"].records[0].data["usd"] == "0.600000000000"


def test_a_table_without_a_mode_inherits_it_from_what_it_was_made_of(
    world: World, instance: dg.DagsterInstance
) -> None:
    @dg.asset(metadata=table_metadata(COMPLIANCE_SCORES), io_manager_key=PARQUET_IO)
    def scores(source: pd.DataFrame) -> pd.DataFrame:
        return COMPLIANCE_SCORES.frame([])

    world.materialize(instance, [*Toys(world).all, scores], selection=dg.AssetSelection.assets("source", "scores"))
    assert metadata(instance, "scores")[MODE] == "sandbox"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="usd"), r"lacks \['usd'\]"),
        (lambda frame: frame.assign(note="x"), r"beyond it \['note'\]"),
        (lambda frame: frame.assign(usd="cheap"), "is not a table of token_prices"),
    ],
)
def test_a_frame_that_does_not_fit_its_table_is_refused_with_the_column(
    world: World, instance: dg.DagsterInstance, change: Any, message: str
) -> None:
    @dg.asset(**OPTIONS)
    def misfit() -> pd.DataFrame:
        return change(prices(world, "AKT", Decimal(1)))

    with pytest.raises(PermanentFailure, match=message):
        world.materialize(instance, [misfit])
    assert instance.get_latest_materialization_event(dg.AssetKey("misfit")) is None


def test_the_same_content_is_stored_once_and_keeps_its_data_version(world: World, instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        make(world, instance, "source")
    assert len({found.sha256 for found in materializations(instance, "source")}) == 1
    assert len(list(materializations(instance, "source"))) == 3
    assert len(list((world.home / "warehouse").rglob("*.parquet"))) == 1


# What is pinned at a read


def test_pins_survive_later_refreshes(world: World, instance: dg.DagsterInstance) -> None:
    make(world, instance, "source")
    first = newest(instance, "source")
    make(world, instance, "derived")
    usd["AKT"] = Decimal("0.75")
    make(world, instance, "source")

    tree = lineage(instance, "derived")
    [parent] = tree.parents
    assert (parent.made.storage_id, parent.made.sha256) == (first.storage_id, first.sha256)
    assert parent.made.sha256 != newest(instance, "source").sha256
    assert records(world.warehouse.read_frame(parent.made.sha256))[0]["usd"] == Decimal("0.60")
    assert broken_links(tree, world.warehouse) == []


def test_the_pin_names_the_partition_that_was_read_not_the_newest_of_any(
    world: World, instance: dg.DagsterInstance
) -> None:
    make(world, instance, "source")
    make(world, instance, "by_cloud", partition="aws")
    make(world, instance, "by_cloud", partition="gcp")
    make(world, instance, "priced", partition="aws")

    manifest = metadata(instance, "priced")[INPUTS]
    aws = newest(instance, "by_cloud", "aws")
    assert set(manifest) == {"by_cloud[aws]", "source"}
    assert manifest["by_cloud[aws]"] == {"storage_id": aws.storage_id, "run_id": aws.run_id, "sha256": aws.sha256}
    event = instance.get_latest_materialization_event(dg.AssetKey("priced"))
    assert event is not None
    assert event.asset_materialization is not None
    dagsters_own = (event.asset_materialization.tags or {})["dagster/input_event_pointer/by_cloud"]
    assert int(dagsters_own) == newest(instance, "by_cloud", "gcp").storage_id, "why we keep our own manifest"


def test_a_step_that_reads_every_partition_pins_every_partition(world: World, instance: dg.DagsterInstance) -> None:
    for cloud in ("aws", "gcp"):
        make(world, instance, "by_cloud", partition=cloud)
    make(world, instance, "all_clouds")
    assert set(metadata(instance, "all_clouds")[INPUTS]) == {"by_cloud[aws]", "by_cloud[gcp]"}
    assert [row["token"] for row in records(latest_snapshot(instance, world.warehouse, "all_clouds").frame)] == [
        "aws",
        "gcp",
    ]


def test_lineage_walks_to_the_sources_and_names_code_and_runs(world: World, instance: dg.DagsterInstance) -> None:
    run = make(world, instance, "source")
    make(world, instance, "by_cloud", partition="gcp")
    make(world, instance, "priced", partition="gcp")
    tree = lineage(instance, "priced", partition="gcp")
    assert [node.made.name for node in walk(tree)] == ["priced[gcp]", "by_cloud[gcp]", "source"]
    source = walk(tree)[-1].made
    assert (source.code_version, source.run_id, source.rows) == ("7", run.run_id, 1)


def test_an_older_materialization_keeps_its_own_lineage(world: World, instance: dg.DagsterInstance) -> None:
    make(world, instance, "source", "derived")
    first = newest(instance, "derived")
    usd["AKT"] = Decimal("0.75")
    make(world, instance, "source", "derived")
    old, new = lineage(instance, "derived", storage_id=first.storage_id), lineage(instance, "derived")
    assert old.made.sha256 != new.made.sha256
    assert old.parents[0].made.storage_id < new.parents[0].made.storage_id


# When the evidence is not what it was


def test_a_flipped_byte_in_the_store_fails_the_next_load(world: World, instance: dg.DagsterInstance) -> None:
    make(world, instance, "source", "derived")
    tree = lineage(instance, "derived")
    path = stored_file(world, newest(instance, "source").sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(AuditBroken, match="no longer matches its recorded digest"):
        make(world, instance, "derived")
    with pytest.raises(AuditBroken, match="no longer matches its recorded digest"):
        latest_snapshot(instance, world.warehouse, "source")
    assert any("source" in fault for fault in broken_links(tree, world.warehouse))


def test_a_materialization_that_somebody_reported_by_hand_is_not_read(
    world: World, instance: dg.DagsterInstance
) -> None:
    make(world, instance, "source")
    instance.report_runless_asset_event(dg.AssetMaterialization("source"))
    with pytest.raises(AuditBroken, match="not written by Necto"):
        make(world, instance, "derived")


def test_lineage_notices_when_dagsters_history_was_wiped(world: World, instance: dg.DagsterInstance) -> None:
    make(world, instance, "source", "derived")
    instance.wipe_assets([dg.AssetKey("source")])
    with pytest.raises(AuditBroken, match="gone from Dagster's event log"):
        lineage(instance, "derived")


def test_lineage_notices_when_an_event_that_was_read_was_edited(world: World, instance: dg.DagsterInstance) -> None:
    make(world, instance, "source", "derived")
    digest = newest(instance, "source").sha256
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            text("UPDATE event_logs SET event = replace(event, :digest, :forged) WHERE asset_key = :key"),
            {"digest": digest, "forged": "f" * 64, "key": dg.AssetKey("source").to_string()},
        )
        connection.commit()
    with pytest.raises(AuditBroken, match=f"derived read source as {digest}; event [0-9]+ now says ffff"):
        lineage(instance, "derived")


def test_what_was_never_materialized_cannot_be_read(world: World, instance: dg.DagsterInstance) -> None:
    with pytest.raises(Unavailable, match="derived cannot be read: it has not been materialized yet"):
        latest_snapshot(instance, world.warehouse, "derived")


# Guarded assets


@pytest.fixture
def guarded(world: World) -> list[Any]:
    """A catalog whose guard passes below one dollar, and something made from it."""

    @dg.asset(**OPTIONS)
    def provider_catalog() -> pd.DataFrame:
        return prices(world, "AKT", usd["AKT"])

    @dg.asset_check(asset=provider_catalog, name=GUARDS["provider_catalog"], blocking=True)
    def guard(provider_catalog: pd.DataFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=bool(provider_catalog["usd"][0] < 1), metadata={SHA256: provider_catalog.attrs[SHA256]}
        )

    @dg.asset(**OPTIONS)
    def reader(provider_catalog: pd.DataFrame) -> pd.DataFrame:
        return provider_catalog

    return [provider_catalog, guard, reader]


def test_the_last_good_content_stays_in_use_when_a_newer_one_fails_its_guard(
    world: World, instance: dg.DagsterInstance, guarded: list[Any]
) -> None:
    world.materialize(instance, guarded)
    good = newest(instance, "provider_catalog")
    usd["AKT"] = Decimal(5)
    assert not world.materialize(instance, guarded, raise_on_error=False).success
    assert newest(instance, "provider_catalog").sha256 != good.sha256
    assert latest_snapshot(instance, world.warehouse, "provider_catalog").pin == good.pin
    world.materialize(instance, guarded, selection=dg.AssetSelection.assets("reader"))
    assert lineage(instance, "reader").parents[0].made == good


def test_content_that_no_guard_has_judged_yet_is_not_read(
    world: World, instance: dg.DagsterInstance, guarded: list[Any]
) -> None:
    unchecked = dg.AssetSelection.assets("provider_catalog").without_checks()
    world.materialize(instance, guarded, selection=unchecked)
    with pytest.raises(Unavailable, match="nothing has passed its check catalog_expectations"):
        latest_snapshot(instance, world.warehouse, "provider_catalog")


def test_the_last_verdict_on_the_same_bytes_counts(
    world: World, instance: dg.DagsterInstance, guarded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.materialize(instance, guarded)

    @dg.asset_check(asset="provider_catalog", name=GUARDS["provider_catalog"], blocking=True)
    def stricter(provider_catalog: pd.DataFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, metadata={SHA256: provider_catalog.attrs[SHA256]})

    only_check = dg.AssetSelection.checks(stricter)
    world.materialize(instance, [guarded[0], stricter], selection=only_check, raise_on_error=False)
    with pytest.raises(Unavailable):
        latest_snapshot(instance, world.warehouse, "provider_catalog")
