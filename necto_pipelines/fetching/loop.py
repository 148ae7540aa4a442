"""The event loop that all calls of the process run on: one thread, started at the first call.

The thread is a daemon and ends itself at exit after closing what is open. A forked child has no threads: it starts a
loop of its own, and clients notice that theirs belonged to another. anyio's portal and asyncio's own bridge do as much,
but give a caller the handle of its call after the call has begun: a Ctrl-C in between would leave it running, with its
turn at the source.
"""

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Generic, NamedTuple, TypeVar

import httpx
from anyio.lowlevel import RunVar

Result = TypeVar("Result")
START_S: Final = 30.0
STOP_S: Final = 5.0

_clients: RunVar[set[httpx.AsyncClient]] = RunVar("clients")


class _Serving(NamedTuple):
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event


class _Call(Generic[Result]):
    """One call, and the means to stop it, which its caller has before it begins."""

    def __init__(self, function: Callable[..., Coroutine[Any, Any, Result]], args: tuple[object, ...]) -> None:
        self._function, self._args = function, args
        self._task: asyncio.Task[Result] | None = None
        self.outcome: Future[Result] = Future()

    def begin(self) -> None:
        """On the loop."""
        self._task = asyncio.get_running_loop().create_task(self._function(*self._args))
        self._task.add_done_callback(self._tell)

    def end(self) -> None:
        """On the loop; nothing when it is over already, or never began."""
        if self._task is not None:
            self._task.cancel()

    def _tell(self, task: asyncio.Task[Result]) -> None:
        if task.cancelled():
            self.outcome.cancel()
            self.outcome.set_running_or_notify_cancel()
        elif failure := task.exception():
            self.outcome.set_exception(failure)
        else:
            self.outcome.set_result(task.result())


class LoopThread:
    """The thread and the way into it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing of a thread that runs in another process."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._serving: _Serving | None = None

    def call(self, function: Callable[..., Coroutine[Any, Any, Result]], *args: object) -> Result:
        """Run it there and wait for it. Whoever stops waiting (Ctrl-C) also stops it."""
        loop = self._running()
        if threading.current_thread() is self._thread:
            raise RuntimeError("a plain call from the event loop thread would wait for itself")
        call = _Call(function, args)
        try:
            loop.call_soon_threadsafe(call.begin)
            return call.outcome.result()
        except BaseException:
            if not call.outcome.done():
                loop.call_soon_threadsafe(call.end)
            raise

    def stop(self) -> None:
        """End the thread: calls under way are cancelled, connections closed."""
        with self._lock:
            serving, thread = self._serving, self._thread
            self._serving = self._thread = None
        if serving and thread:
            with contextlib.suppress(RuntimeError):  # it has ended already
                serving.loop.call_soon_threadsafe(serving.stopping.set)
            thread.join(STOP_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._serving is None:
                started: Future[_Serving] = Future()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(_serve(started)), name="fetching", daemon=True
                )
                self._thread.start()
                self._serving = started.result(START_S)
            return self._serving.loop


async def _serve(started: Future[_Serving]) -> None:
    clients: set[httpx.AsyncClient] = set()
    _clients.set(clients)
    stopping = asyncio.Event()
    started.set_result(_Serving(asyncio.get_running_loop(), stopping))
    await stopping.wait()
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    for client in list(clients):
        await client.aclose()


_THREAD: Final = LoopThread()
atexit.register(_THREAD.stop)
os.register_at_fork(after_in_child=_THREAD.forget)


def on_loop(function: Callable[..., Coroutine[Any, Any, Result]], *args: object) -> Result:
    """What the asynchronous `function` returns or raises, run on the loop of the process; never from that loop."""
    return _THREAD.call(function, *args)


def close_with(owner: object, client: httpx.AsyncClient) -> None:
    """Close the client when its owner is gone, or with the running loop, whichever comes first."""
    try:
        clients = _clients.get()
    except LookupError:  # a loop that somebody else runs, and ends
        return
    clients.add(client)
    weakref.finalize(owner, _let_go, client, clients, asyncio.get_running_loop(), os.getpid()).atexit = False


def _let_go(
    client: httpx.AsyncClient, clients: set[httpx.AsyncClient], loop: asyncio.AbstractEventLoop, pid: int
) -> None:
    """From any thread, at any moment: nothing may be waited for."""
    if loop.is_running() and pid == os.getpid():
        clients.discard(client)
        asyncio.run_coroutine_threadsafe(client.aclose(), loop)
