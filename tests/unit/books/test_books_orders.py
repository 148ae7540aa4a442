"""Orders: taken in, claimed by one run, moved only by legal steps."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from support.books_backends import ACTOR
from support.books_steps import events, give_budget, order_in, path, submitted
from support.samples import sample_request

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.failures import IllegalTransition, InvalidInput, Refused
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.order import GpuNeed, Policy, Requirement
from necto_pipelines.model.state import ORDER_STEPS, PENDING_ORDERS, OrderState

RUN_A, RUN_B = (Actor("service", "procurement", run_id=run_id) for run_id in ("run-a", "run-b"))


def test_an_order_comes_back_exactly_as_it_was_submitted(books: Books, backend):
    give_budget(books)
    request = sample_request(
        name='Größe "XL" 🚀 \\ ¼',
        budget_usd=Decimal("99.9900"),
        max_usd_per_gpu_hour=Decimal("1.850001"),
        deadline=datetime(2026, 12, 1, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        requirement=Requirement(gpu=GpuNeed(count=4, min_vram_gib=80), hours=Decimal("0.5"), countries=("DE", "NL")),
        policy=Policy(auditors=("akash1auditor",), min_score=90),
    )
    with books.change(ACTOR) as change:
        order = change.submit(request)
    assert order.request == request.model_copy(update={"requested_by": order.request.requested_by})
    assert order.request.budget_usd.as_tuple() == request.budget_usd.as_tuple()
    assert (order.state, order.reason, order.attempt, order.run_id) == (OrderState.SUBMITTED, "", 1, None)
    assert order.submitted_at == order.updated_at == backend.clock.now()
    assert order.submitted_at.tzinfo is UTC
    assert books.order(order.id) == order == books.orders()[0]


def test_orders_are_listed_as_they_were_submitted_and_by_state_and_tenant(books: Books):
    first, second, third = (submitted(books, tenant=tenant) for tenant in ("acme", "zeta", "acme"))
    with books.change(ACTOR) as change:
        change.move_order(second.id, OrderState.ROUTED)
    assert [order.id for order in books.orders()] == [first.id, second.id, third.id]
    assert [order.id for order in books.orders(tenant="acme")] == [first.id, third.id]
    assert [order.id for order in books.orders(states=[OrderState.ROUTED])] == [second.id]
    assert [order.id for order in books.orders(states=PENDING_ORDERS, tenant="zeta")] == [second.id]
    assert books.orders(states=[]) == []


def test_an_order_for_an_unknown_cost_centre_is_refused_naming_the_known_ones(books: Books):
    give_budget(books, cost_centre="research")
    give_budget(books, cost_centre="ads")
    with pytest.raises(InvalidInput) as failure, books.change(ACTOR) as change:
        change.submit(sample_request(cost_centre="reserch"))
    (problem,) = failure.value.problems
    assert (problem.field, problem.value) == ("cost_centre", "reserch")
    assert "ads, research" in problem.allowed
    assert books.orders() == []


def test_an_order_above_what_is_left_is_refused_naming_what_is_left(books: Books):
    give_budget(books, 100)
    with books.change(ACTOR) as change:
        order = change.submit(sample_request(budget_usd=Decimal(100)))
        change.hold(order.id, Decimal("30.50"))
    size = books.audit_size()
    with pytest.raises(InvalidInput) as failure, books.change(ACTOR) as change:
        change.submit(sample_request(budget_usd=Decimal("69.51")))
    (problem,) = failure.value.problems
    assert (problem.field, problem.value) == ("budget_usd", "69.51")
    assert "69.50" in problem.allowed
    assert (len(books.orders()), books.audit_size()) == (1, size)


def test_an_order_whose_deadline_has_passed_is_refused_with_everything_else_that_is_wrong(books: Books, backend):
    give_budget(books, 10)
    now = backend.clock.now()
    with pytest.raises(InvalidInput) as failure, books.change(ACTOR) as change:
        change.submit(sample_request(deadline=now))
    assert [problem.field for problem in failure.value.problems] == ["budget_usd", "deadline"]
    with books.change(ACTOR) as change:
        order = change.submit(sample_request(deadline=now + timedelta(microseconds=1), budget_usd=Decimal(1)))
    assert books.orders() == [order]


@pytest.mark.parametrize("old", list(OrderState))
def test_every_illegal_step_of_an_order_raises_and_stores_nothing(books: Books, old: OrderState):
    order = order_in(books, old)
    before = (books.order(order.id), books.audit_size())
    for new in set(OrderState) - ORDER_STEPS[old]:
        with pytest.raises(IllegalTransition, match=f"is {old} and cannot become {new}"), books.change(ACTOR) as change:
            change.move_order(order.id, new, reason="because")
    assert (books.order(order.id), books.audit_size()) == before


@pytest.mark.parametrize("old", [state for state in OrderState if ORDER_STEPS[state]])
def test_every_legal_step_is_stored_with_its_reason_and_its_leaf(books: Books, backend, old: OrderState):
    for new in sorted(ORDER_STEPS[old]):
        order = order_in(books, old)
        backend.clock.advance(1)
        later = backend.clock.now() + timedelta(minutes=5)
        with books.change(ACTOR) as change:
            moved = change.move_order(order.id, new, reason="why", next_attempt_at=later, new_attempt=True)
        assert moved == books.order(order.id)
        assert (moved.state, moved.reason, moved.next_attempt_at, moved.attempt) == (new, "why", later, 2)
        assert moved.updated_at == backend.clock.now() > moved.submitted_at
        event = events(books)[-1]
        assert event["type"] == "order.moved"
        assert event["body"] == {"from": old, "to": new, "attempt": 2, "reason": "why"}


def test_the_reason_and_the_next_attempt_are_gone_after_the_next_step(books: Books, backend):
    order = order_in(books, OrderState.WAITING)
    with books.change(ACTOR) as change:
        change.move_order(order.id, OrderState.WAITING, reason="stale price", next_attempt_at=backend.clock.now())
        moved = change.move_order(order.id, OrderState.ROUTED)
    assert (moved.reason, moved.next_attempt_at, moved.attempt) == ("", None, 1)


@pytest.mark.parametrize("reason", ["a\0b", "lone \ud800 surrogate", "x" * 10_000, "ü🚀" * 3_000])
def test_a_reason_from_outside_never_stops_a_step(books: Books, reason: str):
    order = submitted(books)
    with books.change(ACTOR) as change:
        moved = change.move_order(order.id, OrderState.WAITING, reason=reason)
        released = change.release(order.id, reason=reason)
    assert moved.reason == books.order(order.id).reason == released.reason
    assert len(moved.reason) == len(reason)
    assert len(events(books)[-1]["body"]["reason"]) <= 300
    assert books.verify().ok


def test_only_one_run_holds_an_order(books: Books):
    order, other = submitted(books), submitted(books)
    with books.change(RUN_A) as change:
        (claimed,) = change.claim([order.id], "run-a")
    assert claimed.run_id == "run-a"
    with books.change(RUN_B) as change:
        assert [found.id for found in change.claim([order.id, other.id], "run-b")] == [other.id]
    assert books.order(order.id).run_id == "run-a"


def test_claiming_again_by_the_same_run_changes_nothing(books: Books):
    order = submitted(books)
    with books.change(RUN_A) as change:
        change.claim([order.id], "run-a")
    size = books.audit_size()
    with books.change(RUN_A) as change:
        assert [found.id for found in change.claim([order.id], "run-a")] == [order.id]
    assert books.audit_size() == size


def test_a_claim_is_taken_over_only_from_a_run_that_is_known_to_be_dead(books: Books):
    order = submitted(books)
    with books.change(RUN_A) as change:
        change.claim([order.id], "run-a")
    with books.change(RUN_B) as change:
        assert change.claim([order.id], "run-b", steal_from={"run-c"}) == []
        (taken,) = change.claim([order.id], "run-b", steal_from={"run-a", "run-c"})
    assert taken.run_id == "run-b"
    assert events(books)[-1]["body"] == {"run": "run-b", "taken_from": "run-a"}


def test_an_order_that_needs_nothing_is_not_claimed(books: Books):
    for state in set(OrderState) - set(PENDING_ORDERS):
        order = order_in(books, state)
        with books.change(RUN_A) as change:
            assert change.claim([order.id], "run-a") == []


def test_waiting_and_final_states_drop_the_claim_and_the_others_keep_it(books: Books):
    keeping = set(PENDING_ORDERS) - {OrderState.WAITING} | {OrderState.ACTIVE}
    for state in set(OrderState) - {OrderState.SUBMITTED}:
        order = submitted(books)
        with books.change(RUN_A) as change:
            change.claim([order.id], "run-a")
            for step in path(OrderState.SUBMITTED, state, ORDER_STEPS):
                order = change.move_order(order.id, step)
        assert order.run_id == ("run-a" if state in keeping else None), state


def test_a_run_that_lost_its_claim_moves_the_order_no_more(books: Books):
    order = submitted(books)
    with books.change(RUN_A) as change:
        change.claim([order.id], "run-a")
    with books.change(RUN_B) as change:
        change.claim([order.id], "run-b", steal_from={"run-a"})
    before = (books.order(order.id), books.audit_size())
    with pytest.raises(Refused) as failure, books.change(RUN_A) as change:
        change.move_order(order.id, OrderState.ROUTED)
    assert failure.value.code == "claimed_by_another_run"
    with pytest.raises(Refused), books.change(RUN_A) as change:
        change.release(order.id)
    assert (books.order(order.id), books.audit_size()) == before
    with books.change(Actor("human", "operator")) as change:
        assert change.move_order(order.id, OrderState.CANCELLED).state is OrderState.CANCELLED


def test_releasing_gives_up_the_claim_and_keeps_the_state(books: Books):
    order = order_in(books, OrderState.PLACING)
    with books.change(RUN_A) as change:
        change.claim([order.id], "run-a")
        released = change.release(order.id)
    assert (released.run_id, released.state, released.reason) == (None, OrderState.PLACING, "")
    size = books.audit_size()
    with books.change(RUN_A) as change:
        change.release(order.id)
    assert books.audit_size() == size


def test_releasing_with_a_reason_says_when_to_try_again(books: Books):
    order = order_in(books, OrderState.PLACING)
    later = FrozenClock().now() + timedelta(minutes=1)
    with books.change(RUN_A) as change:
        change.claim([order.id], "run-a")
        released = change.release(order.id, reason="outcome_unknown", next_attempt_at=later)
    assert (released.reason, released.next_attempt_at) == ("outcome_unknown", later)
    assert released.state is OrderState.PLACING


def test_an_id_that_does_not_exist_is_an_input_error_naming_it(books: Books):
    for ask in (books.order, books.decision, books.lease, books.invoice, books.budget):
        with pytest.raises(InvalidInput, match="no_such_id"):
            ask("no_such_id")
