"""The event loop behind plain calls: from any thread, interrupted, forked, let go of, and at the end of the process."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.fetching import Budget, Fetcher, Get, both, on_loop, side_by_side, whole
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock


def fetcher(handler: object, **options: object) -> Fetcher:
    options = {"attempts": 1, "transport": httpx.MockTransport(handler)} | options  # type: ignore[arg-type]
    return Fetcher("http://far.test", clock=FrozenClock(), **options)  # type: ignore[arg-type]


def echo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=request.url.path)


def test_one_fetcher_serves_many_threads() -> None:
    client = fetcher(echo)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.get(f"/{n}").body, range(100)))
    assert answers == [f"/{n}".encode() for n in range(100)]


def test_it_serves_a_thread_with_an_event_loop_of_its_own() -> None:
    async def inside() -> bytes:
        return fetcher(echo).get("/x").body

    assert anyio.run(inside) == b"/x"


def test_a_call_from_the_loop_itself_is_an_error_and_no_deadlock() -> None:
    client = fetcher(echo)

    async def on_the_loop() -> None:
        client.get("/x")

    with pytest.raises(RuntimeError, match="event loop thread"):
        on_loop(on_the_loop)


def test_many_reads_come_back_in_their_order_with_their_failures() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["n"])
        await anyio.sleep(0.001 * (10 - number))
        if number == 3:
            return httpx.Response(404)
        if number == 5:
            raise httpx.ReadTimeout("slow")
        return httpx.Response(200, text=str(number))

    answers = fetcher(handler).get_all([Get("/", {"n": str(n)}) for n in range(8)])
    assert [answer.body if isinstance(answer, RawAnswer) else type(answer) for answer in answers] == [
        b"0", b"1", b"2", Refused, b"4", Unavailable, b"6", b"7",
    ]  # fmt: skip


def test_many_reads_run_side_by_side() -> None:
    waiting = 0
    together = anyio.Event()

    async def handler(_: httpx.Request) -> httpx.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 5:
            together.set()
        await together.wait()
        return httpx.Response(200)

    assert len(whole(fetcher(handler, timeout_s=5).get_all([Get("/")] * 5))) == 5


def test_ctrl_c_ends_a_call_and_gives_its_turn_back() -> None:
    asked = threading.Event()

    async def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/slow":
            asked.set()
            await anyio.sleep(60)
        return httpx.Response(200)

    client = fetcher(handler, budget=Budget(at_once=1, patience_s=10))

    def interrupt() -> None:
        asked.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]

    # A process started in the background of a shell ignores the signal: the test says itself what it means.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            client.get("/slow")
    finally:
        signal.signal(signal.SIGINT, before)
    assert client.get("/next").body == b""


def test_a_fetcher_that_is_closed_opens_again_when_asked() -> None:
    client = fetcher(echo)
    client.close()
    client.get("/x")
    client.close()
    assert client.get("/y").body == b"/y"


class Closing(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.closed = threading.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200)

    async def aclose(self) -> None:
        self.closed.set()


def test_a_fetcher_that_is_let_go_of_gives_back_its_connections() -> None:
    transport = Closing()
    client = fetcher(echo, transport=transport)
    client.get("/x")
    del client
    gc.collect()
    assert transport.closed.wait(5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    client = fetcher(echo)
    client.get("/x")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.get("/y").body == b"/y" else 1)
        finally:
            os._exit(2)
    until = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        pass
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
    assert ended == (child, 0)
    assert client.get("/z").body == b"/z"


PROGRAM = """
import concurrent.futures, contextlib, httpx, threading
from necto_pipelines.fetching import Fetcher
from necto_pipelines.model.clock import FrozenClock
async def handler(request):
    if request.url.path == "/slow":
        import anyio
        await anyio.sleep(60)
    return httpx.Response(200)
client = Fetcher("http://far.test", clock=FrozenClock(), transport=httpx.MockTransport(handler))
client.get("/x")
def wait():
    with contextlib.suppress(concurrent.futures.CancelledError):
        client.get("/slow")
{ending}
"""


@pytest.mark.parametrize(
    "ending",
    ["", "raise SystemExit(0)", "threading.Thread(target=wait, daemon=True).start()"],
    ids=["end", "exit", "while-asking"],
)
def test_a_process_ends_at_once_and_without_a_word(ending: str) -> None:
    program = PROGRAM.format(ending=ending)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


def test_calls_side_by_side_keep_their_order_and_their_failures() -> None:
    barrier = threading.Barrier(3, timeout=20)
    failure = Unavailable("away")

    def call(result: str) -> str:
        barrier.wait()
        if result == "b":
            raise failure
        return result

    results = side_by_side([lambda: call("a"), lambda: call("b"), lambda: call("c")])
    assert results == ["a", failure, "c"]
    with pytest.raises(Unavailable, match="away"):
        whole(results)


def test_a_defect_in_one_of_them_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1, lambda: 1 // 0])


def test_two_calls_give_both_or_the_first_failure() -> None:
    def fail(text: str) -> str:
        raise Unavailable(text)

    assert both(lambda: 1, lambda: "a") == (1, "a")
    with pytest.raises(Unavailable, match="one"):
        both(lambda: fail("one"), lambda: fail("other"))
