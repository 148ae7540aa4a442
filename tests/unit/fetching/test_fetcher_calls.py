"""How a call ends: an answer, `Unavailable`, `Unknown` or `Refused`, and which calls are tried again."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.fetching import RETRYABLE_STATUS, Fetcher, raw_answer, read_json, wrong_shape
from necto_pipelines.model.clock import FrozenClock

CLOCK = FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
OTHER_REFUSALS = [301, 400, 401, 402, 403, 404, 409, 422, 501]


class Source:
    """A far side that answers from a list, the last answer for ever, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


Open = Callable[[Source], Fetcher]


@pytest.fixture
def fetch() -> Iterator[Open]:
    opened: list[Fetcher] = []

    def to(source: Source) -> Fetcher:
        transport = httpx.MockTransport(source)
        opened.append(Fetcher("http://far.test/base", clock=CLOCK, max_wait_s=0, transport=transport))
        return opened[-1]

    yield to
    for fetcher in opened:
        fetcher.close()


def test_an_answer_is_kept_with_its_digest_and_time(fetch: Open) -> None:
    source = Source(httpx.Response(200, content=b'{"a":1}'))
    answer = fetch(source).get("/x", {"q": "1"})
    assert answer.body == b'{"a":1}'
    assert answer.sha256 == hashlib.sha256(b'{"a":1}').hexdigest()
    assert answer.received_at == CLOCK.now()
    assert answer.url == "http://far.test/base/x?q=1"


def test_headers_go_with_every_call_and_into_no_answer() -> None:
    source = Source(httpx.Response(200, json={}))
    with Fetcher(
        "http://far.test", clock=CLOCK, headers={"x-api-key": "s3cret"}, transport=httpx.MockTransport(source)
    ) as fetcher:
        answer = fetcher.get("/x")
    assert source.asked[0].headers["x-api-key"] == "s3cret"
    assert "s3cret" not in answer.url


@pytest.mark.parametrize("status", sorted(RETRYABLE_STATUS))
def test_a_read_is_tried_again_until_an_answer_comes(fetch: Open, status: int) -> None:
    source = Source(httpx.Response(status), httpx.Response(status), httpx.Response(200, json={"ok": True}))
    assert read_json(fetch(source).get("/x")) == {"ok": True}
    assert len(source.asked) == 3


@pytest.mark.parametrize(
    "answer", [httpx.Response(503), httpx.ReadTimeout("slow"), httpx.ConnectError("no"), httpx.RemoteProtocolError("?")]
)
def test_a_read_that_never_succeeds_ends_as_unavailable(fetch: Open, answer: httpx.Response | Exception) -> None:
    source = Source(answer)
    with pytest.raises(Unavailable, match=r"GET http://far\.test/base/x"):
        fetch(source).get("/x")
    assert len(source.asked) == 4


@pytest.mark.parametrize("status", OTHER_REFUSALS)
def test_a_refused_read_is_not_repeated(fetch: Open, status: int) -> None:
    source = Source(httpx.Response(status))
    with pytest.raises(Refused) as caught:
        fetch(source).get("/x")
    assert caught.value.code == str(status)
    assert len(source.asked) == 1


def test_a_refusal_carries_the_sources_own_word(fetch: Open) -> None:
    source = Source(httpx.Response(409, json={"code": "duplicate_client_id", "message": "again"}))
    with pytest.raises(Refused, match="again") as caught:
        fetch(source).change_once("POST", "/x", {})
    assert caught.value.code == "duplicate_client_id"


@pytest.mark.parametrize(
    "answer",
    [
        *(httpx.Response(status) for status in sorted(RETRYABLE_STATUS)),
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
        httpx.ReadError("cut"),
        httpx.RemoteProtocolError("closed"),
    ],
)
def test_a_change_that_may_have_happened_is_unknown_and_sent_once(
    fetch: Open, answer: httpx.Response | Exception
) -> None:
    source = Source(answer)
    with pytest.raises(Unknown, match="may have happened"):
        fetch(source).change_once("POST", "/x", {"a": 1})
    assert len(source.asked) == 1


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_a_change_that_never_left_is_unavailable(fetch: Open, error: Exception) -> None:
    with pytest.raises(Unavailable, match="could not connect"):
        fetch(Source(error)).change_once("POST", "/x", {})


def test_a_change_that_may_be_repeated_is(fetch: Open) -> None:
    source = Source(httpx.ReadTimeout("slow"), httpx.Response(200, json={}))
    fetch(source).put_again("DELETE", "/x")
    assert [request.method for request in source.asked] == ["DELETE", "DELETE"]


def test_an_answer_larger_than_allowed_is_given_up() -> None:
    transport = httpx.MockTransport(Source(httpx.Response(200, content=b"x" * 11)))
    with (
        Fetcher("http://far.test", clock=CLOCK, max_wait_s=0, max_body_bytes=10, transport=transport) as fetcher,
        pytest.raises(Unavailable, match="larger than 10 bytes"),
    ):
        fetcher.get("/x")


def test_a_message_shows_the_answer_but_not_the_query(fetch: Open) -> None:
    with pytest.raises(Refused) as caught:
        fetch(Source(httpx.Response(400, content=b"bad\nfield"))).get("/x", {"address": "akash1o"})
    assert "bad field" in str(caught.value)
    assert "akash1o" not in str(caught.value)


def test_json_numbers_are_never_floats() -> None:
    body = read_json(raw_answer("u", b'{"a": 0.1, "b": [1, 1e3, 0.30000000000000004]}', CLOCK))
    assert body == {"a": Decimal("0.1"), "b": [1, Decimal("1E+3"), Decimal("0.30000000000000004")]}
    assert not any(isinstance(number, float) for number in [body["a"], *body["b"]])


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b"\xff\xfe", b'{"usd": NaN}', b"[Infinity]", b"[" * 100_000, b"[1e99999999999999999999]"],
    ids=["empty", "html", "cut", "bytes", "nan", "infinity", "nested", "scaled"],
)
def test_what_is_not_json_is_no_usable_answer(body: bytes) -> None:
    with pytest.raises(Unavailable, match="not JSON"):
        read_json(raw_answer("http://far.test", body, CLOCK))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unavailable(body: bytes) -> None:
    with contextlib.suppress(Unavailable):
        read_json(raw_answer("u", body, CLOCK))


def test_a_wrong_shape_names_the_call_and_the_fault() -> None:
    failure = wrong_shape(raw_answer("http://far.test/x", b"{}", CLOCK), KeyError("swaps"))
    assert isinstance(failure, Unavailable)
    assert "http://far.test/x" in str(failure)
    assert "swaps" in str(failure)
