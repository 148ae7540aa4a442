"""Bid screening of the simulated Console API: who has room for a group, with the days each was down.

Shape and checks: akash-network/console apps/api/src/bid-screening/http-schemas (@2f954fb95f0b). Prices play no part,
as there. Like the live service on 2026-07-17 it takes no time zone of the kind `Etc/UTC`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox import matching
from necto_pipelines.sandbox.access import open_to_all
from necto_pipelines.sandbox.akash_market import iso
from necto_pipelines.sandbox.answers import ApiError, ValidationError, answer, field, json_object
from necto_pipelines.sandbox.capacity import left_at
from necto_pipelines.sandbox.fleet import AUDITOR, Provider
from necto_pipelines.sandbox.seeded import whole
from necto_pipelines.sandbox.world import World

WINDOW_DAYS = 7
_ZONE = re.compile(r"(?!Etc/)[A-Z][A-Za-z_]+/[A-Za-z_/+-]+")
_NO_CEILING = {"denom": "uact", "amount": "1e30"}


def screening_routes(world: World) -> list[Route]:
    """The route, relative to the API's base."""

    async def screen(request: Request) -> Response:
        body = await json_object(request)
        group = _group(body)
        now = world.now()
        usage = world.chain.usage()
        fitting = []
        for provider in world.fleet.providers:
            left, gpus = left_at(provider, usage[provider.address])
            serves = matching.may_serve(world.fleet, provider, group)
            if serves and matching.quote(provider, group, left, gpus) is not None:
                fitting.append(_row(world, provider, now))
        return answer({"providers": fitting})

    return [Route("/v1/bid-screening", open_to_all(screen), methods=["POST"])]


def _group(body: dict[str, Any]) -> dict[str, Any]:
    """The body as the group spec that providers bid on."""
    resources = field(body, ("resources",), list)
    if not _ZONE.fullmatch(field(body, ("timezone",), str)):
        raise ValidationError([(["timezone"], "custom", "Timezone is not supported")])
    if not resources:
        raise ApiError(400, "GroupSpec must contain at least one resource unit")
    requirements = body.get("requirements") or {}
    signed_by = requirements.get("signedBy") or {}
    return {
        "requirements": {
            "signed_by": {"any_of": signed_by.get("anyOf"), "all_of": signed_by.get("allOf")},
            "attributes": requirements.get("attributes"),
        },
        "resources": [_unit(item, number) for number, item in enumerate(resources)],
    }


def _unit(item: Any, number: int) -> dict[str, Any]:
    name = str(number)
    named = {"resources": {name: item}}
    top = ("resources", name)
    amount = field(named, (*top, "price", "amount"), str)
    if not re.fullmatch(r"\d+", amount):
        raise ValidationError([((*top, "price", "amount"), "invalid_string", "Must be an unsigned integer string")])
    unit = (*top, "resource")
    disks: Sequence[Mapping[str, Any]] = field(named, (*unit, "storage"), list)
    return {
        "count": field(named, (*top, "count"), int),
        "price": _NO_CEILING,
        "resource": {
            "id": field(named, (*unit, "id"), int),
            "cpu": {"units": {"val": _amount(named, (*unit, "cpu", "units", "val"))}},
            "memory": {"size": {"val": _amount(named, (*unit, "memory", "quantity", "val"))}},
            "gpu": {
                "units": {"val": _amount(named, (*unit, "gpu", "units", "val"))},
                "attributes": item["resource"]["gpu"].get("attributes"),
            },
            "storage": [
                {"size": {"val": _amount({"storage": {"disk": disk}}, ("storage", "disk", "quantity", "val"))}}
                for disk in disks
            ],
        },
    }


def _amount(body: dict[str, Any], path: Sequence[str]) -> str:
    text: str = field(body, path, str)
    if not re.fullmatch(r"\d{1,18}", text):
        raise ValidationError([(path, "custom", "Must be a non-negative integer")])
    return text


def _row(world: World, provider: Provider, now: datetime) -> dict[str, Any]:
    attributes = dict(provider.attributes)
    return {
        "owner": provider.address,
        "hostUri": provider.host_uri,
        "isAudited": world.fleet.signed_by(provider, AUDITOR),
        "createdAt": iso(world.blocks.time_of(provider.created_height)),
        "location": attributes["location-region"],
        "organization": attributes["organization"],
        "incidents": _incidents(world, provider, now),
    }


def _incidents(world: World, provider: Provider, now: datetime) -> list[dict[str, Any]]:
    """The downtime of the last week, as much as its uptime says, put on days by the seed."""
    down_s = round((1 - provider.uptime[1]) * WINDOW_DAYS * 86_400)
    first = whole(1, WINDOW_DAYS - 1, world.seed, provider.address, "incident")
    days = []
    for back in range(first, first + WINDOW_DAYS):
        part = min(down_s, 86_400)
        down_s -= part
        if part:
            day = now.date() - timedelta(days=back % WINDOW_DAYS)
            days.append(
                {
                    "date": day.isoformat(),
                    "hasOpenIncident": False,
                    "incidentCount": 1 + part // 7200,
                    "downtimeSeconds": part,
                }
            )
    return days
