"""Put orders into the books, and take them back. What an order document may say is read in `order_document.py`."""

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import OrderState


def submit(books: Books, request: OrderRequest, actor: Actor) -> Order:
    """Put the order into the books. InvalidInput when the cost centre is unknown or its budget does not cover it."""
    with books.change(actor) as change:
        return change.submit(request)


def cancel(books: Books, order_id: str, actor: Actor) -> Order:
    """Cancel an order that is not placed yet, and give its held money back. IllegalTransition once it is placed."""
    hold = books.hold(order_id)
    with books.change(actor) as change:
        order = change.move_order(order_id, OrderState.CANCELLED, reason="cancelled by its requester")
        if hold and hold.state == "held":
            change.release_hold(order_id)
    return order
