"""The calls of the HTTP client: a turn at the source, time-outs, a size limit, and what is asked again.

A call that fails ends as one of three: `Unavailable` (no usable answer, and nothing happened), `Unknown` (a call that
changes something got no answer: it may have happened) or `Refused` (answered no; repeating changes nothing).

Reads without any credential are revalidated when a store is given: what the source said before is sent as a question,
and its 304 makes those bytes an answer of now. A client with an `auth`, with user information in its base URL or with
any header besides `OPEN_HEADERS` never does, and neither does a request with headers of its own: what is answered to
somebody in particular is not written down.
"""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import anyio
import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from necto_pipelines.failures import NectoError, Refused, Unavailable, Unknown
from necto_pipelines.fetching.answers import error_code, raw_answer, snippet
from necto_pipelines.fetching.budget import Budget, Gate, GateClosed, NeverSent, NotSoon, gate_of
from necto_pipelines.fetching.loop import close_with
from necto_pipelines.fetching.revalidation import AnswerStore, KeptAnswer, key_of, to_keep
from necto_pipelines.fetching.unpacking import ACCEPTED, pieces_of
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
RETRYABLE_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""answers that invite another attempt; any other 4xx says that the request itself is wrong: a repeat changes nothing"""
WHOLE_TIMEOUTS: Final = 4
"""an answer that drips in never meets the time-out, which is between two of its pieces: as a whole it gets so many"""
LONGEST_PAUSE_S: Final = 3600.0
"""no source silences this process for longer, whatever it answers"""
OPEN_HEADERS: Final = frozenset({"user-agent", "accept"})
"""headers that say nothing of who asks"""


@dataclass(frozen=True)
class Get:
    """One thing to read. `headers` are of this request alone."""

    path: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None


class Asker:
    """Calls one source at `base_url`, on one event loop at a time. Safe to share between the tasks of a loop."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        headers: Mapping[str, str] | None,
        auth: httpx.Auth | None,
        timeout_s: float,
        attempts: int,
        max_wait_s: float,
        max_body_bytes: int,
        budget: Budget,
        store: AnswerStore | None,
        transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None,
    ) -> None:
        self._base_url = httpx.URL(base_url)
        self._clock, self._auth, self._transport = clock, auth, transport
        self._timeout_s, self._max_wait_s, self._max_body_bytes = timeout_s, max_wait_s, max_body_bytes
        self._budget = budget
        given = {name.lower(): text for name, text in (headers or {}).items()}
        self._headers = {"accept-encoding": ACCEPTED} | given
        credentials = auth is not None or self._base_url.userinfo or given.keys() - OPEN_HEADERS
        self._store = None if credentials else store
        self._source = str(self._base_url.copy_with(userinfo=None)).rstrip("/")
        self._opened: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None
        self.policy: Final[dict[str, Any]] = {
            "retry": retry_if_exception(
                lambda error: isinstance(error, Unavailable) and not isinstance(error, NotSoon)
            ),
            "stop": stop_after_attempt(attempts),
            "wait": wait_random_exponential(multiplier=0.2, max=max_wait_s),
            "reraise": True,
        }
        """which calls are made again, and when; for tenacity"""

    async def get(self, request: Get) -> RawAnswer:
        """Read; repeated on time-outs and retryable answers. Raises `Unavailable` or `Refused`."""
        return await AsyncRetrying(**self.policy)(self._read, request)

    async def get_all(self, requests: Sequence[Get]) -> list[RawAnswer | NectoError]:
        """Read all of them at once, as far as the budget lets them: answers and failures in this order."""
        found: dict[int, RawAnswer | NectoError] = {}

        async def one(number: int, request: Get) -> None:
            try:
                found[number] = await self.get(request)
            except NectoError as failure:
                found[number] = failure

        async with anyio.create_task_group() as tasks:
            for number, request in enumerate(requests):
                tasks.start_soon(one, number, request)
        return [found[number] for number in range(len(requests))]

    async def put_again(self, method: str, path: str, body: object) -> RawAnswer:
        """A change that may be repeated because the source makes it idempotent. Raises as `get`."""
        return await AsyncRetrying(**self.policy)(self._change, method, path, body)

    async def post_again(self, path: str, content: bytes, content_type: str) -> RawAnswer:
        """Hand over bytes that may be handed over twice. Raises as `get`."""
        return await AsyncRetrying(**self.policy)(self._post, path, content, content_type)

    async def change_once(self, method: str, path: str, body: object) -> RawAnswer:
        """A change that must not be repeated. Raises `Unknown` when it may have happened."""
        try:
            return await self._change(method, path, body)
        except NeverSent as error:
            raise Unavailable(str(error)) from error
        except Unavailable as error:
            raise Unknown(f"{error}; it may have happened all the same") from error

    async def stream(self, path: str, *, max_bytes: int, part: str | None) -> "Streamed":
        """One attempt at an answer that is read as it comes; the caller closes it. Raises as `get`.

        With `part` the source is asked whether what was kept under that name still holds.
        """
        request = self._client().build_request("GET", path)
        kept = self._ask_about(request, key_of(str(request.url), part)) if part is not None else None
        where = _where(request)
        gate = await self._turn(where)
        try:
            response = await self._send(request, where, gate)
        except BaseException:
            gate.leave()
            raise
        body = pieces_of(response, max_bytes=max_bytes, where=where)
        streamed = Streamed(response, body, gate, kept if response.status_code == httpx.codes.NOT_MODIFIED else None)
        try:
            if streamed.kept is None:
                _check_status(where, response, b"" if response.status_code < 300 else await streamed.next())
        except BaseException:
            await streamed.aclose()
            raise
        return streamed

    def answer(self, url: str, body: bytes, *, revalidated: bool = False) -> RawAnswer:
        """The bytes, come now."""
        return raw_answer(url, body, self._clock, revalidated=revalidated)

    def keep(self, response: httpx.Response, body: bytes, part: str = "") -> None:
        """Keep the body, or the part that was taken out of it, under the answer's validators, where that is allowed."""
        if self._store and response.status_code == httpx.codes.OK and (keepable := to_keep(body, response.headers)):
            self._store.keep(key_of(str(response.request.url), part), keepable)

    async def aclose(self) -> None:
        """Give back the connections; the next call opens new ones."""
        opened, self._opened = self._opened, None
        if opened and opened[0] is asyncio.get_running_loop():
            await opened[1].aclose()

    async def _read(self, asked: Get) -> RawAnswer:
        request = self._client().build_request("GET", asked.path, params=asked.params, headers=asked.headers)
        url = str(request.url)
        kept = self._ask_about(request, key_of(url)) if not asked.headers else None
        response, body = await self._whole(request)
        if kept and response.status_code == httpx.codes.NOT_MODIFIED:
            return self.answer(url, kept.body, revalidated=True)
        _check_status(_where(request), response, body)
        if not asked.headers:
            self.keep(response, body)
        return self.answer(url, body)

    async def _change(self, method: str, path: str, body: object) -> RawAnswer:
        return await self._answered(self._client().build_request(method, path, json=body))

    async def _post(self, path: str, content: bytes, content_type: str) -> RawAnswer:
        headers = {"content-type": content_type}
        return await self._answered(self._client().build_request("POST", path, content=content, headers=headers))

    async def _answered(self, request: httpx.Request) -> RawAnswer:
        response, data = await self._whole(request)
        _check_status(_where(request), response, data)
        return self.answer(str(request.url), data)

    def _ask_about(self, request: httpx.Request, key: str) -> KeptAnswer | None:
        """Make the request ask whether what is kept still holds."""
        kept = self._store.find(key) if self._store else None
        if kept:
            request.headers.update(kept.question)
        return kept

    async def _whole(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        where = _where(request)
        gate = await self._turn(where)
        try:
            with anyio.fail_after(self._timeout_s * WHOLE_TIMEOUTS):
                response = await self._send(request, where, gate)
                try:
                    pieces = pieces_of(response, max_bytes=self._max_body_bytes, where=where)
                    return response, b"".join([piece async for piece in pieces])
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise Unavailable(f"{where}: no whole answer within {self._timeout_s * WHOLE_TIMEOUTS:g} s") from error
        finally:
            gate.leave()

    async def _turn(self, where: str) -> Gate:
        gate = gate_of(self._source)
        try:
            await gate.enter(self._budget, max_wait_s=self._max_wait_s)
        except GateClosed as error:
            raise GateClosed(f"{where}: {error}") from error
        return gate

    async def _send(self, request: httpx.Request, where: str, gate: Gate) -> httpx.Response:
        """The answer's beginning. A source that names a pause gets it from everybody."""
        try:
            response = await self._client().send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NeverSent(f"{where}: could not connect ({error})") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"{where}: {type(error).__name__}: {error}") from error
        if response.status_code in RETRYABLE_STATUS:
            pause_s = min(self._pause_s(response), LONGEST_PAUSE_S)
            gate.close_for(pause_s)
            if pause_s > self._max_wait_s:
                await response.aclose()
                raise NotSoon(f"{where}: HTTP {response.status_code}, and no calls for {pause_s:.0f} s")
        return response

    def _pause_s(self, response: httpx.Response) -> float:
        """`Retry-After`, else the pause that this source is known to want after a 429."""
        told = retry_after_s(response.headers, self._clock.now())
        if told is not None:
            return told
        return self._budget.pause_s if response.status_code == httpx.codes.TOO_MANY_REQUESTS else 0.0

    def _client(self) -> httpx.AsyncClient:
        """The client of the running loop, opened at the first call: most sources are never asked in a process."""
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            client = httpx.AsyncClient(
                base_url=self._base_url,
                headers=self._headers,
                # Asked anew for every attempt, so that a signature with a nonce is never sent twice.
                auth=self._auth,
                timeout=self._timeout_s,
                transport=self._transport,  # type: ignore[arg-type]  # a test's MockTransport is of both kinds
                verify=_trusted(),
                # No source knows us again by what it gave us earlier.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                follow_redirects=False,
            )
            close_with(self, client)
            self._opened = loop, client
        return self._opened[1]


class Streamed:
    """An answer that has begun. It holds its turn at the source until it is closed."""

    def __init__(
        self,
        response: httpx.Response,
        body: AsyncGenerator[bytes, None],
        gate: Gate,
        kept: KeptAnswer | None,
    ) -> None:
        self.response, self._body, self._gate = response, body, gate
        self.kept = kept
        """what the source says still holds; then there is nothing to read"""

    @property
    def url(self) -> str:
        """What was asked."""
        return str(self.response.request.url)

    async def next(self) -> bytes:
        """The next bytes, unpacked; none at the end. `Unavailable` when it breaks off or is too large."""
        return await anext(self._body, b"")

    async def aclose(self) -> None:
        """Give back connection and turn."""
        try:
            await self.response.aclose()
            with contextlib.suppress(RuntimeError):  # an interrupted read may still be on its way out of it
                await self._body.aclose()
        finally:
            self._gate.leave()


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that an answer asks to wait (RFC 9110 section 10.2.3); None when it does not say, or not readably.

    A date is counted from the answer's own `Date`: its clock is not ours.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    until, since = _http_date(text), _http_date(headers.get("date", ""))
    return max(0.0, (until - (since or now)).total_seconds()) if until else None


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _where(request: httpx.Request) -> str:
    return f"{request.method} {request.url.copy_with(query=None)}"


def _check_status(where: str, response: httpx.Response, body: bytes) -> None:
    """Raise for an answer other than success."""
    if response.status_code in RETRYABLE_STATUS:
        raise Unavailable(f"{where}: HTTP {response.status_code}: {snippet(body)}")
    if response.status_code >= 300:
        code = error_code(body, response.status_code)
        raise Refused(f"{where}: HTTP {response.status_code}: {snippet(body)}", code=code)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes longer than a call; they are the same for all."""
    return httpx.create_ssl_context()
