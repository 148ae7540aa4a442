"""Walk from an invoice, a charge, a lease, an order or a run back to the bytes a network answered.

invoice → line → charge → usage → lease → bids, decision → data → raw answer; and for the money, conversion → price
answer. Each step is a hop: a row of the books with the leaves that name it, a leaf alone, or kept bytes. How a kind of
hop is read stands in `tracing_walks.py`; whether it is proved is judged in `proof_bundle.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

from necto_pipelines.books.snapshot import Snapshot
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.procurement.tracing_hops import Hop
from necto_pipelines.procurement.tracing_walks import Walker
from necto_pipelines.warehouse.warehouse import Warehouse

ALLOWED: Final = (
    "name an invoice (`necto invoice list`), a line of it as NUMBER/POSITION, an order (`necto order list`), a lease"
    " (`necto lease list`), a charge, conversion or decision (they stand in the trace of their order), or a Dagster run"
    " that wrote to the log"
)
_LINE: Final = re.compile(r"(?P<number>.+)/(?P<position>[1-9][0-9]{0,5})")


def walk_from(books: Snapshot, warehouse: Warehouse, what: str) -> dict[str, Hop]:
    """All that `what` rests on, each hop once by its id; the first is the thing itself, each stands before what it
    rests on. Raises InvalidInput when neither the books nor the log know it."""
    walker = Walker(books, warehouse)
    root = _root(walker, what)
    return _from_above(root, walker.hops)


def _from_above(root: Hop, hops: Mapping[str, Hop]) -> dict[str, Hop]:
    """The hops in the order of reading: each before what it rests on."""
    found: dict[str, Hop] = {}
    waiting = [root.id]
    while waiting:
        hop = hops[waiting.pop()]
        if hop.id not in found:
            found[hop.id] = hop
            waiting += reversed(hop.rests_on)
    return found


def _root(walker: Walker, what: str) -> Hop:
    """The first hop. What the log names and the books lost is known, too: it is walked as far as it can be."""
    readers = {
        "invoices": walker.invoice,
        "orders": walker.order_whole,
        "leases": walker.lease,
        "charges": walker.charge,
        "conversions": walker.conversion,
        "decisions": walker.decision,
    }
    for table, read in readers.items():
        if walker.knows(table, what):
            return walker.hops[read(what)]
    line = _LINE.fullmatch(what)
    if line and walker.knows("invoices", line["number"]):
        found = walker.line(line["number"], int(line["position"]))
        if found:
            return walker.hops[found]
    if what and walker.knows("run", what):
        return walker.hops[walker.run_whole(what)]
    raise InvalidInput([Problem("id", what, ALLOWED)])
