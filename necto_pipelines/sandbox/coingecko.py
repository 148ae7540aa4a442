"""The part of CoinGecko's API that prices tokens: GET /api/v3/simple/price.

Shape: coingecko/coingecko-api-oas (@83d7556f3ed9). As there, an id that is not known is left out without a word.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.world import World

_EXTRAS = {
    "include_market_cap": "usd_market_cap",
    "include_24hr_vol": "usd_24h_vol",
    "include_24hr_change": "usd_24h_change",
}


def coingecko_routes(world: World) -> list[Route]:
    """The route, relative to the service's host. A key in `x-cg-demo-api-key` is accepted and not looked at."""

    async def simple_price(request: Request) -> Response:
        query = request.query_params
        if not query.get("vs_currencies"):
            return answer({"error": "Missing parameter vs_currencies"}, 422)
        now = world.now()
        with_time = query.get("include_last_updated_at") == "true"
        prices = {}
        for coin in query.get("ids", "").split(","):
            token = world.feed.token_of(coin)
            usd = world.feed.quote("coingecko", token, now) if token else None
            if usd is None:
                continue
            row: dict[str, float | int | None] = {}
            if "usd" in query["vs_currencies"].split(","):
                row["usd"] = float(usd)
                row |= {name: None for asked, name in _EXTRAS.items() if query.get(asked) == "true"}
            if with_time:
                row["last_updated_at"] = int(world.feed.updated_at(now).timestamp())
            prices[coin] = row
        return answer(prices)

    return [Route("/api/v3/simple/price", simple_price)]
