"""How every simulated service answers: JSON bodies, and errors in the envelope of the Akash Console API.

The envelope and its codes follow akash-network/console, apps/api/src/core/services/hono-error-handler (@0d8b2097f1e2).
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from necto_pipelines.failures import NectoError

_NAMES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    402: "PaymentRequiredError",
    403: "ForbiddenError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "TooManyRequestsError",
    500: "InternalServerError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "unprocessable_entity",
    429: "rate_limited",
    500: "internal_server_error",
    502: "service_unavailable",
    503: "service_unavailable",
}
"""402 is not in the service's own table: it answers `unknown_error` there"""


class ApiError(NectoError):
    """An answer other than success. `code` replaces the envelope's word for the status; `data` is added to it."""

    def __init__(self, status: int, message: str, *, code: str = "", data: Any = None) -> None:
        self.status, self.message, self.data = status, message, data
        self.code = code or _CODES.get(status, "unknown_error")
        super().__init__(message)


class ValidationError(ApiError):
    """A body or query that does not have the documented shape; `issues` are rows of (path, code, message)."""

    def __init__(self, issues: Sequence[tuple[Sequence[str | int], str, str]]) -> None:
        data = [{"code": code, "path": list(path), "message": message} for path, code, message in issues]
        super().__init__(400, "Validation error", code="validation_error", data=data)


def answer(content: Any, status: int = 200) -> Response:
    """JSON as compact text; text outside ASCII stays readable."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status_code=status, media_type="application/json")


def error_answer(error: ApiError) -> Response:
    """The error in its envelope."""
    kind = "server_error" if error.status >= 500 else "client_error"
    if isinstance(error, ValidationError):
        kind = "validation_error"
    name = _NAMES.get(error.status, "Error")
    envelope = {"error": name, "message": error.message, "code": error.code, "type": kind}
    return answer(envelope | ({"data": error.data} if error.data is not None else {}), error.status)


def on_api_error(_: Request, error: Exception) -> Response:
    """Starlette's handler for `ApiError`."""
    if not isinstance(error, ApiError):
        raise error
    return error_answer(error)


def on_http_error(_: Request, error: Exception) -> Response:
    """Starlette's handler for its own refusals. A wrong method is 404, as at the real services."""
    if not isinstance(error, HTTPException):
        raise error
    return error_answer(ApiError(404 if error.status_code == 405 else error.status_code, error.detail))


async def json_object(request: Request) -> dict[str, Any]:
    """The request's body as a JSON object; `ApiError` 400 when it is something else."""
    try:
        body = json.loads(await request.body(), parse_float=Decimal, parse_constant=_refuse)
    except ValueError:
        raise ApiError(400, "Malformed JSON in request body") from None
    if not isinstance(body, dict):
        raise ValidationError([((), "invalid_type", f"Expected object, received {_kind(body)}")])
    return body


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def field(body: dict[str, Any], path: Sequence[str], kind: type) -> Any:
    """The value at `path` when it is a `kind` (Decimal takes any number); else `ValidationError` naming the path."""
    value: Any = body
    for depth, name in enumerate(path, start=1):
        if not isinstance(value, dict) or name not in value:
            raise ValidationError([(path[:depth], "invalid_type", "Required")])
        value = value[name]
    if kind is Decimal and type(value) is int:
        return Decimal(value)
    if type(value) is not kind:
        raise ValidationError([(path, "invalid_type", f"Expected {_KINDS[kind]}, received {_kind(value)}")])
    return value


_KINDS: dict[type, str] = {
    str: "string",
    int: "integer",
    Decimal: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS[type(value)]
