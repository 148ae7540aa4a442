"""Asks providers themselves whether they are there, and what they have free: `GET <host>/status` of each gateway.

The network's lists lag: a provider may be listed with full uptime and be gone. Unlike every other call this one goes
to hosts that strangers named and whose certificates nobody signed (provider v0.14: trust is kept on the chain), so it
stands apart from the one HTTP client: certificates are not checked and no credential is ever sent; who answers is
told by its `address`. A lie gains little: a provider can only take itself off the list, or boast of GPUs that its
bids, which are binding, then do not have.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final

import anyio
import httpx
from pydantic import BaseModel, ConfigDict, Field

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import on_loop, raw_answer
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.reading import read_as

TIMEOUT_S: Final = 5.0
"""for one provider in all, from looking up its name to the last byte"""
AT_ONCE: Final = 32
MAX_BODY_BYTES: Final = 1024 * 1024
"""a live answer of a single machine has less than a kilobyte"""
MOST_GPUS: Final = 10_000
"""of one machine, either way: far beyond any, and small enough to count with"""
NO_ANSWER: Final = "listed but does not answer"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class WireFree(_Wire):
    """What one machine has free; GPUs of all models together."""

    gpu: Annotated[Decimal, Field(ge=-MOST_GPUS, le=MOST_GPUS)]


class WireNode(_Wire):
    """A machine of the provider."""

    available: WireFree


class WireAvailable(_Wire):
    """`nodes` is null where the provider knows of none."""

    nodes: tuple[WireNode, ...] | None = None


class WireInventory(_Wire):
    """What is used, reserved and free; only the last is read."""

    available: WireAvailable | None = None


class WireCluster(_Wire):
    """The provider's cluster."""

    inventory: WireInventory | None = None


class WireProviderStatus(_Wire):
    """`GET /status` of a provider's gateway."""

    address: str
    cluster: WireCluster | None = None


@dataclass(frozen=True)
class Finding:
    """What came of asking one provider; `fault` is empty when it answered as itself."""

    fault: str = ""
    free_gpus: int | None = None
    """over all its machines; None when it does not say"""
    largest_free_gpus: int | None = None
    """on the one machine with most; a deployment runs on one machine"""
    raw: RawAnswer | None = None


class ProviderProbe:
    """Asks many providers at once. `gateways` stands in for their own addresses: `<gateways>/<owner>/status`."""

    def __init__(
        self,
        *,
        clock: Clock,
        gateways: str | None = None,
        timeout_s: float = TIMEOUT_S,
        at_once: int = AT_ONCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock, self._gateways = clock, gateways
        self._timeout_s, self._at_once, self._transport = timeout_s, at_once, transport

    def ask(self, hosts: Mapping[str, str | None]) -> dict[str, Finding]:
        """A finding for each provider of `hosts` (address to registered host), however it went. Raises nothing."""
        return on_loop(self._ask_all, hosts) if hosts else {}

    async def _ask_all(self, hosts: Mapping[str, str | None]) -> dict[str, Finding]:
        findings: dict[str, Finding] = {}
        turns = anyio.Semaphore(self._at_once)

        async def ask_one(client: httpx.AsyncClient, owner: str, host: str | None) -> None:
            async with turns:
                findings[owner] = await self._ask(client, owner, host)

        async with (
            httpx.AsyncClient(
                verify=False,  # noqa: S501  # self-signed by design; see the top of this file
                timeout=self._timeout_s,
                # A small compressed answer could unfold into an enormous one.
                headers={"accept-encoding": "identity"},
                transport=self._transport,
            ) as client,
            anyio.create_task_group() as tasks,
        ):
            for owner, host in hosts.items():
                tasks.start_soon(ask_one, client, owner, host)
        return findings

    async def _ask(self, client: httpx.AsyncClient, owner: str, host: str | None) -> Finding:
        try:
            with anyio.fail_after(self._timeout_s):
                answer = await self._status(client, self._base(owner, host))
            return _finding(owner, answer)
        except TimeoutError:
            return Finding(f"{NO_ANSWER}: not within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, Unavailable, ValueError) as error:
            return Finding(f"{NO_ANSWER}: {str(error) or type(error).__name__}")

    def _base(self, owner: str, host: str | None) -> str:
        if self._gateways is not None:
            return f"{self._gateways}/{owner}"
        _refuse_inward(host)
        return (host or "").rstrip("/")

    async def _status(self, client: httpx.AsyncClient, base: str) -> RawAnswer:
        url = f"{base}/status"
        async with client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable(f"HTTP {response.status_code}")
            if "content-encoding" in response.headers:
                raise Unavailable("the answer is compressed, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise Unavailable(f"more than {MAX_BODY_BYTES} bytes")
        return raw_answer(url, bytes(body), self._clock)


def _refuse_inward(host: str | None) -> None:
    """ValueError for a host that is no gateway of a stranger: whoever registers it must not steer us into our own net.

    A name that only resolves to an inner address passes; what it then gives away is one unauthenticated GET.
    """
    url = httpx.URL(host or "")
    if url.scheme != "https" or not url.host or url.userinfo:
        raise ValueError(f"its registered host {host!r} is not https://name:port")
    try:
        inward = not ipaddress.ip_address(url.host).is_global
    except ValueError:
        inward = url.host == "localhost" or "." not in url.host
    if inward:
        raise ValueError(f"its registered host {host!r} lies in a private network")


def _finding(owner: str, answer: RawAnswer) -> Finding:
    status = read_as(answer, WireProviderStatus)
    if status.address != owner:
        return Finding(f"{NO_ANSWER}: its host answers as {status.address[:64]!r}")
    available = status.cluster and status.cluster.inventory and status.cluster.inventory.available
    if not available or available.nodes is None:
        return Finding(raw=answer)
    free = [max(0, int(node.available.gpu)) for node in available.nodes]
    return Finding(free_gpus=sum(free), largest_free_gpus=max(free, default=0), raw=answer)
