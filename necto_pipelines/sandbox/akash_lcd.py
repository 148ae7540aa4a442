"""The simulated chain's REST interface: blocks, providers, audits and leases; the oracle stands in `akash_oracle.py`.

As at the real one: `pagination.key` is base64 and must be URL-encoded, `count_total` is not kept, the header
`x-cosmos-block-height` reads an older state for as long as it is kept, a module version that is not served answers
501, and errors carry gRPC codes. Pages hold at most `MOST_ROWS`, so that paging happens with this small market too.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.failures import NectoError
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.sandbox.addresses import is_address
from necto_pipelines.sandbox.akash_lcd_rows import (
    LEASE_STATES,
    Row,
    audit_rows,
    lease_rows,
    provider_body,
    provider_rows,
)
from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.world import World

CHAIN_ID = "akashnet-2"
MOST_ROWS = 25
KEPT_BLOCKS = 400
"""how many blocks back a state can still be read: public hosts prune, most keep less than an hour"""
HEIGHT = "x-cosmos-block-height"
INVALID, NOT_FOUND, UNIMPLEMENTED = 3, 5, 12
_STATUS = {INVALID: 400, NOT_FOUND: 404, UNIMPLEMENTED: 501}


class LcdError(NectoError):
    """An answer other than success, by its gRPC code."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


Handler = Callable[[Request, int], Awaitable[Any]]


def lcd_routes(world: World) -> list[Route]:
    """The routes, relative to the chain's REST host. The last takes every path: put others before these."""

    def route(path: str, handler: Handler) -> Route:
        """`handler` gets the request and the height it reads at."""

        async def checked(request: Request) -> Response:
            try:
                height = _height(world, request)
                response = answer(await handler(request, height))
            except LcdError as error:
                return answer({"code": error.code, "message": str(error), "details": []}, _STATUS[error.code])
            response.headers[HEIGHT] = str(height)
            return response

        return Route(path, checked)

    async def latest(_: Request, __: int) -> Any:
        return _block(world, world.blocks.height_at(world.now()))

    async def providers(request: Request, _: int) -> Any:
        return _page(request, provider_rows(world), "providers")

    async def provider(request: Request, _: int) -> Any:
        found = world.fleet.get(_address(request.path_params["owner"]))
        if found is None:
            raise LcdError(NOT_FOUND, "codespace provider code 4: invalid provider: address not found")
        return {"provider": provider_body(found)}

    async def audits(request: Request, _: int) -> Any:
        asked = {
            name: _address(request.path_params[name]) for name in ("owner", "auditor") & request.path_params.keys()
        }
        rows = [row for row in audit_rows(world) if asked.items() <= row.body.items()]
        if not rows and asked:
            raise LcdError(NOT_FOUND, "codespace audit code 1: provider not found: address not found")
        return _page(request, rows, "providers")

    async def leases(request: Request, height: int) -> Any:
        rows = lease_rows(world, height)
        for name in ("owner", "dseq", "provider"):
            if wanted := request.query_params.get(f"filters.{name}"):
                rows = [row for row in rows if row.body["lease"]["id"][name] == wanted]
        if state := request.query_params.get("filters.state"):
            if state not in LEASE_STATES:
                raise LcdError(INVALID, "invalid state value")
            rows = [row for row in rows if row.body["lease"]["state"] == state]
        return _page(request, rows, "leases")

    async def unserved(_: Request, __: int) -> Any:
        raise LcdError(UNIMPLEMENTED, "Not Implemented")

    signed = "/akash/audit/v1/audit/attributes"
    return [
        route("/cosmos/base/tendermint/v1beta1/blocks/latest", latest),
        route("/akash/provider/v1beta4/providers", providers),
        route("/akash/provider/v1beta4/providers/{owner}", provider),
        route(f"{signed}/list", audits),
        route(f"{signed}/{{owner}}/list", audits),
        route(f"{signed}/{{auditor}}/{{owner}}", audits),
        route("/akash/provider/v1/auditor/{auditor}/list", audits),
        route("/akash/market/v1beta5/leases/list", leases),
        route("/{path:path}", unserved),
    ]


def _height(world: World, request: Request) -> int:
    """The height asked for, or the newest."""
    newest = world.blocks.height_at(world.now())
    text = request.headers.get(HEIGHT)
    if text is None:
        return newest
    if not re.fullmatch(r"\d{1,18}", text):
        raise LcdError(INVALID, f"invalid height header {text!r}: invalid request")
    height = int(text) or newest
    if not newest - KEPT_BLOCKS <= height <= newest:
        newer = f"version does not exist: pruned, or in the future (latest height: {newest})"
        raise LcdError(INVALID, f"failed to load state at height {height}; {newer}: invalid request")
    return height


def _page(request: Request, rows: Sequence[Row], name: str) -> dict[str, Any]:
    """One page of a list, from the key asked for."""
    query = request.query_params
    start = _start(query.get("pagination.key"))
    left = [row for row in rows if row.key >= start]
    shown = left[: _limit(query.get("pagination.limit"))]
    more = left[len(shown) :]
    next_key = base64.b64encode(more[0].key).decode() if more else None
    return {name: [row.body for row in shown], "pagination": {"next_key": next_key, "total": "0"}}


def _start(key: str | None) -> bytes:
    try:
        return base64.b64decode(key or "", validate=True)
    except binascii.Error:
        raise LcdError(INVALID, f"parsing field {'pagination.key'!r}: illegal base64 data") from None


def _limit(text: str | None) -> int:
    if text is not None and not re.fullmatch(r"\d{1,18}", text):
        raise LcdError(INVALID, f"parsing field {'pagination.limit'!r}: strconv.ParseUint: parsing {text!r}")
    return min(int(text or 0) or MOST_ROWS, MOST_ROWS)


def _address(text: str) -> str:
    if not is_address(text):
        raise LcdError(INVALID, "invalid address: decoding bech32 failed: invalid checksum")
    return text


def _block(world: World, height: int) -> dict[str, Any]:
    """The newest block, without its transactions and signatures."""
    header = {"chain_id": CHAIN_ID, "height": str(height), "time": rfc3339(world.blocks.time_of(height))}
    hash_ = base64.b64encode(bytes.fromhex(world.blocks.hash_of(height))).decode()
    return {"block_id": {"hash": hash_}, "block": {"header": header, "data": {"txs": []}}}
