"""The sandbox in a thread of this process, for journeys that leave no server behind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from necto_pipelines.journey.home import await_sandbox
from necto_pipelines.sandbox.app import create_app
from necto_pipelines.sandbox.server import make_server
from necto_pipelines.settings import Settings


@contextmanager
def sandbox_in_thread(settings: Settings) -> Iterator[None]:
    """The sandbox of the home at `settings.sandbox_port`, answering, for as long as the body runs."""
    app = create_app(clock=settings.sandbox_clock(), state_path=settings.home / "sandbox" / "state.json")
    server = make_server(app, settings.sandbox_port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        await_sandbox(settings)
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
