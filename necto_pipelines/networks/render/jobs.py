"""Rendering jobs on Render: SIMULATED. Render publishes no API for them; people use its web portal.

The interface spoken here is ours and stands nowhere but in the sandbox. It keeps to what is documented: scenes are
uploaded, a job is estimated before it starts, credits of one euro are used up while it renders, and a job that runs out
of them pauses until more are added. What a job costs is reckoned in `octanebench.py`.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field

from necto_pipelines.failures import Unavailable, Unknown
from necto_pipelines.fetching import Fetcher
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.reading import read_as

_Eur = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class RenderState(StrEnum):
    """Where a rendering job stands. Terminal: done."""

    UPLOADED = "uploaded"
    ESTIMATED = "estimated"
    QUEUED = "queued"
    RENDERING = "rendering"
    PAUSED_NO_CREDIT = "paused_no_credit"
    """waits for credits; goes on by itself once there are some"""
    DONE = "done"


@dataclass(frozen=True)
class RenderJob:
    """A rendering job as the simulation shows it. Amounts are euros of credit."""

    id: str
    client_id: str
    state: RenderState
    tier: int
    estimate_eur: Decimal | None
    """None before it is estimated"""
    spent_eur: Decimal
    frames_done: int
    raw: RawAnswer


class _WireJob(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str = Field(pattern=r"^[0-9a-z_]{1,64}$")
    client_id: str
    state: RenderState
    tier: int
    estimate_eur: _Eur | None
    spent_eur: _Eur
    frames_done: int = Field(ge=0)


class _WireJobs(BaseModel):
    jobs: tuple[_WireJob, ...]


class _WireCredit(BaseModel):
    eur: _Eur


class RenderJobs:
    """The simulated portal. Raises `Refused`, `Unavailable` or `Unknown`; safe to share between threads."""

    mode: Final = SourceMode.SANDBOX

    def __init__(
        self,
        *,
        base_url: str,
        clock: Clock,
        timeout_s: float = 30.0,
        attempts: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._fetcher = Fetcher(base_url, clock=clock, timeout_s=timeout_s, attempts=attempts, transport=transport)

    def submit(self, client_id: str, *, scene: str, frames: int, tier: int, ob_hours: Decimal) -> RenderJob:
        """Upload a scene as a job; nothing is paid yet. A `client_id` is taken once: after `Unknown`, `find` it."""
        body = {"client_id": client_id, "scene": scene, "frames": frames, "tier": tier, "ob_hours": plain(ob_hours)}
        answer = self._fetcher.change_once("POST", "/v1/jobs", body)
        try:
            return _job(read_as(answer, _WireJob), answer)
        except Unavailable as error:
            raise Unknown(f"{error}; the job may stand all the same") from error

    def find(self, client_id: str) -> RenderJob | None:
        """The job submitted under this id."""
        answer = self._fetcher.get("/v1/jobs", {"client_id": client_id})
        return next((_job(row, answer) for row in read_as(answer, _WireJobs).jobs if row.client_id == client_id), None)

    def job(self, job_id: str) -> RenderJob:
        """The job now."""
        answer = self._fetcher.get(f"/v1/jobs/{job_id}")
        return _job(read_as(answer, _WireJob), answer)

    def start(self, job_id: str) -> RenderJob:
        """Put an estimated job into the queue; it is paid from the credits while it renders. May be repeated.

        `Refused(code="not_estimated")` before the estimate stands.
        """
        answer = self._fetcher.put_again("POST", f"/v1/jobs/{job_id}/start", {})
        return _job(read_as(answer, _WireJob), answer)

    def credit_eur(self) -> Decimal:
        """The credits left, in euros."""
        return read_as(self._fetcher.get("/v1/credits"), _WireCredit).eur

    def top_up(self, client_id: str, eur: Decimal) -> Decimal:
        """Add credits, once for each `client_id`; returns what is left then. May be repeated."""
        answer = self._fetcher.put_again("POST", "/v1/credits", {"client_id": client_id, "eur": plain(eur)})
        return read_as(answer, _WireCredit).eur

    def close_connections(self) -> None:
        """Give back the connections."""
        self._fetcher.close()


def _job(row: _WireJob, answer: RawAnswer) -> RenderJob:
    return RenderJob(
        id=row.id,
        client_id=row.client_id,
        state=row.state,
        tier=row.tier,
        estimate_eur=row.estimate_eur,
        spent_eur=row.spent_eur,
        frames_done=row.frames_done,
        raw=answer,
    )
