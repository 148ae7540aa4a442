"""Runs are sealed when they have ended, whole and once, on SQLite and on PostgreSQL; PostgreSQL refuses deletion."""

import json
from datetime import timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from support.books_backends import PostgresServer, postgres  # noqa: F401  the fixture of this name
from support.sealed_history import LATE, SETTLED, Golden, History, golden, sealed  # noqa: F401  fixtures

from necto_pipelines.audit.merkle import leaf_hash, root_of
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.procurement.runtime import service
from necto_pipelines.procurement.sealing import SETTLE_S
from necto_pipelines.resources.dagster_events import event_rows
from necto_pipelines.storage import guard_dagster_tables

COPIED = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"


def leaves_of(world: History, run_id: str) -> list[tuple[dict[str, Any], bytes]]:
    """The leaves that the run wrote, in the log's order."""
    named = [(json.loads(leaf), leaf) for _, leaf in world.books.leaf_of("run", run_id)]
    return [(event, leaf) for event, leaf in named if event.get("run", {}).get("dagster_run_id") == run_id]


def test_a_seal_is_the_root_over_the_texts_as_they_are_stored(sealed: History, golden: Golden) -> None:  # noqa: F811
    run_id = golden.runs[0]
    stored = sealed.sql("SELECT event FROM event_logs WHERE run_id = :run ORDER BY id", run_id, run=run_id)
    [seal] = sealed.books.seals([run_id])
    assert (seal.part, seal.status, seal.events) == (1, "SUCCESS", len(stored))
    assert seal.root == root_of([leaf_hash(event.encode()) for (event,) in stored]).hex()
    [(_, leaf)] = sealed.books.leaf_of("run_seals", f"{run_id}/1")
    event = json.loads(leaf)
    assert (event["type"], event["subject"]) == ("run.sealed", {"run": run_id})
    assert (event["body"]["events"], event["body"]["root"]) == (seal.events, seal.root)
    assert "run" not in event, "the sealing is no part of the run"
    assert sealed.books.verify().ok


def test_the_runs_manifest_is_closed_over_its_leaves(sealed: History, golden: Golden) -> None:  # noqa: F811
    *before, (last, _) = leaves_of(sealed, golden.runs[0])
    assert [event["type"] for event, _ in before] == ["run.started", "run.outcome"]
    assert before[0][0]["body"] == {"planned": "table,table_fits", "steps": 2}
    digest = sha256(b"".join(leaf_hash(leaf) for _, leaf in before)).hexdigest()
    assert (last["type"], last["body"]) == ("run.finished", {"count": 2, "digest": digest, "status": "SUCCESS"})


def test_a_run_is_sealed_when_its_last_event_has_aged_and_only_once(sealed: History) -> None:  # noqa: F811
    run_id = sealed.run()
    young = sealed.seal(later=timedelta(seconds=SETTLE_S - 2))
    assert (young.runs, young.waiting, sealed.books.seals([run_id])) == (0, 1, [])
    done = sealed.seal(after=young.place)
    assert (done.runs, done.waiting) == (1, 0)
    size = sealed.books.audit_size()
    again = sealed.seal(after=done.place)
    assert (again.runs, again.late_parts, again.place) == (0, 0, done.place)
    assert sealed.books.audit_size() == size


def test_two_who_seal_at_once_seal_once(sealed: History) -> None:  # noqa: F811
    run_id = sealed.run()
    events = [(event.storage_id, event.leaf_hash) for event in sealed.rows.events(run_id)]
    for expected in (True, False):
        with sealed.books.change(service("sealing")) as change:
            assert (change.seal_run(run_id, "job", "SUCCESS", events) is not None) is expected
    assert len(sealed.books.seals([run_id])) == 1


def test_much_that_waits_is_sealed_bit_by_bit_and_from_any_place(sealed: History) -> None:  # noqa: F811
    """As after the daemon was down; a place that lies ahead of a run's end, committed late, does not lose it."""
    runs = {sealed.run(), sealed.run()}
    one = sealed.seal(at_most=1)
    assert (one.runs, one.runless) == (1, 0)
    assert one.place
    two = sealed.seal(after=(one.place[0] + timedelta(seconds=60), ""), at_most=1)
    assert two.runs == 1
    assert {seal.run_id for seal in sealed.books.seals(runs)} == runs


def test_what_dagster_adds_after_the_end_is_sealed_in_a_further_part(
    sealed: History,  # noqa: F811
    golden: Golden,  # noqa: F811
) -> None:
    run = sealed.instance.get_run_by_id(golden.runs[0])
    assert run
    sealed.instance.report_engine_event("Process for run exited.", run)
    assert sealed.seal().late_parts == 1
    _, second = sealed.books.seals([golden.runs[0]])
    assert (second.part, second.events) == (2, 1)
    assert sealed.findings() == []
    assert leaves_of(sealed, golden.runs[0])[-1][0]["type"] == "run.finished", "a further part is no leaf of the run"


def test_a_run_whose_process_died_is_closed_and_sealed_as_it_ended(sealed: History) -> None:  # noqa: F811
    @dg.job
    def buying() -> None: ...

    run = sealed.instance.create_run_for_job(buying, status=dg.DagsterRunStatus.STARTED)
    with sealed.books.change(service("test", run_id=run.run_id, job="buying")) as change:
        change.start_run(["route", "place"])
    assert sealed.seal().runs == 0, "it may be alive"
    sealed.instance.report_run_failed(run)
    assert sealed.seal().runs == 1
    assert sealed.books.seals([run.run_id])[0].status == "FAILURE"
    assert leaves_of(sealed, run.run_id)[-1][0]["body"]["status"] == "FAILURE"


def test_a_repeated_step_opens_the_manifest_once(sealed: History) -> None:  # noqa: F811
    for _ in range(2):
        with sealed.books.change(service("test", run_id="run-x", job="buying")) as change:
            change.start_run(["route"])
    with sealed.books.change(service("test")) as change:
        assert change.start_run(["route"]) is None, "no run acts"
    assert [event["type"] for event, _ in leaves_of(sealed, "run-x")] == ["run.started"]


def test_very_many_steps_fit_into_the_manifest(sealed: History) -> None:  # noqa: F811
    with sealed.books.change(service("test", run_id="run-y", job="buying")) as change:
        change.start_run([f"a_rather_long_name_of_a_step_{number}" for number in range(400)])
    [(event, _)] = leaves_of(sealed, "run-y")
    assert event["body"]["steps"] == 400
    assert event["body"]["planned"].endswith(",…")


def test_a_storage_of_another_kind_is_refused() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert event_rows(instance).events("none") == []
        other: Any = SimpleNamespace(event_log_storage=object(), run_storage=instance.run_storage)
        with pytest.raises(PermanentFailure, match="Dagster keeps its events in object"):
            event_rows(other)


@pytest.mark.parametrize("golden", ["postgresql"], indirect=True)
@pytest.mark.integration
class TestPostgresql:
    """What only PostgreSQL does: ids that are given before they are committed, and triggers."""

    def test_ids_that_are_committed_late_are_sealed(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        """Of two writers the one with the lower id commits last, after the seal over the higher one."""
        insert = text(f"INSERT INTO event_logs ({COPIED}) SELECT {COPIED} FROM event_logs WHERE id = :id RETURNING id")
        run = sealed.instance.get_run_by_id(golden.runs[0])
        [(line,)] = sealed.sql(
            "SELECT id FROM event_logs WHERE run_id = :run AND step_key IS NULL AND dagster_event_type = 'ENGINE_EVENT'"
            " LIMIT 1",
            run=golden.runs[0],
        )
        [(runless,)] = sealed.sql("SELECT id FROM event_logs WHERE run_id = ''")
        assert run
        engine = create_engine(sealed.url)
        with engine.begin() as slow:
            lower = [slow.execute(insert, {"id": each}).scalar_one() for each in (line, runless)]
            sealed.instance.report_engine_event("Process for run exited.", run)
            sealed.instance.report_runless_asset_event(dg.AssetObservation("table"))
            first = sealed.seal()
            assert (first.late_parts, first.runless) == (1, 1)
        engine.dispose()
        ids = {event.storage_id for event in sealed.books.sealed_events(golden.runs[0])}
        assert max(ids) > lower[0], "the higher id is sealed already"
        assert lower[0] not in ids
        second = sealed.seal(after=first.place)
        assert (second.late_parts, second.runless) == (1, 1)
        assert sealed.findings() == []

    def test_deletion_is_refused_and_dagster_works(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        run_id = golden.runs[0]
        with pytest.raises(DBAPIError, match="DELETE on runs refused: Dagster's history is evidence"):
            sealed.instance.delete_run(run_id)
        with pytest.raises(DBAPIError, match="UPDATE on asset_keys refused"):
            sealed.instance.wipe_assets([dg.AssetKey("table")])
        with pytest.raises(DBAPIError, match="refused"):
            sealed.instance.wipe()
        engine = create_engine(sealed.url)
        for statement in (
            "UPDATE event_logs SET event = ''",
            "DELETE FROM event_logs",
            "TRUNCATE event_logs",
            "TRUNCATE runs CASCADE",
            "DELETE FROM run_tags",
            "DELETE FROM asset_keys",
        ):
            with pytest.raises(DBAPIError, match="refused"), engine.begin() as connection:
                connection.execute(text(statement))
        engine.dispose()
        sealed.instance.add_run_tags(run_id, {"necto/note": "1"})
        sealed.run(tags={"necto/tenant": "acme"})
        run = sealed.instance.create_run_for_job(dg.GraphDefinition(name="empty").to_job())
        sealed.instance.report_run_canceled(run)
        assert sealed.seal().runs == 2
        # The wipe was refused after Dagster had written of it; that event belongs to no run and was sealed too.
        assert sealed.findings() == []

    def test_the_guard_says_when_it_does_not_hold(
        self,
        sealed: History,  # noqa: F811
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert guard_dagster_tables(sealed.url)
        sealed.sql("DROP TRIGGER necto_append_only_runs ON runs")
        assert guard_dagster_tables(sealed.url)
        with pytest.raises(DBAPIError, match="refused"):
            sealed.instance.delete_run("any")
        sealed.unguard()
        assert not guard_dagster_tables(sealed.url)
        assert "disabled are necto_append_only_asset_keys" in caplog.text

    def test_a_role_that_may_not_is_told_so(
        self,
        sealed: History,  # noqa: F811
        golden: Golden,  # noqa: F811
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        sealed.sql("DROP TRIGGER necto_append_only_runs ON runs")
        sealed.sql("DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        assert not guard_dagster_tables(sealed.url.replace("postgres:@", "clerk:@", 1))
        assert "not guarded against deletion" in caplog.text
