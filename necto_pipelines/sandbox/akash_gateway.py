"""The gateways of the simulated providers: what each says of itself at `/{owner}/status`, `/version` and `/address`.

Real gateways listen on port 8443 of their own hosts with certificates that nobody signed; these listen behind one
plain address. A provider that is offline hangs up. Shapes: akash-network/provider gateway/rest/router.go
(@afc4dd7c30a2) and a live answer of 2026-07-17.
"""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.capacity import left_at
from necto_pipelines.sandbox.faults import TRANSPORT
from necto_pipelines.sandbox.fleet import NOTHING, Provider, Resources
from necto_pipelines.sandbox.world import World

GPUS_PER_NODE = 8
VERSION, OLD_VERSION = "v0.14.2", "v0.6.11"


class HangUp(Response):
    """No answer at all. Where no connection can be broken, a gateway in front that finds nobody behind it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if TRANSPORT not in scope:
            await PlainTextResponse("Bad Gateway", 502)(scope, receive, send)
            return
        scope[TRANSPORT].abort()
        # The server sends an error of its own unless it has noticed that the connection is gone.
        while (await receive())["type"] != "http.disconnect":
            pass


def gateway_routes(world: World) -> list[Route]:
    """The routes, relative to the gateways' common base."""

    def answering(request: Request) -> Provider | None:
        world.now()
        provider = world.fleet.get(request.path_params["owner"])
        return provider if provider and world.fleet.online(provider) else None

    async def status(request: Request) -> Response:
        provider = answering(request)
        return answer(_status(world, provider)) if provider else HangUp()

    async def version(request: Request) -> Response:
        provider = answering(request)
        return answer(_version(provider)) if provider else HangUp()

    async def address(request: Request) -> Response:
        provider = answering(request)
        return answer({"address": provider.address}) if provider else HangUp()

    return [
        Route("/{owner}/status", status),
        Route("/{owner}/version", version),
        Route("/{owner}/address", address),
    ]


def _status(world: World, provider: Provider) -> dict[str, Any]:
    used = world.chain.usage()[provider.address]
    leases = [lease for item in world.chain.deployments() for lease in item.running()]
    ours = sum(lease.provider == provider.address for lease in leases)
    in_use = [part for part in (provider.taken, used.leased) if part != NOTHING]
    return {
        "cluster": {
            "leases": ours + (provider.taken != NOTHING),
            "inventory": {
                "active": [_amounts(part) for part in in_use],
                "pending": [_amounts(used.reserved)] if used.reserved != NOTHING else [],
                "available": {"nodes": list(_nodes(provider, left_at(provider, used)[0]))},
            },
        },
        "bidengine": {"orders": 0},
        "manifest": {"deployments": ours},
        "cluster_public_hostname": f"provider.{provider.host}",
        "address": provider.address,
        "leased_ip": None,
    }


def _nodes(provider: Provider, free: Resources) -> Iterator[dict[str, Any]]:
    """The provider cut into machines of at most eight GPUs; free GPUs are gathered on as few machines as hold them."""
    count = max(1, -(-provider.total.gpus // GPUS_PER_NODE))
    gpus_left, free_gpus_left = provider.total.gpus, free.gpus
    for number in range(count):
        gpus = min(GPUS_PER_NODE, gpus_left)
        free_gpus = min(gpus, free_gpus_left)
        gpus_left, free_gpus_left = gpus_left - gpus, free_gpus_left - free_gpus
        yield {
            "name": f"node{number + 1}",
            "allocatable": _amounts(_part(provider.total, gpus, number, count)),
            "available": _amounts(_part(free, free_gpus, number, count)),
        }


def _part(whole: Resources, gpus: int, number: int, count: int) -> Resources:
    """One machine's even share of everything but GPUs; the first machine has what does not divide."""

    def share(amount: int) -> int:
        return amount // count + (amount % count if number == 0 else 0)

    return Resources(share(whole.cpu), share(whole.memory), share(whole.disk), gpus)


def _amounts(part: Resources) -> dict[str, int]:
    return {"cpu": part.cpu, "gpu": part.gpus, "memory": part.memory, "storage_ephemeral": part.disk}


def _version(provider: Provider) -> dict[str, Any]:
    akash = {
        "version": VERSION if provider.valid_version else OLD_VERSION,
        "commit": "498f8ec8",
        "go": "go version go1.25.5 linux/amd64",
        "build_deps": [],
    }
    return {"akash": akash, "kube": {"major": "1", "minor": "33", "gitVersion": "v1.33.5"}}
