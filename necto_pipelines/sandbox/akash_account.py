"""Routes of the simulated Console API about the tenant's account: wallets, tokens, automatic funding and usage.

Shapes: akash-network/console apps/api/swagger/openapi.json (@d84c9e93d790). Automatic funding is noted, not carried
out, and forgotten when the sandbox restarts; tokens have the real form but a signature that verifies nowhere.
"""

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.money import MICRO
from necto_pipelines.sandbox import escrow
from necto_pipelines.sandbox.access import open_to_all, tenant_only
from necto_pipelines.sandbox.addresses import is_address
from necto_pipelines.sandbox.akash_market import iso
from necto_pipelines.sandbox.answers import ApiError, ValidationError, answer, field, json_object
from necto_pipelines.sandbox.seeded import digest
from necto_pipelines.sandbox.tariffs import CONSOLE_BLOCKS_PER_HOUR
from necto_pipelines.sandbox.world import World

RUNWAY_H, LOOK_AHEAD_H = 48, 24
"""how much running time a top-up leaves, and how much must be left before one comes"""
SCOPES = frozenset(
    {"send-manifest", "get-manifest", "logs", "shell", "events", "status", "restart", "hostname-migrate", "ip-migrate"}
)
_DEFAULT_DAYS = 30


@dataclass
class _Setting:
    """How one deployment is funded."""

    created: datetime
    updated: datetime
    automatic: bool = False


class AccountApi:
    """The account's calls on one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings: dict[str, _Setting] = {}
        self._user_id = digest(world.seed, "user").hex()[:32]

    def routes(self) -> list[Route]:
        """The routes, relative to the API's base."""
        return [
            Route("/v1/wallets", tenant_only(self._wallets)),
            Route("/v1/create-jwt-token", tenant_only(self._token), methods=["POST"]),
            Route("/v2/deployment-settings/{dseq}", tenant_only(self._read_setting)),
            Route("/v2/deployment-settings/{dseq}", tenant_only(self._change_setting), methods=["PATCH"]),
            Route("/v1/usage/history", open_to_all(self._history)),
            Route("/v1/usage/history/stats", open_to_all(self._stats)),
        ]

    async def _wallets(self, request: Request) -> Response:
        asked = request.query_params.get("userId")
        if asked is None:
            raise ValidationError([(["userId"], "invalid_type", "Required")])
        self._world.now()
        wallet = {
            "id": 1,
            "userId": self._user_id,
            "creditAmount": self._world.chain.state.wallet / MICRO,
            "address": self._world.owner,
            "denom": "uact",
            "isTrialing": False,
            "topUpMinAmountUsd": 5,
            "createdAt": "2026-07-17T20:07:00.000Z",
        }
        return answer({"data": [wallet] if asked == self._user_id else []})

    async def _token(self, request: Request) -> Response:
        body = await json_object(request)
        ttl, leases = field(body, ("data", "ttl"), int), field(body, ("data", "leases"), dict)
        if ttl <= 0:
            raise ValidationError([(["data", "ttl"], "too_small", "Number must be greater than 0")])
        _check_access(body)
        now = int(self._world.now().timestamp())
        claims = {"iss": self._world.owner, "iat": now, "nbf": now, "exp": now + ttl, "version": "v1", "leases": leases}
        signed = f"{_part({'alg': 'ES256K', 'typ': 'JWT'})}.{_part(claims)}"
        return answer({"data": {"token": f"{signed}.{_base64(digest(signed, 'no real signature'))}"}}, 201)

    async def _read_setting(self, request: Request) -> Response:
        return self._setting(request.path_params["dseq"], self._world.now())

    async def _change_setting(self, request: Request) -> Response:
        automatic = field(await json_object(request), ("data", "autoTopUpEnabled"), bool)
        return self._setting(request.path_params["dseq"], self._world.now(), automatic)

    def _setting(self, dseq: str, now: datetime, automatic: bool | None = None) -> Response:
        """The setting, made when it is first asked for, as the service does for any number."""
        if not dseq.isdecimal():
            raise ValidationError([(["dseq"], "invalid_string", "Invalid")])
        setting = self._settings.setdefault(dseq, _Setting(now, now))
        if automatic is not None:
            setting.automatic, setting.updated = automatic, now
        deployment = self._world.chain.state.deployments.get(dseq)
        rate = escrow.rate_of(deployment) if deployment and setting.automatic else 0
        row = {
            "id": str(uuid.UUID(bytes=digest(self._world.seed, dseq, "setting")[:16])),
            "userId": self._user_id,
            "dseq": dseq,
            "autoTopUpEnabled": setting.automatic,
            "estimatedTopUpAmount": int(rate * CONSOLE_BLOCKS_PER_HOUR * (RUNWAY_H - LOOK_AHEAD_H)),
            "topUpFrequencyMs": LOOK_AHEAD_H * 3_600_000,
            "createdAt": iso(setting.created),
            "updatedAt": iso(setting.updated),
        }
        return answer({"data": row})

    async def _history(self, request: Request) -> Response:
        return answer(self._days(request))

    async def _stats(self, request: Request) -> Response:
        days = self._days(request)
        spent, count = sum(day["dailyUsdSpent"] for day in days), len(days)
        first, last = (date.fromisoformat(days[place]["date"]) for place in (0, -1))
        made = sum(first <= item.at.date() <= last for item in self._world.chain.deployments())
        return answer(
            {
                "totalSpent": round(spent, 6),
                "averageSpentPerDay": round(spent / count, 6),
                "totalDeployments": made,
                "averageDeploymentsPerDay": round(made / count, 6),
            }
        )

    def _days(self, request: Request) -> list[dict[str, Any]]:
        """One row for each day asked for; those of a wallet that is not the tenant's hold nothing."""
        now, address = self._world.now(), request.query_params.get("address")
        if address is None:
            raise ValidationError([(["address"], "invalid_type", "Required")])
        if not is_address(address):
            raise ApiError(400, "Invalid address format")
        last = _day(request, "endDate", now.date())
        first = _day(request, "startDate", last - timedelta(days=_DEFAULT_DAYS))
        if first > last:
            raise ValidationError([(["startDate"], "custom", "endDate must not be before startDate")])
        known = address == self._world.owner
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        before = self._spent(datetime.min.replace(tzinfo=UTC), _midnight(first), now) if known else 0.0
        return _rows(before, [(day, *(self._on(day, now) if known else (0.0, 0))) for day in days])

    def _on(self, day: date, now: datetime) -> tuple[float, int]:
        """US dollars spent on a day, and deployments that ran on it."""
        start = _midnight(day)
        end = start + timedelta(days=1)
        newest = self._world.blocks.height_at(min(end, now))
        oldest = self._world.blocks.height_at(start)
        running = [
            item
            for item in self._world.chain.deployments()
            if item.height <= newest and (item.closed_height or newest) >= oldest
        ]
        return self._spent(start, end, now), len(running)

    def _spent(self, start: datetime, end: datetime, now: datetime) -> float:
        """What the leases cost between two moments, block by block, whether it has been paid out or not."""
        total = 0
        for deployment in self._world.chain.deployments():
            for lease in deployment.leases:
                closed = self._world.blocks.time_of(lease.closed_height) if lease.closed_height else now
                since, until = max(start, lease.at), min(end, closed, now)
                if since < until:
                    blocks = self._world.blocks.height_at(until) - self._world.blocks.height_at(since)
                    total += int(lease.price * blocks)
        return total / MICRO


def _rows(before: float, days: Sequence[tuple[date, float, int]]) -> list[dict[str, Any]]:
    rows, total = [], before
    for day, spent, running in days:
        total += spent
        rows.append(
            {
                "date": day.isoformat(),
                "activeDeployments": running,
                "dailyAktSpent": 0,
                "totalAktSpent": 0,
                "dailyUsdcSpent": 0,
                "totalUsdcSpent": 0,
                "dailyActSpent": round(spent, 6),
                "totalActSpent": round(total, 6),
                "dailyUsdSpent": round(spent, 6),
                "totalUsdSpent": round(total, 6),
            }
        )
    return rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _day(request: Request, name: str, default: date) -> date:
    text = request.query_params.get(name)
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise ValidationError([([name], "invalid_string", "Invalid date")]) from None


def _check_access(body: dict[str, Any]) -> None:
    """The two kinds of access the service knows: to everything, or named provider by provider."""
    kind = field(body, ("data", "leases", "access"), str)
    if kind == "full":
        return
    if kind != "granular":
        raise ValidationError([(["data", "leases", "access"], "invalid_union_discriminator", "Invalid discriminator")])
    permissions = field(body, ("data", "leases", "permissions"), list)
    for number, one in enumerate(permissions):
        path = ("permissions", str(number))
        named = {"permissions": {str(number): one}}
        field(named, (*path, "provider"), str)
        scoped = field(named, (*path, "access"), str) == "scoped"
        if scoped and not set(field(named, (*path, "scope"), list)) <= SCOPES:
            raise ValidationError([((*path, "scope"), "invalid_enum_value", f"Expected {' | '.join(sorted(SCOPES))}")])


def _part(claims: dict[str, Any]) -> str:
    return _base64(json.dumps(claims, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
