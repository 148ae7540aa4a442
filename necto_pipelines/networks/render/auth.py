"""Dispersed's signature on each request, in the place where the HTTP client asks for credentials.

A nonce is good for one request, so every attempt is signed anew. The bytes that are signed are the bytes that are sent.
"""

import json
import secrets
from collections.abc import Callable, Generator

import httpx
from pydantic import SecretStr

from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.render.signing import canonical_json, canonical_query, signature, text_to_sign


def new_nonce() -> str:
    """16 random bytes in hex."""
    return secrets.token_hex(16)


class DispersedAuth(httpx.Auth):
    """Brings query and body into their canonical form and adds the four headers of the signature."""

    requires_request_body = True

    def __init__(
        self, public_key: str, secret_key: SecretStr, *, clock: Clock, nonce: Callable[[], str] = new_nonce
    ) -> None:
        self._public_key = public_key
        self._secret_key = secret_key
        self._clock = clock
        self._nonce = nonce

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the signed form of `request` instead of it."""
        query = canonical_query(request.url.params.multi_items())
        url = request.url.copy_with(query=query.encode() or None)
        body = canonical_json(json.loads(request.content)) if request.content else b""
        headers = httpx.Headers(request.headers)
        headers.pop("content-length", None)
        headers.update(self._headers(request.method, url, query, body))
        yield httpx.Request(request.method, url, headers=headers, content=body or None, extensions=request.extensions)

    def _headers(self, method: str, url: httpx.URL, query: str, body: bytes) -> dict[str, str]:
        now_ms, nonce = int(self._clock.now().timestamp() * 1000), self._nonce()
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        text = text_to_sign(
            public_key=self._public_key,
            time_ms=now_ms,
            nonce=nonce,
            method=method,
            path=path,
            query=query,
            body=body,
        )
        return {
            "X-API-Key": self._public_key,
            "X-Time": str(now_ms),
            "X-Nonce": nonce,
            "X-Signature": signature(self._secret_key.get_secret_value(), text),
        }
