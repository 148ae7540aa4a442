"""Orders for tests of routing: one H100 for four hours, at most 100 dollars."""

from typing import Any

from support.tables_of import NOW

from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import OrderState


def order_document(**changes: Any) -> dict[str, Any]:
    """The document; `changes` are laid over it, those of `requirement` over its own fields."""
    need = {"gpu": {"model": "H100"}, "hours": 4} | changes.pop("requirement", {})
    return {"name": "job", "cost_centre": "research", "budget_usd": 100, "requirement": need} | changes


def an_order(order_id: str = "ord_1", **changes: Any) -> Order:
    """The order, submitted just now."""
    return Order(
        id=order_id,
        request=OrderRequest.model_validate(order_document(**changes)),
        state=OrderState.SUBMITTED,
        reason="",
        submitted_at=NOW,
        updated_at=NOW,
        next_attempt_at=None,
        attempt=1,
        run_id=None,
    )
