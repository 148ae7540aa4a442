"""The money of an order that ends: what was spent is spent, the rest of its hold is free again."""

from decimal import Decimal

from necto_pipelines.books.books import Change
from necto_pipelines.books.reads import Reads
from necto_pipelines.model.money import cents
from necto_pipelines.model.state import LeaseState

COSTING: tuple[LeaseState, ...] = (LeaseState.REQUESTED, LeaseState.ACTIVE, LeaseState.CLOSING)
"""states of a lease that may still cost something nobody knows exactly"""


def spent_on(books: Reads, order_id: str) -> Decimal:
    """What an order has cost so far, in cents: its charges, and the conversions that no lease has carried yet."""
    charges = books.charges(order_id=order_id)
    carried = {charge.id for charge in charges}
    spent = sum((cents(charge.amount_usd) for charge in charges), start=Decimal(0))
    for conversion in books.conversions(order_id):
        if not any(conversion.id in charge_id for charge_id in carried):
            spent += cents(conversion.fee_usd) + cents(conversion.slippage_usd)
    return spent


def give_back(change: Change, order_id: str) -> None:
    """Settle what an order that comes to its end still holds; an order that holds nothing is left as it is.

    While a lease of it is still to be closed, the hold stays: closing that lease gives back the rest.
    """
    hold = change.reads.hold(order_id)
    if hold is None or hold.state != "held" or change.reads.leases(order_id=order_id, states=COSTING):
        return
    if (spent := spent_on(change.reads, order_id)) > 0:
        change.settle_hold(order_id, spent)
    else:
        change.release_hold(order_id)
