"""Asking whether a kept answer still holds: never taken without asking, never kept for somebody in particular."""

import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.fetching import AnswerFolder, Fetcher, Get, KeptAnswer
from necto_pipelines.model.clock import FrozenClock

TAG = '"v1"'
CHANGED = "Sun, 22 Nov 2026 11:00:00 GMT"


class Source:
    """Serves `body` under `headers`, or 304 to whoever names its entity tag or time of change."""

    def __init__(self, body: bytes = b"prices", **headers: str) -> None:
        self.body, self.headers = body, headers or {"etag": TAG}
        self.asked: list[httpx.Request] = []
        self.down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.down:
            return httpx.Response(503)
        named = (request.headers.get("if-none-match"), request.headers.get("if-modified-since"))
        if any(value and value in named for value in self.headers.values()):
            return httpx.Response(304)
        return httpx.Response(200, content=self.body, headers=self.headers)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def store(tmp_path: Path) -> AnswerFolder:
    return AnswerFolder(tmp_path / "http-cache")


def fetcher(source: Source, store: AnswerFolder, clock: FrozenClock, **options: Any) -> Fetcher:
    """A new one each time, as each run has."""
    options = {"attempts": 1, "transport": httpx.MockTransport(source)} | options
    url = options.pop("base_url", "http://far.test")
    return Fetcher(url, clock=clock, store=store, **options)


@pytest.mark.parametrize("validator", [{"etag": TAG}, {"last-modified": CHANGED}, {"etag": TAG, "last-modified": "x"}])
def test_an_answer_that_still_holds_is_an_answer_of_now(
    store: AnswerFolder, clock: FrozenClock, validator: dict[str, str]
) -> None:
    source = Source(**validator)
    first = fetcher(source, store, clock).get("/list", {"page": "1"})
    clock.advance(3600)
    second = fetcher(source, store, clock).get("/list", {"page": "1"})
    assert (second.body, second.sha256, second.url) == (first.body, first.sha256, first.url)
    assert (first.revalidated, second.revalidated) == (False, True)
    assert second.received_at == clock.now() > first.received_at
    assert len(source.asked) == 2, "nothing is taken without asking"


def test_an_answer_that_changed_is_taken_and_kept_instead(store: AnswerFolder, clock: FrozenClock) -> None:
    source = Source()
    fetcher(source, store, clock).get("/list")
    source.body, source.headers = b"new prices", {"etag": '"v2"'}
    answers = [fetcher(source, store, clock).get("/list") for _ in range(2)]
    assert [(answer.body, answer.revalidated) for answer in answers] == [(b"new prices", False), (b"new prices", True)]


def test_a_source_that_does_not_answer_is_not_answered_for(store: AnswerFolder, clock: FrozenClock) -> None:
    source = Source()
    fetcher(source, store, clock).get("/list")
    source.down = True
    with pytest.raises(Unavailable, match="503"):
        fetcher(source, store, clock).get("/list")


def test_another_query_or_address_is_another_answer(store: AnswerFolder, clock: FrozenClock) -> None:
    source = Source()
    fetcher(source, store, clock).get("/list", {"page": "1"})
    for client, params in [
        (fetcher(source, store, clock), {"page": "2"}),
        (fetcher(source, store, clock, base_url="http://other.test"), {"page": "1"}),
    ]:
        assert not client.get("/list", params).revalidated
        assert "if-none-match" not in source.asked[-1].headers


def test_an_answer_that_was_not_asked_about_cannot_still_hold(store: AnswerFolder, clock: FrozenClock) -> None:
    client = Fetcher(
        "http://far.test", clock=clock, store=store, transport=httpx.MockTransport(lambda _: httpx.Response(304))
    )
    with pytest.raises(Refused, match="304"):
        client.get("/list")


KEY = "s3cret-key"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"x-api-key": KEY}},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"headers": {"Cookie": KEY}},
        {"auth": httpx.BasicAuth("necto", KEY)},
        {"base_url": f"http://necto:{KEY}@far.test"},
    ],
    ids=["key", "bearer", "cookie", "auth", "address"],
)
def test_what_was_answered_to_somebody_is_not_written_down(
    store: AnswerFolder, clock: FrozenClock, tmp_path: Path, options: dict[str, Any]
) -> None:
    source = Source()
    client = fetcher(source, store, clock, **options)
    for _ in range(2):
        assert not client.get("/balance").revalidated
        assert not client.read_part("/list", b"".join, part="all", reader="1", max_bytes=100).revalidated
    assert not list(tmp_path.rglob("*"))


def test_a_request_with_headers_of_its_own_is_not_kept(store: AnswerFolder, clock: FrozenClock, tmp_path: Path) -> None:
    fetcher(Source(), store, clock).get("/list", headers={"x-cosmos-block-height": "7"})
    assert not list(tmp_path.rglob("*"))


def test_a_change_is_not_kept(store: AnswerFolder, clock: FrozenClock, tmp_path: Path) -> None:
    fetcher(Source(), store, clock).put_again("POST", "/list", {})
    fetcher(Source(), store, clock).change_once("POST", "/list", {})
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "headers",
    [
        {"date": CHANGED},
        {"etag": TAG, "cache-control": "no-store"},
        {"etag": TAG, "cache-control": "max-age=5, Private"},
        {"etag": TAG, "vary": "*"},
    ],
)
def test_an_answer_that_may_not_be_kept_is_not(
    store: AnswerFolder, clock: FrozenClock, tmp_path: Path, headers: dict[str, str]
) -> None:
    source = Source(**headers)
    for _ in range(2):
        assert fetcher(source, store, clock).get("/list").body == b"prices"
    assert not list(tmp_path.rglob("*"))


def test_nothing_written_down_names_the_address(store: AnswerFolder, clock: FrozenClock, tmp_path: Path) -> None:
    fetcher(Source(), store, clock).get("/list", {"address": "akash1someone"})
    (path,) = (tmp_path / "http-cache").iterdir()
    assert b"akash1someone" not in path.read_bytes() + path.name.encode()


def test_a_packed_answer_is_kept_unpacked(store: AnswerFolder, clock: FrozenClock) -> None:
    source = Source(gzip.compress(b"prices"), **{"etag": TAG, "content-encoding": "gzip"})
    answers = [fetcher(source, store, clock).get("/list") for _ in range(2)]
    assert [(answer.body, answer.revalidated) for answer in answers] == [(b"prices", False), (b"prices", True)]


def test_a_part_taken_out_of_a_large_answer_is_revalidated_with_the_whole(
    store: AnswerFolder, clock: FrozenClock
) -> None:
    source, reads = Source(), []

    def beginning(pieces: Iterator[bytes]) -> bytes:
        reads.append(1)
        return next(pieces)[:3]

    def part(reader: str) -> tuple[bytes, bool, str]:
        answer = fetcher(source, store, clock).read_part("/list", beginning, part="p", reader=reader, max_bytes=100)
        return answer.body, answer.revalidated, answer.url

    url = "http://far.test/list#p"
    assert part("1") == (b"pri", False, url)
    assert part("1") == (b"pri", True, url)
    assert len(reads) == 1
    assert part("2") == (b"pri", False, url), "another reader may take out something else"
    source.body, source.headers = b"new", {"etag": '"v2"'}
    assert part("1") == (b"new", False, url)


def test_a_part_of_an_answer_that_broke_off_is_not_kept(
    store: AnswerFolder, clock: FrozenClock, tmp_path: Path
) -> None:
    def fail(_: Iterator[bytes]) -> bytes:
        raise ValueError("no products")

    with pytest.raises(Unavailable, match="no products"):
        fetcher(Source(), store, clock).read_part("/list", fail, part="p", reader="1", max_bytes=100)
    assert not list(tmp_path.rglob("*"))


def test_many_reads_at_once_are_revalidated_each(store: AnswerFolder, clock: FrozenClock) -> None:
    source = Source()
    requests = [Get("/list", {"page": str(page)}) for page in range(5)]
    for expected in (False, True):
        answers = fetcher(source, store, clock).get_all(requests)
        assert [answer.revalidated for answer in answers] == [expected] * 5  # type: ignore[union-attr]


ANSWER = KeptAnswer(b"body\nwith lines", TAG, CHANGED)


def test_a_folder_gives_back_what_was_kept(tmp_path: Path) -> None:
    AnswerFolder(tmp_path).keep("k", ANSWER)
    assert AnswerFolder(tmp_path).find("k") == ANSWER
    assert AnswerFolder(tmp_path).find("other") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data.replace(b"body", b"BODY"),
        lambda data: data.split(b"\n")[0],
        lambda _: b"",
        lambda _: b"[]\nbody",
        lambda data: b"\xff" + data,
    ],
)
def test_a_damaged_file_is_no_answer(tmp_path: Path, damage: Any) -> None:
    AnswerFolder(tmp_path).keep("k", ANSWER)
    (tmp_path / "k").write_bytes(damage((tmp_path / "k").read_bytes()))
    assert AnswerFolder(tmp_path).find("k") is None


def test_a_folder_stays_within_its_bounds_and_forgets_the_longest_unasked(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, max_bytes=10_000)
    for number in range(4):
        folder.keep(f"k{number}", KeptAnswer(bytes(2000), TAG, ""))
        os.utime(tmp_path / f"k{number}", (number, number))
    assert folder.find("k0"), "asked for again"
    folder.keep("k4", KeptAnswer(bytes(2000), TAG, ""))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k0", "k2", "k3", "k4"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000


def test_one_answer_does_not_push_out_all_others(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, max_bytes=10_000)
    folder.keep("large", KeptAnswer(bytes(3000), TAG, ""))
    assert folder.find("large") is None


def test_a_place_that_takes_no_files_costs_only_the_next_download(tmp_path: Path, clock: FrozenClock) -> None:
    (tmp_path / "file").write_text("in the way")
    source = Source()
    for _ in range(2):
        assert fetcher(source, AnswerFolder(tmp_path / "file"), clock).get("/list").body == b"prices"
