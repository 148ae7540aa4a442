"""What the house lays over all orders, besides budgets: how much may stand at one place, and what must stand apart.

The plan of a run keeps to it for the offers it chooses. Whoever bids in the end may be another provider, so it is asked
once more in the very transaction that takes the bid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from necto_pipelines.books.reads import Reads
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState
from necto_pipelines.settings import Settings

Place = tuple[str, str]
"""network and provider"""


@dataclass(frozen=True)
class Standing:
    """What stands where now."""

    usd: Mapping[Place, Decimal]
    """what the leases there cost over their orders' hours"""
    apart: Mapping[str, set[Place]]
    """name of `apart` -> where its replicas stand"""

    @classmethod
    def of(cls, books: Reads) -> Self:
        """From all leases that are asked for, run, or are being closed."""
        usd: dict[Place, Decimal] = {}
        apart: dict[str, set[Place]] = {}
        for lease in books.leases(states=[LeaseState.REQUESTED, LeaseState.ACTIVE, LeaseState.CLOSING]):
            order, place = books.order(lease.order_id), (lease.network, lease.provider)
            usd[place] = usd.get(place, Decimal(0)) + lease.usd_per_hour * order.request.requirement.hours
            if order.request.apart:
                apart.setdefault(order.request.apart, set()).add(place)
        return cls(usd, apart)


def broken_by(lease: Lease, order: Order, standing: Standing, settings: Settings) -> str:
    """Which limit a lease would break that is about to be asked for, as a sentence; empty when it breaks none."""
    place = (lease.network, lease.provider)
    if order.request.apart and place in standing.apart.get(order.request.apart, ()):
        return f"a replica of {order.request.apart} stands at {lease.provider_name} already"
    wanted = lease.usd_per_hour * order.request.requirement.hours
    at_provider = standing.usd.get(place, Decimal(0)) + wanted
    at_network = sum((usd for at, usd in standing.usd.items() if at[0] == lease.network), wanted)
    for name, most, there in (
        (lease.provider_name, settings.max_usd_per_provider, at_provider),
        (lease.network, settings.max_usd_per_network, at_network),
    ):
        if most is not None and there > most:
            return f"{there:.2f} USD would stand at {name}, at most {most} may"
    return ""
