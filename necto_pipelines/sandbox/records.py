"""What the simulated chain remembers of our deployments; pydantic, because a restart reads it back from JSON.

Amounts of money are whole micro-units (uact: a millionth of a dollar), prices are uact per block. The rules by which
these records change stand in `chain.py`.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from necto_pipelines.model.money import ExactDecimal


class Port(BaseModel):
    """A port of a service that is open to everyone."""

    port: int
    external_port: int
    proto: str

    @property
    def is_web(self) -> bool:
        """Served by the provider's HTTP ingress under a host name instead of a port number."""
        return (self.external_port or self.port) == 80 and self.proto == "TCP"


class ServiceShape(BaseModel):
    """What a lease's status needs to know of a service in the manifest."""

    group: int
    name: str
    count: int
    ports: list[Port]


class Bid(BaseModel):
    """A provider's price for one group. `gpus` counts what it set aside, by `Stock.key`."""

    gseq: int
    provider: str
    price: ExactDecimal
    gpus: dict[str, int]
    at: datetime
    height: int
    state: str = "open"
    """open, active, lost or closed"""
    closed_height: int = 0


class Lease(BaseModel):
    """A group that runs at a provider. `manifest_at` is None until the provider has its manifest."""

    gseq: int
    provider: str
    price: ExactDecimal
    gpus: dict[str, int]
    at: datetime
    height: int
    state: str = "active"
    """active, insufficient_funds or closed"""
    reason: str = ""
    closed_height: int = 0
    manifest_at: datetime | None = None


class Deployment(BaseModel):
    """A deployment with its groups, bids, leases and escrow account."""

    dseq: str
    hash: str
    at: datetime
    height: int
    groups: list[dict[str, Any]]
    services: list[ServiceShape]
    deposit: int
    funds: int
    transferred: int = 0
    settled_height: int
    escrow_state: str = "open"
    """open, overdrawn or closed"""
    state: str = "active"
    """active or closed"""
    closed_height: int = 0
    bids: list[Bid] = []
    leases: list[Lease] = []

    def running(self) -> list[Lease]:
        """Leases that hold capacity and cost money."""
        return [lease for lease in self.leases if lease.state == "active"]

    def group(self, gseq: int) -> dict[str, Any]:
        """The spec of a group; groups are counted from 1."""
        return self.groups[gseq - 1]


class ChainState(BaseModel):
    """Everything a restart must find again. `advanced_to`: events up to this moment have happened."""

    advanced_to: datetime
    wallet: int
    """what the managed wallet may still spend, in uact"""
    deployments: dict[str, Deployment] = {}
