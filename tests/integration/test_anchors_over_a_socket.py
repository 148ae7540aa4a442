"""A home with every anchor set up: a folder, a webhook and a time-stamping authority, over real sockets."""

import json
import shutil
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import necto_verify as verifier
import pytest
from necto_verify.timestamps import verify_timestamp
from support.books_backends import ACTOR
from support.time_authority import TimeAuthority

from necto_pipelines.anchors.registry import time_authorities
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.procurement.anchoring import anchor_checkpoint
from necto_pipelines.procurement.runtime import Runtime, open_books
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration


@contextmanager
def inbox() -> Iterator[tuple[str, list[bytes]]]:
    """A server that keeps what is posted to it."""
    kept: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/s3cr3t", kept
        server.shutdown()


def necto_verify(folder: Path) -> str:
    command = [sys.executable, "-m", "necto_verify", str(folder)]
    environment = {"PYTHONPATH": str(Path(verifier.__file__).parent.parent)}
    return subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60, text=True).stdout


def test_one_checkpoint_stands_in_three_places_and_its_time_is_proved(tmp_path: Path) -> None:
    clock = FrozenClock()
    authority = TimeAuthority(now=clock.now)
    (tmp_path / "roots.pem").write_bytes(authority.root.pem)
    with authority.serving() as tsa, inbox() as (hook, kept):
        settings = Settings(
            home=tmp_path / "home",
            anchor_copies=(str(tmp_path / "outside"),),
            anchor_webhooks=(hook,),
            timestamp_url=tsa,
            timestamp_roots=tmp_path / "roots.pem",
        )
        books = open_books(settings, clock)
        with books.change(ACTOR) as change:
            change.note("run.started", {"planned": "route"})
        runtime = cast(Runtime, SimpleNamespace(settings=settings, clock=clock, books=books))
        attempts = anchor_checkpoint(runtime, ACTOR)
    assert [attempt.failure for attempt in attempts] == ["", "", ""]
    assert books.verify().ok
    copy, message, stamp = books.anchors()
    note = (tmp_path / "outside" / f"checkpoint.{copy.size}").read_bytes()
    assert kept == [note]
    assert "s3cr3t" not in message.place
    token = b64decode(stamp.token or "")
    assert verify_timestamp(token, note, authority.root.pem) == stamp.at == clock.now()
    ((_, leaf),) = books.leaf_of("anchor", stamp.id)
    assert json.loads(leaf)["body"]["at"] == "2026-11-22T12:00:00.000000Z"
    books.export(tmp_path / "export", time_authorities=time_authorities(settings))
    books.close()
    assert "[x] time-bounded: 1 timestamps" in necto_verify(tmp_path / "export")
    if openssl := shutil.which("openssl"):
        (tmp_path / "note").write_bytes(note)
        (tmp_path / "token").write_bytes(token)
        attime = str(int(clock.now().timestamp()))
        command = [openssl, "ts", "-verify", "-attime", attime, "-data", "note", "-in", "token", "-CAfile", "roots.pem"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=30)
