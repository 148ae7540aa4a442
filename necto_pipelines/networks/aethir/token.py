"""The AK/SK token that Aethir asks for beside the access key. Pure, but for the nonce that is passed in.

    signed = b64url(header) "." b64url(payload)
    x-op-token = signed "." b64url(HMAC-SHA256(secret key, signed))

header {"alg":"HS256","typ":"CHK_OP"}, payload {"ak","exp","nonce"}, `exp` in milliseconds since 1970. Source: Aethir's
documentation of `POST v2/client/query-daily-reward`, its one published endpoint with this token. It says neither how
base64url ends nor how JSON is spaced. Three parts joined by dots with `alg` and `typ` are the form of a JSON Web
Signature, so its rules are taken: no padding (RFC 7515, section 2), and JSON as it is sent, here without spaces.

The token says who calls and until when. It does not cover path or body, so it guards nothing against a changed request.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from typing import Final

import httpx
from pydantic import SecretStr

from necto_pipelines.model.clock import Clock

HEADER: Final = {"alg": "HS256", "typ": "CHK_OP"}
LIFETIME: Final = timedelta(minutes=1)
"""how long a token is good; ours: it must outlast one call on a slow line, and no more"""


def base64url(data: bytes) -> str:
    """Base64 for URLs without padding (RFC 7515, section 2).

    >>> base64url(b"\\xff\\xfe\\xfd\\xfc")
    '__79_A'
    """
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def op_token(access_key: str, secret_key: str, *, expires_ms: int, nonce: str) -> str:
    """The token of one call."""
    payload = {"ak": access_key, "exp": expires_ms, "nonce": nonce}
    signed = f"{_part(HEADER)}.{_part(payload)}"
    digest = hmac.new(secret_key.encode(), signed.encode("ascii"), hashlib.sha256).digest()
    return f"{signed}.{base64url(digest)}"


def new_nonce() -> str:
    """16 random bytes in hex."""
    return secrets.token_hex(16)


class AethirAuth(httpx.Auth):
    """Adds both headers to a request; a new token for every attempt, because a nonce is good for one."""

    def __init__(
        self, access_key: str, secret_key: SecretStr, *, clock: Clock, nonce: Callable[[], str] = new_nonce
    ) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._clock = clock
        self._nonce = nonce

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send `request` with the headers."""
        expires_ms = int((self._clock.now() + LIFETIME).timestamp() * 1000)
        secret = self._secret_key.get_secret_value()
        request.headers["x-ak"] = self._access_key
        request.headers["x-op-token"] = op_token(self._access_key, secret, expires_ms=expires_ms, nonce=self._nonce())
        yield request


def _part(fields: Mapping[str, object]) -> str:
    return base64url(json.dumps(fields, separators=(",", ":")).encode())
