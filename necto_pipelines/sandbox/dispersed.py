"""A simulated Dispersed: jobs wait for a machine, get one late and now and then too big a one, run, end and are billed.

What is known of the real network (its documentation and operators' notes, 2026): statuses, billing from creation, late
assignment, bigger machines than asked for, a failed job when no machine is found in time. The delays, how often a
bigger machine comes, and the ledger are made up. Machines are let whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic import BaseModel

from necto_pipelines.sandbox.dispersed_table import Machine, machines, uuid_of
from necto_pipelines.sandbox.seeded import share, whole

ASSIGN_S = (15, 90)
ASSIGNED_S = 5
"""how long a machine is assigned before it begins to fetch the image"""
PREPARING_S = (20, 60)
CANCELLING_S = 2
BIGGER_SHARE = 0.05
_HOUR = timedelta(hours=1)
_MICRO_DOLLAR = Decimal("0.000001")


class DispersedJob(BaseModel):
    """A job with all that happened to it. `spec` is what was posted."""

    uuid: str
    spec: dict[str, Any]
    created_at: datetime
    assign_at: datetime
    """when the scheduler gets to it"""
    offer_id: str = ""
    """the machine it was put onto; empty before"""
    assigned_at: datetime | None = None
    running_at: datetime | None = None
    cancelled_at: datetime | None = None
    ended_at: datetime | None = None
    end: str = ""
    """CANCELLED or FAILED once ended"""


class DispersedState(BaseModel):
    """Every job ever posted, and the switches. `bigger`: the next assignments get a bigger machine where there is one
    (true), or never (false); None leaves it to chance."""

    jobs: dict[str, DispersedJob] = {}
    advanced_to: datetime | None = None
    bigger: bool | None = None


@dataclass(frozen=True)
class Transaction:
    """A row of the ledger; what is paid is below zero."""

    uuid: str
    job_uuid: str
    amount_usd: Decimal
    created_at: datetime


class Dispersed:
    """The scheduler, its machines and its books. `dead` tells by offer whose machines died for the time."""

    def __init__(self, seed: int, state: DispersedState, dead: Callable[[str], bool] = lambda _: False) -> None:
        self._seed = seed
        self._dead = dead
        self.state = state
        self.machines = {machine.offer_id: machine for machine in machines(seed)}

    def advance(self, now: datetime) -> bool:
        """Let everything happen that is due by `now`; machines are freed first. True when a job was moved by it."""
        open_jobs = [job for job in self.state.jobs.values() if job.ended_at is None]
        before = _moments(open_jobs)
        for job in open_jobs:
            if job.offer_id and self._dead(job.offer_id):
                self.fail(job, now)
            elif job.cancelled_at is not None:
                self._end(job, job.cancelled_at + timedelta(seconds=CANCELLING_S), "CANCELLED", now)
        for job in open_jobs:
            if job.cancelled_at is None and job.assigned_at is None and job.assign_at <= now:
                self._assign(job, now)
        self.state.advanced_to = now
        return _moments(open_jobs) != before

    def create(self, spec: dict[str, Any], now: datetime) -> DispersedJob:
        """A new job, waiting for its machine."""
        uuid = uuid_of(self._seed, "job", len(self.state.jobs))
        wait = timedelta(seconds=whole(*ASSIGN_S, self._seed, "assign", uuid))
        job = DispersedJob(uuid=uuid, spec=spec, created_at=now, assign_at=now + wait)
        self.state.jobs[uuid] = job
        return job

    def cancel(self, job: DispersedJob, now: datetime) -> bool:
        """Begin to end a job; False when it has ended, or is ending, already."""
        if job.ended_at is not None or job.cancelled_at is not None:
            return False
        job.cancelled_at = now
        return True

    def fail(self, job: DispersedJob, now: datetime) -> None:
        """What a reclaimed machine and a crashed container look like from outside."""
        if job.ended_at is None:
            self._end(job, now, "FAILED", now)

    def status(self, job: DispersedJob, now: datetime) -> str:
        """The status in the network's words."""
        if job.ended_at is not None:
            return job.end
        if job.cancelled_at is not None:
            return "CANCELLING"
        if job.assigned_at is None or job.running_at is None:
            return "PENDING"
        if now < job.assigned_at + timedelta(seconds=ASSIGNED_S):
            return "ASSIGNED"
        return "PREPARING" if now < job.running_at else "RUNNING"

    def free(self, machine: Machine) -> int:
        """Machines of this shape that nobody uses."""
        if self._dead(machine.offer_id):
            return 0
        used = sum(1 for job in self.state.jobs.values() if job.offer_id == machine.offer_id and job.ended_at is None)
        return machine.nodes - used

    def transactions(self, now: datetime) -> list[Transaction]:
        """The ledger, newest first: each hour begun since creation is booked when it is over, the last part at the end.

        A job is billed from its creation once it got a machine; one that never got any is not.
        """
        rows = [row for job in self.state.jobs.values() for row in self._bookings(job, now)]
        return sorted(rows, key=lambda row: (row.created_at, row.uuid), reverse=True)

    def _bookings(self, job: DispersedJob, now: datetime) -> Iterator[Transaction]:
        if not job.offer_id:
            return
        rate, until = self.machines[job.offer_id].usd_per_hour, job.ended_at or now
        hours, rest = divmod(until - job.created_at, _HOUR)
        for hour in range(1, hours + 1):
            yield self._booking(job, hour, rate, job.created_at + hour * _HOUR)
        if job.ended_at is not None and rest:
            part = rate * (rest // timedelta(microseconds=1)) / 3_600_000_000
            part = part.quantize(_MICRO_DOLLAR, ROUND_HALF_UP)
            yield self._booking(job, hours + 1, part, job.ended_at)

    def _booking(self, job: DispersedJob, number: int, usd: Decimal, at: datetime) -> Transaction:
        return Transaction(uuid_of(self._seed, "booking", job.uuid, number), job.uuid, -usd, at)

    def _assign(self, job: DispersedJob, now: datetime) -> None:
        deadline = job.created_at + timedelta(milliseconds=job.spec["max_timeout_assign_ms"])
        machine = self._pick(job)
        if machine is None:
            self._end(job, deadline, "FAILED", now)
            return
        # A job that found nothing when its turn came is looked at again whenever time moves on.
        in_vain = self.state.advanced_to is not None and self.state.advanced_to >= job.assign_at
        job.assigned_at = now if in_vain else job.assign_at
        job.offer_id = machine.offer_id
        prepare = timedelta(seconds=ASSIGNED_S + whole(*PREPARING_S, self._seed, "prepare", job.uuid))
        job.running_at = job.assigned_at + prepare

    def _pick(self, job: DispersedJob) -> Machine | None:
        """The cheapest free machine of the size asked for; a bigger one by chance, by switch, or for want of others."""
        fit = [machine for machine in self.machines.values() if self.free(machine) and _runs(machine, job.spec)]
        asked = [machine for machine in fit if machine.gpu_count == job.spec["gpu_count"]]
        bigger = [machine for machine in fit if machine.gpu_count > job.spec["gpu_count"]]
        by_chance = share(self._seed, "bigger", job.uuid) < BIGGER_SHARE
        wanted = self.state.bigger if self.state.bigger is not None else by_chance
        if bigger and (wanted or (not asked and self.state.bigger is None)):
            return max(bigger, key=lambda machine: (machine.usd_per_hour, machine.offer_id))
        return min(asked, key=lambda machine: (machine.usd_per_hour, machine.offer_id), default=None)

    def _end(self, job: DispersedJob, at: datetime, how: str, now: datetime) -> None:
        if at <= now:
            job.ended_at, job.end = at, how


def _moments(jobs: list[DispersedJob]) -> list[tuple[datetime | None, datetime | None]]:
    return [(job.assigned_at, job.ended_at) for job in jobs]


def _runs(machine: Machine, spec: dict[str, Any]) -> bool:
    """True when the job fits onto the machine, whatever its size."""
    regions = spec.get("allowed_region_codes")
    return (
        machine.card.registered
        and spec.get("gpu_name") in (None, machine.card.name)
        and machine.card.vram_gib >= (spec.get("min_vram_gb") or 0)
        and machine.cpu_cores >= (spec.get("cpu_count") or 0)
        and machine.ram_gib >= (spec.get("min_ram_gb") or 0)
        and machine.storage_gib >= (spec.get("min_storage_gb") or 0)
        and (not regions or machine.region in regions)
    )
