"""The chain's REST answers, as far as Necto reads them: extra fields are let through, what is read must be right.

Source: akash-network/chain-sdk, proto/node/akash (provider v1beta4, audit v1, market v1beta5, oracle v2, bme v1),
written as JSON by the chain's gateway: whole numbers beyond 32 bits and decimals come as text. What the answers mean
belongs to `chain.py`.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Height = Annotated[int, Field(ge=0)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class WireHeader(_Wire):
    """Head of a block."""

    height: Annotated[int, Field(gt=0)]


class WireHeadBlock(_Wire):
    """A block."""

    header: WireHeader


class WireHead(_Wire):
    """`GET /cosmos/base/tendermint/v1beta1/blocks/latest`."""

    block: WireHeadBlock


class WireNext(_Wire):
    """Where a list goes on; None or empty when it ends. Its `total` is not reliable and not read."""

    next_key: str | None


class WirePage(_Wire):
    """A page of a list; its rows are checked one by one."""

    rows: list[object]
    pagination: WireNext


class WireProvidersPage(WirePage):
    """A page of providers, or of what auditors signed for them."""

    rows: list[object] = Field(alias="providers")


class WireLeasesPage(WirePage):
    """A page of leases."""

    rows: list[object] = Field(alias="leases")


class WirePair(_Wire):
    """An attribute."""

    key: str
    value: str


class WireRegistered(_Wire):
    """A provider as it registered itself."""

    owner: str = Field(min_length=1)
    host_uri: str
    attributes: tuple[WirePair, ...]


class WireAudit(_Wire):
    """What one auditor signed for one provider."""

    owner: str = Field(min_length=1)
    auditor: str = Field(min_length=1)
    attributes: tuple[WirePair, ...]


class WireChainLeaseId(_Wire):
    """What names a lease."""

    owner: str
    dseq: str
    gseq: int
    oseq: int
    provider: str


class WireChainCoin(_Wire):
    """An amount in a denomination."""

    denom: str
    amount: Amount


class WireChainLease(_Wire):
    """A lease; `closed_on` is 0 while it runs."""

    id: WireChainLeaseId
    state: Literal["active", "insufficient_funds", "closed", "reclaiming"]
    price: WireChainCoin
    created_at: Height
    closed_on: Height
    reason: str = ""


class WireLeaseRow(_Wire):
    """A lease beside its escrow payment."""

    lease: WireChainLease


class WireAggregate(_Wire):
    """The oracle's figures over its sources."""

    denom: str
    twap: Amount
    median_price: Amount
    min_price: Amount
    max_price: Amount
    timestamp: AwareDatetime
    num_sources: int
    deviation_bps: int


class WirePriceHealth(_Wire):
    """Whether the chain itself trusts its price."""

    is_healthy: bool
    failure_reason: tuple[str, ...] = ()


class WireOraclePrice(_Wire):
    """`GET /akash/oracle/v2/aggregated_price/{denom}`."""

    aggregated_price: WireAggregate
    price_health: WirePriceHealth


class WireMintStatus(_Wire):
    """`GET /akash/bme/v1/status`."""

    status: str
    collateral_ratio: Amount
    warn_threshold: Amount
    halt_threshold: Amount
    mints_allowed: bool
    refunds_allowed: bool
