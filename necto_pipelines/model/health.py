"""How leases fare: what a poll showed, the health that follows from it, and what was decided when a lease failed."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from necto_pipelines.model.money import ExactDecimal

NO_ANSWER: Final = "no_answer"
"""state of a lease whose network gave no usable answer to a poll"""


class Health(StrEnum):
    """How a lease fares by its provider's word. Unknown is neither of the first two."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    """the provider says that it does not run, or not all of it"""
    UNKNOWN = "unknown"
    """nothing could be learned: no answer, or the provider said nothing"""
    ENDED = "ended"
    """closed by network or provider, or about to be taken back; final"""


class Telemetry(BaseModel):
    """What one poll of a lease showed."""

    model_config = ConfigDict(frozen=True)

    lease_id: str
    observed_at: datetime
    state: str
    """by the network: `requested`, `active`, `closed`, `failed`; `no_answer` when it did not say"""
    healthy: bool | None
    """None when that could not be learned"""
    latency_ms: int
    """how long the answer took, or how long was waited for one"""
    ready: int | None
    """replicas that run, of all services together"""
    total: int | None
    gpu_use_pct: ExactDecimal | None
    """load of the GPUs, 0 to 100; None where the network does not say"""
    runway_hours: ExactDecimal | None
    """how long what is paid in at the network still lasts; None where nothing is paid in"""
    cost_usd: ExactDecimal
    """what the lease has cost so far, at its binding price"""
    order_cost_usd: ExactDecimal
    """what its whole order has cost so far, earlier leases and conversions included"""
    cap_usd: ExactDecimal
    """the most that order may cost"""
    evidence_at: datetime | None
    """when the newest evidence on the provider was observed; None when the newest evidence does not name it"""
    detail: str
    """why there is no answer; empty otherwise"""


class LeaseHealth(BaseModel):
    """Where a lease's health stands; changes with every change of it, and only then."""

    model_config = ConfigDict(frozen=True)

    lease_id: str
    health: Health
    since: datetime
    """when it was first seen like this"""
    ill_since: datetime | None
    """when it was first seen in any other state than healthy; None while it is healthy"""
    healthy_seconds: int
    """how long it was seen healthy before `since`, in whole seconds"""
    detail: str = ""
    """what showed it"""


class FailoverCause(StrEnum):
    """Why a lease was given up before its time."""

    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    ENDED = "ended_early"
    """closed, reclaimed or run dry at the other side"""
    NOT_COMPLIANT = "not_compliant"
    BUDGET = "budget_exhausted"


class FailureScope(StrEnum):
    """How far a failure reaches: what is not bought from for a while."""

    NETWORK = "network"
    """the whole network gave no answer"""
    PLACE = "place"
    """the region, or the country where no region is known, and the provider's organisation"""


class Failover(BaseModel):
    """The decision to give up one lease. All leases of one joint decision share `failover_id`."""

    model_config = ConfigDict(frozen=True)

    lease_id: str
    failover_id: str
    order_id: str
    attempt: int
    """the attempt of the order that failed"""
    number: int
    """how many-th failover of the order this is, from 1"""
    cause: FailoverCause
    reason: str
    decided_at: datetime
    delivered_hours: ExactDecimal
    """how long the lease was seen healthy: so much of the job counts as done"""
    scope: FailureScope
    network: str
    provider: str
    region: str | None
    country: str | None
    organisation: str | None
