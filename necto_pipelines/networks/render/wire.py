"""Dispersed's answers, as far as Necto reads them: extra fields are let through, what is read must be right.

Source: the API's documentation (otoyinc.mintlify.app, 2026) and five clients that follow it. What they do not show is
optional here and named so: where a job runs and what that costs, and the rows of the ledger. What answers mean in our
nouns belongs to `catalog.py` and `standing.py`.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Milliseconds = Annotated[int, Field(ge=0)]
JobStatus = Literal[
    "PENDING", "ASSIGNED", "PREPARING", "RUNNING", "COMPLETED", "FAILING", "FAILED", "CANCELLING", "CANCELLED"
]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class WirePage(_Wire):
    """Any list; the rows are checked one by one."""

    data: list[object]
    total: int = Field(ge=0)


class WireGpuModel(_Wire):
    """A card of a machine, by the name that job specs are matched with."""

    name: str = Field(min_length=1)
    count: int = Field(ge=1)
    min_vram_gib: Amount | None = None
    gpu_registry_uuid: str | None = None


class WireHardware(_Wire):
    """A machine, whole: it is let as it stands."""

    gpu_count: int = Field(ge=0)
    gpu_models: tuple[WireGpuModel, ...]
    cpu_cores: Amount
    ram_gib: Amount
    storage_gib: Amount


class WirePricing(_Wire):
    """US dollars per hour for the whole machine."""

    hourly_rate_usd: Amount


class WireOffer(_Wire):
    """A row of `GET /v1/compute/offers`. Its `availability` is empty in the documentation, and is not read."""

    offer_id: str = Field(pattern=r"^[0-9A-Za-z_-]+$")
    region_code: str = Field(pattern=r"^[0-9A-Za-z]+(-[0-9A-Za-z]+)+$")
    """`us-east-1`: it names the pool and its country, so a placeholder must not pass for one"""
    hardware_summary: WireHardware
    pricing: WirePricing


class WireRegistryGpu(_Wire):
    """A row of `GET /v1/gpu-registry`: a card that job specs can ask for. Clients show its id only."""

    uuid: str = Field(min_length=1)


class WireCreatedJob(_Wire):
    """The answer to `POST /v1/jobs`, as far as it must be understood to find the job again."""

    uuid: str = Field(pattern=r"^[0-9A-Za-z-]{1,64}$")
    """put into paths, so nothing but an id is let through"""


class WireJob(WireCreatedJob):
    """A job. Only `uuid`, `status` and `title` are certain; what was posted is read back where it is echoed."""

    status: JobStatus
    title: str | None = None
    gpu_name: str | None = None
    gpu_count: int | None = None
    allowed_region_codes: tuple[str, ...] | None = None
    created_at: AwareDatetime | None = None
    """billing begins here; ISO text or milliseconds"""
    ended_at_ms: Milliseconds | None = None


class WireJobs(_Wire):
    """A page of `GET /v1/jobs`: a row that cannot be read might be the one looked for, so all must fit."""

    data: tuple[WireJob, ...]
    total: int = Field(ge=0)


class WireNodeUrl(_Wire):
    """Where a published port can be reached; `description` is the port inside the container."""

    description: str
    hostname: str
    port: int


class WireRun(_Wire):
    """A run of a job on a machine. The last three fields were not seen by any client."""

    uuid: str
    job_uuid: str
    status: JobStatus
    ended_at_ms: Milliseconds | None = None
    node_urls: tuple[WireNodeUrl, ...] | None = None
    region_code: str | None = None
    hardware_summary: WireHardware | None = None
    pricing: WirePricing | None = None


class WireRuns(_Wire):
    """`GET /v1/job-runs` of one job, newest first."""

    data: tuple[WireRun, ...]


class WireTransaction(_Wire):
    """A row of `GET /v1/compute/ledger/transactions`; no client shows one, so this shape is a guess and may not fit.

    `amount_usd` is signed: what a job costs leaves the account, below zero.
    """

    job_uuid: str | None
    amount_usd: Annotated[Decimal, Field(allow_inf_nan=False)]
    created_at: AwareDatetime


class WireTransactions(_Wire):
    """A page of the ledger, newest first."""

    data: tuple[WireTransaction, ...]
    total: int = Field(ge=0)
