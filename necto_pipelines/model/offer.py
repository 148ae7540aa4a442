"""What can be bought, and what the clouds ask for the same."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from necto_pipelines.model.gpu import Gpu


class PriceBasis(StrEnum):
    """How firm a price is."""

    BID = "bid"
    """binding for minutes"""
    LIST = "list"
    PRIVATE_QUOTE = "private_quote"
    ESTIMATE = "estimate"


class SourceMode(StrEnum):
    """Where figures come from; shown beside every one of them."""

    LIVE = "live"
    SANDBOX = "sandbox"
    SNAPSHOT = "snapshot"


class Offer(BaseModel):
    """One purchasable shape at one provider at one moment.

    Prices are for one GPU with its share of the machine, for one hour. `raw_sha256` names the kept bytes of the answer
    that the price was read from.
    """

    model_config = ConfigDict(frozen=True)

    offer_id: str
    network: str
    provider: str
    provider_name: str
    gpu: Gpu
    units_available: int = Field(ge=0)
    """GPUs free at the provider at `observed_at`"""
    max_gpus_per_order: int = Field(ge=0)
    gpus_per_unit: int | None = Field(default=None, ge=1)
    """GPUs of one unit, where an order gets exactly one whole unit; None where it gets as many GPUs as it asks for"""
    cpu_cores: float
    """free at the provider as a whole, as are memory and disk"""
    memory_gib: float
    disk_gib: float
    country: str | None
    """ISO 3166-1 alpha-2; None when the network does not say"""
    region: str | None
    usd_per_gpu_hour: Decimal = Field(gt=0)
    price_basis: PriceBasis
    min_hours: Decimal = Field(default=Decimal(0), ge=0)
    """the shortest order that is taken at this price"""
    valid_until: datetime | None = None
    """until when a private quote holds, whatever its age; None for every price that only its age speaks for"""
    native_amount: Decimal
    native_unit: str
    """denomination and time unit of `native_amount`: `uact/block`, `USD/hour`"""
    block_seconds: Decimal | None
    interruptible: bool
    observed_at: datetime
    """when the network answered; of a private quote, when it was given"""
    source: str
    mode: SourceMode
    raw_sha256: str


class ProviderEvidence(BaseModel):
    """What is known about a provider that compliance may rely on, as of `observed_at`. Absent means None or empty."""

    model_config = ConfigDict(frozen=True)

    network: str
    provider: str
    provider_name: str
    is_online: bool | None
    is_valid_version: bool | None
    audited_by: tuple[str, ...]
    audited_attributes: tuple[tuple[str, str, str], ...]
    """(key, value, auditor) for every signature: whose signature counts is for compliance to say"""
    country: str | None
    uptime_7d: float | None
    """share of the last seven days, 0 to 1"""
    observed_at: datetime
    raw_sha256: str


class CloudPrice(BaseModel):
    """An on-demand price of a cloud's GPU machine, whole machine and per GPU, with the source and its date."""

    model_config = ConfigDict(frozen=True)

    cloud: str
    instance: str
    gpu: Gpu
    gpu_count: int
    region: str
    usd_per_hour: Decimal
    usd_per_gpu_hour: Decimal
    as_of: str
    source: str
    mode: SourceMode
    raw_sha256: str


class TokenPrice(BaseModel):
    """US dollars for one whole token: what one source says, or what several agree on (`consensus`).

    `published_at` is the source's own time: staleness is judged by it. Of a consensus it is the oldest time among the
    prices it rests on. Only a consensus may be paid by.
    """

    model_config = ConfigDict(frozen=True)

    token: str
    usd: Decimal = Field(gt=0)
    published_at: datetime
    observed_at: datetime
    confidence_usd: Decimal | None = None
    """how far the source itself says it may be off, either way; None when it says nothing"""
    timed: bool = True
    """False when the source states no time: `published_at` is then only when it answered"""
    consensus: bool = False
    used: bool = True
    """False for a price that is kept but does not count, with the `reason`"""
    reason: str = ""
    source: str
    mode: SourceMode
    raw_sha256: str
