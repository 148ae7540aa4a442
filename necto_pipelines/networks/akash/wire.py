"""The Console API's answers, as far as Necto reads them: extra fields are let through, what is read must be right.

Source: the API's OpenAPI description and recorded answers (reference of 2026-11-22). Amounts and heights come as text;
`stats` counts CPU in millicores and memory and storage in bytes. What the answers mean in our nouns belongs to
`catalog.py` and `standing.py`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from necto_pipelines.fetching import read_json, wrong_shape
from necto_pipelines.model.answer import RawAnswer

Shape = TypeVar("Shape", bound=BaseModel)
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

    owner: str = Field(min_length=1)
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
    """`transferred` is what providers have been paid in all, one amount per denomination."""

    state: str
    transferred: tuple[WireCoin, ...]


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


def read_as(answer: RawAnswer, shape: type[Shape]) -> Shape:
    """The answer in this shape. `Unavailable` when it is not JSON or not of the shape."""
    try:
        return shape.model_validate(read_json(answer))
    except ValidationError as error:
        raise wrong_shape(answer, ValueError(first_fault(error))) from error


def read_list(answer: RawAnswer) -> list[object]:
    """The items of an answer that is a bare array. `Unavailable` when it is none."""
    try:
        return TypeAdapter(list[object]).validate_python(read_json(answer), strict=True)
    except ValidationError as error:
        raise wrong_shape(answer, ValueError(first_fault(error))) from error


def read_rows(
    answer: RawAnswer, items: Sequence[object], shape: type[Shape]
) -> tuple[list[Shape], list[tuple[str, str]]]:
    """The items of this shape, and what had to be set aside as (what, reason).

    One odd row does not take the list away; when no row fits, the format has moved and `Unavailable` is raised.
    """
    rows: list[Shape] = []
    faulty: list[tuple[str, str]] = []
    for number, item in enumerate(items):
        try:
            rows.append(shape.model_validate(item))
        except ValidationError as error:
            faulty.append((_label(item, number), f"unexpected shape: {first_fault(error)}"))
    if faulty and not rows:
        raise wrong_shape(answer, ValueError(f"none of {len(faulty)} rows fits; {': '.join(faulty[0])}"))
    return rows, faulty


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, on one line and without the values."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc']) or 'answer'}: {fault['msg']}"


def _label(item: object, number: int) -> str:
    """A name for a row that could not be read."""
    if isinstance(item, dict):
        for field in ("owner", "model"):
            if isinstance(item.get(field), str):
                return str(item[field])
    return f"row {number}"
