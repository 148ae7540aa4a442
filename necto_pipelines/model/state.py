"""States of orders and leases, and the only steps between them. An illegal step raises."""

from enum import StrEnum
from typing import Final

from necto_pipelines.failures import IllegalTransition


class OrderState(StrEnum):
    """Where an order stands. Terminal: completed, refused, cancelled, failed."""

    SUBMITTED = "submitted"
    WAITING = "waiting"
    """cannot go on now, with a reason; tried again later from routing"""
    ROUTED = "routed"
    HELD = "held"
    FUNDED = "funded"
    PLACING = "placing"
    ACTIVE = "active"
    COMPLETED = "completed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"


class LeaseState(StrEnum):
    """Where a lease stands. Terminal: closed, failed."""

    REQUESTED = "requested"
    """the deployment stands at the network, no lease yet"""
    ACTIVE = "active"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


_O, _L = OrderState, LeaseState
ORDER_STEPS: Final[dict[OrderState, frozenset[OrderState]]] = {
    _O.SUBMITTED: frozenset({_O.ROUTED, _O.WAITING, _O.REFUSED, _O.CANCELLED}),
    _O.WAITING: frozenset({_O.ROUTED, _O.WAITING, _O.REFUSED, _O.CANCELLED}),
    _O.ROUTED: frozenset({_O.HELD, _O.WAITING, _O.REFUSED, _O.CANCELLED}),
    _O.HELD: frozenset({_O.FUNDED, _O.WAITING, _O.REFUSED, _O.CANCELLED, _O.FAILED}),
    _O.FUNDED: frozenset({_O.PLACING, _O.WAITING, _O.CANCELLED, _O.FAILED}),
    _O.PLACING: frozenset({_O.ACTIVE, _O.WAITING, _O.REFUSED, _O.FAILED}),
    # to waiting when its lease failed before its time, and the rest of the job is to be placed anew
    _O.ACTIVE: frozenset({_O.COMPLETED, _O.FAILED, _O.WAITING}),
    _O.COMPLETED: frozenset(),
    _O.REFUSED: frozenset(),
    _O.CANCELLED: frozenset(),
    _O.FAILED: frozenset(),
}
LEASE_STEPS: Final[dict[LeaseState, frozenset[LeaseState]]] = {
    _L.REQUESTED: frozenset({_L.ACTIVE, _L.FAILED, _L.CLOSING}),
    _L.ACTIVE: frozenset({_L.CLOSING, _L.FAILED}),
    _L.CLOSING: frozenset({_L.CLOSED, _L.FAILED}),
    _L.CLOSED: frozenset(),
    _L.FAILED: frozenset(),
}
PENDING_ORDERS: Final = (_O.SUBMITTED, _O.WAITING, _O.ROUTED, _O.HELD, _O.FUNDED, _O.PLACING)
"""orders that a procurement run still has something to do for"""


def check_order_step(order_id: str, old: OrderState, new: OrderState) -> None:
    """Raise IllegalTransition unless an order may go from `old` to `new`."""
    _check("order", order_id, old, new, ORDER_STEPS[old])


def check_lease_step(lease_id: str, old: LeaseState, new: LeaseState) -> None:
    """Raise IllegalTransition unless a lease may go from `old` to `new`."""
    _check("lease", lease_id, old, new, LEASE_STEPS[old])


def _check(noun: str, key: str, old: StrEnum, new: StrEnum, allowed: frozenset[StrEnum]) -> None:
    if new not in allowed:
        steps = ", ".join(sorted(allowed)) or "nothing: it is final"
        raise IllegalTransition(f"{noun} {key} is {old} and cannot become {new}; from {old} it may become {steps}")
