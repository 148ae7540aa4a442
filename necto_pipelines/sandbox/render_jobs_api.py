"""Routes of the rendering portal. SIMULATED: Render publishes no such API; see `render_jobs.py`."""

from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.money import plain
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
from necto_pipelines.sandbox.render_jobs import RenderJob
from necto_pipelines.sandbox.world import World


def render_jobs_routes(world: World) -> list[Route]:
    """The routes, relative to the portal's base. No key is asked for: there is no account behind it."""
    portal = world.render_portal

    async def submit(request: Request) -> Response:
        body, now = await json_object(request), world.now()
        client_id, scene = (field(body, (name,), str) for name in ("client_id", "scene"))
        frames, tier = (field(body, (name,), int) for name in ("frames", "tier"))
        portal.advance(now)
        job = portal.submit(client_id, scene, frames, tier, _amount(body, "ob_hours"), now)
        world.save()
        return answer(_row(job), 201)

    async def listing(request: Request) -> Response:
        portal.advance(world.now())
        client_id = request.query_params.get("client_id")
        jobs = [job for job in portal.state.jobs.values() if client_id in (None, job.client_id)]
        return answer({"simulated": True, "jobs": [_row(job) for job in jobs]})

    async def read(request: Request) -> Response:
        portal.advance(world.now())
        return answer(_row(found(request)))

    async def start(request: Request) -> Response:
        now = world.now()
        portal.advance(now)
        job = found(request)
        portal.start(job, now)
        world.save()
        return answer(_row(job))

    async def credit(_: Request) -> Response:
        portal.advance(world.now())
        return answer({"simulated": True, "eur": plain(portal.state.credit_eur)})

    async def top_up(request: Request) -> Response:
        body, now = await json_object(request), world.now()
        portal.advance(now)
        portal.top_up(field(body, ("client_id",), str), _amount(body, "eur"), now)
        world.save()
        return answer({"simulated": True, "eur": plain(portal.state.credit_eur)})

    def found(request: Request) -> RenderJob:
        job = portal.state.jobs.get(request.path_params["job_id"])
        if job is None:
            raise ApiError(404, f"job {request.path_params['job_id']} does not exist")
        return job

    return [
        Route("/v1/jobs", submit, methods=["POST"]),
        Route("/v1/jobs", listing),
        Route("/v1/jobs/{job_id}", read),
        Route("/v1/jobs/{job_id}/start", start, methods=["POST"]),
        Route("/v1/credits", credit),
        Route("/v1/credits", top_up, methods=["POST"]),
    ]


def _row(job: RenderJob) -> dict[str, Any]:
    estimate = job.estimate_eur
    return {
        "simulated": True,
        "id": job.id,
        "client_id": job.client_id,
        "scene": job.scene,
        "frames": job.frames,
        "frames_done": job.frames_done,
        "tier": job.tier,
        "state": job.state,
        "ob_hours": plain(job.ob_hours),
        "estimate_eur": plain(estimate) if estimate is not None else None,
        "spent_eur": plain(job.spent_eur),
        "created_at": rfc3339(job.created_at),
    }


def _amount(body: dict[str, Any], name: str) -> Decimal:
    try:
        return Decimal(field(body, (name,), str))
    except InvalidOperation:
        raise ApiError(400, f"{name}: write a number as text, such as 12.50") from None
