"""Routes of the simulated Dispersed, relative to the API's base.

Shapes: the API's documentation (otoyinc.mintlify.app, 2026) and clients that follow it. Not seen anywhere, and ours:
`region_code`, `hardware_summary` and `pricing` of a run, `ended_at_ms` of a job, rows of the registry but for their id,
rows of the ledger, the words of errors, and everything below `/sandbox`, which no real service has.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
from necto_pipelines.sandbox.dispersed import DispersedJob
from necto_pipelines.sandbox.dispersed_access import Gate
from necto_pipelines.sandbox.dispersed_table import CARDS, Machine, card_uuid, uuid_of
from necto_pipelines.sandbox.seeded import whole
from necto_pipelines.sandbox.world import World

LARGEST_PAGE = 50
_LEAST_MS = {"max_timeout_assign_ms": 300_000, "max_timeout_start_ms": 120_000}


def dispersed_routes(world: World) -> list[Route]:
    """The routes, relative to the API's base."""
    gate, api = Gate(world.now), _Api(world)
    signed: list[tuple[str, str, Callable[[Request], Any]]] = [
        ("GET", "/v1/compute/offers", api.offers),
        ("GET", "/v1/gpu-registry", api.registry),
        ("POST", "/v1/jobs", api.create),
        ("GET", "/v1/jobs", api.jobs),
        ("GET", "/v1/jobs/{uuid}", api.job),
        ("PUT", "/v1/jobs/{uuid}/cancel", api.cancel),
        ("GET", "/v1/job-runs", api.runs),
        ("GET", "/v1/compute/ledger/transactions", api.ledger),
    ]
    return [
        *(Route(path, gate.guarded(handler), methods=[method]) for method, path, handler in signed),
        Route("/sandbox/switches", api.switch, methods=["POST"]),
    ]


class _Api:
    """The calls on one world. Time passes first, then the call is answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dispersed = world.dispersed

    async def offers(self, request: Request) -> Response:
        now, query = self._now(), request.query_params
        rows = [
            _offer(machine, now)
            for machine in self._dispersed.machines.values()
            if self._dispersed.free(machine)
            and query.get("filter[gpu_name]") in (None, machine.card.name)
            and query.get("filter[gpu_count]") in (None, str(machine.gpu_count))
            and machine.card.vram_gib >= _number(query.get("filter[min_vram_gb]"), 0)
        ]
        return _page(request, rows)

    async def registry(self, request: Request) -> Response:
        self._now()
        least = _number(request.query_params.get("filter[min_vram_gb]"), 0)
        cards = [card for card in CARDS if card.registered and card.vram_gib >= least]
        rows = [
            {"object": "gpu", "uuid": card_uuid(card), "name": card.name, "vram_gb": card.vram_gib} for card in cards
        ]
        return _page(request, rows)

    async def create(self, request: Request) -> Response:
        spec = _job_spec(await json_object(request))
        now = self._now()
        job = self._dispersed.create(spec, now)
        self._world.save()
        return answer(self._job_row(job, now), 201)

    async def jobs(self, request: Request) -> Response:
        now = self._now()
        wanted = request.query_params.get("filter[status]")
        rows = [self._job_row(job, now) for job in self._dispersed.state.jobs.values()]
        rows = [row for row in rows if wanted is None or row["status"] in wanted.split(",")]
        return _page(request, _by_creation(request, rows))

    async def job(self, request: Request) -> Response:
        now = self._now()
        return answer(self._job_row(self._found(request.path_params["uuid"]), now))

    async def cancel(self, request: Request) -> Response:
        field(await json_object(request), ("reason",), str)
        now, job = self._now(), self._found(request.path_params["uuid"])
        if not self._dispersed.cancel(job, now):
            raise ApiError(409, f"job {job.uuid} is {self._dispersed.status(job, now)}", code="job_not_cancellable")
        self._world.save()
        return answer(self._job_row(job, now))

    async def runs(self, request: Request) -> Response:
        now, wanted = self._now(), request.query_params.get("filter[job_uuid]")
        jobs = [job for job in self._dispersed.state.jobs.values() if job.offer_id and wanted in (None, job.uuid)]
        return _page(request, _by_creation(request, [self._run_row(job, now) for job in jobs]))

    async def ledger(self, request: Request) -> Response:
        rows = [
            {
                "object": "transaction",
                "uuid": row.uuid,
                "type": "JOB_CHARGE",
                "job_uuid": row.job_uuid,
                "amount_usd": float(row.amount_usd),
                "created_at": rfc3339(row.created_at),
            }
            for row in self._dispersed.transactions(self._now())
        ]
        return _page(request, rows)

    async def switch(self, request: Request) -> Response:
        """`{"bigger": true|false|null}` and `{"fail_job": uuid}`; unsigned, because only tests and people use it."""
        body, now = await json_object(request), self._now()
        if "bigger" in body:
            self._dispersed.state.bigger = None if body["bigger"] is None else field(body, ("bigger",), bool)
        if "fail_job" in body:
            self._dispersed.fail(self._found(field(body, ("fail_job",), str)), now)
        self._world.save()
        return answer({"simulated": True, "bigger": self._dispersed.state.bigger})

    def _now(self) -> datetime:
        now = self._world.now()
        if self._dispersed.advance(now):
            self._world.save()
        return now

    def _found(self, uuid: str) -> DispersedJob:
        if uuid not in self._dispersed.state.jobs:
            raise ApiError(404, f"job {uuid} does not exist", code="job_not_found")
        return self._dispersed.state.jobs[uuid]

    def _job_row(self, job: DispersedJob, now: datetime) -> dict[str, Any]:
        return job.spec | {
            "object": "job",
            "uuid": job.uuid,
            "status": self._dispersed.status(job, now),
            "created_at": rfc3339(job.created_at),
            "ended_at_ms": _ms(job.ended_at),
        }

    def _run_row(self, job: DispersedJob, now: datetime) -> dict[str, Any]:
        machine, status = self._dispersed.machines[job.offer_id], self._dispersed.status(job, now)
        started = job.running_at if job.running_at and job.running_at <= (job.ended_at or now) else None
        ports = job.spec["parameters"]["parameters"].get("ports", [])
        return {
            "object": "job_run",
            "uuid": uuid_of("run", job.uuid),
            "job_uuid": job.uuid,
            "status": status,
            "created_at": rfc3339(job.assigned_at or job.created_at),
            "started_at_ms": _ms(started),
            "ended_at_ms": _ms(job.ended_at),
            "duration_ms": (_ms(job.ended_at) or 0) - (_ms(started) or 0) if started and job.ended_at else None,
            "node_urls": [_node_url(job, port) for port in ports] if status == "RUNNING" else [],
            "region_code": machine.region,
            "hardware_summary": _hardware(machine),
            "pricing": {"hourly_rate_usd": float(machine.usd_per_hour)},
        }


def _offer(machine: Machine, now: datetime) -> dict[str, Any]:
    return {
        "offer_id": machine.offer_id,
        "region_code": machine.region,
        "availability": {},
        "hardware_summary": _hardware(machine),
        "pricing": {"hourly_rate_usd": float(machine.usd_per_hour), "quoted_at": rfc3339(now)},
    }


def _hardware(machine: Machine) -> dict[str, Any]:
    card = machine.card
    model = {
        "name": card.name,
        "count": machine.gpu_count,
        "min_vram_gib": card.vram_gib,
        "gpu_registry_uuid": card_uuid(card),
    }
    return {
        "gpu_count": machine.gpu_count,
        "gpu_model_label": card.name,
        "gpu_registry_uuid": card_uuid(card),
        "gpu_models": [model],
        "min_gpu_vram_gib": card.vram_gib,
        "cpu_cores": machine.cpu_cores,
        "ram_gib": machine.ram_gib,
        "storage_gib": machine.storage_gib,
    }


def _node_url(job: DispersedJob, port: int) -> dict[str, Any]:
    host = f"n{whole(1, 999, 'node', job.uuid)}.dispersed.sandbox.example"
    return {
        "description": str(port),
        "hostname": host,
        "port": whole(30_000, 42_000, job.uuid, port),
        "protocol": "tcp",
        "tls": False,
    }


def _job_spec(body: dict[str, Any]) -> dict[str, Any]:
    """The job as it was posted, once it is what the documentation asks for."""
    field(body, ("title",), str)
    for path in (("parameters", "parameters", "image"), ("parameters", "parameters", "tag")):
        field(body, path, str)
    task, longest, count = field(body, ("task",), str), body.get("max_timeout_run_ms"), field(body, ("gpu_count",), int)
    if (task, longest is None) not in {("PERSISTENT", True), ("BATCH", False)} or (longest or 60_000) < 60_000:
        raise ApiError(400, "BATCH needs max_timeout_run_ms of 60000 or more, PERSISTENT null", code="invalid_task")
    for name, least in _LEAST_MS.items():
        if field({name: least} | body, (name,), int) < least:
            raise ApiError(400, f"{name} must be {least} or more", code="invalid_timeout")
    card = body.get("gpu_name")
    if count < 1 or card not in (None, *(known.name for known in CARDS if known.registered)):
        raise ApiError(400, f"no GPU {card!r} in the registry, or none asked for", code="gpu_not_found")
    return _LEAST_MS | body


def _page(request: Request, rows: Sequence[Any]) -> Response:
    limit, page = (_number(request.query_params.get(name), low) for name, low in (("limit", 20), ("page", 1)))
    if not 1 <= limit <= LARGEST_PAGE or page < 1:
        raise ApiError(400, f"limit lies in 1 to {LARGEST_PAGE}, page begins at 1", code="invalid_page")
    start = (page - 1) * limit
    return answer({"data": rows[start : start + limit], "page": page, "limit": limit, "total": len(rows)})


def _by_creation(request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    newest_first = request.query_params.get("sort", "-created_at").startswith("-")
    return sorted(rows, key=lambda row: (row["created_at"], row["uuid"]), reverse=newest_first)


def _number(text: str | None, default: int) -> int:
    if text is not None and not text.isdecimal():
        raise ApiError(400, f"{text!r} is not a whole number", code="invalid_query")
    return int(text) if text is not None else default


def _ms(moment: datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None
