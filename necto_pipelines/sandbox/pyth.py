"""The part of Pyth's Hermes that prices feeds: GET /v2/updates/price/latest.

Shape and manners: pyth-network/pyth-crosschain @7c915eb10e45 (Hermes' REST handlers and the developer hub's rate limits
and best practices). A Bearer key is wanted since 2026-08-18; one unknown id is 404 for the whole request; more than ten
requests in ten seconds bring 429 for a minute. The confidence of a stopped feed widens. The signed update is made up.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.seeded import digest, whole
from necto_pipelines.sandbox.world import World

FEEDS = {
    "4ea5bb4d2f5900cc2e97ba534240950740b4d3b89fe712a94a7304fd2fd92702": "AKT",
    "3d4a2bd9535be6ce8059d75eadeba507b043257321aa544717c56fa19b49e35d": "RENDER",
    "eaa020c61cc479712813461ce153894a96a6c00b21ed0cfc2798d1f9a9e9c94a": "USDC",
    "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d": "SOL",
}
"""SOL is here because AEP-81 prints its id as that of AKT: who believes it gets this price"""
OUTSIDE_THE_FEED = {"SOL": Decimal("142.5")}
EXPO = -8
REQUESTS, WINDOW, BLOCKED = 10, timedelta(seconds=10), timedelta(seconds=60)
CONFIDENCE_BPS, WIDENS_BPS_PER_S = Decimal(8), Decimal(5)
"""half-width of the interval, and how much it grows with every second that a feed stands still; ours"""


class RateLimit:
    """Ten requests in ten seconds, then a minute of silence. Not kept over a restart."""

    def __init__(self) -> None:
        self._seen: deque[datetime] = deque()
        self._until: datetime | None = None

    def refuses(self, now: datetime) -> bool:
        """True when the request that comes now is one too many."""
        if self._until is not None and now < self._until:
            return True
        while self._seen and now - self._seen[0] >= WINDOW:
            self._seen.popleft()
        self._seen.append(now)
        if len(self._seen) <= REQUESTS:
            return False
        self._seen.clear()
        self._until = now + BLOCKED
        return True


def pyth_routes(world: World) -> list[Route]:
    """The route, relative to Hermes' base. Any Bearer key is accepted."""
    limit = RateLimit()

    async def latest(request: Request) -> Response:
        now = world.now()
        if not request.headers.get("authorization", "").removeprefix("Bearer ").strip():
            return PlainTextResponse("Unauthorized", 401)
        if limit.refuses(now):
            return PlainTextResponse("Too Many Requests", 429)
        ids = [feed.lower().removeprefix("0x") for feed in request.query_params.getlist("ids[]")]
        prices = {feed: _usd(world, FEEDS.get(feed, ""), now) for feed in ids}
        if unknown := [feed for feed, usd in prices.items() if usd is None]:
            return PlainTextResponse(f"Price ids not found: {', '.join(f'0x{feed}' for feed in unknown)}", 404)
        body: dict[str, Any] = {"binary": {"encoding": "hex", "data": [_signed(world, ids, now)]}}
        if request.query_params.get("parsed", "true") == "true":
            body["parsed"] = [_parsed(world, feed, usd, now) for feed, usd in prices.items() if usd is not None]
        return answer(body)

    return [Route("/v2/updates/price/latest", latest)]


def _usd(world: World, token: str, now: datetime) -> Decimal | None:
    return OUTSIDE_THE_FEED.get(token) or world.feed.quote("pyth", token, now)


def _parsed(world: World, feed: str, usd: Decimal, now: datetime) -> Mapping[str, Any]:
    stopped = world.feed.state.frozen_at
    moment = int((stopped or now).timestamp())
    still_s = Decimal(max(0, int(now.timestamp()) - moment))
    confidence = usd * (CONFIDENCE_BPS + WIDENS_BPS_PER_S * still_s) / 10_000
    price = {"price": _units(usd), "conf": _units(confidence), "expo": EXPO, "publish_time": moment}
    return {
        "id": feed,
        "price": price,
        "ema_price": price,
        "metadata": {
            "slot": moment * 2 + whole(0, 1, world.seed, "slot", moment),
            "proof_available_time": moment + 1,
            "prev_publish_time": moment - 1,
        },
    }


def _units(usd: Decimal) -> str:
    return str(int(usd.scaleb(-EXPO)))


def _signed(world: World, ids: list[str], now: datetime) -> str:
    """Stands for the signed update, which begins with PNAU."""
    return (b"PNAU" + digest(world.seed, "pyth update", *ids, now)).hex()
