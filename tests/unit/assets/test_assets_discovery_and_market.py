"""Assets on a real Dagster instance with a network and an oracle that answer as the test says."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.dagster_world import World, answer, evidence, offer

from necto_pipelines.assets.compliance import compliance_scores
from necto_pipelines.assets.discovery import discovery_assets, provider_evidence, union_of_offers
from necto_pipelines.assets.evidence import markdown_table
from necto_pipelines.assets.market import cloud_prices, price_comparison, token_prices
from necto_pipelines.assets.sources import ANSWERED
from necto_pipelines.checks.invariants import compliance_fails_closed, savings_recomputed
from necto_pipelines.failures import AuditBroken, Refused, Unavailable
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.gpu import Gpu
from necto_pipelines.model.tables import OFFERS, records
from necto_pipelines.resources.snapshots import INPUTS, MODE, latest_snapshot, newest

ASSETS = [*discovery_assets(["akash"]), cloud_prices, token_prices, price_comparison, compliance_scores]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def make(world: World, instance: dg.DagsterInstance, *names: str) -> dg.ExecuteInProcessResult:
    return world.materialize(instance, ASSETS, selection=dg.AssetSelection.assets(*names))


def said(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


# Sources


def test_offers_keep_the_answer_they_were_read_from_byte_for_byte(world: World, instance: dg.DagsterInstance) -> None:
    world.offer_rows({}, body=b'[{"gpu":"h100"}]')
    metadata = said(make(world, instance, "akash_offers"), "akash_offers")
    [kept] = metadata["necto/raw"]
    assert world.warehouse.read_raw(kept["sha256"]) == b'[{"gpu":"h100"}]'
    assert kept["url"] == "https://source.example/list"
    assert metadata["necto/quarantined_rows"] == 0
    assert metadata[MODE] == "sandbox"


def test_rows_that_were_set_aside_are_told_with_the_reason(world: World, instance: dg.DagsterInstance) -> None:
    listing = world.network.listing
    world.network.listing = Listing(listing.rows, listing.raw, quarantined=(("akash1x | gpu", "unknown GPU 'h900'"),))
    metadata = said(make(world, instance, "akash_offers"), "akash_offers")
    assert metadata["necto/quarantined_rows"] == 1
    assert "| akash1x \\| gpu | unknown GPU 'h900' |" in metadata["necto/quarantined"]


def test_an_absurd_offer_is_set_aside_and_the_others_are_used(world: World, instance: dg.DagsterInstance) -> None:
    world.offer_rows({}, {"offer_id": "absurd", "usd_per_gpu_hour": Decimal(9999)})
    metadata = said(make(world, instance, "akash_offers"), "akash_offers")
    assert (metadata["dagster/row_count"], metadata["necto/quarantined_rows"]) == (1, 1)
    assert "| absurd | 9999 USD per GPU-hour cannot be" in metadata["necto/quarantined"]


def test_a_row_whose_answer_was_not_handed_over_is_refused(world: World, instance: dg.DagsterInstance) -> None:
    world.network.listing = Listing(world.network.listing.rows, raw=())
    with pytest.raises(AuditBroken, match="answers that were not handed over"):
        make(world, instance, "akash_offers")
    assert instance.get_latest_materialization_event(dg.AssetKey("akash_offers")) is None


def test_an_answer_under_a_false_digest_is_refused(world: World, instance: dg.DagsterInstance) -> None:
    raw = world.network.listing.raw[0]
    forged = type(raw)(url=raw.url, body=b"[ ]", sha256=raw.sha256, received_at=raw.received_at)
    world.network.listing = Listing(world.network.listing.rows, raw=(forged,))
    with pytest.raises(AuditBroken, match="does not hash to"):
        make(world, instance, "akash_offers")


@pytest.mark.parametrize("failure", [Unavailable("akash: HTTP 503"), Refused("akash: HTTP 401", code="unauthorized")])
def test_a_network_that_does_not_answer_is_missing_and_said_so_and_no_old_row_stands_in(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    make(world, instance, "akash_offers", "provider_evidence")

    def down() -> None:
        raise failure

    monkeypatch.setattr(world.network, "offers", down)
    monkeypatch.setattr(world.network, "evidence", down)
    result = make(world, instance, "akash_offers", "provider_evidence")
    assert result.success
    for asset in ("akash_offers", "provider_evidence"):
        found = newest(instance, asset)
        assert found.rows == 0
        assert found.mode == "sandbox"
    verdicts = [v for v in result.get_asset_check_evaluations() if v.check_name == ANSWERED]
    assert [(verdict.passed, verdict.blocking) for verdict in verdicts] == [(False, False)] * 2
    assert all(str(failure) in (verdict.description or "") for verdict in verdicts)


def test_a_defect_of_ours_is_not_mistaken_for_a_silent_source(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise KeyError("price")

    monkeypatch.setattr(world.network, "offers", broken)
    with pytest.raises(KeyError):
        make(world, instance, "akash_offers")


def test_cloud_prices_are_a_dated_snapshot_and_say_so(world: World, instance: dg.DagsterInstance) -> None:
    metadata = said(make(world, instance, "cloud_prices"), "cloud_prices")
    assert metadata[MODE] == "snapshot"
    assert metadata["dagster/row_count"] > 100
    assert metadata["necto/newest_figure"] >= metadata["necto/oldest_figure"]


# Derived


def test_the_catalog_is_one_row_for_each_offer_the_newest_seen_in_a_fixed_order(world: World) -> None:
    now = world.clock.now()
    old, new = answer(b"old", now), answer(b"new", now + timedelta(minutes=1))
    h200 = Gpu(family="H200", vram_gib=141)
    first = OFFERS.frame([offer(old, usd_per_gpu_hour=Decimal(9)), offer(old, provider="akash1beta")])
    second = OFFERS.frame([offer(new, gpu=h200), offer(new, usd_per_gpu_hour=Decimal(1))])
    catalog = union_of_offers([first, second])
    assert [(row["offer_id"], row["usd_per_gpu_hour"]) for row in records(catalog)] == [
        ("akash:akash1alpha:H100-80GB", Decimal(1)),
        ("akash:akash1alpha:H200-141GB", Decimal("1.25")),
        ("akash:akash1beta:H100-80GB", Decimal("1.25")),
    ]
    assert catalog.equals(union_of_offers([second, first]))
    assert len(union_of_offers([])) == 0


def test_the_catalog_of_two_networks_reads_both(world: World, instance: dg.DagsterInstance) -> None:
    assets = discovery_assets(["akash", "render"])
    assert [spec.key.to_user_string() for asset in assets for spec in asset.specs] == [
        "akash_offers",
        "render_offers",
        "provider_catalog",
        "provider_evidence",
    ]
    assert {key.to_user_string() for key in assets[2].dependency_keys} == {"akash_offers", "render_offers"}


def test_scores_follow_the_house_policy_and_count_the_reasons(world: World, instance: dg.DagsterInstance) -> None:
    raw = answer(b"evidence", world.clock.now())
    rows = (evidence(raw), evidence(raw, provider="akash1off", is_online=False), evidence(raw, provider="akash1new"))
    world.network.known = Listing((*rows[:2], rows[2].model_copy(update={"audited_by": ()})), (raw,))
    result = world.materialize(
        instance,
        [provider_evidence, compliance_scores, compliance_fails_closed],
    )
    metadata = said(result, "compliance_scores")
    assert metadata["necto/refused"] == 2
    assert metadata["necto/compliant"] == 1
    assert "| provider_offline | 1 |" in metadata["necto/reasons"]
    assert metadata[MODE] == "sandbox"
    assert all(verdict.passed for verdict in result.get_asset_check_evaluations())
    assert latest_snapshot(instance, world.warehouse, "compliance_scores").pin.sha256


def test_the_comparison_shows_savings_and_pins_its_four_inputs(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("necto_pipelines.resources.snapshots.GUARDS", {})
    assets = [*ASSETS, savings_recomputed]
    result = world.materialize(instance, assets, selection=dg.AssetSelection.assets("price_comparison").upstream())
    metadata = said(result, "price_comparison")
    assert set(metadata[INPUTS]) == {"provider_catalog", "cloud_prices", "token_prices", "compliance_scores"}
    assert "| H100-80GB | 1 | cheapest compliant | akash | 1.2500 | azure |" in metadata["necto/savings"]
    assert "█" in metadata["necto/savings"]
    assert metadata["necto/oldest_cloud_figure"] <= metadata["necto/newest_cloud_figure"]
    assert metadata[MODE] == "sandbox,snapshot"
    verdicts = {verdict.check_name: verdict.passed for verdict in result.get_asset_check_evaluations()}
    assert verdicts == {"savings_recomputed": True, ANSWERED: True}


def test_the_same_prices_again_give_the_same_data_version(world: World, instance: dg.DagsterInstance) -> None:
    versions = set()
    for _ in range(2):
        make(world, instance, "akash_offers", "provider_catalog")
        versions.add(newest(instance, "provider_catalog").sha256)
    assert len(versions) == 1


def test_a_markdown_table_leaves_missing_values_empty() -> None:
    assert markdown_table(("a", "b"), [(None, "x\ny")]).md_str == "| a | b |\n| --- | --- |\n|  | x y |"
