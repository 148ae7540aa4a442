"""Routes of the Console API that need no key: the market, the blocks and the auditors."""

from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox import akash_market
from necto_pipelines.sandbox.access import open_to_all
from necto_pipelines.sandbox.addresses import address_of, is_address
from necto_pipelines.sandbox.answers import ApiError, ValidationError, answer
from necto_pipelines.sandbox.fleet import AUDITOR
from necto_pipelines.sandbox.seeded import digest, whole
from necto_pipelines.sandbox.world import World

_VALIDATORS = 20
_COINS = ("akt", "akash-network")


def query_number(request: Request, name: str, *, low: int, high: int | None = None, default: int) -> int:
    """A whole number from the query, or `default`; `ValidationError` when it is none or out of its bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ValidationError([([name], "invalid_type", "Expected number, received nan")]) from None
    if value < low:
        raise ValidationError([([name], "too_small", f"Number must be greater than or equal to {low}")])
    if high is not None and value > high:
        raise ValidationError([([name], "too_big", f"Number must be less than or equal to {high}")])
    return value


def public_routes(world: World) -> list[Route]:
    """The routes, relative to the API's base."""

    async def providers(request: Request) -> Response:
        scope = request.query_params.get("scope", "all")
        if scope not in ("all", "trial"):
            raise ValidationError([(["scope"], "invalid_enum_value", "Expected 'all' | 'trial'")])
        wanted = request.query_params.get("addresses")
        addresses = None if wanted is None else set(wanted.split(","))
        return answer(akash_market.provider_rows(world, world.now(), addresses))

    async def gpu_prices(request: Request) -> Response:
        debug = request.query_params.get("debug") == "true"
        return answer(akash_market.gpu_prices(world, world.now(), debug=debug))

    async def gpu(request: Request) -> Response:
        world.now()
        query = request.query_params
        wanted = query.get("provider")
        if wanted and not is_address(wanted) and not urlsplit(wanted).netloc:
            refusal = {"error": "Invalid provider parameter, should be a valid akash address or host uri"}
            return answer(refusal, 400)
        chosen = [item for item in world.fleet.live() if not wanted or wanted in (item.address, item.host_uri)]
        rows = akash_market.holdings(world, chosen)
        return answer(akash_market.gpu_list(rows, query.get("vendor"), query.get("model"), query.get("memory_size")))

    async def capacity(_: Request) -> Response:
        world.now()
        return answer(akash_market.network_capacity(world))

    async def market_data(request: Request) -> Response:
        coin = request.path_params.get("coin", "akt")
        if coin not in _COINS:
            raise ValidationError([(["coin"], "invalid_enum_value", "Expected 'akash-network' | 'akt'")])
        return answer(akash_market.market_data(world, world.now()))

    async def auditors(_: Request) -> Response:
        known = {"id": "akash-network", "name": "Akash Network", "address": AUDITOR, "website": "https://akash.network"}
        return answer([known])

    async def blocks(request: Request) -> Response:
        limit = query_number(request, "limit", low=1, high=100, default=20)
        newest = world.blocks.height_at(world.now())
        return answer([_block_row(world, height) for height in range(newest, newest - limit, -1)])

    async def block(request: Request) -> Response:
        text = request.path_params["height"]
        if not text.isdecimal() or len(text) > 18:
            raise ApiError(400, "Invalid height")
        height = int(text)
        if not 1 <= height <= world.blocks.height_at(world.now()):
            raise ApiError(404, "Block not found")
        return answer(_block(world, height))

    async def status(_: Request) -> Response:
        return answer({"isBlockchainReachable": True})

    return [
        Route("/v1/providers", open_to_all(providers)),
        Route("/v1/gpu-prices", open_to_all(gpu_prices)),
        Route("/v1/gpu", open_to_all(gpu)),
        Route("/v1/network-capacity", open_to_all(capacity)),
        Route("/v1/market-data", open_to_all(market_data)),
        Route("/v1/market-data/{coin}", open_to_all(market_data)),
        Route("/v1/auditors", open_to_all(auditors)),
        Route("/v1/blocks", open_to_all(blocks)),
        Route("/v1/blocks/{height}", open_to_all(block)),
        Route("/v1/blockchain-status", open_to_all(status)),
    ]


def _proposer(world: World, height: int) -> dict[str, Any]:
    number = whole(1, _VALIDATORS, world.seed, "proposer", height)
    return {
        "address": digest(world.seed, "validator", number)[:20].hex().upper(),
        "operatorAddress": address_of(world.seed, "validator", number, prefix="akashvaloper"),
        "moniker": f"simulated validator {number}",
    }


def _block_row(world: World, height: int) -> dict[str, Any]:
    return {
        "height": height,
        "proposer": _proposer(world, height) | {"avatarUrl": None},
        "transactionCount": 0,
        # A round figure near the live one (37,070,408 at height 27,761,502), growing with the chain.
        "totalTransactionCount": height * 4 // 3,
        "datetime": akash_market.iso(world.blocks.time_of(height)),
    }


def _block(world: World, height: int) -> dict[str, Any]:
    return {
        "height": height,
        "datetime": akash_market.iso(world.blocks.time_of(height)),
        "proposer": _proposer(world, height),
        "hash": world.blocks.hash_of(height),
        "gasUsed": 0,
        "gasWanted": 0,
        "transactions": [],
    }
