"""The sandbox's own controls: what it holds, and switches for what a real network does unasked.

Failures are ordered at routes of their own (`fault_routes.py`).
"""

from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.money import plain
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
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
