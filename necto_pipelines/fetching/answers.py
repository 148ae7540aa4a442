"""An answer's bytes under their digest, and reading them: JSON without floats, and a source's own word for its no."""

import hashlib
import json
from decimal import Decimal, InvalidOperation
from typing import Any

from necto_pipelines.failures import TransientFailure, Unavailable
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock


def raw_answer(url: str, body: bytes, clock: Clock, *, revalidated: bool = False) -> RawAnswer:
    """Name the bytes by their SHA-256 and the time they came."""
    digest = hashlib.sha256(body).hexdigest()
    return RawAnswer(url=url, body=body, sha256=digest, received_at=clock.now(), revalidated=revalidated)


def read_json(answer: RawAnswer) -> Any:
    """The answer's JSON with numbers as Decimal or int, never float. `Unavailable` when it is not JSON (RFC 8259: so
    neither NaN nor Infinity), or is nested or scaled beyond what Python can hold."""
    try:
        return json.loads(answer.body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise Unavailable(f"{answer.url}: the answer is not JSON ({error})") from error


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def wrong_shape(answer: RawAnswer, error: Exception) -> TransientFailure:
    """The answer parses but is not what the source documents; returned for the caller to raise `from` the cause."""
    return Unavailable(f"{answer.url}: unexpected shape ({type(error).__name__}: {error})")


def snippet(body: bytes) -> str:
    """The beginning of an answer, on one line."""
    return body[:300].decode("utf-8", "replace").replace("\n", " ")


def error_code(body: bytes, status: int) -> str:
    """The source's own word for its refusal: `code` of a JSON error or of its `error`, else the HTTP status."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return str(status)
    inner = parsed.get("error") if isinstance(parsed, dict) else None
    holder = inner if isinstance(inner, dict) else parsed
    code = holder.get("code") if isinstance(holder, dict) else None
    return str(code) if code else str(status)
