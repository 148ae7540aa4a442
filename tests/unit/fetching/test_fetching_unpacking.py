"""Answers as they come: limited by what they unpack to, and read to their end or not counted at all."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.fetching import Budget, Fetcher
from necto_pipelines.model.clock import FrozenClock

MEGABYTE = 1024 * 1024
PACKED = {"content-encoding": "gzip"}


class Cut(httpx.AsyncByteStream):
    """A body in pieces of a size; to be read once more on every call."""

    def __init__(self, body: bytes, size: int) -> None:
        self.body, self.size = body, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), self.size):
            yield self.body[start : start + self.size]


def fetcher(answer: httpx.Response | Callable[[], httpx.Response], **options: object) -> Fetcher:
    transport = httpx.MockTransport(lambda _: answer if isinstance(answer, httpx.Response) else answer())
    return Fetcher("http://list.test", clock=FrozenClock(), transport=transport, attempts=1, **options)  # type: ignore[arg-type]


def packed(body: bytes, size: int = 1000, **headers: str) -> httpx.Response:
    return httpx.Response(200, headers=PACKED | headers, stream=Cut(body, size))


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3), st.integers(1, 5000))
def test_what_was_packed_comes_back_however_it_is_cut(members: list[bytes], size: int) -> None:
    body = b"".join(gzip.compress(member) for member in members)
    assert fetcher(packed(body, size)).get("/x").body == b"".join(members)


def test_only_gzip_is_asked_for() -> None:
    asked: list[httpx.Request] = []
    transport = httpx.MockTransport(lambda request: asked.append(request) or httpx.Response(200))  # type: ignore[func-returns-value]
    with Fetcher("http://list.test", clock=FrozenClock(), transport=transport) as client:
        client.get("/x")
    assert asked[0].headers["accept-encoding"] == "gzip"


def test_the_limit_counts_what_comes_out() -> None:
    body = gzip.compress(b"x" * 2000)
    assert len(body) < 100
    assert len(fetcher(packed(body), max_body_bytes=2000).get("/x").body) == 2000
    with pytest.raises(Unavailable, match="larger than 1999 bytes"):
        fetcher(packed(body), max_body_bytes=1999).get("/x")


def test_a_bomb_fills_no_memory() -> None:
    bomb = gzip.compress(bytes(128 * MEGABYTE), 9)
    client = fetcher(packed(bomb, size=len(bomb)), max_body_bytes=MEGABYTE)
    tracemalloc.start()
    with pytest.raises(Unavailable, match="larger than"):
        client.get("/x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "deflate", "x" * 100])
def test_a_packing_that_was_not_asked_for_is_no_answer(packing: str) -> None:
    answer = httpx.Response(200, headers={"content-encoding": packing}, stream=Cut(b"anything", 10))
    with pytest.raises(Unavailable, match="only gzip was asked for"):
        fetcher(answer).get("/x")


@pytest.mark.parametrize(
    "body", [b"{}", gzip.compress(b"x" * 500)[:-4], gzip.compress(b"x") + b"rest"], ids=["plain", "cut", "more"]
)
def test_what_does_not_unpack_to_its_end_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unavailable, match=r"not the gzip|breaks off"):
        fetcher(packed(body)).get("/x")


def test_an_answer_without_a_body_may_name_a_packing() -> None:
    assert fetcher(packed(b"")).get("/x").body == b""


def first(pieces: Iterator[bytes]) -> bytes:
    return next(pieces)


def test_an_answer_read_as_it_comes_may_be_left_before_its_end() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"more"

    client = fetcher(lambda: httpx.Response(200, content=endless()), budget=Budget(at_once=1, patience_s=5))
    assert client.read_through("/list", first, max_bytes=100) == b"more"
    assert client.read_through("/list", first, max_bytes=100) == b"more", "its turn came back"


def test_an_answer_larger_than_allowed_is_not_read_on() -> None:
    with pytest.raises(Unavailable, match="larger than 10 bytes"):
        fetcher(httpx.Response(200, content=b"x" * 11)).read_through("/list", b"".join, max_bytes=10)


def test_an_answer_of_the_wrong_form_is_no_answer() -> None:
    def refuse(_: Iterator[bytes]) -> None:
        raise ValueError("no products")

    with pytest.raises(Unavailable, match="no products"):
        fetcher(httpx.Response(200, content=b"{}")).read_through("/list", refuse, max_bytes=10)


@pytest.mark.parametrize(("status", "failure"), [(404, Refused), (503, Unavailable)])
def test_a_refusal_is_not_handed_to_the_reader(status: int, failure: type[Exception]) -> None:
    client = fetcher(httpx.Response(status, content=b"gone"), budget=Budget(at_once=1, patience_s=5))
    for _ in range(2):
        with pytest.raises(failure, match=f"HTTP {status}: gone"):
            client.read_through("/list", pytest.fail, max_bytes=10)
