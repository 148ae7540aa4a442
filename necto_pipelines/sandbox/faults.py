"""Failures on order: what a real network does at the worst moment, made repeatable for tests and demonstrations.

`status` answers without doing anything; `drop_reply` does it and then breaks the connection; `hold` does it and then
lets the caller wait. How often each network fails by itself is not modelled here.
"""

import asyncio
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from necto_pipelines.sandbox.answers import ApiError, error_answer

TRANSPORT = "necto.transport"
"""scope key under which the server hands over the connection, so that a reply can be dropped (see `server.py`)"""
ACTIONS = ("status", "drop_reply", "hold")


@dataclass
class Fault:
    """One ordered failure for the next `times` requests of `method` whose path begins with `path_prefix`."""

    method: str
    path_prefix: str
    action: str
    status: int = 503
    seconds: float = 30.0
    """real seconds that `hold` keeps the answer back"""
    times: int = 1

    def takes(self, method: str, path: str) -> bool:
        """True when this fault is for the request and not used up."""
        return self.times > 0 and method == self.method and path.startswith(self.path_prefix)


@dataclass
class Faults:
    """The failures still to come, oldest first. They are not kept over a restart."""

    pending: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted as used."""
        fault = next((fault for fault in self.pending if fault.takes(method, path)), None)
        if fault is not None:
            fault.times -= 1
            self.pending = [fault for fault in self.pending if fault.times > 0]
        return fault


class FaultMiddleware:
    """Stands in front of everything and carries out what `faults` orders."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._faults.take(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.action == "status":
            await error_answer(ApiError(fault.status, "simulated failure"))(scope, receive, send)
        else:
            await self._perform_silently(fault, scope, receive, send)

    async def _perform_silently(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self._app(scope, receive, keep)
        if fault.action == "hold":
            await asyncio.sleep(fault.seconds)
            for message in kept:
                await send(message)
            return
        scope[TRANSPORT].abort()
        # The server sends an error of its own unless it has noticed that the connection is gone.
        while (await receive())["type"] != "http.disconnect":
            pass
