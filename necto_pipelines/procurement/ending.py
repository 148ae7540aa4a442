"""The money of an order that ends: what was spent is spent, the rest of its hold is free again."""

from decimal import Decimal

from necto_pipelines.books.books import Books, Change
from necto_pipelines.model.money import cents


def spent_on(books: Books, order_id: str) -> Decimal:
    """What an order has cost so far, in cents: its charges, or its conversions while no lease has carried them."""
    if charges := books.charges(order_id=order_id):
        return sum((cents(charge.amount_usd) for charge in charges), start=Decimal(0))
    conversions = books.conversions(order_id)
    return sum((cents(c.fee_usd) + cents(c.slippage_usd) for c in conversions), start=Decimal(0))


def give_back(books: Books, change: Change, order_id: str) -> None:
    """Settle what an order that comes to its end still holds; an order that holds nothing is left as it is."""
    hold = books.hold(order_id)
    if hold is None or hold.state != "held":
        return
    if (spent := spent_on(books, order_id)) > 0:
        change.settle_hold(order_id, spent)
    else:
        change.release_hold(order_id)
