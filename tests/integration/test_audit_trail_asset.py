"""The sensor that seals, the asset that shows the trail, the check on it, the command, and the way from a table to its
leaf: in a real home on SQLite."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.schema import create_schema
from support.books_backends import postgres  # noqa: F401  the fixture of this name
from support.dagster_world import World
from support.sealed_history import Golden, History, golden, sealed  # noqa: F401  fixtures

from necto_pipelines.assets.audit_trail import audit_trail
from necto_pipelines.assets.market import cloud_prices, token_prices
from necto_pipelines.checks import reconciliation
from necto_pipelines.checks.reconciliation import dagster_rows_as_sealed
from necto_pipelines.cli import reconcile as command
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.resources.snapshots import newest
from necto_pipelines.sensors import sealing
from necto_pipelines.sensors.sealing import seal_ended_runs

pytestmark = [pytest.mark.parametrize("golden", ["sqlite"], indirect=True), pytest.mark.integration]


@pytest.fixture
def world(sealed: History, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811
    """The runtime around the history's books; the machine's clock is an hour ahead, so that every run has ended."""
    for module in (sealing, reconciliation, command):
        later = datetime.now(UTC) + timedelta(hours=1)
        monkeypatch.setattr(module, "SystemClock", lambda later=later: FrozenClock(later))
    return World(sealed.home, books=sealed.books)


def tick(history: History, world: World, cursor: str | None = None) -> tuple[str, str | None]:
    """One evaluation of the sensor: what it says, and its cursor."""
    resources = {"runtime": world.resources["runtime"]}
    with dg.build_sensor_context(history.instance, cursor=cursor, resources=resources) as context:
        answer = seal_ended_runs(context)
        assert isinstance(answer, dg.SkipReason)
        return answer.skip_message or "", context.cursor


def judged(history: History, world: World, **options: Any) -> tuple[dg.AssetMaterialization, dg.AssetCheckEvaluation]:
    """The asset, made now, and the verdict on Dagster's rows."""
    result = world.materialize(history.instance, [audit_trail, dagster_rows_as_sealed], raise_on_error=False, **options)
    [verdict] = result.get_asset_check_evaluations()
    return result.asset_materializations_for_node("audit_trail")[0], verdict


def test_the_sensor_seals_what_has_ended_signs_and_goes_on_from_there(sealed: History, world: World) -> None:  # noqa: F811
    run_id = sealed.run()
    says, cursor = tick(sealed, world)
    assert says.startswith("sealed 1 runs")
    [seal] = sealed.books.seals([run_id])
    assert sealed.books.sign() is None, "nothing is left to sign"
    says, again = tick(sealed, world, cursor)
    assert says.startswith("sealed 0 runs, 0 late parts and 0 events")
    assert again == cursor
    assert seal.root in sealed.books.leaf_of("run_seals", f"{run_id}/1")[0][1].decode()


def test_a_leaf_that_waits_in_the_inbox_gets_its_place_and_is_signed(sealed: History, world: World) -> None:  # noqa: F811
    event = {"v": 2, "id": "posted", "ts": "2026-11-22T12:00:00.000000Z", "type": "quote.seen", "body": {}}
    sealed.books.post(event)
    size = sealed.books.audit_size()
    tick(sealed, world)
    assert sealed.books.leaf_index("posted") == size
    assert sealed.books.sign() is None, "nothing is left to sign"


def test_the_asset_shows_how_the_trail_stands(sealed: History, world: World, golden: Golden) -> None:  # noqa: F811
    made, verdict = judged(sealed, world)
    assert verdict.passed, verdict.description
    facts = {name: value.value for name, value in made.metadata.items()}
    # The asset's own leaf, and the manifest before it, came after its metadata were gathered.
    assert facts["audit/size"] == facts["audit/covered"] == sealed.books.audit_size() - 2
    assert facts["audit/checkpoint"].splitlines()[2] == facts["audit/root"]
    assert facts["audit/incidents"] == 0
    frame = world.warehouse.read_frame(newest(sealed.instance, "audit_trail").sha256)
    assert {*golden.runs, ""} == set(frame["run_id"])


@pytest.mark.parametrize("tags", [{}, {"necto/reconcile": "all"}])
def test_the_check_fails_with_every_finding_as_a_row(
    sealed: History,  # noqa: F811
    world: World,
    golden: Golden,  # noqa: F811
    tags: dict[str, str],
) -> None:
    sealed.instance.delete_run(golden.runs[0])
    _, verdict = judged(sealed, world, tags=tags)
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert verdict.metadata["necto/extent"].value == ("all" if tags else "the newest 500 runs")
    rows = [record.data for record in verdict.metadata["necto/findings"].records]  # type: ignore[union-attr]
    assert {"missing"} == {row["kind"] for row in rows}
    assert golden.runs[0] in {row["run"] for row in rows}


def test_what_was_reported_by_hand_is_a_warning(sealed: History, world: World) -> None:  # noqa: F811
    sealed.instance.report_runless_asset_event(dg.AssetMaterialization("table"))
    tick(sealed, world)
    _, verdict = judged(sealed, world)
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert verdict.description == "1 reported"


@pytest.mark.parametrize("tampered", [False, True])
def test_the_command_tells_the_same(
    sealed: History,  # noqa: F811
    world: World,
    golden: Golden,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    *,
    tampered: bool,
) -> None:
    if tampered:
        sealed.sql("UPDATE event_logs SET event = replace(event, 'agreed: 100', 'agreed: 999')", golden.runs[1])
    with pytest.raises(command.typer.Exit) as ended:
        command.reconcile(home=sealed.home, json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], ended.value.exit_code) == (not tampered, int(tampered))
    assert [(each["kind"], each["run"]) for each in told["findings"]] == [("edited", golden.runs[1])] * tampered
    with pytest.raises(command.typer.Exit):
        command.reconcile(home=sealed.home)
    assert ("edited" in capsys.readouterr().out) is tampered


def test_a_materialization_names_its_leaf_where_people_look(sealed: History, world: World) -> None:  # noqa: F811
    """Read as the web server reads it; the leaf says which bytes, from what, and leads on by the hashes of leaves."""
    run_id = world.materialize(sealed.instance, [cloud_prices, token_prices]).run_id
    query = f"""{{ runOrError(runId: "{run_id}") {{ ... on Run {{ assetMaterializations {{
        assetKey {{ path }} metadataEntries {{ label ... on IntMetadataEntry {{ intValue }}
        ... on TextMetadataEntry {{ text }} }} }} }} }} }}"""
    with WorkspaceProcessContext(sealed.instance, EmptyWorkspaceTarget(), "test") as process:
        asked = create_schema().execute_async(query, context_value=process.create_request_context())
        answer = asyncio.run(asked)
    assert answer.data, answer.errors
    shown = {
        made["assetKey"]["path"][0]: {
            entry["label"]: entry.get("intValue", entry.get("text")) for entry in made["metadataEntries"]
        }
        for made in answer.data["runOrError"]["assetMaterializations"]
    }
    for asset in ("cloud_prices", "token_prices"):
        index = shown[asset]["audit/leaf_index"]
        sealed.books.sign()
        leaf, _, _ = sealed.books.proof(index)
        event = json.loads(leaf)
        assert (event["type"], event["subject"]) == ("asset.materialized", {"asset": asset})
        assert event["blobs"][0]["sha256"] == newest(sealed.instance, asset).sha256
        assert newest(sealed.instance, asset).pin.as_input["leaf"] == shown[asset]["audit/leaf_hash"]
    kinds = [json.loads(leaf)["type"] for _, leaf in sealed.books.leaf_of("run", run_id)]
    assert kinds == ["run.started", "asset.materialized", "asset.materialized"]


def test_the_run_that_makes_a_table_from_others_names_their_leaves(sealed: History, world: World) -> None:  # noqa: F811
    from necto_pipelines.assets.compliance import compliance_scores
    from necto_pipelines.assets.discovery import discovery_assets

    made = [*discovery_assets(["akash"]), compliance_scores]
    world.materialize(sealed.instance, made, selection=["provider_evidence", "compliance_scores"])
    [(_, leaf)] = sealed.books.leaf_of("asset", "compliance_scores")
    [(_, source)] = sealed.books.leaf_of("asset", "provider_evidence")
    evidence = newest(sealed.instance, "provider_evidence")
    assert json.loads(leaf)["inputs"] == [
        {"asset": "provider_evidence", "sha256": evidence.sha256, "leaf": evidence.leaf}
    ]
    assert json.loads(source)["inputs"] == []
    assert Path(world.warehouse.root).exists()
