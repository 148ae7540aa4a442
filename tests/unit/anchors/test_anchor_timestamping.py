"""Timestamps of checkpoints: asked for, verified, and refused when they prove something else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from necto_verify.timestamps import verify_timestamp
from pydantic import SecretStr
from rfc3161_client import decode_timestamp_response
from support.der_writer import integer, seq, tlv
from support.time_authority import NOON, TimeAuthority, issue, issue_for_time, response, token, tst_info

from necto_pipelines.anchors.posting import Poster
from necto_pipelines.anchors.timestamping import TimestampAnchor, read_roots
from necto_pipelines.failures import InvalidInput, Refused
from necto_pipelines.model.clock import FrozenClock

NOTE = "necto.test/audit\n42\nroot=\n\n— necto.test/audit c2ln\n"


@dataclass
class Served:
    """An anchor on an authority that is asked without a socket; `answer` replaces what it answers."""

    authority: TimeAuthority
    answer: Callable[[bytes], bytes] | None = None
    roots: Any = None

    def place(self) -> Any:
        def handle(request: httpx.Request) -> httpx.Response:
            assert request.headers["content-type"] == "application/timestamp-query"
            return httpx.Response(200, content=(self.answer or self.authority.answer)(request.content))

        poster = Poster(
            SecretStr("http://tsa.example/tsr"),
            "NECTO_TIMESTAMP_URL",
            clock=FrozenClock(),
            timeout_s=1,
            transport=httpx.MockTransport(handle),
        )
        return TimestampAnchor(poster, self.roots or [self.authority.root.certificate]).place(NOTE, 42)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_note_is_stamped_and_both_readers_agree_on_the_time(kind: str) -> None:
    authority = TimeAuthority(kind=kind)
    receipt = Served(authority).place()
    assert receipt.at == NOON
    assert verify_timestamp(receipt.token, NOTE.encode(), authority.root.pem) == NOON


def test_a_query_is_never_the_same_twice() -> None:
    queries: list[bytes] = []
    authority = TimeAuthority()

    def remembering(query: bytes) -> bytes:
        queries.append(query)
        return authority.answer(query)

    served = Served(authority, remembering)
    served.place()
    served.place()
    assert queries[0] != queries[1]


AUTHORITY = TimeAuthority()


REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a rejection": (lambda _: seq(seq(integer(2), seq(tlv(0x0C, b"quota used up")))), r"status 2 \(quota used up\)"),
    "no timestamp at all": (lambda _: b"<html>busy</html>", "not accepted"),
    "nothing": (lambda _: b"", "not accepted"),
    "the answer to another query": (lambda _: AUTHORITY.timestamp(NOTE.encode()), "Nonce mismatch"),
    "an altered time": (
        lambda query: AUTHORITY.answer(query).replace(b"20261122120000Z", b"20261121120000Z"),
        "not accepted",
    ),
    "half of it": (lambda query: AUTHORITY.answer(query)[:-40], "not accepted"),
    "a certificate that had expired": (
        lambda query: _signed_by(query, valid=(NOON - timedelta(days=9), NOON - timedelta(days=1))),
        "not accepted",
    ),
    "a certificate for something else": (
        lambda query: _signed_by(query, purposes=[]),
        "unsuitable certificate purpose",
    ),
}


def _signed_by(query: bytes, **wishes: Any) -> bytes:
    authority = TimeAuthority(root=AUTHORITY.root)
    authority.signer = issue_for_time(AUTHORITY.root, **wishes)
    return authority.answer(query)


@pytest.mark.parametrize(("answer", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_proves_no_time_of_this_note_is_refused(answer: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(Refused, match=f"tsa.example: .*{reason}"):
        Served(AUTHORITY, answer).place()


def test_an_authority_under_another_root_is_refused() -> None:
    with pytest.raises(Refused, match="not accepted"):
        Served(AUTHORITY, roots=[issue("Test root", authority=True, key_number=9).certificate]).place()


def test_a_timestamp_of_other_bytes_is_refused() -> None:
    def other(query: bytes) -> bytes:
        nonce = decode_timestamp_response(AUTHORITY.answer(query)).tst_info.nonce
        return response(token(tst_info(b"other bytes", nonce=nonce), AUTHORITY.signer))

    with pytest.raises(Refused, match="Mismatch between messages"):
        Served(AUTHORITY, other).place()


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_roots_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "roots.pem").write_text(text)
    with pytest.raises(InvalidInput, match=r"NECTO_TIMESTAMP_ROOTS.*PEM file"):
        read_roots(tmp_path / "roots.pem", "NECTO_TIMESTAMP_ROOTS")
    with pytest.raises(InvalidInput, match="NECTO_TIMESTAMP_ROOTS"):
        read_roots(tmp_path / "absent.pem", "NECTO_TIMESTAMP_ROOTS")
