"""The sandbox as one ASGI app: every simulated service below its own path.

/akash       Akash Console API          base URL of the network's adapter
/coingecko   token prices               base URL of the price oracle
/rail        simulated swaps            base URL of the rail
/sandbox     switches for tests and demonstrations; nothing of the kind exists at a real service
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from necto_pipelines.model.clock import Clock
from necto_pipelines.sandbox.admin import admin_routes
from necto_pipelines.sandbox.akash_managed import ManagedApi
from necto_pipelines.sandbox.akash_public import public_routes
from necto_pipelines.sandbox.answers import ApiError, on_api_error, on_http_error
from necto_pipelines.sandbox.coingecko import coingecko_routes
from necto_pipelines.sandbox.faults import FaultMiddleware
from necto_pipelines.sandbox.rail_api import rail_routes
from necto_pipelines.sandbox.world import World

SIMULATED = (b"x-necto-simulated", b"true")


def create_app(*, clock: Clock, seed: int = 7, state_path: Path | None = None) -> Starlette:
    """The simulated networks, told the time by `clock`, the same for the same `seed`.

    With `state_path` deployments, leases, swaps and switches survive a restart; a file that stands there already
    keeps its own seed.
    """
    world = World(clock, seed, state_path)
    return Starlette(
        routes=[
            Mount("/akash", routes=[*public_routes(world), *ManagedApi(world).routes()]),
            Mount("/coingecko", routes=coingecko_routes(world)),
            Mount("/rail", routes=rail_routes(world)),
            Mount("/sandbox", routes=admin_routes(world)),
        ],
        middleware=[Middleware(LabelMiddleware), Middleware(FaultMiddleware, faults=world.faults)],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error},
    )


class LabelMiddleware:
    """Marks every answer as simulated."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], SIMULATED]
            await send(message)

        await self._app(scope, receive, labelled)
