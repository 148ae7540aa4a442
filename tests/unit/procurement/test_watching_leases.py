"""What a look at a lease tells, and when a lease has failed: real books, a network in the test's hand."""

import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from support.books_backends import ACTOR, Backend, migrated_file  # noqa: F401
from support.books_steps import path, submitted
from support.dagster_world import answer, evidence
from support.samples import NOON, sample_conversion, sample_decision, sample_lease

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.health import FailoverCause, FailureScope, Health
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.state import ORDER_STEPS, LeaseState, OrderState
from necto_pipelines.model.tables import EVIDENCE
from necto_pipelines.networks.port import LeaseStatus
from necto_pipelines.procurement.judging import failed_leases
from necto_pipelines.procurement.remaining import delivered_hours, rest_of
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.watching import Look, look_at, runway_hours, watch
from necto_pipelines.settings import Settings


def a_status(**changes: Any) -> LeaseStatus:
    """An active, healthy lease."""
    fields: dict[str, Any] = {
        "ref": "7",
        "provider": "akash1provider",
        "state": "active",
        "healthy": True,
        "opened_at": NOON,
        "closed_at": None,
        "native_amount": Decimal(3000),
        "native_unit": "uact/block",
        "settled_native": Decimal(0),
        "raw": answer(b"{}", NOON),
    }
    return LeaseStatus(**fields | changes)


class Said:
    """A network that says what the test tells it to."""

    name = "akash"
    mode = SourceMode.SANDBOX
    paid_in = "ACT"
    binding_bids = True

    def __init__(self) -> None:
        self.says: Any = a_status()

    def status(self, ref: str) -> LeaseStatus:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Watched:
    """Books with one lease of an active order, at noon, and the runtime that watches it."""

    def __init__(self, backend: Backend) -> None:
        self.clock, self.network = FrozenClock(NOON), Said()
        self.books = backend.open(self.clock)
        self.runtime = Runtime(
            settings=Settings(home=backend.folder),
            clock=self.clock,
            books=self.books,
            warehouse=None,  # type: ignore[arg-type]
            networks={"akash": self.network},  # type: ignore[dict-item]
            oracle=None,  # type: ignore[arg-type]
            rail=None,  # type: ignore[arg-type]
        )
        self.lease = self.start()
        self.known: pd.DataFrame | None = self.evidence()

    def start(self, lease_id: str = "lse_1", hours: int = 10, **changes: Any) -> Lease:
        order = submitted(self.books)
        decision = sample_decision(order.id, f"dec_{lease_id}")
        with self.books.change(ACTOR) as change:
            change.record_decision(decision)
            for step in path(OrderState.SUBMITTED, OrderState.ACTIVE, ORDER_STEPS):
                change.move_order(order.id, step)
            change.open_lease(sample_lease(order.id, decision.id, lease_id, **changes))
            ends = NOON + timedelta(hours=hours)
            return change.move_lease(lease_id, LeaseState.ACTIVE, started_at=NOON, ends_at=ends)

    def evidence(self, **changes: Any) -> pd.DataFrame:
        raw = answer(b"evidence", self.clock.now())
        return EVIDENCE.frame([evidence(raw, provider="akash1provider", **changes)])

    def look(self, seconds: float = 30, says: Any = None) -> Health:
        """Let time pass and look."""
        self.clock.advance(seconds)
        if says is not None:
            self.network.says = says
        watch(self.runtime, "akash", self.known, ACTOR)
        health = self.books.health(self.lease.id)
        assert health is not None
        return health.health

    def failed(self) -> Any:
        """The one failed lease, or None."""
        found = failed_leases(self.runtime, "akash", self.known)
        return found[0] if found else None


@pytest.fixture
def watched(migrated_file: Path, tmp_path: Path) -> Iterator[Watched]:  # noqa: F811
    shutil.copy(migrated_file, tmp_path / "books.db")
    made = Watched(Backend("sqlite", f"sqlite:///{tmp_path / 'books.db'}", tmp_path))
    yield made
    made.books.close()


UNHEALTHY = a_status(healthy=False, ready=0, total=1)
UNKNOWN = a_status(healthy=None)
HEALTHY = a_status()


@pytest.mark.parametrize(
    ("status", "health", "detail"),
    [
        (HEALTHY, Health.HEALTHY, ""),
        (UNHEALTHY, Health.UNHEALTHY, "0 of 1 replicas run"),
        (a_status(healthy=False), Health.UNHEALTHY, "it does not run"),
        (UNKNOWN, Health.UNKNOWN, "the provider does not say how it runs"),
        (a_status(state="requested"), Health.UNHEALTHY, "the network shows it requested"),
        (a_status(state="closed"), Health.ENDED, "the network shows it closed"),
        (a_status(state="failed", healthy=None), Health.ENDED, "the network shows it failed"),
        (a_status(reclaiming=True), Health.ENDED, "its provider takes the capacity back"),
        (None, Health.UNKNOWN, "HTTP 503"),
    ],
)
def test_what_a_look_tells(status: LeaseStatus | None, health: Health, detail: str) -> None:
    look = Look(status, 5, "HTTP 503")
    assert (look.health, look.detail) == (health, detail)


@pytest.mark.parametrize("error", [Unavailable("HTTP 503"), Refused("no such deployment"), KeyError("state")])
def test_whatever_goes_wrong_with_a_look_the_lease_is_unknown(watched: Watched, error: Exception) -> None:
    assert watched.look(says=error) is Health.UNKNOWN
    (row,) = watched.books.telemetry()
    assert (row.state, row.healthy) == ("no_answer", None)
    assert str(error) in row.detail


def test_one_that_hangs_does_not_keep_the_others_from_being_seen() -> None:
    never, leases = threading.Event(), [sample_lease("ord_1", lease_id=name, network_ref=name) for name in ("a", "b")]

    def status(ref: str) -> LeaseStatus:
        if ref == "a":
            never.wait(30)
        return HEALTHY

    network: Any = SimpleNamespace(name="slow", status=status)
    try:
        looks = look_at(network, leases, FrozenClock(NOON), 0.2)
    finally:
        never.set()
    assert looks["b"].health is Health.HEALTHY
    assert (looks["a"].health, looks["a"].detail) == (Health.UNKNOWN, "no answer within 0.2 s")


def test_telemetry_holds_cost_against_the_cap_and_the_runway(watched: Watched) -> None:
    with watched.books.change(ACTOR) as change:
        change.record_conversion(sample_conversion(watched.lease.order_id))
    watched.look(3600, a_status(ready=1, total=1, paid_in_native=Decimal(9_252_093)))
    (row,) = watched.books.telemetry()
    assert (row.healthy, row.ready, row.total) == (True, 1, 1)
    assert row.cost_usd == Decimal("1.850001")
    assert row.order_cost_usd == row.cost_usd + Decimal("0.08")
    assert row.cap_usd == 100
    # 3020.5 uact in each block of 5.876 s are 1.8505 ACT an hour: 9.25 ACT last five hours, one is over.
    assert row.runway_hours == Decimal("3.9997")


@pytest.mark.parametrize(
    ("unit", "block_seconds", "paid_in", "hours"),
    [
        ("USD/hour", None, Decimal(20), Decimal(9)),
        ("USD/hour", None, None, None),
        ("uact/block", None, Decimal(20), None),
        ("credits", None, Decimal(20), None),
        ("USD/hour", None, Decimal(1), Decimal("-0.5")),
    ],
)
def test_the_runway_is_reckoned_from_what_was_paid_in(
    unit: str, block_seconds: Decimal | None, paid_in: Decimal | None, hours: Decimal | None
) -> None:
    lease = sample_lease(
        "ord_1", started_at=NOON, native_unit=unit, native_amount=Decimal(2), block_seconds=block_seconds
    )
    status = a_status(paid_in_native=paid_in)
    assert runway_hours(lease, status, NOON + timedelta(hours=1)) == hours


@pytest.mark.parametrize(
    ("looks", "cause"),
    [
        ([(30, UNHEALTHY), (179, UNHEALTHY)], None),
        ([(30, UNHEALTHY), (180, UNHEALTHY)], FailoverCause.UNHEALTHY),
        ([(30, UNHEALTHY), (170, HEALTHY), (30, UNHEALTHY), (170, UNHEALTHY)], None),
        ([(30, UNKNOWN), (899, UNKNOWN)], None),
        ([(30, UNKNOWN), (900, UNKNOWN)], FailoverCause.UNKNOWN),
        ([(30, UNKNOWN), (600, UNHEALTHY), (100, UNHEALTHY)], None),
        ([(30, UNKNOWN), (600, UNHEALTHY), (180, UNHEALTHY)], FailoverCause.UNHEALTHY),
        # Neither of the two lasts, and yet it never runs.
        ([(30, UNHEALTHY), *[(150, UNKNOWN), (150, UNHEALTHY)] * 3], FailoverCause.UNHEALTHY),
        ([(30, a_status(state="closed"))], FailoverCause.ENDED),
        ([(30, a_status(reclaiming=True))], FailoverCause.ENDED),
        ([(30, HEALTHY)] * 40, None),
    ],
)
def test_when_a_lease_has_failed(watched: Watched, looks: list[tuple[float, Any]], cause: FailoverCause | None) -> None:
    for seconds, says in looks:
        assert watched.failed() is None
        watched.look(seconds, says)
    found = watched.failed()
    assert (found.cause if found else None) is cause


def test_a_silent_network_rests_as_a_whole_and_a_silent_provider_alone(watched: Watched) -> None:
    watched.look(30, UNKNOWN)
    watched.look(900, UNKNOWN)
    assert watched.failed().scope is FailureScope.PLACE
    watched.look(30, Unavailable("HTTP 503"))
    assert watched.failed().scope is FailureScope.NETWORK


def test_the_end_of_a_lease_stays_its_end_whatever_is_seen_later(watched: Watched) -> None:
    watched.look(30, a_status(state="closed"))
    assert watched.look(30, HEALTHY) is Health.ENDED


def test_a_lease_whose_hours_are_used_up_is_left_to_be_settled(watched: Watched) -> None:
    watched.look(30, UNHEALTHY)
    watched.clock.advance(10 * 3600)
    assert watched.failed() is None


def test_an_order_that_is_still_being_placed_is_judged_by_nobody_else(watched: Watched) -> None:
    order = submitted(watched.books)
    decision = sample_decision(order.id, "dec_9")
    with watched.books.change(ACTOR) as change:
        change.record_decision(decision)
        for step in path(OrderState.SUBMITTED, OrderState.PLACING, ORDER_STEPS):
            change.move_order(order.id, step)
        change.open_lease(sample_lease(order.id, "dec_9", "lse_9"))
        change.move_lease("lse_9", LeaseState.ACTIVE, started_at=NOON)
    watched.look(30, UNHEALTHY)
    watched.look(3600, UNHEALTHY)
    assert watched.books.health("lse_9") is None
    assert len(watched.books.telemetry("lse_9")) == 2
    assert [found.lease.id for found in failed_leases(watched.runtime, "akash", watched.known)] == ["lse_1"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"audited_by": ()}, "no_evidence"),
        ({"country": "RU"}, "country_not_allowed"),
        ({"uptime_7d": 0.5}, "uptime_too_low"),
        ({"is_online": False}, None),
        ({"is_online": False, "audited_by": ()}, "no_evidence"),
    ],
)
def test_evidence_against_the_provider_counts_at_once_but_its_being_online_is_for_its_health_to_say(
    watched: Watched, changes: dict[str, Any], reason: str | None
) -> None:
    watched.look(30, HEALTHY)
    watched.known = watched.evidence(**changes)
    found = watched.failed()
    assert (found is None) == (reason is None)
    if reason:
        assert found.cause is FailoverCause.NOT_COMPLIANT
        assert reason in found.reason


@pytest.mark.parametrize("gone", ["the table", "the row"])
def test_missing_evidence_counts_once_the_last_is_too_old(watched: Watched, gone: str) -> None:
    longer = watched.start("lse_2", hours=50)
    watched.look(3600, HEALTHY)
    watched.known = None if gone == "the table" else watched.evidence().iloc[:0]
    watched.look(23 * 3600, HEALTHY)
    assert watched.books.last_telemetry(longer.id).evidence_at is None
    assert failed_leases(watched.runtime, "akash", watched.known) == []
    watched.clock.advance(60)
    (found,) = failed_leases(watched.runtime, "akash", watched.known)
    assert (found.lease.id, found.cause) == (longer.id, FailoverCause.NOT_COMPLIANT)
    assert found.reason == "evidence_expired: the last evidence on it is 1441 min old"


def test_an_order_is_stopped_before_it_reaches_its_cap(watched: Watched) -> None:
    dear = watched.start("lse_2", usd_per_hour=Decimal(50))
    watched.look(7000, HEALTHY)
    assert watched.failed() is None
    watched.look(141, HEALTHY)
    found = watched.failed()
    assert (found.lease.id, found.cause) == (dear.id, FailoverCause.BUDGET)
    assert watched.books.last_telemetry(dear.id).order_cost_usd < 100


def test_only_time_that_was_seen_healthy_counts_as_delivered(watched: Watched) -> None:
    for seconds, says in [(60, HEALTHY), (540, HEALTHY), (600, UNHEALTHY), (300, HEALTHY), (300, HEALTHY)]:
        watched.look(seconds, says)
    watched.clock.advance(3000)
    health = watched.books.health(watched.lease.id)
    # 540 s between the first two looks, and 300 s between the last two; what nobody saw does not count.
    assert delivered_hours(watched.books, watched.lease, health, watched.clock.now()) == Decimal("0.233333")


def test_an_order_that_never_had_a_lease_is_bought_as_it_is(watched: Watched) -> None:
    order = submitted(watched.books)
    assert rest_of(watched.runtime, order) is order


def test_telemetry_beyond_its_retention_is_dropped(watched: Watched) -> None:
    watched.look(30, HEALTHY)
    watched.look(31 * 86400, HEALTHY)
    assert len(watched.books.telemetry()) == 1
