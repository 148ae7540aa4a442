"""What a requester asks for: requirement, policy and order."""

import unicodedata
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from necto_pipelines.model.gpu import WantedGpu
from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.model.place import Country
from necto_pipelines.model.state import OrderState

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def _one_line(text: str) -> str:
    """Names are shown in terminals and documents, where a control character could forge what is read."""
    if len(text.splitlines()) > 1 or any(unicodedata.category(sign) == "Cc" for sign in text):
        raise ValueError("write one line of text without control characters")
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class GpuNeed(BaseModel):
    """Which GPUs a job needs: a model, or a least memory, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: WantedGpu | None = None
    """a family (`H100`) or a key (`H100-80GB`)"""
    count: int = Field(default=1, ge=1, le=64)
    min_vram_gib: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.model is None and self.min_vram_gib is None:
            raise ValueError("name a model, or the least memory of a GPU as min_vram_gib, or both")
        return self


class Requirement(BaseModel):
    """What a job needs, in the units of its field names. `countries` empty means anywhere the policy allows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: GpuNeed
    cpu_cores: ExactDecimal = Field(default=Decimal(8), gt=0, le=4096, decimal_places=3)
    memory_gib: ExactDecimal = Field(default=Decimal(32), gt=0, le=65536, decimal_places=3)
    disk_gib: ExactDecimal = Field(default=Decimal(100), gt=0, le=1048576, decimal_places=3)
    hours: ExactDecimal = Field(gt=0, le=8784, decimal_places=6)
    countries: tuple[Country, ...] = ()
    interruptible: bool = False
    """True accepts capacity that its provider may take back"""
    image: Line = Field(default="ghcr.io/necto-examples/cuda-job:1.0", min_length=1, max_length=512)
    port: int = Field(default=8080, ge=1, le=65535)
    sdl: str | None = Field(default=None, max_length=65_536)
    """an Akash SDL document to be placed as it is (`necto order from-sdl`); the other fields say what it needs"""


class Strategy(StrEnum):
    """What makes one compliant offer better than another."""

    CHEAPEST = "cheapest"
    """least to pay: compute and conversion"""
    BALANCED = "balanced"
    """least expected cost: what is to pay, and the risk of losing the lease"""
    BID_AND_WAIT = "bid_and_wait"
    """cheapest by binding prices: bids up to the price of a fall-back offer, which is taken when none comes in time"""


DEFAULT_RISK_WEIGHT: Final = Decimal(1)
"""a dollar that is expected to be lost counts as a dollar to pay"""


class Policy(BaseModel):
    """What compliance demands of a provider, and what makes one offer better than another.

    The defaults are the house policy. An order can only tighten the demands; its strategy and its weight of risk
    replace the house's, for they rank offers and admit none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Slug = "standard"
    networks: tuple[Slug, ...] = ()
    """empty means every network that is set up"""
    countries: tuple[Country, ...] = ()
    """empty means every country that is not embargoed"""
    auditors: tuple[str, ...] = ()
    """of the auditors the house trusts only these; empty means all of them"""
    required_attributes: tuple[str, ...] = ("location-region",)
    """attribute keys that an auditor must have signed"""
    max_evidence_age_hours: ExactDecimal = Field(default=Decimal(24), gt=0, le=8784, decimal_places=6)
    min_uptime_7d: ExactDecimal = Field(default=Decimal("0.95"), ge=0, le=1, decimal_places=6)
    min_score: int = Field(default=70, ge=0, le=100)
    strategy: Strategy | None = None
    """None means the house's, and in the house policy `cheapest`"""
    risk_weight: ExactDecimal | None = Field(default=None, ge=0, le=10, decimal_places=6)
    """dollars that an expected dollar of lost work counts as; None means the house's, and in the house policy 1"""

    @property
    def effective_strategy(self) -> Strategy:
        """The strategy that holds when no other policy says one."""
        return self.strategy or Strategy.CHEAPEST

    @property
    def effective_risk_weight(self) -> Decimal:
        """The weight of risk that holds when no other policy says one."""
        return DEFAULT_RISK_WEIGHT if self.risk_weight is None else self.risk_weight

    def tightened_by(self, other: "Policy") -> "Policy":
        """Both policies at once: of each demand the stricter one. An order's policy never loosens the house's.

        Strategy and weight of risk are the order's where it says them.
        """
        return Policy.model_construct(  # both sides are valid already; NOWHERE is not a country
            name=other.name,
            networks=_both(self.networks, other.networks),
            countries=_both(self.countries, other.countries),
            auditors=_both(self.auditors, other.auditors),
            required_attributes=tuple(sorted({*self.required_attributes, *other.required_attributes})),
            max_evidence_age_hours=min(self.max_evidence_age_hours, other.max_evidence_age_hours),
            min_uptime_7d=max(self.min_uptime_7d, other.min_uptime_7d),
            min_score=max(self.min_score, other.min_score),
            strategy=other.strategy or self.strategy,
            risk_weight=self.risk_weight if other.risk_weight is None else other.risk_weight,
        )


NOWHERE = "-"
"""stands in a list whose two sides have nothing in common: empty would mean everything"""


def _both(house: tuple[str, ...], order: tuple[str, ...]) -> tuple[str, ...]:
    """Members of both lists, where an empty list stands for everything."""
    if not house or not order:
        return house or order
    return tuple(item for item in order if item in house) or (NOWHERE,)


class OrderRequest(BaseModel):
    """An order as a requester writes it (`necto order submit order.yaml`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Line = Field(min_length=1, max_length=120)
    tenant: Slug = "default"
    requested_by: Line = Field(default="", max_length=200)
    """a person: kept in the books, never written into an audit leaf"""
    cost_centre: Slug
    budget_usd: ExactDecimal = Field(gt=0, le=100_000_000, decimal_places=2)
    """the most the whole order may cost, fees included"""
    max_usd_per_gpu_hour: ExactDecimal | None = Field(default=None, gt=0, le=100_000, decimal_places=18)
    deadline: AwareDatetime | None = None
    """until when the order may wait for an offer; without one, 24 hours from its submission"""
    group: Slug | None = None
    """pending orders with the same group are placed all together or not at all"""
    apart: Slug | None = None
    """replicas: no two orders with the same name stand at one provider"""
    requirement: Requirement
    policy: Policy = Policy()


class Order(BaseModel):
    """An order in the books. `id` is `ord_` and a UUIDv7, so that ids sort by time of submission."""

    model_config = ConfigDict(frozen=True)

    id: str
    request: OrderRequest
    state: OrderState
    reason: str
    """why the order is waiting, refused, cancelled or failed; empty otherwise"""
    submitted_at: datetime
    updated_at: datetime
    next_attempt_at: datetime | None
    attempt: int
    """counts placements: 1 for the first deployment, 2 after that one had to be given up"""
    run_id: str | None
    """the run that works on it now; None when nobody does"""
