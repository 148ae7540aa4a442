"""Carry a batch of orders through the steps of buying, each order by itself: one that fails never stops the others."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from necto_pipelines.books.books import Actor
from necto_pipelines.failures import (
    IllegalTransition,
    NectoError,
    PermanentFailure,
    Refused,
    Stale,
    TransientFailure,
    Unavailable,
    Unknown,
)
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import ORDER_STEPS, PENDING_ORDERS, OrderState
from necto_pipelines.procurement.deciding import retry_at
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.placing import confirm, place
from necto_pipelines.procurement.runtime import Runtime

Step = Callable[[Runtime, Order, Actor], object]


@dataclass(frozen=True)
class StepResult:
    """What a step did: order ids by what became of them, and why some could not go on."""

    advanced: tuple[str, ...]
    stopped: tuple[tuple[str, str], ...]
    """(order id, reason)"""


def due_orders(runtime: Runtime) -> list[Order]:
    """Orders that procurement has something to do for now, whoever holds their claim."""
    now = runtime.clock.now()
    pending = runtime.books.orders(states=PENDING_ORDERS)
    return [order for order in pending if order.next_attempt_at is None or order.next_attempt_at <= now]


def take_step(
    runtime: Runtime, order_ids: Sequence[str], states: Collection[OrderState], step: Step, actor: Actor
) -> StepResult:
    """Do `step` for those of the orders that stand in one of `states`.

    A transient failure lets the order wait, with the reason, and gives up the claim; a permanent one fails it. Nothing
    is raised for a failure of Necto's own kind: the reason stands in the order.
    """
    advanced, stopped = [], []
    for order_id in order_ids:
        order = runtime.books.order(order_id)
        if order.state not in states:
            continue
        try:
            step(runtime, order, actor)
            advanced.append(order_id)
        except NectoError as failure:
            stopped.append((order_id, _stop(runtime, order_id, failure, actor)))
    return StepResult(tuple(advanced), tuple(stopped))


def place_and_confirm(runtime: Runtime, order: Order, actor: Actor) -> None:
    """Place a funded or half-placed order and see it run."""
    if lease := place(runtime, order, actor):
        confirm(runtime, runtime.books.order(order.id), lease, actor)


def _stop(runtime: Runtime, order_id: str, failure: NectoError, actor: Actor) -> str:
    order = runtime.books.order(order_id)
    reason = f"{_word(failure)}: {failure}"[:1000]
    later = retry_at(runtime, order)
    with runtime.books.change(actor) as change:
        if (
            isinstance(failure, TransientFailure)
            and OrderState.WAITING in ORDER_STEPS[order.state]
            and not _placed(order)
        ):
            change.move_order(order_id, OrderState.WAITING, reason=reason, next_attempt_at=later)
        elif isinstance(failure, PermanentFailure) and OrderState.FAILED in ORDER_STEPS[order.state]:
            change.move_order(order_id, OrderState.FAILED, reason=reason)
            give_back(change, order_id)
        elif not isinstance(failure, IllegalTransition):
            change.release(order_id, reason=reason, next_attempt_at=later)
    return reason


def _placed(order: Order) -> bool:
    """A half-placed order keeps its state: what stands at the network must be found again, not routed anew."""
    return order.state is OrderState.PLACING


def _word(failure: NectoError) -> str:
    """The kind of failure in one word, the first thing an operator reads."""
    kinds = {Stale: "stale", Unavailable: "unavailable", Unknown: "outcome_unknown", Refused: "refused"}
    return next((word for kind, word in kinds.items() if isinstance(failure, kind)), "failed")
