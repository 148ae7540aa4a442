"""The sandbox's own controls: what it holds, and switches for what a real network does unasked."""

from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.money import plain
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
from necto_pipelines.sandbox.faults import ACTIONS, Fault
from necto_pipelines.sandbox.feed import TOKENS
from necto_pipelines.sandbox.rail_api import swap_row
from necto_pipelines.sandbox.world import World


def admin_routes(world: World) -> list[Route]:
    """The routes, relative to `/sandbox`."""

    async def health(_: Request) -> Response:
        return answer({"simulated": True, "now": rfc3339(world.now())})

    async def state(_: Request) -> Response:
        world.now()
        return answer(_state(world))

    async def add_fault(request: Request) -> Response:
        world.faults.pending.append(_fault(await json_object(request)))
        return answer({"pending": len(world.faults.pending)}, 201)

    async def clear_faults(_: Request) -> Response:
        world.faults.pending.clear()
        return answer({"pending": 0})

    async def prices(request: Request) -> Response:
        body = await json_object(request)
        now = world.now()
        if "frozen" in body:
            world.feed.freeze(now if field(body, ("frozen",), bool) else None)
        if "token" in body:
            world.feed.fix(field(body, ("token",), str), usd_or_none(body.get("usd")))
        world.save()
        shown = {token: plain(world.feed.usd(token, now)) for token in TOKENS}
        return answer({"usd": shown, "last_updated_at": rfc3339(world.feed.updated_at(now))})

    async def evidence(request: Request) -> Response:
        body = await json_object(request)
        return _switch(world, body, "audited", world.fleet.overrides.audited)

    async def providers(request: Request) -> Response:
        body = await json_object(request)
        return _switch(world, body, "online", world.fleet.overrides.online)

    return [
        Route("/health", health),
        Route("/state", state),
        Route("/faults", add_fault, methods=["POST"]),
        Route("/faults", clear_faults, methods=["DELETE"]),
        Route("/prices", prices, methods=["POST"]),
        Route("/evidence", evidence, methods=["POST"]),
        Route("/providers", providers, methods=["POST"]),
    ]


def _switch(world: World, body: dict[str, Any], name: str, switches: dict[str, bool]) -> Response:
    """Set a switch of one provider. What was due before is let happen first, under the old setting."""
    provider, value = field(body, ("provider",), str), field(body, (name,), bool)
    if world.fleet.get(provider) is None:
        raise ApiError(404, f"provider {provider!r} is not in the sandbox; GET /akash/v1/providers lists them")
    world.now()
    switches[provider] = value
    world.save()
    return answer({"provider": provider, name: value})


def _fault(body: dict[str, Any]) -> Fault:
    fault = Fault(
        method=field(body, ("method",), str).upper(),
        path_prefix=field(body, ("path_prefix",), str),
        action=field(body, ("action",), str),
        status=field({"status": 503} | body, ("status",), int),
        seconds=float(field({"seconds": 30} | body, ("seconds",), Decimal)),
        times=field({"times": 1} | body, ("times",), int),
    )
    if fault.action not in ACTIONS:
        raise ApiError(400, f"action: {fault.action!r} is not allowed; use one of {', '.join(ACTIONS)}")
    if not 400 <= fault.status <= 599 or fault.times < 1 or fault.seconds < 0:
        raise ApiError(400, "status must lie in 400 to 599, times be at least 1 and seconds not negative")
    return fault


def usd_or_none(value: Any) -> Decimal | None:
    """A price from a request's body; `ApiError` 400 when it is no number."""
    if value is None:
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ApiError(400, f"usd: {value!r} is not allowed; write a number such as 0.60") from None


def _state(world: World) -> dict[str, Any]:
    deployments = list(world.chain.deployments())
    return {
        "simulated": True,
        "wallet_uact": world.chain.state.wallet,
        "deployments": [
            item.model_dump(mode="json", exclude={"groups", "services", "bids", "leases"}) for item in deployments
        ],
        "leases": [
            {"dseq": item.dseq} | lease.model_dump(mode="json") for item in deployments for lease in item.leases
        ],
        "swaps": [swap_row(swap) for swap in world.rail.state.swaps.values()],
    }
