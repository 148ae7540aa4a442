"""The Console API's answers, as far as Necto reads them: extra fields are let through, what is read must be right.

Source: the API's OpenAPI description and recorded answers (reference of 2026-11-22). Amounts and heights come as text;
`stats` counts CPU in millicores and memory and storage in bytes. What the answers mean in our nouns belongs to
`catalog.py` and `standing.py`.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from necto_pipelines.fetching import read_json, wrong_shape
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.networks.reading import first_fault

Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Height = Annotated[int, Field(ge=0)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class WireGpu(_Wire):
    """A GPU model in the network's words; the four together name it in every list."""

    vendor: str
    model: str
    ram: str
    interface: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The same in lower case: what prices and providers are joined on."""
        return self.vendor.lower(), self.model.lower(), self.ram.lower(), self.interface.lower()


class WirePrice(_Wire):
    """US dollars per GPU and hour over the providers of a model."""

    weighted_average: Amount = Field(alias="weightedAverage")


class WireGpuPrice(WireGpu):
    """A model's list price; None when nobody bid on it for a month."""

    price: WirePrice | None
    own_bids: tuple[object, ...] = Field(default=(), alias="providersWithBestBid")
    """with `debug=true`: the best bid of each provider; checked one by one"""


class WireBidGpu(_Wire):
    """The GPU that a bid was for."""

    ram: str | None = None


class WireBidOrder(_Wire):
    """The order that was bid on."""

    gpus: tuple[WireBidGpu, ...]


class WireBestBid(_Wire):
    """A bid of the last month, in US dollars per hour for everything that was ordered."""

    hourly_price: Amount = Field(alias="hourlyPrice")
    at: AwareDatetime = Field(alias="datetime")
    deployment: WireBidOrder


class WireOwner(_Wire):
    """A provider by its address."""

    owner: str = Field(min_length=1)


class WireOwnBid(_Wire):
    """A provider and the bid that tells most about its price."""

    provider: WireOwner
    best: WireBestBid = Field(alias="bestBid")


class WireGpuPrices(_Wire):
    """`GET /v1/gpu-prices`; the rows are checked one by one."""

    models: list[object]


class WireLevel(_Wire):
    """How much of a resource nobody uses."""

    available: Decimal


class WireStorage(_Wire):
    """Scratch disk; persistent storage is another product."""

    ephemeral: WireLevel


class WireStats(_Wire):
    """What a provider has free."""

    cpu: WireLevel
    gpu: WireLevel
    memory: WireLevel
    storage: WireStorage


class WireAttribute(_Wire):
    """What a provider says of itself, and who signed that."""

    key: str
    value: str
    audited_by: tuple[str, ...] = Field(default=(), alias="auditedBy")


class WireProvider(_Wire):
    """A row of `GET /v1/providers`."""

    owner: str = Field(pattern="^[0-9a-z-]+$")
    name: str | None = None
    host_uri: str | None = Field(default=None, alias="hostUri")
    is_online: bool | None = Field(default=None, alias="isOnline")
    is_valid_version: bool | None = Field(default=None, alias="isValidVersion")
    uptime_7d: float | None = Field(default=None, alias="uptime7d", ge=0, le=1)
    ip_country_code: str | None = Field(default=None, alias="ipCountryCode")
    ip_region: str | None = Field(default=None, alias="ipRegion")
    location_region: str | None = Field(default=None, alias="locationRegion")
    gpu_models: tuple[WireGpu, ...] = Field(default=(), alias="gpuModels")
    attributes: tuple[WireAttribute, ...] = ()
    stats: WireStats | None = None


class WireBlock(_Wire):
    """A block, from `GET /v1/blocks` or `/v1/blocks/{height}`."""

    height: Height
    datetime: AwareDatetime


class WireSignedTransaction(_Wire):
    """The chain's word on a transaction; only code 0 took effect."""

    code: int
    raw_log: str = Field(default="", alias="rawLog")


class WireCreated(_Wire):
    """`data` of the answer to `POST /v1/deployments`."""

    dseq: str = Field(pattern=r"^\d+$")
    manifest: str
    transaction: WireSignedTransaction = Field(alias="signTx")


class WireCreatedAnswer(_Wire):
    """`POST /v1/deployments`."""

    data: WireCreated


class WireCoin(_Wire):
    """An amount in a denomination."""

    denom: str
    amount: Amount


class WireLeaseId(_Wire):
    """What names a bid, and the lease made of it."""

    dseq: str
    gseq: int
    oseq: int
    provider: str


class WireBid(_Wire):
    """A provider's price for the whole group, per block."""

    id: WireLeaseId
    state: Literal["open", "active", "lost", "closed"]
    price: WireCoin


class WireBidRow(_Wire):
    """A bid beside its escrow account."""

    bid: WireBid


class WireBids(_Wire):
    """`GET /v1/bids`; the rows are checked one by one."""

    data: list[object]


class WireDeploymentId(_Wire):
    """A deployment's number at its owner."""

    dseq: str = Field(pattern=r"^\d+$")


class WireDeployment(_Wire):
    """A deployment; `hash` is that of its manifest."""

    id: WireDeploymentId
    state: Literal["active", "closed"]
    hash: str


class WireService(_Wire):
    """A service as its provider runs it now."""

    replicas: int = Field(ge=0)
    ready_replicas: int = Field(ge=0)


class WireLiveStatus(_Wire):
    """What the provider itself reports of a lease."""

    services: dict[str, WireService]


class WireLease(_Wire):
    """A lease; `closed_on` is 0 while it runs."""

    id: WireLeaseId
    state: Literal["active", "insufficient_funds", "closed", "reclaiming"]
    price: WireCoin
    created_at: Height
    closed_on: Height
    status: WireLiveStatus | None = None


class WireEscrowState(_Wire):
    """`transferred` is what providers have been paid in all, `funds` what is left, one amount per denomination.

    Both are as of the last settlement, which may be a day ago: together they are what was paid in.
    """

    state: str
    transferred: tuple[WireCoin, ...]
    funds: tuple[WireCoin, ...] = ()


class WireEscrow(_Wire):
    """The account a deployment is paid from."""

    state: WireEscrowState


class WireStanding(_Wire):
    """A deployment with its leases and its money."""

    deployment: WireDeployment
    leases: tuple[WireLease, ...]
    escrow_account: WireEscrow


class WireStandingAnswer(_Wire):
    """`GET /v1/deployments/{dseq}` and `POST /v1/leases`."""

    data: WireStanding


class WireListedDeployment(_Wire):
    """A row of the list of deployments."""

    deployment: WireDeployment


class WirePagination(_Wire):
    """Where a page stands in its list."""

    has_more: bool = Field(alias="hasMore")


class WireDeploymentPage(_Wire):
    """`data` of `GET /v1/deployments`."""

    deployments: tuple[WireListedDeployment, ...]
    pagination: WirePagination


class WireDeploymentsAnswer(_Wire):
    """`GET /v1/deployments`."""

    data: WireDeploymentPage


def read_list(answer: RawAnswer) -> list[object]:
    """The items of an answer that is a bare array. `Unavailable` when it is none."""
    try:
        return TypeAdapter(list[object]).validate_python(read_json(answer), strict=True)
    except ValidationError as error:
        raise wrong_shape(answer, ValueError(first_fault(error))) from error
