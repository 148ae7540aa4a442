"""Whoever edits, deletes or invents rows of Dagster is told on: on SQLite and on PostgreSQL, with full rights.

Each test works on a copy of one sealed history: two runs, and an event that belongs to none.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from support.books_backends import postgres  # noqa: F401  the fixture of this name
from support.sealed_history import LATE, SETTLED, Golden, History, golden, sealed  # noqa: F401  fixtures

from necto_pipelines.procurement.reconciling import FindingKind

MATERIALIZED = "dagster_event_type = 'ASSET_MATERIALIZATION'"
COPIED = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
Tamper = Callable[[History, str], object]


def edit_text(world: History, run_id: str) -> None:
    where = f"WHERE run_id = :run AND {MATERIALIZED}"
    world.sql(f"UPDATE event_logs SET event = replace(event, '\"rows\"', '\"cost\"') {where}", run_id, run=run_id)


def edit_log_line(world: History, run_id: str) -> None:
    query = "UPDATE event_logs SET event = replace(event, 'agreed: 100', 'agreed: 999') WHERE run_id = :run"
    world.sql(query, run_id, run=run_id)


def delete_row(world: History, run_id: str) -> None:
    world.sql(f"DELETE FROM event_logs WHERE run_id = :run AND {MATERIALIZED}", run_id, run=run_id)


def refile(column: str, value: str) -> Tamper:
    def act(world: History, run_id: str) -> None:
        query = f"UPDATE event_logs SET {column} = :value WHERE run_id = :run AND {MATERIALIZED}"
        world.sql(query, run_id, run=run_id, value=value)

    return act


def insert_again(world: History, run_id: str) -> None:
    query = f"INSERT INTO event_logs ({COPIED}) SELECT {COPIED} FROM event_logs WHERE run_id = :run AND {MATERIALIZED}"
    world.sql(query, run_id, run=run_id)


def insert_back_dated(world: History, run_id: str) -> None:
    query = (
        f"INSERT INTO event_logs ({COPIED}) SELECT {COPIED} FROM event_logs WHERE run_id = :run AND step_key IS NULL"
    )
    assert world.sql(query, run_id, run=run_id)


def insert_strange_run(world: History, run_id: str) -> None:
    columns = COPIED.replace("run_id", "'made-up'", 1)
    query = f"INSERT INTO event_logs ({COPIED}) SELECT {columns} FROM event_logs WHERE run_id = :run"
    world.sql(query, run=run_id)


def change_status(world: History, run_id: str) -> None:
    world.sql("UPDATE runs SET status = 'FAILURE' WHERE run_id = :run", "runs", run=run_id)


def change_verdict(world: History, run_id: str) -> None:
    query = "UPDATE asset_check_executions SET evaluation_event = replace(evaluation_event, :old, :new)"
    world.sql(query + " WHERE run_id = :run", run=run_id, old='"success": false', new='"success": true')


def change_pointer(world: History, run_id: str) -> None:
    world.sql("UPDATE asset_keys SET last_materialization = replace(last_materialization, '\"rows\"', '\"cost\"')")


def change_runless(world: History, run_id: str) -> None:
    world.sql("UPDATE event_logs SET event = replace(event, 'OBSERVATION', 'OBSERVATIOM') WHERE run_id = ''", "")


def delete_run(world: History, run_id: str) -> None:
    world.unguard()
    world.instance.delete_run(run_id)


def wipe_asset(world: History, run_id: str) -> None:
    world.unguard()
    world.instance.wipe_assets([dg.AssetKey("table")])


def change_seal(world: History, run_id: str) -> None:
    """In the books: whoever edits an event and its hash beside the seal."""
    schema, of = ("necto.", "index") if world.url else ("", "../../../books")
    if not world.url:
        world.sql("DROP TRIGGER sealed_events_no_update", of)
    query = f"UPDATE {schema}sealed_events SET leaf_hash = :other WHERE run_id = :run AND position = 0"
    world.sql(query, of, run=run_id, other=b"\0" * 32)


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        pytest.param(edit_text, {(FindingKind.EDITED, "is not as it was sealed")}, id="edit"),
        pytest.param(edit_log_line, {(FindingKind.EDITED, "(log line) of run")}, id="edit a log line"),
        pytest.param(delete_row, {(FindingKind.MISSING, "an event of run")}, id="delete a row"),
        pytest.param(refile("asset_key", '["else"]'), {(FindingKind.EDITED, "asset_key is '[\"else\"]'")}, id="asset"),
        pytest.param(refile("partition", "2026-11"), {(FindingKind.EDITED, "partition is '2026-11'")}, id="partition"),
        pytest.param(refile("dagster_event_type", "X"), {(FindingKind.EDITED, "event_type is 'X'")}, id="type"),
        pytest.param(insert_again, {(FindingKind.FORGED, "is in no seal")}, id="insert"),
        pytest.param(insert_back_dated, {(FindingKind.FORGED, "is in no seal")}, id="insert back-dated"),
        pytest.param(insert_strange_run, {(FindingKind.FORGED, "of run made-up, which")}, id="insert a run"),
        pytest.param(change_status, {(FindingKind.EDITED, "was SUCCESS, Dagster says FAILURE")}, id="status"),
        pytest.param(change_verdict, {(FindingKind.EDITED, "the result of check fits of table is not")}, id="verdict"),
        pytest.param(change_pointer, {(FindingKind.EDITED, "the last materialization of table is not")}, id="pointer"),
        pytest.param(change_runless, {(FindingKind.EDITED, "of no run is not as it was sealed")}, id="runless"),
        pytest.param(
            delete_run,
            {(FindingKind.MISSING, "is gone from Dagster's runs"), (FindingKind.MISSING, "events of run")},
            id="delete a run",
        ),
        pytest.param(wipe_asset, {(FindingKind.WIPED, "the history of table was wiped at")}, id="wipe"),
        pytest.param(change_seal, {(FindingKind.EDITED, "the list of hashes behind seal 1")}, id="seal"),
    ],
)
def test_tampering_is_named(
    sealed: History,  # noqa: F811
    golden: Golden,  # noqa: F811
    tamper: Tamper,
    expected: set[tuple[FindingKind, str]],
) -> None:
    tamper(sealed, golden.runs[1])
    found = sealed.findings()
    for kind, what in expected:
        assert [each for each in found if each.kind is kind and what in each.what], found
    assert golden.runs[0] not in {each.run_id for each in found}, "the other run is as it was"


def test_nothing_is_found_where_nothing_was_done(sealed: History) -> None:  # noqa: F811
    assert sealed.findings() == []
    assert sealed.books.verify().ok


def test_sealing_again_hides_nothing(sealed: History, golden: Golden) -> None:  # noqa: F811
    """Neither an event that tells of a run's work nor one that is older than what was sealed gets a later seal."""
    insert_again(sealed, golden.runs[0])
    sealed.sql(f"INSERT INTO event_logs ({COPIED}) SELECT {COPIED} FROM event_logs WHERE run_id = ''", "")
    sealed.sql(
        "UPDATE event_logs SET timestamp = :old WHERE run_id = '' AND id = (SELECT max(id) FROM event_logs)",
        "",
        old=datetime.now(UTC).replace(tzinfo=None) - timedelta(days=3),
    )
    again = sealed.seal(later=LATE)
    assert (again.runs, again.late_parts, again.runless) == (0, 0, 0)
    assert [each.kind for each in sealed.findings() if each.storage_id] == [FindingKind.FORGED] * 2


def test_work_that_a_run_is_said_to_have_done_after_its_end_is_named_at_once(
    sealed: History,  # noqa: F811
    golden: Golden,  # noqa: F811
) -> None:
    columns = COPIED.replace("timestamp", ":now", 1)
    sealed.sql(
        f"INSERT INTO event_logs ({COPIED}) SELECT {columns} FROM event_logs WHERE run_id = :run AND {MATERIALIZED}",
        golden.runs[0],
        run=golden.runs[0],
        now=datetime.now(UTC).replace(tzinfo=None),
    )
    [found] = sealed.findings(later=SETTLED)
    assert (found.kind, found.run_id) == (FindingKind.FORGED, golden.runs[0])


def test_what_was_reported_without_a_run_is_named_though_it_is_sealed(sealed: History) -> None:  # noqa: F811
    sealed.instance.report_runless_asset_event(dg.AssetMaterialization("table", metadata={"rows": 999}))
    assert sealed.seal().runless == 1
    [found] = sealed.findings()
    assert (found.kind, found.run_id) == (FindingKind.REPORTED, "")
    assert "ASSET_MATERIALIZATION of table" in found.what


def test_a_run_that_is_not_sealed_in_time_is_named(sealed: History) -> None:  # noqa: F811
    run_id = sealed.run()
    assert sealed.findings(later=SETTLED) == []
    [found] = sealed.findings()
    assert (found.kind, found.run_id) == (FindingKind.UNLOGGED, run_id)
    assert sealed.findings(newest=1) == [found], "also when only the newest are compared"
    sealed.seal()
    assert sealed.findings() == []


def test_a_run_that_was_never_sealed_is_missed_when_the_trail_names_it(sealed: History) -> None:  # noqa: F811
    run_id = sealed.run()
    delete_run(sealed, run_id)
    [found] = [each for each in sealed.findings() if each.run_id]
    assert (found.kind, found.run_id) == (FindingKind.MISSING, run_id)
    assert "stands in the trail" in found.what


def test_only_the_newest_runs_are_compared_when_asked(sealed: History, golden: Golden) -> None:  # noqa: F811
    last = sealed.run()
    sealed.clock.advance(1)
    sealed.seal()
    edit_log_line(sealed, golden.runs[0])
    edit_log_line(sealed, last)
    assert {each.run_id for each in sealed.findings(newest=1)} == {last}
    assert {each.run_id for each in sealed.findings()} == {golden.runs[0], last}


@pytest.mark.parametrize("golden", ["sqlite"], indirect=True)
class TestSqlite:
    """What only sharded SQLite has: a file for each run, and copies in the index, which Dagster reads across runs."""

    def found(self, world: History, run_id: str) -> list[tuple[FindingKind, str]]:
        return [(each.kind, each.what) for each in world.findings() if each.run_id == run_id]

    def test_an_edited_copy(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        edit_text(_Index(sealed), golden.runs[0])
        [(kind, what)] = self.found(sealed, golden.runs[0])
        assert kind is FindingKind.EDITED
        assert what.startswith("the copy of event")

    def test_a_copy_under_another_name(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        refile("partition", "x")(_Index(sealed), golden.runs[0])
        [(kind, what)] = self.found(sealed, golden.runs[0])
        assert (kind, "partition is 'x'" in what) == (FindingKind.EDITED, True)

    def test_a_copy_that_is_gone(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        delete_row(_Index(sealed), golden.runs[0])
        [(kind, what)] = self.found(sealed, golden.runs[0])
        assert (kind, what.endswith("is gone from the index")) == (FindingKind.MISSING, True)

    def test_a_copy_of_nothing(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        insert_again(_Index(sealed), golden.runs[0])
        [(kind, what)] = self.found(sealed, golden.runs[0])
        assert (kind, what.endswith("stands in the index only")) == (FindingKind.FORGED, True)

    def test_a_runs_file_that_is_gone(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        (sealed.home / "dagster" / "history" / "runs" / f"{golden.runs[0]}.db").unlink()
        assert (FindingKind.MISSING, True) in [
            (kind, what.startswith("all ")) for kind, what in self.found(sealed, golden.runs[0])
        ]

    def test_a_runs_file_that_is_damaged_stops_neither_sealing_nor_comparing(
        self,
        sealed: History,  # noqa: F811
        golden: Golden,  # noqa: F811
    ) -> None:
        damaged, fine = sealed.run(), sealed.run()
        for run_id in (golden.runs[0], damaged):
            (sealed.home / "dagster" / "history" / "runs" / f"{run_id}.db").write_bytes(b"no database" * 999)
        assert (sealed.seal().runs, sealed.seal().damaged) == (1, 1)
        found = {(each.kind, each.run_id) for each in sealed.findings()}
        assert found == {(FindingKind.EDITED, golden.runs[0]), (FindingKind.UNLOGGED, damaged)}
        assert fine in {seal.run_id for seal in sealed.books.seals()}

    def test_looking_makes_no_file(self, sealed: History, golden: Golden) -> None:  # noqa: F811
        folder = sealed.home / "dagster" / "history" / "runs"
        (folder / f"{golden.runs[0]}.db").unlink()
        before = {file.name for file in folder.iterdir()}
        sealed.findings()
        assert {file.name for file in folder.iterdir() if not file.name.endswith(("-shm", "-wal"))} <= before


class _Index(History):
    """The same history; statements go to the index, whatever run they are about."""

    def __init__(self, world: History) -> None:
        super().__init__(**vars(world))

    def sql(self, statement: str, of: str = "index", **values: object) -> object:
        return super().sql(statement, "index", **values)
