"""Every type of event that Necto writes into its trail: the one list, and the words that its definitions use.

Whoever wants to write an event that is not here adds it first: to `procurement_events.py`, `money_events.py` or
`trail_events.py`. A leaf of an unknown type is never stored. What a definition is made of: `event_type.py`.
"""

from typing import Final

from necto_pipelines.audit.event_type import Retention
from necto_pipelines.audit.money_events import MONEY
from necto_pipelines.audit.procurement_events import LEASES, ORDERS
from necto_pipelines.audit.trail_events import LOG, PRIVACY, RUNS

RETENTION: Final = {
    "inv-10y": Retention(10, "invoices and what they are made of; covers the accounting law of the EU's states"),
    "order-6y": Retention(6, "orders, and why they were placed where they were: business records"),
    "ops-2y": Retention(2, "how the work went: needed to explain faults and to settle claims"),
    "requester-2y": Retention(2, "who asked for an order: needed while it may be questioned, and not longer"),
    "log": Retention(None, "what it takes to verify the log"),
}
"""how long at least; the classes that stand in leaves"""
BASES: Final = {
    "art6.1a": "consent of the person",
    "art6.1b": "needed to perform a contract",
    "art6.1c": "a legal obligation of the controller",
    "art6.1f": "a legitimate interest of the controller",
    "none": "no personal data",
}
"""grounds of processing (GDPR article 6(1)) that stand in leaves"""
PURPOSES: Final = {
    "procurement": "buy computing capacity that an order asks for, and account for the choice",
    "billing": "hold budgets, convert money, charge and invoice what was used",
    "operations": "keep bought capacity running, and replace what fails",
    "assurance": "show that the trail is whole and as old as it says",
    "privacy": "honour the rights of the people whose data are held, and account for it",
}
"""why data are processed (GDPR articles 5(1)(b) and 30(1)(b))"""

EVENT_TYPES: Final = (*ORDERS, *LEASES, *MONEY, *RUNS, *LOG, *PRIVACY)
