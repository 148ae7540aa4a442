"""Coinbase's public prices: the retail spot price, which carries no time, and the last trade at the exchange.

Shapes: Coinbase's documentation of both services; errors as third parties met them. No USDC pair with the dollar is
traded at the exchange. When trades happen is made up.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.money import plain
from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.seeded import whole
from necto_pipelines.sandbox.world import World

TRADED = ("AKT", "RENDER", "ATH")
SECONDS_BETWEEN_TRADES = 20


def coinbase_routes(world: World) -> list[Route]:
    """The retail service's route, relative to its host."""

    async def spot(request: Request) -> Response:
        usd = _quote(world, "coinbase", request.path_params["pair"], world.now())
        if usd is None:
            return answer({"errors": [{"id": "not_found", "message": "Invalid base currency"}]}, 404)
        base, currency = request.path_params["pair"].split("-")
        return answer({"data": {"amount": plain(usd), "base": base, "currency": currency}})

    return [Route("/v2/prices/{pair}/spot", spot)]


def coinbase_exchange_routes(world: World) -> list[Route]:
    """The exchange's route, relative to its host."""

    async def ticker(request: Request) -> Response:
        if not request.headers.get("user-agent"):
            return answer({"message": "User-Agent header is required."}, 400)
        now, pair = world.now(), request.path_params["pair"]
        usd = _quote(world, "coinbase-exchange", pair, now) if pair.startswith(TRADED) else None
        if usd is None:
            return answer({"message": "NotFound"}, 404)
        traded_at = _last_trade(world, pair, now)
        return answer(
            {
                "ask": plain(usd * Decimal("1.0004")),
                "bid": plain(usd * Decimal("0.9996")),
                "volume": str(whole(10_000, 900_000, world.seed, pair, "volume", traded_at.date())),
                "trade_id": int(traded_at.timestamp()),
                "price": plain(usd),
                "size": str(whole(1, 5_000, world.seed, pair, "size", traded_at)),
                "time": rfc3339(traded_at),
            }
        )

    return [Route("/products/{pair}/ticker", ticker)]


def _quote(world: World, source: str, pair: str, now: datetime) -> Decimal | None:
    token, _, currency = pair.partition("-")
    return world.feed.quote(source, token, now) if currency == "USD" else None


def _last_trade(world: World, pair: str, now: datetime) -> datetime:
    """The newest trade at `now`, or when the feed stopped."""
    moment = world.feed.state.frozen_at or now
    return moment - timedelta(
        seconds=whole(0, SECONDS_BETWEEN_TRADES, world.seed, pair, "trade", int(moment.timestamp()))
    )
