"""The HTTP server of the sandbox: uvicorn on loopback, able to break a connection on order."""

import asyncio
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from necto_pipelines.model.clock import Clock
from necto_pipelines.sandbox.app import create_app
from necto_pipelines.sandbox.faults import TRANSPORT

HOST = "127.0.0.1"


class BreakableProtocol(H11Protocol):
    """HTTP/1.1 that hands each request its connection: ASGI has no way to say "hang up without an answer"."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = app


def make_server(app: Starlette, port: int) -> uvicorn.Server:
    """A server for `app` on 127.0.0.1 only; `run()` blocks until `should_exit` is set or a signal comes."""
    config = uvicorn.Config(
        app,
        host=HOST,
        port=port,
        http=BreakableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,  # the sandbox has a clock of its own
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def serve(*, clock: Clock, port: int, seed: int = 7, state_path: Path | None = None) -> None:
    """Run the simulated networks on `port` until interrupted. Simulated: no money and no machine is involved."""
    make_server(create_app(clock=clock, seed=seed, state_path=state_path), port).run()
