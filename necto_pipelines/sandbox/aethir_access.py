"""Who may call the simulated Aethir: one key pair, whose token is checked byte for byte.

Written without a look at the adapter that signs, from the description alone: three parts of base64url joined by dots,
the last an HMAC-SHA256 of the first two under the secret key. Where the real service is not certain to be strict, this
one is: no padding, no part beyond what is described, each nonce once.

Every failure is answered with HTTP 200 and a code. Calls without credentials get 135500, as the real console answered
on 2026-08-19; the code of a refused token is ours.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from necto_pipelines.sandbox.aethir import BAD_REQUEST, REFUSED_TOKEN, AethirError, AethirState
from necto_pipelines.sandbox.answers import ApiError, answer

ACCESS_KEY = "ak_sandbox_" + "0" * 16
SECRET_KEY = "sk_sandbox_" + "0" * 48
"""the one pair the sandbox accepts; it opens nothing else"""
OK, BUSY = 135000, 135500
SIMULATED = "simulated, not Aethir's published API"
MAX_LIFE_MS = 10 * 60 * 1000
"""how far ahead a token may expire; ours"""
_BUSY_TEXT = "The system is busy. Please try again later"
Handler = Callable[[Request], Awaitable[dict[str, Any]]]


class Gate:
    """Lets calls with a good token through, each nonce once, and puts every answer into the envelope.

    A nonce is forgotten when its token has expired.
    """

    def __init__(self, now: Callable[[], datetime], state: AethirState) -> None:
        self._now = now
        self._state = state
        self._used: dict[str, int] = {}

    def guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind the token; what it returns becomes `data`."""

        async def checked(request: Request) -> Response:
            try:
                self._check(request.headers.get("x-ak", ""), request.headers.get("x-op-token", ""))
                self._be_busy("busy")
                data = await handler(request)
                self._be_busy("busy_after")
            except AethirError as error:
                return answer({"code": error.code, "msg": error.message, "data": ""})
            except ApiError as error:  # a body that is no JSON, or a field of another kind
                return answer({"code": BAD_REQUEST, "msg": f"{error.message}: {error.data or ''}", "data": ""})
            return answer({"code": OK, "msg": "OK", "data": {"simulated": SIMULATED} | data})

        return checked

    def _be_busy(self, switch: str) -> None:
        """Fail as often as the switch says."""
        left = getattr(self._state, switch)
        if left > 0:
            setattr(self._state, switch, left - 1)
            raise AethirError(BUSY, _BUSY_TEXT)

    def _check(self, key: str, token: str) -> None:
        if not key or not token:
            raise AethirError(BUSY, _BUSY_TEXT)
        parts = token.split(".")
        if len(parts) != 3 or not hmac.compare_digest(key.encode(), ACCESS_KEY.encode()):
            raise _refused("an unknown key, or not three parts")
        expected = _encoded(hmac.digest(SECRET_KEY.encode(), f"{parts[0]}.{parts[1]}".encode(), "sha256"))
        if not hmac.compare_digest(parts[2].encode(), expected.encode()):
            raise _refused("the signature does not match")
        if _decoded(parts[0]) != {"alg": "HS256", "typ": "CHK_OP"}:
            raise _refused("the header is another one")
        self._check_payload(_decoded(parts[1]), key)

    def _check_payload(self, payload: Any, key: str) -> None:
        if not isinstance(payload, dict) or payload.get("ak") != key:
            raise _refused("the payload is for another key")
        now_ms, expires, nonce = int(self._now().timestamp() * 1000), payload.get("exp"), payload.get("nonce")
        if type(expires) is not int or not now_ms < expires <= now_ms + MAX_LIFE_MS:
            raise _refused(f"exp {expires} is past, or more than {MAX_LIFE_MS} ms ahead of {now_ms}")
        if not isinstance(nonce, str) or not nonce:
            raise _refused("a nonce is needed")
        self._used = {used: until for used, until in self._used.items() if until > now_ms}
        if nonce in self._used:
            raise _refused("the nonce was used before")
        self._used[nonce] = expires


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(part: str) -> Any:
    """The JSON in a part, which must be written in the one way that base64url without padding has for its bytes."""
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(data)
    except (binascii.Error, ValueError):
        raise _refused("a part is not JSON in base64url") from None
    if _encoded(data) != part:
        raise _refused("a part is not base64url without padding")
    return value


def _refused(why: str) -> AethirError:
    return AethirError(REFUSED_TOKEN, f"token refused: {why}")
