"""Who may call the simulated Console API: one key, checked as the real service checks it.

Source: akash-network/console apps/api/src/auth/services/auth.interceptor.ts (@063d814f0750). Credentials are looked at
on every route, public ones too: a wrong key is refused even where none is needed.
"""

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from necto_pipelines.sandbox.answers import ApiError

API_KEY = "ac.sk.sandbox." + "0" * 64
"""the one key the sandbox accepts; it opens nothing else"""
Handler = Callable[[Request], Awaitable[Response]]


def open_to_all(handler: Handler) -> Handler:
    """The handler for callers with a valid key or none."""

    async def checked(request: Request) -> Response:
        has_key(request)
        return await handler(request)

    return checked


def tenant_only(handler: Handler) -> Handler:
    """The handler for callers with a valid key; 401 for all others."""

    async def checked(request: Request) -> Response:
        require_key(request)
        return await handler(request)

    return checked


def require_key(request: Request) -> None:
    """401 without a valid key."""
    if not has_key(request):
        raise ApiError(401, "Unauthorized")


def has_key(request: Request) -> bool:
    """True with the valid key, False without any; 401 with a wrong one, 400 with two kinds of credentials."""
    bearer, key = request.headers.get("authorization"), request.headers.get("x-api-key")
    if bearer and key:
        raise ApiError(400, "Authorization and X-Api-Key headers are mutually exclusive")
    if key and not secrets.compare_digest(key.encode(), API_KEY.encode()):
        raise ApiError(401, "Invalid API key")
    return bool(key)
