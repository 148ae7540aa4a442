"""Simulated rendering jobs: uploaded, estimated, queued, rendering, paused for want of credits, done.

No such API exists. Documented are the tiers' rates (know.rendernetwork.com: one euro buys 100 OctaneBench-hours in tier
2 and 200 in tier 3), the estimate before the start, and the pause when credits run out. How fast tiers render, how long
queues are, and how far a job strays from its estimate is made up.
"""

from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from pydantic import BaseModel

from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.sandbox.answers import ApiError
from necto_pipelines.sandbox.seeded import digest, whole

OB_HOURS_PER_EUR = {2: 100, 3: 200}
OB_SPEED = {2: 6000, 3: 2000}
"""OctaneBench score of all nodes that work on one job at once"""
QUEUE_S = {2: 60, 3: 900}
ESTIMATE_S = 30
STRAY_PERCENT = (90, 125)
"""what a job really takes, as a share of what was estimated"""
_NANO = Decimal("0.000000001")


class RenderJob(BaseModel):
    """A job. `progress_at` is up to when its rendering was reckoned."""

    id: str
    client_id: str
    scene: str
    frames: int
    tier: int
    ob_hours: ExactDecimal
    total_ob_hours: ExactDecimal
    created_at: datetime
    state: str = "uploaded"
    progress_at: datetime
    rendered_ob_hours: ExactDecimal = Decimal(0)

    @property
    def rate(self) -> int:
        """OctaneBench-hours that one euro buys."""
        return OB_HOURS_PER_EUR[self.tier]

    @property
    def estimate_eur(self) -> Decimal | None:
        """Rounded up to the cent; None before it was made."""
        if self.state == "uploaded":
            return None
        return (self.ob_hours / self.rate).quantize(Decimal("0.01"), ROUND_CEILING)

    @property
    def spent_eur(self) -> Decimal:
        """Credits used up so far."""
        return self.rendered_ob_hours / self.rate

    @property
    def frames_done(self) -> int:
        """Whole frames rendered."""
        return int(self.frames * self.rendered_ob_hours / self.total_ob_hours)


class RenderJobsState(BaseModel):
    """Jobs by id, credits in euros, and which top-ups were made."""

    jobs: dict[str, RenderJob] = {}
    credit_eur: ExactDecimal = Decimal(0)
    top_ups: list[str] = []


class RenderPortal:
    """Renders jobs at the speed of their tier as long as there are credits; older jobs take theirs first."""

    def __init__(self, seed: int, state: RenderJobsState) -> None:
        self._seed = seed
        self.state = state

    def advance(self, now: datetime) -> None:
        """Let everything happen that is due by `now`."""
        for job in self.state.jobs.values():
            if job.state == "uploaded" and job.created_at + timedelta(seconds=ESTIMATE_S) <= now:
                job.state = "estimated"
            if job.state == "queued" and job.progress_at <= now:
                job.state = "rendering"
            if job.state == "rendering":
                self._render(job, now)

    def submit(self, client_id: str, scene: str, frames: int, tier: int, ob_hours: Decimal, now: datetime) -> RenderJob:
        """A new job; 409 when `client_id` was used before, 400 when the tier or a figure is not allowed."""
        if any(job.client_id == client_id for job in self.state.jobs.values()):
            raise ApiError(409, f"client_id {client_id!r} was used before", code="duplicate_client_id")
        if tier not in OB_HOURS_PER_EUR:
            raise ApiError(400, f"tier {tier} cannot be bought; 2 and 3 can", code="tier_not_released")
        if not ob_hours.is_finite() or ob_hours <= 0 or frames < 1:
            raise ApiError(400, "ob_hours and frames must be above 0", code="invalid_size")
        percent = whole(*STRAY_PERCENT, self._seed, "stray", client_id)
        job = RenderJob(
            id=f"rj_{digest(self._seed, 'render', client_id).hex()[:20]}",
            client_id=client_id,
            scene=scene,
            frames=frames,
            tier=tier,
            ob_hours=ob_hours,
            total_ob_hours=ob_hours * percent / 100,
            created_at=now,
            progress_at=now,
        )
        self.state.jobs[job.id] = job
        return job

    def start(self, job: RenderJob, now: datetime) -> None:
        """Into the queue; 409 before the estimate. A job that was started already is left as it is."""
        if job.state == "uploaded":
            raise ApiError(409, f"job {job.id} is not estimated yet", code="not_estimated")
        if job.state == "estimated":
            job.state, job.progress_at = "queued", now + timedelta(seconds=QUEUE_S[job.tier])

    def top_up(self, client_id: str, eur: Decimal, now: datetime) -> None:
        """Add credits once for each `client_id`; paused jobs go on."""
        if not eur.is_finite() or eur <= 0:
            raise ApiError(400, f"eur: {eur} is not allowed; a positive amount is needed", code="invalid_amount")
        if client_id in self.state.top_ups:
            return
        self.state.top_ups.append(client_id)
        self.state.credit_eur += eur
        for job in self.state.jobs.values():
            if job.state == "paused_no_credit":
                job.state, job.progress_at = "rendering", now

    def _render(self, job: RenderJob, now: datetime) -> None:
        hours = Decimal((now - job.progress_at) // timedelta(microseconds=1)) / 3_600_000_000
        left = job.total_ob_hours - job.rendered_ob_hours
        due = min(left, (hours * OB_SPEED[job.tier]).quantize(_NANO, ROUND_HALF_UP))
        done = min(due, self.state.credit_eur * job.rate)
        job.rendered_ob_hours += done
        self.state.credit_eur -= done / job.rate
        job.progress_at = now
        if done == left:
            job.state = "done"
        elif done < due or not self.state.credit_eur:
            job.state = "paused_no_credit"
