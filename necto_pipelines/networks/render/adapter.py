"""Dispersed, Render's compute network: the network port over its signed REST API.

A deployment is a job, referred to by its id. Dispersed takes no bids: a job is put onto a machine that its scheduler
picks, later than the create and now and then a bigger one than was asked for. So the one bid of a job is the price its
machine is offered for, and the price is held to when the machine is assigned: a dearer one is given back at once.

What answers look like stands in `wire.py`, what they mean in `catalog.py` and `standing.py`, what is posted in
`request.py` and the signature in `signing.py`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NoReturn

import httpx
from pydantic import SecretStr

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, both, wrong_shape
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import Offer, ProviderEvidence, SourceMode
from necto_pipelines.networks.port import Bid, Deployment, LeaseStatus, Placement
from necto_pipelines.networks.reading import read_as
from necto_pipelines.networks.render.api import DispersedApi
from necto_pipelines.networks.render.auth import DispersedAuth
from necto_pipelines.networks.render.catalog import (
    NATIVE_UNIT,
    NETWORK,
    Shape,
    evidence_of,
    offers_of,
    pool_of,
    shapes_of,
)
from necto_pipelines.networks.render.request import cheapest, content_hash, is_ours, job_of
from necto_pipelines.networks.render.signing import canonical_json
from necto_pipelines.networks.render.standing import (
    ENDED,
    OPEN,
    computed_usd,
    ended_at,
    healthy,
    ledger_usd,
    rate_of,
    state_of,
)
from necto_pipelines.networks.render.wire import WireCreatedJob, WireJob, WireJobs, WireRun

LIVE_URL: Final = "https://api.dispersed.com"
ASSIGN_WAIT_S: Final = 300
"""as long as the job itself lets the scheduler look for a machine"""
CLOSE_WAIT_S: Final = 60
POLL_S: Final = 3


class DispersedNetwork:
    """The Dispersed marketplace. Raises `Refused`, `Unavailable` or `Unknown`; safe to share between threads."""

    name: str = NETWORK
    paid_in: str = "USD"
    binding_bids: bool = False

    def __init__(
        self,
        *,
        base_url: str,
        public_key: str,
        secret_key: SecretStr | None,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        attempts: int = 4,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._clock = clock
        auth = DispersedAuth(public_key, secret_key, clock=clock) if public_key and secret_key else None
        self._api = DispersedApi(
            Fetcher(
                base_url,
                clock=clock,
                auth=auth,
                timeout_s=timeout_s,
                attempts=attempts,
                budget=budget,
                transport=transport,
            )
        )

    def offers(self) -> Listing[Offer]:
        """Every machine on offer whose card jobs can ask for, at list prices; see `catalog.offers_of`."""
        return offers_of(*both(self._api.offers, self._api.registry), mode=self.mode)

    def evidence(self) -> Listing[ProviderEvidence]:
        """The regions that sell now; nothing else is published of who stands behind a machine."""
        return evidence_of(self._api.offers())

    def content_hash(self, placement: Placement) -> str:
        """SHA-256 of what the placement alone decides of a job; see `request.content_of`."""
        return content_hash(placement)

    def request(self, placement: Placement) -> Deployment:
        """Post a job for the cheapest machine on offer that fits, in its region only; billing begins.

        `Refused(code="no_offer")`, and nothing is posted, when none fits below the cap. `Unknown` also when the reply
        came but cannot be read.
        """
        shape = cheapest(self._shapes()[0], placement)
        if shape is None:
            wanted = f"{placement.requirement.gpu.count} x {placement.gpu_family} with {placement.vram_gib} GiB"
            raise Refused(
                f"Dispersed offers no machine with exactly {wanted} for {placement.max_usd_per_hour} USD/hour or less",
                code="no_offer",
            )
        job = job_of(placement, shape)
        answer = self._api.create(job)
        try:
            created = read_as(answer, WireCreatedJob)
        except Unavailable as error:
            raise Unknown(f"{error}; the job may stand all the same") from error
        return Deployment(created.uuid, content_hash(placement), canonical_json(job).decode(), "active", answer)

    def find(self, content_hash: str) -> Sequence[Deployment]:
        """Our jobs with this content that have not ended, newest first, recognised by their title."""
        found: dict[str, Deployment] = {}
        for answer in self._api.open_jobs():
            for job in read_as(answer, WireJobs).data:
                if is_ours(job.title, content_hash):
                    state = "active" if job.status in OPEN else "closed"
                    found.setdefault(job.uuid, Deployment(job.uuid, content_hash, "", state, answer))
        return list(found.values())

    def bids(self, deployment: Deployment) -> Listing[Bid]:
        """One bid as long as the job waits for its machine or has one, none afterwards.

        Before a machine is assigned, it is what the machine asked for is offered at now; then, what the assigned one
        costs. Both bind: `lease` gives back a machine that costs more than its bid.
        """
        job_answer, job = self._api.job(deployment.ref)
        if job.status not in OPEN:
            return Listing((), (job_answer,))
        runs_answer, run = self._api.run(job)
        raw = (job_answer, runs_answer)
        if run is not None:
            rate, region = rate_of(run), _region(job, run)
            if rate is None or region is None:
                reason = "the run does not tell what its machine costs, or where it stands"
                return Listing((), raw, ((run.uuid, reason),))
            return Listing((_bid(job, region, rate, runs_answer),), raw)
        if job.gpu_name is None or job.gpu_count is None or job.allowed_region_codes is None:
            raise wrong_shape(job_answer, ValueError("the job does not repeat which machine was asked for"))
        shapes, pages = self._shapes()
        asked = (job.gpu_name, job.gpu_count)
        same = [
            shape
            for shape in shapes
            if (shape.gpu_name, shape.gpu_count) == asked and shape.region in job.allowed_region_codes
        ]
        best = min(same, key=lambda shape: (shape.usd_per_hour, shape.offer_id), default=None)
        found = (_bid(job, best.region, best.usd_per_hour, best.answer),) if best else ()
        return Listing(found, (*raw, *pages))

    def lease(self, deployment: Deployment, bid: Bid) -> LeaseStatus:
        """Wait until a machine is assigned, and keep it if it is the one agreed on; may be repeated.

        The job is cancelled, and `Refused` raised, with code `price_cap` when the machine costs more than the bid,
        `price_unknown` when its price cannot be learned, `wrong_region` when it stands elsewhere, and `bid_not_open`
        when none was assigned in time or the job has ended. Money spent from creation to cancelling is lost.
        """
        run = self._assigned_run(deployment.ref)
        rate, region = rate_of(run), run.region_code
        if rate is None:
            self._give_back(deployment.ref, "price_unknown", "the run does not tell what it costs")
        if rate > bid.usd_per_hour:
            size = f"{run.hardware_summary.gpu_count} GPUs" if run.hardware_summary else "unknown size"
            why = f"a machine with {size} costs {rate} USD/hour, {bid.usd_per_hour} was agreed on"
            self._give_back(deployment.ref, "price_cap", why)
        if region is not None and pool_of(region) != bid.provider:
            self._give_back(deployment.ref, "wrong_region", f"it stands in {region}, {bid.provider} was agreed on")
        return self.status(deployment.ref)

    def status(self, ref: str) -> LeaseStatus:
        """The job as the network shows it; opened when it was created, because it is billed from then on."""
        answer, job = self._api.job(ref)
        _, run = self._api.run(job)
        region = _region(job, run)
        return LeaseStatus(
            ref=ref,
            provider=pool_of(region) if region else "",
            state=state_of(job),
            healthy=healthy(job, run),
            opened_at=job.created_at,
            closed_at=ended_at(job, run),
            native_amount=rate_of(run) or Decimal(0),
            native_unit=NATIVE_UNIT,
            settled_native=self._settled_usd(answer, job, run),
            raw=answer,
        )

    def close(self, ref: str) -> LeaseStatus:
        """Cancel the job and wait until it has ended, a minute at most; an ended job is left as it is."""
        if self._api.job(ref)[1].status not in ENDED:
            self._api.cancel(ref, "closed by its owner")
        waited = 0
        while (status := self.status(ref)).state not in ("closed", "failed") and waited < CLOSE_WAIT_S:
            self._clock.sleep(POLL_S)
            waited += POLL_S
        return status

    def close_connections(self) -> None:
        """Give back the connections."""
        self._api.close()

    def _shapes(self) -> tuple[list[Shape], list[RawAnswer]]:
        offers, registry = both(self._api.offers, self._api.registry)
        return shapes_of(offers, registry)[0], [*offers, *registry]

    def _assigned_run(self, ref: str) -> WireRun:
        """The run on the job's machine, waited for as long as the scheduler may look for one."""
        waited = 0
        while True:
            _, job = self._api.job(ref)
            if job.status not in OPEN:
                raise Refused(f"job {ref} is {job.status}: no machine can be had for it", code="bid_not_open")
            if job.status != "PENDING" and (run := self._api.run(job)[1]):
                return run
            if waited >= ASSIGN_WAIT_S:
                self._api.cancel(ref, "no machine in time")
                raise Refused(f"job {ref}: no machine was assigned within {waited} s", code="bid_not_open")
            self._clock.sleep(POLL_S)
            waited += POLL_S

    def _give_back(self, ref: str, code: str, why: str) -> NoReturn:
        self._api.cancel(ref, code)
        raise Refused(f"job {ref} was given another machine than agreed on, and was cancelled: {why}", code=code)

    def _settled_usd(self, answer: RawAnswer, job: WireJob, run: WireRun | None) -> Decimal:
        """What the job cost so far: by the ledger once it has booked the end, else by rate and time since creation.

        A job that never had a machine has no rate, and costs what the ledger says or nothing.
        """
        end = ended_at(job, run)
        told = ledger_usd(self._api.transactions(job), job.uuid, ended_at=end) if end else None
        if told is not None:
            return told
        rate = rate_of(run)
        if rate is None:
            return Decimal(0)
        if job.created_at is None:
            raise wrong_shape(answer, ValueError("the job does not say when it was created, and so what it costs"))
        return computed_usd(rate, job.created_at, end or answer.received_at)


def _region(job: WireJob, run: WireRun | None) -> str | None:
    """Where the machine stands by the run's word, else the one region the job was posted for."""
    if run is not None and run.region_code is not None:
        return run.region_code
    asked = job.allowed_region_codes or ()
    return asked[0] if len(asked) == 1 else None


def _bid(job: WireJob, region: str, usd_per_hour: Decimal, answer: RawAnswer) -> Bid:
    return Bid(
        ref=job.uuid,
        provider=pool_of(region),
        state="open",
        native_amount=usd_per_hour,
        native_unit=NATIVE_UNIT,
        # no blocks are counted here
        block_seconds=Decimal(0),
        usd_per_hour=usd_per_hour,
        raw_sha256=answer.sha256,
    )
