"""Routes of the simulated Aethir, relative to its base. **Simulated, not Aethir's published API**: none is published.

The envelope, its two codes, the two headers and the form of lists are Aethir's own (see `aethir_access.py`); paths and
everything within `data` are ours, and so is what stands below `/sandbox`.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.money import plain
from necto_pipelines.sandbox.aethir import BAD_REQUEST, NOT_FOUND, AethirError, AethirOrder
from necto_pipelines.sandbox.aethir_access import SIMULATED, Gate
from necto_pipelines.sandbox.aethir_table import CONTRACT, COUNTERPARTY, Row, quoted_on, valid_until
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
from necto_pipelines.sandbox.world import World

LONGEST_HOURS = 8784
LONGEST_REF = 128


def aethir_routes(world: World) -> list[Route]:
    """The routes, relative to the API's base."""
    gate, api = Gate(world.now, world.aethir.state), _Api(world)
    calls: list[tuple[str, str, Callable[[Request], Any]]] = [
        ("GET", "/v2/tenant/inventory", api.inventory),
        ("POST", "/v2/tenant/orders", api.create),
        ("GET", "/v2/tenant/orders", api.orders),
        ("GET", "/v2/tenant/orders/{order_id}", api.order),
        ("POST", "/v2/tenant/orders/{order_id}/release", api.release),
    ]
    return [
        *(Route(path, gate.guarded(handler), methods=[method]) for method, path, handler in calls),
        Route("/sandbox/switches", api.switch, methods=["POST"]),
    ]


class _Api:
    """The calls on one world. Time passes first, then the call is answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._aethir = world.aethir

    async def inventory(self, _: Request) -> dict[str, Any]:
        now = self._now()
        return _list([_quote(row, self._aethir.free(row), now) for row in self._aethir.rows.values()])

    async def create(self, request: Request) -> dict[str, Any]:
        body = await json_object(request)
        asked: dict[str, Any] = {name: field(body, (name,), str) for name in ("spec", "region", "mode")}
        asked["hours"] = field(body, ("hours",), int)
        ref = field(body, ("clientRef",), str) if "clientRef" in body else None
        if not 1 <= asked["hours"] <= LONGEST_HOURS or not 1 <= len("x" if ref is None else ref) <= LONGEST_REF:
            message = f"hours lie in 1 to {LONGEST_HOURS}, clientRef has 1 to {LONGEST_REF} characters"
            raise AethirError(BAD_REQUEST, message)
        order = self._aethir.create(asked, ref, self._now())
        self._world.save()
        return _locked(order)

    async def orders(self, request: Request) -> dict[str, Any]:
        now, ref = self._now(), request.query_params.get("clientRef")
        found = [order for order in self._aethir.state.orders.values() if ref in (None, order.client_ref)]
        return _list([self._row(order, now) for order in reversed(found)])

    async def order(self, request: Request) -> dict[str, Any]:
        now = self._now()
        return self._row(self._found(request.path_params["order_id"]), now)

    async def release(self, request: Request) -> dict[str, Any]:
        now, order = self._now(), self._found(request.path_params["order_id"])
        self._aethir.release(order, now)
        self._world.save()
        return self._row(order, now)

    async def switch(self, request: Request) -> Response:
        """`{"down": orderId}`, `{"up": orderId}`, `{"busy": n}`, `{"busy_after": n}`; without a token: for tests."""
        body, now, state = await json_object(request), self._now(), self._aethir.state
        try:
            for name in ("down", "up"):
                if name in body:
                    self._aethir.set_down(self._found(field(body, (name,), str)), name == "down", now)
        except AethirError as error:
            raise ApiError(404, error.message) from error
        if "busy" in body:
            state.busy = field(body, ("busy",), int)
        if "busy_after" in body:
            state.busy_after = field(body, ("busy_after",), int)
        self._world.save()
        deposit = plain(self._aethir.deposit_ath())
        return answer(
            {"simulated": SIMULATED, "busy": state.busy, "busyAfter": state.busy_after, "depositAth": deposit}
        )

    def _now(self) -> datetime:
        now = self._world.now()
        if self._aethir.advance(now):
            self._world.save()
        return now

    def _found(self, order_id: str) -> AethirOrder:
        if order_id not in self._aethir.state.orders:
            raise AethirError(NOT_FOUND, f"order {order_id} does not exist")
        return self._aethir.state.orders[order_id]

    def _row(self, order: AethirOrder, now: datetime) -> dict[str, Any]:
        return _locked(order) | {
            "clientRef": order.client_ref,
            "spec": order.spec,
            "region": order.region,
            "mode": order.mode,
            "hours": order.hours,
            "provider": self._aethir.provider(order),
            "status": self._aethir.status(order, now),
            "usdPerHour": plain(order.usd_per_hour),
            "startedAt": _ms(order.started_at(now)),
            "endedAt": _ms(order.ended_at),
            "settledAth": plain(self._aethir.settled_ath(order, now)),
        }


def _locked(order: AethirOrder) -> dict[str, Any]:
    return {
        "orderId": order.id,
        "athRate": plain(order.ath_rate),
        "lockedAt": _ms(order.locked_at),
        "athAmount": plain(order.ath_amount),
    }


def _quote(row: Row, free: int, now: datetime) -> dict[str, Any]:
    today = now.date()
    return {
        "counterparty": COUNTERPARTY,
        "contract": CONTRACT,
        "spec": row.spec.name,
        "gpuModel": row.spec.gpu_model,
        "gpusPerUnit": row.spec.gpus,
        "vramGib": row.spec.vram_gib,
        "cpuCores": str(Decimal(24) * row.spec.gpus),
        "memoryGib": str(Decimal(192) * row.spec.gpus),
        "diskGib": str(Decimal(1000) * row.spec.gpus),
        "region": row.region,
        "country": row.country,
        "mode": row.mode,
        "usdPerGpuHour": plain(row.usd_per_gpu_hour),
        "minHours": str(row.min_hours),
        "units": free,
        "quotedOn": quoted_on(today).isoformat(),
        "validFrom": quoted_on(today).isoformat(),
        "validUntil": valid_until(today).isoformat(),
    }


def _list(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"records": rows, "total": len(rows), "size": len(rows), "current": 1, "pages": 1}


def _ms(moment: datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None
