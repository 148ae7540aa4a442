"""Routes of the simulated rail. Its interface is ours: see `rail.py` for what it stands for."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
from necto_pipelines.sandbox.rail import Swap
from necto_pipelines.sandbox.world import World


def rail_routes(world: World) -> list[Route]:
    """The routes, relative to the rail's base."""

    async def execute(request: Request) -> Response:
        body = await json_object(request)
        client_id, from_asset, to_asset = (
            field(body, (name,), str) for name in ("client_id", "from_asset", "to_asset")
        )
        if not 1 <= len(client_id) <= 200:
            raise ApiError(400, f"client_id: {len(client_id)} characters are not allowed; use 1 to 200")
        now = world.now()
        swap = world.rail.swap(client_id, from_asset, to_asset, field(body, ("from_units",), int), now)
        if swap.to_asset == "ACT":
            world.chain.credit(swap.to_units)
        world.save()
        return answer(swap_row(swap), 201)

    async def listing(request: Request) -> Response:
        client_id = request.query_params.get("client_id")
        swaps = [swap for swap in world.rail.state.swaps.values() if client_id in (None, swap.client_id)]
        return answer({"swaps": [swap_row(swap) for swap in swaps]})

    return [Route("/v1/swaps", execute, methods=["POST"]), Route("/v1/swaps", listing)]


def swap_row(swap: Swap) -> dict[str, Any]:
    """A swap as the rail answers it."""
    return {
        "id": swap.id,
        "client_id": swap.client_id,
        "state": "executed",
        "from_asset": swap.from_asset,
        "from_units": swap.from_units,
        "to_asset": swap.to_asset,
        "to_units": swap.to_units,
        "fee_units": swap.fee_units,
        "executed_at": rfc3339(swap.executed_at),
    }
