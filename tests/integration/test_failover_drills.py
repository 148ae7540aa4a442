"""Drills: what happens to a job when its provider, its network, its evidence or its money goes, on real books against
the sandbox over a real socket. After each: where the order stands and why, what stands at the network, what was paid,
and whether the trail tells it in order."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.failover_world import Drill, drill, drill_of_two
from support.procurement_world import ACTOR

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.health import FailoverCause, FailureScope, Health
from necto_pipelines.model.lease import ChargeKind
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.sandbox.access import API_KEY

pytestmark = pytest.mark.integration

GIVEN_UP = ["failover.decided", "lease.moved:closing", "order.moved:waiting"]
CLOSED = ["effect.begun:close_deployment", "charges.recorded", "effect.ended:close_deployment", "lease.moved:closed"]
ANEW = [
    "decision.recorded",
    "order.moved:routed",
    "budget.held",
    "order.moved:held",
    "order.moved:funded",
    "order.moved:placing",
    "effect.begun:create_deployment",
    "lease.opened",
    "lease.moved:active",
    "order.moved:active",
    "lease.health:healthy",
]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Drill]:
    with drill(tmp_path) as made:
        yield made


def tells(story: list[str], *parts: list[str]) -> bool:
    """Whether the story holds all of the parts, one thing after another, whatever comes between."""
    rest = iter(story)
    return all(step in rest for part in parts for step in part)


def compute_usd(made: Drill, order_id: str) -> dict[str, Decimal]:
    """What was charged for compute, by lease."""
    charged: dict[str, Decimal] = {}
    for charge in made.books.charges(order_id=order_id):
        if charge.kind is ChargeKind.COMPUTE:
            charged[charge.lease_id] = charged.get(charge.lease_id, Decimal(0)) + charge.amount_usd
    return charged


def test_a_provider_dies_during_a_lease_and_the_rest_of_the_job_goes_on_elsewhere(one: Drill) -> None:
    order, lease = one.buy()
    assert one.live(1800) == []
    one.kill(lease.provider)
    assert one.live(870) == [], "the grace of the unknown is not over"
    assert one.books.health(lease.id).health is Health.UNKNOWN
    (run,) = one.live(60)
    (failover,) = run.failovers
    assert (failover.cause, failover.scope) == (FailoverCause.UNKNOWN, FailureScope.PLACE)
    assert Decimal("0.49") < failover.delivered_hours < Decimal("0.51")
    assert one.books.order(order.id).state is OrderState.ACTIVE
    old, new = one.books.leases(order_id=order.id)
    assert (old.state, new.state, new.replaces) == (LeaseState.CLOSED, LeaseState.ACTIVE, old.id)
    assert new.provider != old.provider
    assert old.closed_at <= new.started_at, "no overlap at all where the network answers"
    left = Decimal(4) - failover.delivered_hours
    assert abs((new.ends_at - new.started_at) - timedelta(hours=float(left))) < timedelta(seconds=1)
    one.assert_sound(order.id, open_deployments=1)
    converted = sum(c.to_units for c in one.books.conversions(order.id) if c.to_asset == "ACT")
    assert converted >= old.settled_native + one.world.state()["deployments"][-1]["deposit"], (
        "what is spent pays for nothing else"
    )
    one.live(4 * 3600, every_s=600)
    assert one.books.order(order.id).state is OrderState.COMPLETED
    one.assert_sound(order.id)
    paid = compute_usd(one, order.id)
    assert paid[old.id] == pytest.approx(old.usd_per_hour * Decimal("0.75"), rel=Decimal("0.03"))
    assert paid[new.id] == pytest.approx(new.usd_per_hour * left, rel=Decimal("0.05"))
    story = one.story(order.id)
    assert tells(story, ["lease.health:healthy", "lease.health:unknown"], GIVEN_UP, CLOSED, ANEW, CLOSED)
    assert story[-2:] == ["order.moved:completed", "budget.spent"]


def test_a_lease_that_somebody_else_closed_is_given_up_at_once(one: Drill) -> None:
    order, lease = one.buy()
    one.live(600)
    key = {"x-api-key": API_KEY}
    httpx.delete(f"{one.world.url}/akash/v1/deployments/{lease.network_ref}", headers=key).raise_for_status()
    (run,) = one.live(30)
    assert [failover.cause for failover in run.failovers] == [FailoverCause.ENDED]
    assert [each.state for each in one.books.leases(order_id=order.id)] == [LeaseState.CLOSED, LeaseState.ACTIVE]
    one.assert_sound(order.id, open_deployments=1)


def test_a_provider_dies_between_create_and_manifest(one: Drill) -> None:
    network = one.world.runtime.networks["akash"]
    genuine, dead = network.lease, []

    def dying(deployment: Any, bid: Any) -> Any:
        if not dead:
            one.kill(bid.provider)
            dead.append(bid.provider)
        return genuine(deployment, bid)

    network.lease = dying  # type: ignore[method-assign]
    order = one.world.submit()
    one.procure([order.id])
    waiting = one.books.order(order.id)
    assert waiting.state is OrderState.PLACING, "what stands at the network must be found again, not routed anew"
    assert waiting.reason.startswith("unavailable")
    for _ in range(12):
        one.world.clock.advance(60)
        one.procure_due()
    assert one.books.order(order.id).state is OrderState.ACTIVE, one.books.order(order.id).reason
    failed, running = one.books.leases(order_id=order.id)
    assert (failed.provider, failed.state) == (dead[0], LeaseState.FAILED)
    assert running.provider != dead[0]
    one.assert_sound(order.id, open_deployments=1)
    lost = ["lease.opened", "effect.begun:create_lease", "lease.moved:failed", "order.moved:waiting"]
    assert tells(one.story(order.id), ["effect.begun:create_deployment"], lost, ANEW)


def test_a_provider_dies_between_manifest_and_the_first_sign_of_life(one: Drill) -> None:
    network = one.world.runtime.networks["akash"]
    genuine, dead = network.lease, []

    def dying(deployment: Any, bid: Any) -> Any:
        status = genuine(deployment, bid)
        if not dead:
            one.kill(bid.provider)
            dead.append(bid.provider)
        return status

    network.lease = dying  # type: ignore[method-assign]
    order = one.world.submit()
    one.procure([order.id])
    assert one.books.order(order.id).reason.startswith("never_ready")
    one.world.clock.advance(600)
    one.procure_due()
    assert one.books.order(order.id).state is OrderState.ACTIVE
    closed, running = one.books.leases(order_id=order.id)
    assert (closed.provider, closed.state) == (dead[0], LeaseState.CLOSED)
    assert running.provider != dead[0]
    assert 0 < compute_usd(one, order.id)[closed.id] < 1, "what it held the machine for is paid, and no more"
    one.assert_sound(order.id, open_deployments=1)
    assert tells(one.story(order.id), ["lease.moved:active"], CLOSED, ["order.moved:waiting"], ANEW)


def test_a_network_that_is_silent_for_ten_minutes_moves_nothing(one: Drill) -> None:
    order, lease = one.buy()
    one.live(300)
    one.break_network()
    assert one.live(600, every_s=120) == []
    assert one.books.health(lease.id).health is Health.UNKNOWN
    assert one.books.last_telemetry(lease.id).state == "no_answer"
    one.mend_network()
    assert one.live(300) == []
    assert one.books.health(lease.id).health is Health.HEALTHY
    assert one.books.failovers() == []
    assert [each.state for each in one.books.leases()] == [LeaseState.ACTIVE]
    one.assert_sound(order.id, open_deployments=1)
    assert one.story(order.id)[-3:] == ["lease.health:healthy", "lease.health:unknown", "lease.health:healthy"]


def test_a_network_that_stays_silent_is_left_by_all_its_leases_in_one_decision(tmp_path: Path) -> None:
    with drill_of_two(tmp_path) as (made, twin):
        (first, one), (second, two) = made.buy(), made.buy()
        assert (one.network, two.network) == ("akash", "akash")
        made.live(300)
        made.break_network()
        assert made.live(960, every_s=120) == []
        (run,) = made.live(120, every_s=120)
        assert {failover.lease_id for failover in run.failovers} == {one.id, two.id}
        assert {failover.scope for failover in run.failovers} == {FailureScope.NETWORK}
        assert {lease_id for lease_id, _ in run.not_closed} == {one.id, two.id}
        decided = [event for event in events(made) if event["type"] == "failover.decided"]
        assert [{row["key"] for row in event["rows"]} for event in decided] == [{one.id, two.id}]
        moved = made.books.leases(states=[LeaseState.ACTIVE])
        assert [(lease.network, lease.replaces) for lease in moved] == [("twin", one.id), ("twin", two.id)]
        assert {order.state for order in made.books.orders()} == {OrderState.ACTIVE}
        candidates = made.books.decisions(first.id)[-1].candidates
        (left,) = [each for each in candidates if (each.network, each.provider) == ("akash", one.provider)]
        assert Refusal.PLACE_FAILED in left.refusals
        silent = made.books.leases(states=[LeaseState.CLOSING])
        assert {lease.id for lease in silent} == {one.id, two.id}, "never forgotten: closing is tried again"
        for order in (first, second):
            hold = made.books.hold(order.id)
            assert hold.usd <= order.request.budget_usd, "the overlap counts against the cap"
        made.live(300, every_s=150)
        made.mend_network()
        made.live(60)
        assert made.books.leases(states=[LeaseState.CLOSING]) == []
        for old, new in ((one, moved[0]), (two, moved[1])):
            overlap = made.books.lease(old.id).closed_at - new.started_at
            assert timedelta(0) < overlap <= timedelta(seconds=made.world.runtime.settings.unknown_grace_s)
        made.assert_sound(first.id, second.id)
        assert len(standing_at(twin)) == 2
        made.live(4 * 3600, every_s=900)
        assert {order.state for order in made.books.orders()} == {OrderState.COMPLETED}
        made.assert_sound(first.id, second.id)
        assert standing_at(twin) == []
        late = ["lease.moved:closing", "order.moved:waiting", "effect.begun:close_deployment"]
        assert tells(made.story(first.id), ["lease.health:unknown", "failover.decided"], late, ANEW, CLOSED[1:], CLOSED)


def test_where_no_other_network_serves_the_order_waits_until_the_silent_one_has_rested(one: Drill) -> None:
    order, lease = one.buy()
    one.live(300)
    one.break_network()
    assert len(one.live(1080, every_s=120)) == 1
    waiting = one.books.order(order.id)
    assert waiting.state is OrderState.WAITING
    assert "failure_domain_rests" in waiting.reason
    assert one.books.hold(order.id).state == "held"
    one.mend_network()
    one.live(600, every_s=120)
    assert one.books.lease(lease.id).state is LeaseState.CLOSED
    one.assert_sound(order.id)
    one.live(5400, every_s=300, refresh=True)
    assert one.books.order(order.id).state is OrderState.ACTIVE
    (new,) = one.books.leases(states=[LeaseState.ACTIVE])
    assert new.provider != lease.provider, "the provider that failed it is avoided for ever"
    one.assert_sound(order.id, open_deployments=1)
    late = ["effect.begun:close_deployment", "order.moved:waiting", "effect.ended:close_deployment"]
    assert tells(one.story(order.id), GIVEN_UP, late, ANEW)


def test_a_provider_that_loses_its_evidence_is_left_at_once(one: Drill) -> None:
    order, lease = one.buy()
    one.live(600)
    one.switch("evidence", lease.provider, audited=False)
    assert one.live(120) == [], "the newest evidence does not say so yet"
    one.refresh()
    (run,) = one.live(30)
    (failover,) = run.failovers
    assert failover.cause is FailoverCause.NOT_COMPLIANT
    assert "no_evidence" in failover.reason
    assert failover.delivered_hours > Decimal("0.19"), "it ran well to the end"
    new = one.books.leases(order_id=order.id)[-1]
    assert (new.state, new.replaces) == (LeaseState.ACTIVE, lease.id)
    assert new.provider != lease.provider
    one.assert_sound(order.id, open_deployments=1)
    story = one.story(order.id)
    assert tells(story, GIVEN_UP, CLOSED, ANEW)
    assert "lease.health:unhealthy" not in story


def test_evidence_that_is_missing_counts_for_as_long_as_the_policy_lets_it(one: Drill) -> None:
    order, lease = one.buy(policy={"name": "short", "max_evidence_age_hours": "0.5"})
    one.live(60)
    one.inputs = one.without_evidence_on(lease.provider)
    assert one.live(1500, every_s=100) == []
    (run,) = one.live(400, every_s=100)
    assert run.failovers[0].cause is FailoverCause.NOT_COMPLIANT
    assert "evidence_expired" in run.failovers[0].reason
    one.assert_sound(order.id, open_deployments=0)
    assert one.books.order(order.id).state is OrderState.WAITING, "all other evidence is as old by now"


def test_a_budget_that_does_not_pay_for_the_rest_ends_the_order_and_gives_back_what_is_left(one: Drill) -> None:
    order, lease = one.buy(budget_usd="11")
    one.live(600)
    one.kill(lease.provider)
    one.live(960)
    ended = one.books.order(order.id)
    assert ended.state is OrderState.REFUSED
    assert ended.reason.startswith("budget_exhausted: ")
    assert [each.state for each in one.books.leases()] == [LeaseState.CLOSED]
    budget = one.books.budget("research")
    charged = sum((round(charge.amount_usd, 2) for charge in one.books.charges()), start=Decimal(0))
    assert (budget.held_usd, budget.spent_usd) == (0, charged)
    one.assert_sound(order.id)
    end = ["decision.recorded", "order.moved:refused", "budget.spent"]
    assert tells(one.story(order.id), ["lease.health:unknown"], GIVEN_UP, CLOSED, end)


def test_a_cost_centre_without_money_for_the_rest_ends_the_order(one: Drill) -> None:
    order, lease = one.buy()
    with one.books.change(ACTOR) as change:
        change.set_budget("research", one.books.hold(order.id).usd)
    one.live(600)
    one.kill(lease.provider)
    one.live(960)
    ended = one.books.order(order.id)
    assert ended.state is OrderState.REFUSED
    assert ended.reason.startswith("budget_exhausted: ")
    assert "research" in ended.reason
    one.assert_sound(order.id)


def test_two_leases_of_one_order_never_cost_more_than_its_cap(tmp_path: Path) -> None:
    """The old one cannot be closed for hours and goes on to cost, until its deposit is used up."""
    with drill_of_two(tmp_path) as (made, twin):
        order, old = made.buy()
        made.live(300)
        made.break_network()
        made.live(1080, every_s=120)
        (new,) = made.books.leases(states=[LeaseState.ACTIVE])
        assert (new.network, new.replaces) == ("twin", old.id)
        made.live(5 * 3600, every_s=900)
        assert made.books.order(order.id).state is OrderState.COMPLETED
        assert made.books.lease(old.id).state is LeaseState.CLOSING
        assert made.books.hold(order.id).state == "held", "until the old lease is closed nobody knows what it cost"
        made.mend_network()
        made.live(60)
        paid = compute_usd(made, order.id)
        assert paid[old.id] > 10, "the network charged it all the while"
        made.assert_sound(order.id)
        assert standing_at(twin) == []
        assert tells(made.story(order.id), GIVEN_UP, ANEW, ["order.moved:completed"], CLOSED[1:], ["budget.spent"])


def test_an_order_that_cannot_pay_for_two_leases_waits_until_the_old_one_is_closed(tmp_path: Path) -> None:
    with drill_of_two(tmp_path) as (made, twin):
        order, old = made.buy(budget_usd="14.5")
        made.live(300)
        made.break_network()
        made.live(1200, every_s=120)
        waiting = made.books.order(order.id)
        assert (waiting.state, waiting.reason.partition(":")[0]) == (OrderState.WAITING, "lease_not_closed")
        assert standing_at(twin) == []
        made.mend_network()
        made.live(600, every_s=120)
        assert made.books.lease(old.id).state is LeaseState.CLOSED
        (new,) = made.books.leases(states=[LeaseState.ACTIVE])
        assert (new.network, new.replaces) == ("twin", old.id)
        made.assert_sound(order.id)
        late = ["order.moved:waiting", "effect.ended:close_deployment", "decision.recorded"]
        assert tells(made.story(order.id), GIVEN_UP, late, ["order.moved:routed", "lease.opened", "order.moved:active"])


def test_without_another_offer_the_order_waits_ever_longer_and_is_refused_at_its_deadline(one: Drill) -> None:
    deadline = rfc3339(one.world.clock.now() + timedelta(hours=2))
    need = {"gpu": {"model": "H100"}, "hours": 4, "cpu_cores": 8, "memory_gib": 64, "countries": ["CA"]}
    order, lease = one.buy(requirement=need, deadline=deadline)
    one.live(300)
    one.kill(lease.provider)
    one.live(960)
    waiting = one.books.order(order.id)
    assert waiting.state is OrderState.WAITING
    assert waiting.reason.startswith("no_compliant_offer")
    assert one.books.lease(lease.id).state is LeaseState.CLOSED
    one.assert_sound(order.id)
    one.live(6000, every_s=60)
    ended = one.books.order(order.id)
    assert (ended.state, ended.reason.partition(":")[0]) == (OrderState.REFUSED, "deadline_passed")
    one.assert_sound(order.id)
    tried = [event["ts"] for event in events(one) if event["type"] == "decision.recorded"][1:]
    assert len(tried) == 8, "at once, after 1, 2, 4, 8, 16 and 32 minutes, and at the deadline"
    end = ["decision.recorded", "order.moved:waiting", "decision.recorded", "order.moved:refused", "budget.spent"]
    assert tells(one.story(order.id), GIVEN_UP, CLOSED, end)


def test_a_job_whose_leases_fail_too_often_is_given_up_with_the_reason(tmp_path: Path) -> None:
    with drill(tmp_path, max_failovers=2) as made:
        order, lease = made.buy(budget_usd="60")
        starts = []
        for _ in range(3):
            (lease,) = made.books.leases(states=[LeaseState.ACTIVE])
            starts.append(lease.started_at)
            made.kill(lease.provider)
            made.live(1300, every_s=60)
        ended = made.books.order(order.id)
        assert (ended.state, ended.reason.partition(":")[0]) == (OrderState.FAILED, "failovers_exhausted")
        numbers = [failover.number for failover in made.books.failovers(order.id)]
        assert numbers == [1, 2, 3]
        second = made.books.failovers(order.id)[1]
        assert starts[2] - second.decided_at > timedelta(seconds=made.world.runtime.settings.retry_wait_s)
        assert len({each.provider for each in made.books.leases()}) == 3
        made.assert_sound(order.id)
        end = ["failover.decided", "lease.moved:closing", "order.moved:failed", *CLOSED, "budget.spent"]
        assert tells(made.story(order.id), GIVEN_UP, CLOSED, ANEW, GIVEN_UP, CLOSED, ANEW, end)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize("fatal", range(1, 21))
def test_a_failover_run_killed_at_any_commit_is_taken_up_without_a_second_effect(
    one: Drill, fatal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies right before its n-th commit; the sensors go on from the books and the network."""
    order, lease = one.buy()
    one.kill(lease.provider)
    one.live(30)
    one.world.clock.advance(900)
    assert one.look() == [lease.id]
    books = one.books
    genuine, count = type(books).change, 0

    def dying(self, actor):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        if count == fatal:
            raise Killed
        return genuine(self, actor)

    with monkeypatch.context() as patch:
        patch.setattr(type(books), "change", dying)
        try:
            one.fail_over()
        except Killed:
            pass
        else:
            assert count < fatal, "the run outlived its death"
    one.live(600, every_s=100)
    assert books.order(order.id).state is OrderState.ACTIVE, books.order(order.id).reason
    assert [each.state for each in books.leases()] == [LeaseState.CLOSED, LeaseState.ACTIVE]
    assert len(books.failovers()) == 1
    state = one.world.state()
    assert len(state["swaps"]) == 4
    assert len(state["deployments"]) == len(state["leases"]) == 2
    one.assert_sound(order.id, open_deployments=1)


def events(made: Drill) -> list[dict[str, Any]]:
    return [json.loads(entry.leaf) for entry in made.books.leaves()]


def standing_at(url: str) -> list[str]:
    state = httpx.get(f"{url}/sandbox/state").json()
    return [deployment["dseq"] for deployment in state["deployments"] if deployment["state"] == "active"]
