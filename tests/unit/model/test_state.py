"""The two state machines: every step is allowed or raises, and an end is an end."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product

import pytest

from necto_pipelines.failures import IllegalTransition
from necto_pipelines.model.state import (
    LEASE_STEPS,
    ORDER_STEPS,
    PENDING_ORDERS,
    LeaseState,
    OrderState,
    check_lease_step,
    check_order_step,
)

ORDER_ENDS = {OrderState.COMPLETED, OrderState.REFUSED, OrderState.CANCELLED, OrderState.FAILED}
LEASE_ENDS = {LeaseState.CLOSED, LeaseState.FAILED}


def reachable(steps: Mapping[StrEnum, frozenset[StrEnum]], start: StrEnum) -> set[StrEnum]:
    found, todo = set(), [start]
    while todo:
        state = todo.pop()
        if state not in found:
            found.add(state)
            todo += steps[state]
    return found


def test_every_state_has_its_steps_written_down() -> None:
    assert set(ORDER_STEPS) == set(OrderState)
    assert set(LEASE_STEPS) == set(LeaseState)


def test_the_ends_are_the_states_without_steps() -> None:
    assert {state for state in OrderState if not ORDER_STEPS[state]} == ORDER_ENDS
    assert {state for state in LeaseState if not LEASE_STEPS[state]} == LEASE_ENDS


@pytest.mark.parametrize("end", sorted(ORDER_ENDS))
def test_no_path_leads_out_of_an_orders_end(end: OrderState) -> None:
    assert reachable(ORDER_STEPS, end) == {end}


@pytest.mark.parametrize("end", sorted(LEASE_ENDS))
def test_no_path_leads_out_of_a_leases_end(end: LeaseState) -> None:
    assert reachable(LEASE_STEPS, end) == {end}


def test_every_state_can_be_reached_from_the_first() -> None:
    assert reachable(ORDER_STEPS, OrderState.SUBMITTED) == set(OrderState)
    assert reachable(LEASE_STEPS, LeaseState.REQUESTED) == set(LeaseState)


@pytest.mark.parametrize("state", OrderState)
def test_every_order_can_come_to_an_end(state: OrderState) -> None:
    assert reachable(ORDER_STEPS, state) & ORDER_ENDS


@pytest.mark.parametrize("state", LeaseState)
def test_every_lease_can_come_to_an_end(state: LeaseState) -> None:
    assert reachable(LEASE_STEPS, state) & LEASE_ENDS


@pytest.mark.parametrize(("old", "new"), list(product(OrderState, OrderState)))
def test_an_order_takes_exactly_the_steps_written_down(old: OrderState, new: OrderState) -> None:
    if new in ORDER_STEPS[old]:
        check_order_step("ord_1", old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"ord_1 is {old} and cannot become {new}"):
            check_order_step("ord_1", old, new)


@pytest.mark.parametrize(("old", "new"), list(product(LeaseState, LeaseState)))
def test_a_lease_takes_exactly_the_steps_written_down(old: LeaseState, new: LeaseState) -> None:
    if new in LEASE_STEPS[old]:
        check_lease_step("lse_1", old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"lse_1 is {old} and cannot become {new}"):
            check_lease_step("lse_1", old, new)


def test_a_final_state_says_so() -> None:
    with pytest.raises(IllegalTransition, match="it is final"):
        check_order_step("ord_1", OrderState.COMPLETED, OrderState.ACTIVE)


def test_pending_orders_are_those_that_run_nowhere_and_have_not_ended() -> None:
    assert set(PENDING_ORDERS) == set(OrderState) - ORDER_ENDS - {OrderState.ACTIVE}


def test_money_is_held_before_anything_is_placed() -> None:
    """An order comes to `placing` only over `held` and `funded`, whatever the path."""
    for skipped in (OrderState.HELD, OrderState.FUNDED):
        without = {state: steps - {skipped} for state, steps in ORDER_STEPS.items()}
        assert OrderState.PLACING not in reachable(without, OrderState.SUBMITTED)
