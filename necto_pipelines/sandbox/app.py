"""The sandbox as one ASGI app: every simulated service below its own path.

/akash       Akash Console API          base URL of the network's adapter
/akash-lcd   Akash chain REST           base URL of the chain's reader and of its price oracle
/akash-provider/{owner}                 gateways of Akash's providers
/coingecko   CoinGecko token prices     base URL of a token price source; so are the next three
/pyth        Pyth Hermes
/coinbase, /coinbase-exchange           Coinbase retail and exchange
/rail        simulated swaps            base URL of the rail
/dispersed   Dispersed (Render compute) base URL of the network's adapter
/render-jobs rendering jobs on Render   no such API exists: ours, simulated
/aethir      Aethir for tenants         simulated, not Aethir's published API: it has none
/clouds/aws, /clouds/azure, /clouds/gcp  price lists of the clouds: base URLs of their sources
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
from necto_pipelines.sandbox.aethir_api import aethir_routes
from necto_pipelines.sandbox.akash_account import AccountApi
from necto_pipelines.sandbox.akash_gateway import gateway_routes
from necto_pipelines.sandbox.akash_lcd import lcd_routes
from necto_pipelines.sandbox.akash_managed import ManagedApi
from necto_pipelines.sandbox.akash_oracle import akash_oracle_routes
from necto_pipelines.sandbox.akash_public import public_routes
from necto_pipelines.sandbox.akash_screening import screening_routes
from necto_pipelines.sandbox.answers import ApiError, on_api_error, on_http_error
from necto_pipelines.sandbox.clouds_aws import aws_routes
from necto_pipelines.sandbox.clouds_azure import azure_routes
from necto_pipelines.sandbox.clouds_gcp import gcp_routes
from necto_pipelines.sandbox.coinbase import coinbase_exchange_routes, coinbase_routes
from necto_pipelines.sandbox.coingecko import coingecko_routes
from necto_pipelines.sandbox.dispersed_api import dispersed_routes
from necto_pipelines.sandbox.drifts import date_header
from necto_pipelines.sandbox.fault_routes import fault_routes
from necto_pipelines.sandbox.faults import FaultMiddleware
from necto_pipelines.sandbox.price_switches import price_switch_routes
from necto_pipelines.sandbox.pyth import pyth_routes
from necto_pipelines.sandbox.rail_api import rail_routes
from necto_pipelines.sandbox.render_jobs_api import render_jobs_routes
from necto_pipelines.sandbox.validators import ValidatorMiddleware
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
            Mount(
                "/akash",
                routes=[
                    *public_routes(world),
                    *ManagedApi(world).routes(),
                    *AccountApi(world).routes(),
                    *screening_routes(world),
                ],
            ),
            # The chain's own list ends with a route that takes every path.
            Mount("/akash-lcd", routes=[*akash_oracle_routes(world), *lcd_routes(world)]),
            Mount("/akash-provider", routes=gateway_routes(world)),
            Mount("/coingecko", routes=coingecko_routes(world)),
            Mount("/pyth", routes=pyth_routes(world)),
            Mount("/coinbase", routes=coinbase_routes(world)),
            Mount("/coinbase-exchange", routes=coinbase_exchange_routes(world)),
            Mount("/rail", routes=rail_routes(world)),
            Mount("/dispersed", routes=dispersed_routes(world)),
            Mount("/aethir", routes=aethir_routes(world)),
            Mount("/render-jobs", routes=render_jobs_routes(world)),
            Mount("/clouds/aws", routes=aws_routes()),
            Mount("/clouds/azure", routes=azure_routes()),
            Mount("/clouds/gcp", routes=gcp_routes()),
            Mount("/sandbox", routes=[*admin_routes(world), *fault_routes(world), *price_switch_routes(world)]),
        ],
        middleware=[
            Middleware(LabelMiddleware, clock=clock),
            Middleware(ValidatorMiddleware),
            Middleware(FaultMiddleware, faults=world.faults, clock=clock),
        ],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error},
    )


class LabelMiddleware:
    """Marks every answer as simulated, and dates it by the sandbox's clock unless it is dated already."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], SIMULATED]
                if not any(name == b"date" for name, _ in headers):
                    headers.append((b"date", date_header(self._clock.now())))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, labelled)
