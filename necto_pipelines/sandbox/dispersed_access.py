"""Who may call the simulated Dispersed: one key pair, whose signature is checked byte for byte.

Written without a look at the adapter that signs, from the description alone: seven parts joined by `|`, HMAC-SHA256,
hex. Where the real service is not certain to be strict, this one is: the bytes on the wire must be the canonical ones.
How far a clock may be off, and that refusals name their reason, is made up.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from necto_pipelines.sandbox.answers import ApiError, answer
from necto_pipelines.sandbox.faults import SKEW_S

PUBLIC_KEY = "pk_sandbox_" + "0" * 32
SECRET_KEY = "sk_sandbox_" + "0" * 64
"""the one pair the sandbox accepts; it opens nothing else"""
MAX_SKEW_MS = 5 * 60 * 1000
Handler = Callable[[Request], Awaitable[Response]]


class Gate:
    """Lets signed requests through, each nonce once. Nonces are forgotten when their time alone would refuse them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._used: dict[str, datetime] = {}

    def guarded(self, handler: Handler) -> Handler:
        """The handler for signed requests; errors in the envelope of this API."""

        async def checked(request: Request) -> Response:
            try:
                self._check(request, await request.body())
                return await handler(request)
            except ApiError as error:
                return answer({"error": {"code": error.code, "message": error.message}}, error.status)

        return checked

    def _check(self, request: Request, body: bytes) -> None:
        key, time, nonce, signature = (
            request.headers.get(name, "") for name in ("x-api-key", "x-time", "x-nonce", "x-signature")
        )
        if not (key and time and nonce and signature):
            raise ApiError(401, "X-API-Key, X-Time, X-Nonce and X-Signature are needed", code="missing_credentials")
        if not hmac.compare_digest(key.encode(), PUBLIC_KEY.encode()):
            raise ApiError(401, "this key is not known", code="invalid_api_key")
        query, path = request.scope["query_string"], request.scope["raw_path"]
        if query != _sorted_query(query) or body != _sorted_body(body):
            raise ApiError(401, "query or body is not in its canonical form", code="not_canonical")
        parts = (key, time, nonce, request.method, path.decode(), query.decode(), hashlib.sha256(body).hexdigest())
        expected = hmac.digest(SECRET_KEY.encode(), "|".join(parts).encode(), "sha256").hex()
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise ApiError(401, "the signature does not match", code="invalid_signature")
        self._check_freshness(time, nonce, timedelta(seconds=request.scope.get(SKEW_S, 0)))

    def _check_freshness(self, time: str, nonce: str, skew: timedelta) -> None:
        now = self._now() + skew
        if not time.isdecimal() or abs(int(time) - int(now.timestamp() * 1000)) > MAX_SKEW_MS:
            raise ApiError(401, f"X-Time {time} is too far from {now.isoformat()}", code="time_out_of_range")
        if len(nonce) != 32 or set(nonce) - set("0123456789abcdef"):
            raise ApiError(401, "X-Nonce must be 16 bytes in hex", code="invalid_nonce")
        oldest = now - timedelta(milliseconds=2 * MAX_SKEW_MS)
        self._used = {used: at for used, at in self._used.items() if at > oldest}
        if nonce in self._used:
            raise ApiError(401, "X-Nonce was used before", code="nonce_reused")
        self._used[nonce] = now


def _sorted_query(query: bytes) -> bytes:
    """Keys and values decoded, sorted and encoded again after RFC 3986."""
    if not query:
        return b""
    pairs = sorted(tuple(unquote_to_bytes(part) for part in item.split(b"=", 1)) for item in query.split(b"&"))
    return "&".join("=".join(quote(part, safe="") for part in pair) for pair in pairs).encode()


def _sorted_body(body: bytes) -> bytes:
    """The JSON with keys sorted at every depth and nothing between the tokens."""
    if not body:
        return b""
    try:
        return json.dumps(_sorted(json.loads(body)), ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError:
        raise ApiError(400, "the body is not JSON", code="invalid_json") from None


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
