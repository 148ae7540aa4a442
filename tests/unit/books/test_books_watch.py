"""Telemetry, the health of leases, and decisions to give leases up."""

from datetime import timedelta
from decimal import Decimal

import pytest
from support.books_backends import ACTOR
from support.books_steps import events, leased
from support.samples import NOON, sample_failover, sample_health, sample_lease, sample_telemetry

from necto_pipelines.books.books import Books
from necto_pipelines.failures import IllegalTransition, PermanentFailure
from necto_pipelines.model.health import Health


def test_telemetry_comes_back_as_it_was_and_leaves_no_trace_in_the_log(books: Books):
    lease = leased(books)
    size = books.audit_size()
    rows = [
        sample_telemetry(lease.id),
        sample_telemetry(
            lease.id,
            observed_at=NOON + timedelta(seconds=30),
            state="no_answer",
            healthy=None,
            ready=None,
            total=None,
            runway_hours=None,
            evidence_at=None,
            detail="HTTP 503",
        ),
        sample_telemetry(lease.id, observed_at=NOON + timedelta(seconds=60), healthy=False, ready=0),
    ]
    with books.change(ACTOR) as change:
        change.record_telemetry(rows)
        change.record_telemetry([])
    assert books.telemetry() == books.telemetry(lease.id) == rows
    assert books.telemetry("lse_other") == []
    assert books.last_telemetry(lease.id) == rows[2]
    assert books.last_telemetry(lease.id, healthy=True) == rows[0]
    assert books.last_telemetry(lease.id, evidenced=True) == rows[2]
    assert books.audit_size() == size
    assert books.verify().ok


def test_of_two_looks_in_one_moment_the_later_stays(books: Books):
    lease = leased(books)
    for healthy in (True, False):
        with books.change(ACTOR) as change:
            change.record_telemetry([sample_telemetry(lease.id, healthy=healthy)])
    assert [row.healthy for row in books.telemetry()] == [False]


def test_old_telemetry_is_dropped_and_newer_stays(books: Books):
    lease = leased(books)
    with books.change(ACTOR) as change:
        change.record_telemetry(sample_telemetry(lease.id, observed_at=NOON + timedelta(days=day)) for day in (0, 1, 2))
    with books.change(ACTOR) as change:
        change.drop_telemetry(NOON + timedelta(days=1))
    assert [row.observed_at for row in books.telemetry()] == [NOON + timedelta(days=1), NOON + timedelta(days=2)]


def test_each_change_of_health_is_a_leaf_with_old_new_and_since(books: Books):
    lease = leased(books)
    assert books.health(lease.id) is None
    healthy = sample_health(lease.id, health=Health.HEALTHY, ill_since=None, healthy_seconds=0, detail="")
    later = NOON + timedelta(minutes=10)
    ill = sample_health(lease.id, since=later, ill_since=later)
    for state in (healthy, healthy, ill, ill):
        with books.change(ACTOR) as change:
            change.record_health(state)
    assert books.health(lease.id) == ill
    told = [event for event in events(books) if event["type"] == "lease.health"]
    assert [(event["body"]["old"], event["body"]["new"]) for event in told] == [
        ("unknown", "healthy"),
        ("healthy", "unhealthy"),
    ]
    assert told[1]["body"]["since"] == "2026-11-22T12:10:00.000000Z"
    assert told[1]["subject"] == {"order": lease.order_id, "lease": lease.id}


def test_the_end_of_a_lease_is_final(books: Books):
    lease = leased(books)
    with books.change(ACTOR) as change:
        change.record_health(sample_health(lease.id, health=Health.ENDED))
    with pytest.raises(IllegalTransition, match="has ended"), books.change(ACTOR) as change:
        change.record_health(sample_health(lease.id, health=Health.HEALTHY))


def test_one_decision_names_all_leases_that_it_gives_up(books: Books):
    leases = [leased(books, lease_id=f"lse_{number:02d}") for number in range(20)]
    decided = [sample_failover(lease.order_id, lease.id) for lease in leases]
    with books.change(ACTOR) as change:
        change.record_failovers(decided)
    told = [event for event in events(books) if event["type"] == "failover.decided"]
    assert {event["subject"]["failover"] for event in told} == {"fov_1"}
    assert [row["key"] for event in told for row in event["rows"]] == [lease.id for lease in leases]
    assert told[0]["body"]["leases"] == 20
    assert told[0]["body"]["causes"] == "unhealthy:20"
    assert books.failover("lse_07") == decided[7]
    assert books.failovers(leases[3].order_id) == [decided[3]]
    assert len(books.failovers()) == 20


def test_a_lease_is_given_up_once(books: Books):
    lease = leased(books)
    with books.change(ACTOR) as change:
        change.record_failovers([sample_failover(lease.order_id, lease.id)])
    again = sample_failover(lease.order_id, lease.id, failover_id="fov_2")
    with pytest.raises(PermanentFailure, match="given up before"), books.change(ACTOR) as change:
        change.record_failovers([again])


@pytest.mark.parametrize("ids", [[], ["fov_1", "fov_2"]])
def test_a_decision_is_about_leases_and_has_one_name(books: Books, ids: list[str]):
    leases = [leased(books, lease_id=f"lse_{number}") for number in range(2)]
    decided = [
        sample_failover(lease.order_id, lease.id, failover_id=name) for lease, name in zip(leases, ids, strict=False)
    ]
    with pytest.raises(PermanentFailure, match="one failover id"), books.change(ACTOR) as change:
        change.record_failovers(decided)


def test_a_lease_says_which_one_it_replaces_and_so_does_its_leaf(books: Books):
    old = leased(books)
    new = sample_lease(old.order_id, old.decision_id, "lse_2", replaces=old.id)
    with books.change(ACTOR) as change:
        change.open_lease(new)
    assert books.lease("lse_2") == new
    assert [lease.replaces for lease in books.leases(order_id=old.order_id)] == [None, old.id]
    told = events(books)[-1]
    assert told["body"]["replaces"] == old.id
    assert [(row["table"], row["key"]) for row in told["rows"]] == [("leases", "lse_2"), ("replacements", "lse_2")]
    with books.change(ACTOR) as change:
        assert change.move_lease("lse_2", "active", started_at=NOON).replaces == old.id
    assert books.lease("lse_2").replaces == old.id
    assert books.lease("lse_2").usd_per_hour == Decimal("1.850000000001")
