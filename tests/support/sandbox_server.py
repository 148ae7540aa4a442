"""The sandbox as a real server on a free loopback port, for integration tests of every room.

with running_sandbox(FrozenClock(...)) as url:
    adapter = AkashNetwork(base_url=f"{url}/akash", ...)
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from necto_pipelines.model.clock import Clock
from necto_pipelines.sandbox.app import create_app
from necto_pipelines.sandbox.server import HOST, make_server


@contextmanager
def running_sandbox(clock: Clock, *, seed: int = 7, state_path: Path | None = None) -> Iterator[str]:
    """Serve the sandbox in a thread; yields its address, for example `http://127.0.0.1:43211`, ready to be called."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio leaves Nagle on
    listener.bind((HOST, 0))
    listener.listen(128)
    port = listener.getsockname()[1]
    server = make_server(create_app(clock=clock, seed=seed, state_path=state_path), port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        # The socket listens already: a request that comes before the server is up waits in its queue.
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
