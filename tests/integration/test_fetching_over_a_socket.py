"""The HTTP client against a real server that is slow, limited, or lies."""

import gzip
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Unavailable, Unknown
from necto_pipelines.fetching import AnswerFolder, Budget, Fetcher, Get, side_by_side, whole
from necto_pipelines.market.registry import open_cloud_sources
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock, SystemClock
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration
MEGABYTE = 1024 * 1024
MEANWHILE_S = 0.05
"""how long a call lasts, so that others may begin meanwhile"""
SLACK = 0.9
"""of a pause: clocks of server and client tick differently"""


@dataclass
class Far:
    """What the server has seen."""

    url: str = ""
    running: int = 0
    most: int = 0
    at: list[float] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def seen(self, request: Request) -> None:
        self.at.append(time.monotonic())
        self.asked.append(dict(request.headers))


def app(far: Far) -> Starlette:
    async def slow(request: Request) -> Response:
        far.seen(request)
        far.running += 1
        far.most = max(far.most, far.running)
        await anyio.sleep(MEANWHILE_S)
        far.running -= 1
        return Response(request.url.query)

    async def limited(request: Request) -> Response:
        far.seen(request)
        return Response("calm down", 429, headers={"retry-after": "1"}) if len(far.at) == 1 else Response("thanks")

    async def truncated(request: Request) -> Response:
        far.seen(request)

        async def half() -> AsyncIterator[bytes]:
            yield b'{"data": ['
            raise ConnectionResetError

        return StreamingResponse(half(), headers={"content-length": "1000"})

    async def silent(request: Request) -> Response:
        far.seen(request)
        await anyio.sleep(30)
        return Response("too late")

    async def dripping(request: Request) -> Response:
        far.seen(request)

        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await anyio.sleep(0.05)

        return StreamingResponse(drops())

    async def bomb(request: Request) -> Response:
        far.seen(request)
        return Response(gzip.compress(bytes(64 * MEGABYTE)), headers={"content-encoding": "gzip"})

    async def listed(request: Request) -> Response:
        far.seen(request)
        if request.headers.get("if-none-match") == '"v1"':
            return Response(status_code=304, headers={"etag": '"v1"'})
        return Response(b"prices", headers={"etag": '"v1"', "set-cookie": "known=1"})

    routes = {
        "/slow": slow,
        "/limited": limited,
        "/truncated": truncated,
        "/silent": silent,
        "/dripping": dripping,
        "/bomb": bomb,
        "/listed": listed,
    }
    return Starlette(routes=[Route(path, serve, methods=["GET", "POST"]) for path, serve in routes.items()])


@contextmanager
def serving(far: Far) -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        far.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app(far), log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=0)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=10)


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    with serving(far):
        yield far


def fetcher(far: Far, **options: object) -> Fetcher:
    return Fetcher(far.url, clock=SystemClock(), **({"timeout_s": 5, "attempts": 1} | options))  # type: ignore[arg-type]


def test_no_more_calls_run_at_once_than_the_source_takes_whoever_makes_them(far: Far) -> None:
    budget = Budget(at_once=3)
    clients = [fetcher(far, budget=budget) for _ in range(2)]
    requests = [Get("/slow", {"n": str(n)}) for n in range(8)]
    lists = whole(side_by_side([lambda client=client: client.get_all(requests) for client in clients]))  # type: ignore[misc]
    for answers in lists:
        assert [answer.body for answer in answers if isinstance(answer, RawAnswer)] == [b"n=%d" % n for n in range(8)]
    assert far.most == 3


def test_no_more_calls_begin_in_a_window_than_the_source_takes(far: Far) -> None:
    client = fetcher(far, budget=Budget(requests=4, per_s=0.5))
    whole(client.get_all([Get("/slow")] * 10))
    assert far.at[4] - far.at[0] >= 0.5 * SLACK
    assert far.at[8] - far.at[4] >= 0.5 * SLACK


def test_everybody_waits_as_long_as_the_source_asked(far: Far) -> None:
    one, other = fetcher(far, attempts=2), fetcher(far)

    def afterwards() -> RawAnswer:
        while not far.at:
            time.sleep(0.001)
        time.sleep(MEANWHILE_S)
        return other.get("/slow")

    answers = whole(side_by_side([lambda: one.get("/limited"), afterwards]))
    assert [answer.body for answer in answers] == [b"thanks", b""]
    assert min(far.at[1:]) - far.at[0] >= 1 * SLACK


def test_an_answer_that_breaks_off_is_no_answer(far: Far) -> None:
    with pytest.raises(Unavailable, match="RemoteProtocolError"):
        fetcher(far, attempts=2).get("/truncated")
    assert len(far.at) == 2
    with pytest.raises(Unknown):
        fetcher(far).change_once("POST", "/truncated")
    with pytest.raises(Unavailable):
        fetcher(far).read_through("/truncated", b"".join, max_bytes=MEGABYTE)


def test_a_source_that_says_nothing_is_given_up(far: Far) -> None:
    with pytest.raises(Unavailable, match="ReadTimeout"):
        fetcher(far, timeout_s=0.2).get("/silent")
    with pytest.raises(Unknown, match="ReadTimeout"):
        fetcher(far, timeout_s=0.2).change_once("POST", "/silent")


def test_a_source_that_never_comes_to_an_end_is_given_up(far: Far) -> None:
    with pytest.raises(Unavailable, match=r"no whole answer within 0\.8 s"):
        fetcher(far, timeout_s=0.2).get("/dripping")


def test_a_small_answer_that_unpacks_to_a_large_one_is_given_up(far: Far) -> None:
    with pytest.raises(Unavailable, match="larger than 1048576 bytes"):
        fetcher(far, max_body_bytes=MEGABYTE).get("/bomb")


def test_an_answer_that_still_holds_is_not_sent_again(far: Far, tmp_path: Path) -> None:
    answers = [fetcher(far, store=AnswerFolder(tmp_path)).get("/listed") for _ in range(2)]
    assert [(answer.body, answer.revalidated) for answer in answers] == [(b"prices", False), (b"prices", True)]
    assert [asked.get("if-none-match") for asked in far.asked] == [None, '"v1"']


def test_no_source_knows_us_again(far: Far) -> None:
    client = fetcher(far)
    for _ in range(2):
        client.get("/listed")
    assert not any("cookie" in asked for asked in far.asked)


def test_nobody_there_is_unavailable_and_nothing_has_happened(far: Far) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Far(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="could not connect"):
            fetcher(nobody).change_once("POST", "/x")


def test_price_lists_of_the_sandbox_are_revalidated_by_the_next_run(tmp_path: Path) -> None:
    clock = FrozenClock()
    with running_sandbox(clock) as url:
        settings = Settings(
            home=tmp_path, sandbox_port=int(url.rpartition(":")[2]), aws_mode="sandbox", azure_mode="sandbox"
        )
        runs = []
        for _ in range(2):
            sources = {source.name: source for source in open_cloud_sources(settings, clock)}
            runs.append({name: sources[name].prices() for name in ("aws", "azure")})
            clock.advance(60)
    for cloud in ("aws", "azure"):
        first, second = runs[0][cloud], runs[1][cloud]
        assert len(first.rows) > 10
        assert [row.usd_per_hour for row in first.rows] == [row.usd_per_hour for row in second.rows]
        assert first.quarantined == second.quarantined
        assert not any(answer.revalidated for answer in first.raw)
        assert all(answer.revalidated for answer in second.raw)
        assert {answer.sha256 for answer in first.raw} == {answer.sha256 for answer in second.raw}
        assert all(answer.received_at > first.raw[0].received_at for answer in second.raw)
