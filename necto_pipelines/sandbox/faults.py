"""Failures on order: what a real network does at the worst moment, made repeatable for tests and demonstrations.

One-shot: `status` answers without doing anything; `drop_reply` does it and then breaks the connection; `hold` does it
and then lets the caller wait. Standing: those of `fault_rates.py`, which says whom they hit. The sandbox's own controls
are out of their reach.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from necto_pipelines.model.clock import Clock
from necto_pipelines.sandbox.answers import ApiError, error_answer
from necto_pipelines.sandbox.distortions import distorted, no_json
from necto_pipelines.sandbox.drifts import date_header, with_moved_prices, with_skewed_times
from necto_pipelines.sandbox.fault_rates import BREAKS, INSTEAD, FaultRate, Strike, strikes_of

TRANSPORT = "necto.transport"
"""scope key under which the server hands over the connection, so that a reply can be dropped (see `server.py`)"""
SKEW_S = "necto.skew_s"
"""scope key: seconds by which the service's clock runs ahead while it answers this request"""
CONTROLS = "/sandbox/"
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
    """The failures still to come, oldest first, and those that stand. They are not kept over a restart."""

    pending: list[Fault] = field(default_factory=list)
    standing: list[FaultRate] = field(default_factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted as used."""
        fault = next((fault for fault in self.pending if fault.takes(method, path)), None)
        if fault is not None:
            fault.times -= 1
            self.pending = [fault for fault in self.pending if fault.times > 0]
        return fault

    def strike(self, method: str, path: str) -> list[Strike]:
        """The standing failures that hit this request, in the order in which they happen; counted."""
        return [] if path.startswith(CONTROLS) else strikes_of(self.standing, method, path)

    def kills(self, place: str, name: str) -> bool:
        """Whether a standing `provider_death` has taken the provider called `name` of the service at path `place`."""
        return any(fault.kills(place, name) for fault in self.standing)

    def clear(self) -> None:
        """Nothing fails any more."""
        self.pending.clear()
        self.standing.clear()


class FaultMiddleware:
    """Stands in front of everything and carries out what `faults` orders. `clock` tells the sandbox's time."""

    def __init__(self, app: ASGIApp, faults: Faults, clock: Clock) -> None:
        self._app = app
        self._faults = faults
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif fault := self._faults.take(scope["method"], scope["path"]):
            await self._once(fault, scope, receive, send)
        elif strikes := self._faults.strike(scope["method"], scope["path"]):
            if strikes[0].fault.action in INSTEAD:
                await _instead(strikes[0].fault, scope, receive, send)
            else:
                await self._struck(strikes, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _once(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.action == "status":
            await error_answer(ApiError(fault.status, "simulated failure"))(scope, receive, send)
            return
        kept = await self._kept(scope, receive)
        if fault.action == "drop_reply":
            await _hang_up(scope, receive)
            return
        await asyncio.sleep(fault.seconds)
        for message in kept:
            await send(message)

    async def _struck(self, strikes: Sequence[Strike], scope: Scope, receive: Receive, send: Send) -> None:
        """Let the service answer, change the answer as ordered, and send what is left of it."""
        scope[SKEW_S] = sum(float(s.fault.setting) for s in strikes if s.fault.action == "clock_skew")
        kept = await self._kept(scope, receive)
        if not kept:  # the service itself hung up
            return
        start, body = kept[0], b"".join(message.get("body", b"") for message in kept[1:])
        headers = MutableHeaders(scope=start)
        for strike in strikes:
            body = _changed(strike, scope["path"], body, start, headers)
        if scope[SKEW_S]:
            headers["date"] = date_header(self._clock.now() + timedelta(seconds=scope[SKEW_S])).decode()
        headers["content-length"] = str(len(body))
        broken = [strike.fault.action for strike in strikes if strike.fault.action in BREAKS]
        if "drop_reply" in broken:
            await _hang_up(scope, receive)
        elif "truncate" in broken:
            await _truncated(start, body, scope, receive, send)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": body})

    async def _kept(self, scope: Scope, receive: Receive) -> list[Message]:
        """What the service answers, held back."""
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self._app(scope, receive, keep)
        return kept


async def _instead(fault: FaultRate, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in the service's place, or never."""
    if fault.action == "timeout":
        await _no_answer(float(fault.setting), scope, receive, send)
        return
    status = int(fault.setting) if fault.action == "status" else 429
    response = error_answer(ApiError(status, "simulated failure"))
    if fault.action == "rate_limit":
        response.headers["retry-after"] = str(int(fault.setting))
    await response(scope, receive, send)


async def _no_answer(seconds: float, scope: Scope, receive: Receive, send: Send) -> None:
    """Say nothing until the caller has left, or for `seconds`: then the connection is broken."""
    try:
        await asyncio.wait_for(_gone(receive), seconds)
    except TimeoutError:
        if TRANSPORT in scope:
            await _hang_up(scope, receive)
        else:  # where no connection can be broken: a gateway in front that has waited long enough
            await error_answer(ApiError(504, "simulated failure"))(scope, receive, send)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    scope[TRANSPORT].abort()
    # The server sends an error of its own unless it has noticed that the connection is gone.
    await _gone(receive)


async def _truncated(start: Message, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Announce the whole body, send half of it, and close."""
    if not body:
        MutableHeaders(scope=start)["content-length"] = "1"
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": TRANSPORT in scope})
    if TRANSPORT in scope:
        scope[TRANSPORT].close()  # what was written still goes out
        await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Return when the connection is closed, from either side."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _changed(strike: Strike, path: str, body: bytes, start: Message, headers: MutableHeaders) -> bytes:
    """The body as this failure leaves it. What is no JSON has no prices, times or fields to get wrong."""
    fault, drawn_from = strike
    if fault.action == "wrong_json":
        start["status"] = 200
        body, media_type = no_json(*drawn_from)
        headers["content-type"] = media_type.decode()
        return body
    try:
        document = json.loads(body)
    except ValueError:
        return body
    if fault.action == "price_drift":
        document = with_moved_prices(document, path, fault.setting, *drawn_from)
    elif fault.action == "clock_skew":
        document = with_skewed_times(document, fault.setting)
    elif fault.action == "wrong_shape":
        document = distorted(document, *drawn_from)
    else:
        return body
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
