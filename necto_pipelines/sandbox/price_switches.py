"""Switches that set one price source apart from the feed; nothing of the kind exists at a real service."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox.admin import usd_or_none
from necto_pipelines.sandbox.answers import answer, field, json_object
from necto_pipelines.sandbox.world import World


def price_switch_routes(world: World) -> list[Route]:
    """The route, relative to `/sandbox`: POST /prices/{source} with `token` and `usd` (null undoes) or `vanished`."""

    async def switch(request: Request) -> Response:
        body = await json_object(request)
        source, token = request.path_params["source"], field(body, ("token",), str)
        world.now()
        if "usd" in body:
            world.feed.quote_apart(source, token, usd_or_none(body["usd"]))
        if "vanished" in body:
            world.feed.vanish(source, token, field(body, ("vanished",), bool))
        world.save()
        return answer({"source": source, "token": token})

    return [Route("/prices/{source}", switch, methods=["POST"])]
