"""Posting to addresses that hold secrets: what arrives, what is tried again, and that nothing gives them away."""

import logging
import traceback
from collections.abc import Callable

import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.anchors.posting import MAX_ANSWER_BYTES, Poster
from necto_pipelines.anchors.webhook import WebhookAnchor
from necto_pipelines.failures import InvalidInput, NectoError, Refused, Unavailable
from necto_pipelines.model.clock import FrozenClock

ADDRESS = "https://ada:pa55word@hooks.example/services/T000:B000/s3cr3t?token=h1dden"
SECRETS = ("pa55word", "s3cr3t", "h1dden", "T000")
NOTE = "necto.test/audit\n42\nroot=\n\n— necto.test/audit c2ln\n"


def poster(answer: Callable[[httpx.Request], httpx.Response], address: str = ADDRESS) -> Poster:
    transport = httpx.MockTransport(answer)
    return Poster(SecretStr(address), "NECTO_ANCHOR_WEBHOOKS", clock=FrozenClock(), timeout_s=1, transport=transport)


def test_the_note_arrives_as_it_stands_at_the_whole_address() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(204)

    WebhookAnchor(poster(answer), "hooks.example").place(NOTE, 42)
    (request,) = asked
    assert (request.method, request.content, request.headers["content-type"]) == (
        "POST",
        NOTE.encode(),
        "text/plain; charset=utf-8",
    )
    assert str(request.url).endswith("@hooks.example/services/T000:B000/s3cr3t?token=h1dden")
    assert request.headers["authorization"].startswith("Basic ")


def test_a_server_that_fails_for_a_moment_is_asked_again() -> None:
    statuses = iter([503, 200])
    assert poster(lambda _: httpx.Response(next(statuses), text="kept")).post(b"x", "text/plain") == b"kept"


def _connect_error(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"no route to {request.url}")


def _broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError(f"broken: {request.url}")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda request: httpx.Response(404, text=str(request.url)), Refused, "hooks.example: answered HTTP 404"),
        (lambda _: httpx.Response(302, headers={"location": ADDRESS}), Refused, "hooks.example: answered HTTP 302"),
        (lambda request: httpx.Response(500, text=str(request.url)), Unavailable, "hooks.example: HTTP 500"),
        (_connect_error, Unavailable, "hooks.example: could not connect"),
        (_broken, Unavailable, "hooks.example: no usable answer"),
        (lambda _: httpx.Response(200, content=bytes(MAX_ANSWER_BYTES + 1)), Unavailable, "no usable answer"),
    ],
)
def test_failures_name_the_host_and_nothing_else_of_the_address(
    answer: Callable[[httpx.Request], httpx.Response],
    kind: type[NectoError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    sender = poster(answer)
    sender._fetcher._asker.policy["wait"] = lambda _: 0
    with pytest.raises(kind, match=words) as failure:
        sender.post(b"x", "text/plain")
    shown = "".join(traceback.format_exception(failure.value)) + caplog.text
    assert not [secret for secret in SECRETS if secret in shown]


def test_other_addresses_are_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="httpx")
    poster(lambda _: httpx.Response(200)).post(b"x", "text/plain")
    assert "hooks.example" not in caplog.text
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        client.get("https://other.example/offers")
    assert "https://other.example/offers" in caplog.text


@pytest.mark.parametrize("address", ["", "hooks.example/s3cr3t", "ftp://hooks.example/s3cr3t", "https:///s3cr3t"])
def test_an_address_that_is_none_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"NECTO_ANCHOR_WEBHOOKS.*an http or https address") as failure:
        poster(lambda _: httpx.Response(200), address)
    assert "s3cr3t" not in str(failure.value)
