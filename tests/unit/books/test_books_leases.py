"""Decisions, acts on the outside world, and leases."""

from datetime import timedelta
from decimal import Decimal

import pytest
from support.books_backends import ACTOR
from support.books_steps import events, leased, submitted
from support.samples import NOON, SHA, sample_candidate, sample_decision, sample_lease

from necto_pipelines.books.books import Books
from necto_pipelines.failures import IllegalTransition, InvalidInput, PermanentFailure
from necto_pipelines.model.decision import InputPin, Refusal
from necto_pipelines.model.lease import EffectState
from necto_pipelines.model.state import LEASE_STEPS, LeaseState


def test_a_decision_comes_back_whole_and_its_leaf_stays_small(books: Books):
    order = submitted(books)
    candidates = [sample_candidate(offer_id=f"akash/provider-{i}/H100-80GB", rank=i + 1) for i in range(200)]
    refused = [sample_candidate(rank=None, refusals=(Refusal.NOT_AUDITED,), details="ü" * 500) for _ in range(200)]
    pins = [InputPin(asset=f"asset_{i}", sha256=SHA, storage_id=i, run_id=None, observed_at="now") for i in range(7)]
    decision = sample_decision(order.id, candidates=(*candidates, *refused), chosen=candidates[0], inputs=pins)
    with books.change(ACTOR) as change:
        change.record_decision(decision)
    assert books.decision(decision.id) == decision
    assert books.decisions(order.id) == [decision]
    event = events(books)[-1]
    assert event["type"] == "decision.recorded"
    assert event["subject"] == {"order": order.id, "decision": "dec_1"}
    assert event["body"]["chosen"] == "akash/provider-0/H100-80GB"
    assert (event["body"]["candidates"], event["body"]["ranked"]) == (400, 200)
    assert event["inputs"] == [{"asset": pin.asset, "sha256": SHA} for pin in pins]


def test_a_decision_for_nothing_has_no_chosen_offer(books: Books):
    order = submitted(books)
    decision = sample_decision(order.id, chosen=None, candidates=(), expected_usd=Decimal(0))
    with books.change(ACTOR) as change:
        change.record_decision(decision)
    assert books.decision(decision.id).chosen is None
    assert "chosen" not in events(books)[-1]["body"]


def test_the_same_decision_again_changes_nothing_and_another_under_its_id_is_refused(books: Books):
    order = submitted(books)
    decision = sample_decision(order.id)
    with books.change(ACTOR) as change:
        change.record_decision(decision)
    size = books.audit_size()
    with books.change(ACTOR) as change:
        change.record_decision(decision)
    with pytest.raises(PermanentFailure, match="decisions dec_1 stands already"), books.change(ACTOR) as change:
        change.record_decision(decision.model_copy(update={"attempt": 2}))
    assert (books.audit_size(), books.decision("dec_1")) == (size, decision)


def test_an_act_is_begun_once_and_its_first_request_stands(books: Books, backend):
    order = submitted(books)
    with books.change(ACTOR) as change:
        effect, begun = change.begin_effect("k", "swap", order.id, 1, {"from_units": 10**30, "pair": ["USDC", None]})
    assert begun
    assert (effect.state, effect.outcome, effect.ended_at) == (EffectState.INTENT, {}, None)
    size = books.audit_size()
    backend.clock.advance(60)
    with books.change(ACTOR) as change:
        again, begun_again = change.begin_effect("k", "swap", order.id, 2, {"other": "request"})
    assert not begun_again
    assert again == effect == books.effect("k")
    assert again.request == {"from_units": 10**30, "pair": ["USDC", None]}
    assert books.audit_size() == size


@pytest.mark.parametrize(("kind", "other_order"), [("deployment", False), ("swap", True)])
def test_a_key_that_stands_for_another_act_is_refused(books: Books, kind: str, other_order: bool):
    order, other = submitted(books), submitted(books)
    with books.change(ACTOR) as change:
        change.begin_effect("k", "swap", order.id, 1, {})
    with pytest.raises(PermanentFailure, match="effect k is swap"), books.change(ACTOR) as change:
        change.begin_effect("k", kind, (other if other_order else order).id, 1, {})


@pytest.mark.parametrize("end", [EffectState.DONE, EffectState.FAILED])
def test_an_act_ends_once_and_its_first_outcome_stands(books: Books, backend, end: EffectState):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.begin_effect("k", "swap", order.id, 1, {})
    backend.clock.advance(5)
    with books.change(ACTOR) as change:
        ended = change.end_effect("k", end, {"ref": "1"})
    assert (ended.state, ended.outcome, ended.ended_at) == (end, {"ref": "1"}, backend.clock.now())
    size = books.audit_size()
    with books.change(ACTOR) as change:
        assert change.end_effect("k", end, {"ref": "2"}) == ended
    for other in set(EffectState) - {end}:
        with pytest.raises(IllegalTransition), books.change(ACTOR) as change:
            change.end_effect("k", other, {})
    assert (books.audit_size(), books.effect("k")) == (size, ended)


def test_an_act_that_was_never_begun_cannot_end_and_an_intent_is_no_end(books: Books):
    with pytest.raises(PermanentFailure, match="never begun"), books.change(ACTOR) as change:
        change.end_effect("k", EffectState.DONE, {})
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.begin_effect("k", "swap", order.id, 1, {})
    with pytest.raises(IllegalTransition), books.change(ACTOR) as change:
        change.end_effect("k", EffectState.INTENT, {})
    assert books.effect("other") is None


@pytest.mark.parametrize("request_", [{"usd": 0.1}, {"list": [{"deep": 1.5}]}])
def test_a_float_never_gets_into_a_journal(books: Books, request_: dict):
    order = submitted(books)
    size = books.audit_size()
    with pytest.raises(PermanentFailure, match=r"usd|list\[0\]\.deep"), books.change(ACTOR) as change:
        change.begin_effect("k", "swap", order.id, 1, request_)
    assert (books.effect("k"), books.audit_size()) == (None, size)


def test_acts_are_listed_in_the_order_they_were_begun_and_by_attempt(books: Books, backend):
    order = submitted(books)
    for key, attempt in [("z", 1), ("a", 1), ("m", 2)]:
        backend.clock.advance(1)
        with books.change(ACTOR) as change:
            change.begin_effect(key, "swap", order.id, attempt, {})
    assert [effect.key for effect in books.effects(order.id)] == ["z", "a", "m"]
    assert [effect.key for effect in books.effects(order.id, attempt=1)] == ["z", "a"]


def test_a_lease_comes_back_exactly_and_moves_with_its_facts(books: Books):
    lease = leased(books)
    assert books.lease(lease.id) == lease
    started, reason = NOON + timedelta(microseconds=1), "hours_used"
    with books.change(ACTOR) as change:
        active = change.move_lease(lease.id, LeaseState.ACTIVE, started_at=started, ends_at=NOON + timedelta(hours=10))
        change.move_lease(lease.id, LeaseState.CLOSING, close_reason=reason)
        closed = change.move_lease(
            lease.id, LeaseState.CLOSED, closed_at=NOON, settled_native=Decimal("123456789.000000000000000001")
        )
    assert active.started_at == started
    assert closed == books.lease(lease.id) == books.leases(order_id=lease.order_id)[0]
    assert (closed.close_reason, closed.settled_native) == (reason, Decimal("123456789.000000000000000001"))
    body = events(books)[-1]["body"]
    assert body == {
        "from": "closing",
        "to": "closed",
        "closed_at": "2026-11-22T12:00:00.000000Z",
        "settled_native": "123456789.000000000000000001",
    }


@pytest.mark.parametrize("old", list(LeaseState))
def test_every_illegal_step_of_a_lease_raises_and_stores_nothing(books: Books, old: LeaseState):
    lease = leased(books, old)
    before = (books.lease(lease.id), books.audit_size())
    for new in set(LeaseState) - LEASE_STEPS[old]:
        with pytest.raises(IllegalTransition, match=f"is {old} and cannot become {new}"), books.change(ACTOR) as change:
            change.move_lease(lease.id, new, close_reason="because")
    assert (books.lease(lease.id), books.audit_size()) == before


@pytest.mark.parametrize("old", [state for state in LeaseState if LEASE_STEPS[state]])
def test_every_legal_step_of_a_lease_is_stored_with_its_leaf(books: Books, old: LeaseState):
    for new in sorted(LEASE_STEPS[old]):
        lease = leased(books, old, lease_id=f"lse_{new}")
        with books.change(ACTOR) as change:
            change.move_lease(lease.id, new)
        assert books.lease(lease.id).state is new
        assert events(books)[-1]["body"] == {"from": old, "to": new}


@pytest.mark.parametrize("fact", ["order_id", "attempt", "network", "id", "no_such_fact"])
def test_a_move_cannot_turn_a_lease_into_another(books: Books, fact: str):
    lease = leased(books)
    with pytest.raises(PermanentFailure, match=fact), books.change(ACTOR) as change:
        change.move_lease(lease.id, LeaseState.ACTIVE, **{fact: "x"})
    assert books.lease(lease.id) == lease


@pytest.mark.parametrize("state", [LeaseState.CLOSING, LeaseState.CLOSED, LeaseState.FAILED])
def test_a_lease_is_opened_only_as_requested_or_active(books: Books, state: LeaseState):
    order = submitted(books)
    with pytest.raises(IllegalTransition), books.change(ACTOR) as change:
        change.open_lease(sample_lease(order.id, state=state))
    assert books.leases() == []


def test_a_deployment_has_one_living_lease_and_may_try_again_after_a_failed_one(books: Books):
    lease = leased(books, network_ref="akash1owner/7")
    second = lease.model_copy(update={"id": "lse_2", "provider": "akash1other"})
    with pytest.raises(PermanentFailure, match="stands already as lse_1"), books.change(ACTOR) as change:
        change.open_lease(second)
    with books.change(ACTOR) as change:
        change.move_lease(lease.id, LeaseState.FAILED, close_reason="bid_not_open")
        change.open_lease(second)
    assert [found.id for found in books.leases(order_id=lease.order_id)] == ["lse_1", "lse_2"]
    assert [found.id for found in books.leases(states=[LeaseState.FAILED])] == ["lse_1"]


def test_a_lease_without_its_decision_is_refused_whole(books: Books):
    order = submitted(books)
    size = books.audit_size()
    with pytest.raises(PermanentFailure, match="refuse"), books.change(ACTOR) as change:
        change.open_lease(sample_lease(order.id, "dec_unknown"))
    assert (books.leases(), books.audit_size()) == ([], size)


def test_acts_and_decisions_need_an_order(books: Books):
    with pytest.raises((PermanentFailure, InvalidInput)), books.change(ACTOR) as change:
        change.begin_effect("k", "swap", "ord_unknown", 1, {})
    with pytest.raises((PermanentFailure, InvalidInput)), books.change(ACTOR) as change:
        change.record_decision(sample_decision("ord_unknown"))
    assert books.audit_size() == 0
