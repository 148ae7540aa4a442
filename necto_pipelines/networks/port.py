"""The port every network's adapter implements: ask for offers and evidence, then request, lease, look, close.

Adapters speak their network's wire format and answer in our nouns. They never decide: which offer is wanted, whether a
provider complies and whether an order may be paid is asked elsewhere. They raise `Refused`, `Unavailable` or `Unknown`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.offer import Offer, ProviderEvidence, SourceMode
from necto_pipelines.model.order import Requirement


@dataclass(frozen=True)
class Placement:
    """What is asked of a network. `token` is unique for the order and attempt and is carried into the workload, so
    that the deployment can be found again by its content after a lost reply."""

    token: str
    requirement: Requirement
    gpu_family: str
    vram_gib: int
    max_usd_per_hour: Decimal
    """for all GPUs of the order together"""
    deposit_usd: Decimal


@dataclass(frozen=True)
class Deployment:
    """A request standing at the network. `ref` finds it there; `content_hash` recognises it in a listing."""

    ref: str
    content_hash: str
    manifest: str
    state: str
    raw: RawAnswer


@dataclass(frozen=True)
class Bid:
    """A binding price for a deployment, good for minutes."""

    ref: str
    provider: str
    state: str
    native_amount: Decimal
    native_unit: str
    block_seconds: Decimal
    usd_per_hour: Decimal
    raw_sha256: str


@dataclass(frozen=True)
class LeaseStatus:
    """A lease as its network and its provider show it. `healthy` is None when that could not be learned."""

    ref: str
    provider: str
    state: str
    """`requested`, `active`, `closed` or `failed`"""
    healthy: bool | None
    opened_at: datetime | None
    closed_at: datetime | None
    native_amount: Decimal
    native_unit: str
    settled_native: Decimal
    """paid to the provider so far, in the native unit without time"""
    raw: RawAnswer
    ready: int | None = None
    """replicas that run now, of all services together; None where the network does not say, as are those below"""
    total: int | None = None
    gpu_use_pct: Decimal | None = None
    """load of the GPUs, 0 to 100"""
    paid_in_native: Decimal | None = None
    """paid in for this lease in all, spent or not, in the native unit without time; None where an account is charged"""
    reclaiming: bool = False
    """its provider has announced that it takes the capacity back"""


class Network(Protocol):
    """A marketplace of compute. Calls end within the adapter's time-outs and are safe from any thread."""

    name: str
    mode: SourceMode
    paid_in: str
    """`ACT` when a deposit must be minted before placing; else an account there is charged, in `USD` or its `ATH`"""
    binding_bids: bool
    """providers answer a request with prices of their own; otherwise a list price is what is paid"""

    def offers(self) -> Listing[Offer]:
        """Everything purchasable now."""

    def evidence(self) -> Listing[ProviderEvidence]:
        """What the network and its auditors say of every provider."""

    def content_hash(self, placement: Placement) -> str:
        """The hash under which the network will list a deployment made from `placement`; written down before create."""

    def request(self, placement: Placement) -> Deployment:
        """Create the deployment. NOT idempotent. `Unknown` when the reply was lost: then `find` it."""

    def find(self, content_hash: str) -> Sequence[Deployment]:
        """Deployments of ours with this content, newest first, open and closed."""

    def bids(self, deployment: Deployment) -> Listing[Bid]:
        """Open bids on it now, with the raw answer that holds their prices; no rows while nobody has answered."""

    def lease(self, deployment: Deployment, bid: Bid) -> LeaseStatus:
        """Accept a bid; an active lease is not made again. `Refused(code="bid_not_open")` when the bid is gone."""

    def status(self, ref: str) -> LeaseStatus:
        """The lease of deployment `ref` now."""

    def close(self, ref: str) -> LeaseStatus:
        """Close the deployment and settle it. Idempotent."""
