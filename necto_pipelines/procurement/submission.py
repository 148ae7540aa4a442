"""Put orders into the books, and take them back. What an order document may say is read in `order_document.py`."""

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.sdl_orders import check_sdl


def submit(books: Books, request: OrderRequest, actor: Actor) -> Order:
    """Put the order into the books.

    InvalidInput when the cost centre is unknown or its budget does not cover it, or when an order that brings an SDL
    document says otherwise than the document.
    """
    check_sdl(request)
    with books.change(actor) as change:
        return change.submit(request)


def cancel(books: Books, order_id: str, actor: Actor) -> Order:
    """Cancel an order that is not placed yet, and give back what it holds. IllegalTransition once it is placed."""
    with books.change(actor) as change:
        order = change.move_order(order_id, OrderState.CANCELLED, reason="cancelled by its requester")
        give_back(change, order_id)
    return order
