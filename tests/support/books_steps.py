"""Short ways to bring the books into a state that a test starts from."""

import json
from decimal import Decimal
from typing import Any

from support.books_backends import ACTOR
from support.samples import sample_decision, sample_lease, sample_request

from necto_pipelines.books.books import Books
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LEASE_STEPS, ORDER_STEPS, LeaseState, OrderState


def give_budget(books: Books, limit_usd: int = 1000, cost_centre: str = "research") -> None:
    """Set a limit."""
    with books.change(ACTOR) as change:
        change.set_budget(cost_centre, Decimal(limit_usd))


def submitted(books: Books, **overrides: Any) -> Order:
    """A new order; its cost centre gets a budget when it has none."""
    request = sample_request(**overrides)
    if request.cost_centre not in [budget.cost_centre for budget in books.budgets()]:
        give_budget(books, cost_centre=request.cost_centre)
    with books.change(ACTOR) as change:
        return change.submit(request)


def order_in(books: Books, state: OrderState) -> Order:
    """An order that went by legal steps to `state`."""
    order = submitted(books)
    with books.change(ACTOR) as change:
        for step in path(OrderState.SUBMITTED, state, ORDER_STEPS):
            order = change.move_order(order.id, step)
    return order


def leased(books: Books, state: LeaseState = LeaseState.REQUESTED, lease_id: str = "lse_1", **overrides: Any) -> Lease:
    """A lease that went by legal steps to `state`, for an order of its own."""
    order = submitted(books)
    decision = sample_decision(order.id, f"dec_{lease_id}")
    lease = sample_lease(order.id, decision.id, lease_id, **overrides)
    with books.change(ACTOR) as change:
        change.record_decision(decision)
        change.open_lease(lease)
        for step in path(LeaseState.REQUESTED, state, LEASE_STEPS):
            lease = change.move_lease(lease.id, step)
    return lease


def path(start: Any, end: Any, steps: Any) -> list[Any]:
    """The shortest legal way from one state to another."""
    ways: list[list[Any]] = [[start]]
    while ways[0][-1] is not end:
        way = ways.pop(0)
        ways += [[*way, step] for step in sorted(steps[way[-1]]) if step not in way]
    return ways[0][1:]


def events(books: Books, start: int = 0) -> list[dict[str, Any]]:
    """The log's events from index `start` on."""
    return [json.loads(entry.leaf) for entry in books.leaves(start)]
