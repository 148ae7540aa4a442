"""The sandbox for measurements: served by a thread of this process, so that both sides share one standing clock."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from necto_pipelines.model.clock import Clock
from necto_pipelines.sandbox.app import create_app
from necto_pipelines.sandbox.server import HOST, make_server


@contextmanager
def running_sandbox(clock: Clock) -> Iterator[int]:
    """The simulated networks on a free port, which is yielded, until the body ends."""
    # Without the protocol named, asyncio leaves Nagle on, and every answer waits 40 ms for an acknowledgement.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port: int = listener.getsockname()[1]
        server = make_server(create_app(clock=clock), port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(timeout=10)
