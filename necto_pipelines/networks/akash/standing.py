"""A deployment's answer as the standing of its lease. Pure; heights become times where the adapter reads the blocks.

The deployment is the master: bids and leases of a closed deployment may linger in other states, and the chain's
reasons for closing are not reliable.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from necto_pipelines.networks.akash.wire import WireCoin, WireLease, WireStanding

NATIVE_DENOM: Final = "uact"
_RUNNING: Final = frozenset({"active", "reclaiming"})


def current_lease(standing: WireStanding) -> WireLease | None:
    """The running lease, else the newest one; None while no bid was accepted. A closed one may have been re-leased."""
    leases = sorted(standing.leases, key=lambda lease: (lease.state in _RUNNING, lease.created_at))
    return leases[-1] if leases else None


def state_of(standing: WireStanding) -> str:
    """`requested`, `active`, `closed`, or `failed`: ended by the provider or for want of funds, not by us."""
    lease = current_lease(standing)
    if standing.deployment.state == "closed":
        return "failed" if standing.escrow_account.state.state == "overdrawn" else "closed"
    if lease is None:
        return "requested"
    return "active" if lease.state in _RUNNING else "failed"


def healthy(lease: WireLease | None) -> bool | None:
    """True when every service has all its replicas ready; None when the provider reported no service."""
    if lease is None or lease.status is None or not lease.status.services:
        return None
    return all(service.ready_replicas >= service.replicas for service in lease.status.services.values())


def settled_uact(standing: WireStanding) -> Decimal:
    """What was paid to providers out of the deployment's escrow so far, in micro-ACT."""
    return _uact(standing.escrow_account.state.transferred)


def paid_in_uact(standing: WireStanding) -> Decimal | None:
    """What was paid into the deployment's escrow in all, in micro-ACT; None once it is closed and the rest given back.

    Nothing moves between settlements, so only the sum of what is left and what was paid out is true at any moment.
    """
    account = standing.escrow_account.state
    return _uact((*account.funds, *account.transferred)) if standing.deployment.state == "active" else None


def replicas(lease: WireLease | None) -> tuple[int | None, int | None]:
    """How many replicas run, of how many, over all services; None when the provider reported no service."""
    if lease is None or lease.status is None or not lease.status.services:
        return None, None
    services = lease.status.services.values()
    return sum(service.ready_replicas for service in services), sum(service.replicas for service in services)


def _uact(coins: Iterable[WireCoin]) -> Decimal:
    return sum((coin.amount for coin in coins if coin.denom == NATIVE_DENOM), Decimal(0))
