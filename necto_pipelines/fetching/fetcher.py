"""The face of the HTTP client: plain calls from any thread, waiting for the event loop of the process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import httpx
from tenacity import Retrying

from necto_pipelines.failures import NectoError, Unavailable
from necto_pipelines.fetching.asking import MAX_BODY_BYTES, Asker, Get, Streamed
from necto_pipelines.fetching.budget import DEFAULT_BUDGET, Budget
from necto_pipelines.fetching.loop import on_loop
from necto_pipelines.fetching.revalidation import AnswerStore
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock

Parsed = TypeVar("Parsed")
Read = Callable[[Iterator[bytes]], Parsed]


class Fetcher:
    """Calls one source at `base_url`. Safe to share between threads; close it, use it as a context manager, or let go
    of it. Nothing is opened before the first call.

    `budget` holds for all clients of this base URL together. `store` keeps answers to be revalidated, see `asking.py`.
    `timeout_s` is for connecting, and between two pieces of an answer; a whole answer may take four times as long.
    """

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
        max_body_bytes: int = MAX_BODY_BYTES,
        budget: Budget = DEFAULT_BUDGET,
        store: AnswerStore | None = None,
        transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._asker = Asker(
            base_url,
            clock=clock,
            headers=headers,
            auth=auth,
            timeout_s=timeout_s,
            attempts=attempts,
            max_wait_s=max_wait_s,
            max_body_bytes=max_body_bytes,
            budget=budget,
            store=store,
            transport=transport,
        )

    def get(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> RawAnswer:
        """Read `path`; repeated on time-outs and retryable answers. Raises `Unavailable` or `Refused`."""
        return on_loop(self._asker.get, Get(path, params, headers))

    def get_all(self, requests: Sequence[Get]) -> list[RawAnswer | NectoError]:
        """Read all of them at once, as far as the budget lets them: each answer, or how it failed, in this order."""
        return on_loop(self._asker.get_all, requests)

    def read_through(self, path: str, read: Read[Parsed], *, max_bytes: int) -> Parsed:
        """What `read` makes of an answer too large to hold, given to it as it comes; repeated, and raises, as `get`.

        `read` may stop before the end, and runs in the caller's thread. Its ValueError says that the answer is not what
        the source documents: `Unavailable`, at once. Never revalidated, because the answer itself is not kept.
        """
        return self._repeat(path, lambda: self._read_once(path, read, max_bytes))

    def read_part(self, path: str, read: Read[bytes], *, part: str, reader: str, max_bytes: int) -> RawAnswer:
        """The bytes that `read` takes out of an answer too large to hold, as an answer named `<url>#<part>`.

        As `read_through`, and revalidated: after a 304 for the whole, the part taken last time holds. `reader` names
        what `read` does, so that nothing is taken for its work that an earlier version of it took out.
        """
        return self._repeat(path, lambda: self._part_once(path, read, part, reader, max_bytes))

    def put_again(self, method: str, path: str, body: object = None) -> RawAnswer:
        """A change that may be repeated because the source makes it idempotent. Raises as `get`."""
        return on_loop(self._asker.put_again, method, path, body)

    def post_again(self, path: str, content: bytes, content_type: str) -> RawAnswer:
        """Hand over bytes that may be handed over twice. Raises as `get`."""
        return on_loop(self._asker.post_again, path, content, content_type)

    def change_once(self, method: str, path: str, body: object = None) -> RawAnswer:
        """A change that must not be repeated. Raises `Unknown` when it may have happened."""
        return on_loop(self._asker.change_once, method, path, body)

    def close(self) -> None:
        """Give back the connections."""
        on_loop(self._asker.aclose)

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repeat(self, path: str, attempt: Callable[[], Parsed]) -> Parsed:
        try:
            parsed: Parsed = Retrying(**self._asker.policy)(attempt)
        except ValueError as error:  # it came whole, so another hundred megabytes would say the same
            raise Unavailable(f"GET {path}: unexpected shape ({error})") from error
        return parsed

    def _read_once(self, path: str, read: Read[Parsed], max_bytes: int) -> Parsed:
        streamed = on_loop(self._stream, path, max_bytes, None)
        try:
            return read(_pieces(streamed))
        finally:
            on_loop(streamed.aclose)

    def _part_once(self, path: str, read: Read[bytes], part: str, reader: str, max_bytes: int) -> RawAnswer:
        kept_as = f"{part} {reader}"
        streamed = on_loop(self._stream, path, max_bytes, kept_as)
        name = f"{streamed.url}#{part}"
        try:
            if streamed.kept:
                return self._asker.answer(name, streamed.kept.body, revalidated=True)
            body = read(_pieces(streamed))
            self._asker.keep(streamed.response, body, kept_as)
            return self._asker.answer(name, body)
        finally:
            on_loop(streamed.aclose)

    async def _stream(self, path: str, max_bytes: int, part: str | None) -> Streamed:
        return await self._asker.stream(path, max_bytes=max_bytes, part=part)


def _pieces(streamed: Streamed) -> Iterator[bytes]:
    while piece := on_loop(streamed.next):
        yield piece
