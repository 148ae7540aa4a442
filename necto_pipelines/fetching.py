"""The one HTTP client: time-outs, a size limit, and retries with jitter only where a call may be repeated.

A failed call ends as one of three: `Unavailable` (no usable answer, and nothing happened), `Unknown` (a call that
changes something got no answer: it may have happened) or `Refused` (answered no; repeating changes nothing).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import httpx
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from necto_pipelines.failures import Refused, TransientFailure, Unavailable, Unknown
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock

Parsed = TypeVar("Parsed")
MAX_BODY_BYTES = 32 * 1024 * 1024
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""answers that invite another attempt; any other 4xx says that the request itself is wrong: a repeat changes nothing"""


class Fetcher:
    """Calls one source at `base_url`. Safe to share between threads; close it, or use it as a context manager."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        timeout_s: float = 30.0,
        attempts: int = 4,
        max_wait_s: float = 8.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._client = httpx.Client(
            base_url=base_url,
            headers=dict(headers or {}),
            # Asked anew for every attempt, so that a signature with a nonce is never sent twice.
            auth=auth,
            timeout=timeout_s,
            transport=transport,
            follow_redirects=False,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.2, max=max_wait_s),
        )

    def get(self, path: str, params: Mapping[str, str] | None = None) -> RawAnswer:
        """Read `path`; repeated on time-outs and retryable answers. Raises `Unavailable` or `Refused`."""
        return self._repeat("GET", path, params=params)

    def read_through(self, path: str, read: Callable[[Iterator[bytes]], Parsed], *, max_bytes: int) -> Parsed:
        """What `read` makes of an answer too large to hold, given to it as it comes; repeated, and raises, as `get`.

        `read` may stop before the end. Its ValueError says that the answer is not what the source documents:
        `Unavailable`, at once.
        """
        try:
            parsed: Parsed = self._retrying(self._read_through, path, read, max_bytes)
        except RetryError as error:
            raise error.last_attempt.exception() or Unavailable(f"GET {path}: no answer") from error
        except ValueError as error:  # it came whole, so another hundred megabytes would say the same
            raise Unavailable(f"GET {path}: unexpected shape ({error})") from error
        return parsed

    def put_again(self, method: str, path: str, body: object = None) -> RawAnswer:
        """A change that may be repeated because the source makes it idempotent. Raises as `get`."""
        return self._repeat(method, path, body=body)

    def change_once(self, method: str, path: str, body: object = None) -> RawAnswer:
        """A change that must not be repeated. Raises `Unknown` when it may have happened."""
        try:
            return self._send(method, path, body=body)
        except _NeverSent as error:
            raise Unavailable(str(error)) from error
        except Unavailable as error:
            raise Unknown(f"{error}; it may have happened all the same") from error

    def _repeat(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: object = None
    ) -> RawAnswer:
        try:
            return self._retrying(self._send, method, path, params=params, body=body)
        except RetryError as error:
            raise error.last_attempt.exception() or Unavailable(f"{method} {path}: no answer") from error

    def _read_through(self, path: str, read: Callable[[Iterator[bytes]], Parsed], max_bytes: int) -> Parsed:
        request = self._client.build_request("GET", path)
        where = f"GET {request.url.copy_with(query=None)}"
        try:
            response = self._client.send(request, stream=True)
            try:
                chunks = _limited(response.iter_bytes(), max_bytes, where)
                _check_status(where, response, b"" if response.status_code < 300 else next(chunks, b""))
                return read(chunks)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise Unavailable(f"{where}: {type(error).__name__}: {error}") from error

    def _send(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: object = None
    ) -> RawAnswer:
        request = self._client.build_request(method, path, params=params, json=body if body is not None else None)
        where = f"{method} {request.url.copy_with(query=None)}"
        try:
            response = self._client.send(request, stream=True)
            try:
                data = b"".join(_limited(response.iter_bytes(), MAX_BODY_BYTES, where))
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NeverSent(f"{where}: could not connect ({error})") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"{where}: {type(error).__name__}: {error}") from error
        _check_status(where, response, data)
        return raw_answer(str(request.url), data, self._clock)

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _limited(chunks: Iterator[bytes], max_bytes: int, where: str) -> Iterator[bytes]:
    """The chunks, as long as they are no more than `max_bytes` together."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise Unavailable(f"{where}: the answer is larger than {max_bytes} bytes")
        yield chunk


def _check_status(where: str, response: httpx.Response, body: bytes) -> None:
    """Raise for an answer other than success."""
    if response.status_code in RETRYABLE_STATUS:
        raise Unavailable(f"{where}: HTTP {response.status_code}: {_snippet(body)}")
    if response.status_code >= 300:
        raise Refused(f"{where}: HTTP {response.status_code}: {_snippet(body)}", code=_error_code(body, response))


class _NeverSent(Unavailable):
    """The request did not leave this machine, so nothing can have happened."""


def raw_answer(url: str, body: bytes, clock: Clock) -> RawAnswer:
    """Name the bytes by their SHA-256 and the time they came."""
    return RawAnswer(url=url, body=body, sha256=hashlib.sha256(body).hexdigest(), received_at=clock.now())


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


def _snippet(body: bytes) -> str:
    return body[:300].decode("utf-8", "replace").replace("\n", " ")


def _error_code(body: bytes, response: httpx.Response) -> str:
    """The source's own word for its refusal: `code` of a JSON error or of its `error`, else the HTTP status."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return str(response.status_code)
    inner = parsed.get("error") if isinstance(parsed, dict) else None
    holder = inner if isinstance(inner, dict) else parsed
    code = holder.get("code") if isinstance(holder, dict) else None
    return str(code) if code else str(response.status_code)
