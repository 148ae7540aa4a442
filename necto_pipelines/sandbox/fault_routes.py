"""The controls of simulated failures: POST /sandbox/faults orders one, GET lists them, DELETE ends them all.

With a `rate` the failure stands and hits that share of requests (`fault_rates.py`); without, it is for the next `times`
requests (`faults.py`). Nothing of the kind exists at a real service.
"""

from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.failures import Problem
from necto_pipelines.sandbox.answers import ApiError, answer, field, json_object
from necto_pipelines.sandbox.fault_rates import DEATH, FaultRate, read_fault_rate
from necto_pipelines.sandbox.faults import ACTIONS, Fault
from necto_pipelines.sandbox.world import World


def fault_routes(world: World) -> list[Route]:
    """The routes, relative to `/sandbox`."""
    faults = world.faults

    async def add(request: Request) -> Response:
        body = await json_object(request)
        if "rate" not in body:
            faults.pending.append(_fault(body))
        else:
            world.now()  # what was due before happens first, under the old faults
            faults.standing.append(_standing(body))
        return answer({"pending": len(faults.pending), "standing": len(faults.standing)}, 201)

    async def show(_: Request) -> Response:
        pending = [vars(fault) for fault in faults.pending]
        return answer({"pending": pending, "standing": [_shown(world, fault) for fault in faults.standing]})

    async def clear(_: Request) -> Response:
        world.now()
        faults.clear()
        return answer({"pending": 0})

    return [
        Route("/faults", show),
        Route("/faults", add, methods=["POST"]),
        Route("/faults", clear, methods=["DELETE"]),
    ]


def _shown(world: World, fault: FaultRate) -> dict[str, Any]:
    """The fault with how often it has struck; of `provider_death` with the dead, who are struck for good."""
    if fault.action != DEATH:
        return fault.document()
    dead = [provider.address for provider in world.fleet.providers if fault.kills("/akash", provider.address)]
    dead += [offer_id for offer_id in world.dispersed.machines if fault.kills("/dispersed", offer_id)]
    return fault.document() | {"struck": len(dead), "dead": dead}


def _standing(body: dict[str, Any]) -> FaultRate:
    found = read_fault_rate(body)
    if isinstance(found, FaultRate):
        return found
    raise _refusal(found)


def _fault(body: dict[str, Any]) -> Fault:
    fault = Fault(
        method=field(body, ("method",), str).upper(),
        path_prefix=field(body, ("path_prefix",), str),
        action=field(body, ("action",), str),
        status=field({"status": 503} | body, ("status",), int),
        seconds=float(field({"seconds": 30} | body, ("seconds",), Decimal)),
        times=field({"times": 1} | body, ("times",), int),
    )
    problems = [
        Problem(name, getattr(fault, name), allowed)
        for name, fine, allowed in (
            ("action", fault.action in ACTIONS, f"without a rate, use one of {', '.join(ACTIONS)}"),
            ("status", 400 <= fault.status <= 599, "a number from 400 to 599"),
            ("times", fault.times >= 1, "a whole number from 1 on"),
            ("seconds", fault.seconds >= 0, "a number from 0 on"),
        )
        if not fine
    ]
    if problems:
        raise _refusal(problems)
    return fault


def _refusal(problems: list[Problem]) -> ApiError:
    """400, with each problem in words and in parts."""
    parts = [{"field": each.field, "value": _json(each.value), "allowed": each.allowed} for each in problems]
    return ApiError(400, "; ".join(str(problem) for problem in problems), data=parts)


def _json(value: object) -> object:
    return value if value is None or isinstance(value, str | int | bool) else str(value)
