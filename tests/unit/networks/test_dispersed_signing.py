"""Dispersed's signature, held against HMAC worked out by hand and by openssl, and the bytes that go out with it."""

import hashlib
import json
import shutil
import subprocess
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from necto_pipelines.failures import InvalidInput, Unavailable
from necto_pipelines.fetching import Fetcher
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.networks.render.auth import DispersedAuth, new_nonce
from necto_pipelines.networks.render.signing import canonical_json, canonical_query, signature, text_to_sign

PUBLIC, SECRET, NONCE = "pk_test_1", "sk_test_secret", bytes(range(16)).hex()
TIME_MS = 1_784_563_200_123
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
OFFERS_TEXT = (
    f"pk_test_1|1784563200123|000102030405060708090a0b0c0d0e0f|GET|/v1/compute/offers"
    f"|filter%5Bgpu_name%5D=NVIDIA%20RTX%204090&limit=50&page=1|{EMPTY_SHA256}"
)
JOB_BODY = {
    "task": "PERSISTENT",
    "parameters": {"image": "ghcr.io/acme/job", "env": {"B": "2", "A": "1"}},
    "a": [{"y": True, "x": None}],
}
JOB_BYTES = (
    b'{"a":[{"x":null,"y":true}],"parameters":{"env":{"A":"1","B":"2"},"image":"ghcr.io/acme/job"},"task":"PERSISTENT"}'
)
ascii_text = st.text(st.characters(codec="ascii"), max_size=12)
bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | ascii_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_text, inner, max_size=4),
    max_leaves=12,
)


def hmac_by_hand(secret: str, text: str) -> str:
    """RFC 2104 from its definition: H((K xor opad) || H((K xor ipad) || text)) with blocks of 64 bytes."""
    key = secret.encode()
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + text.encode()).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


def sign_parts(method: str, path: str, query: str, body: bytes) -> str:
    return text_to_sign(
        public_key=PUBLIC, time_ms=TIME_MS, nonce=NONCE, method=method, path=path, query=query, body=body
    )


# --- vectors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "text", "digest"),
    [
        (
            "get",
            "/v1/compute/offers",
            "filter%5Bgpu_name%5D=NVIDIA%20RTX%204090&limit=50&page=1",
            b"",
            OFFERS_TEXT,
            "86bf701a6dcea3bb273928d122e6404e5ca4329679014164d3ac1aa8b66d617a",
        ),
        (
            "POST",
            "/v1/jobs",
            "",
            JOB_BYTES,
            "pk_test_1|1784563200123|000102030405060708090a0b0c0d0e0f|POST|/v1/jobs|"
            "|8111722fc69367618faf5f0d8287f5ae2d4b8eeaefc2caaec32715ca98cf0760",
            "c53c0524cee752d018f5c862888db191107740c027d8733167bc0f7a80cfeb26",
        ),
    ],
)
def test_the_signature_is_that_of_openssl(
    method: str, path: str, query: str, body: bytes, text: str, digest: str
) -> None:
    assert sign_parts(method, path, query, body) == text
    assert signature(SECRET, text) == digest


@given(ascii_text, st.text(st.characters(codec="utf-8"), max_size=80))
def test_the_signature_is_an_hmac_worked_out_by_hand(secret: str, text: str) -> None:
    assert signature(secret, text) == hmac_by_hand(secret, text)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_secrets_around_the_block_length_are_hashed_as_the_standard_says(length: int) -> None:
    assert signature("s" * length, OFFERS_TEXT) == hmac_by_hand("s" * length, OFFERS_TEXT)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("text", [OFFERS_TEXT, sign_parts("PUT", "/v1/jobs/17/cancel", "", b'{"reason":"budget"}')])
def test_the_signature_is_what_openssl_prints(text: str) -> None:
    command = ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"]
    printed = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout.decode()
    assert signature(SECRET, text) == printed.split()[0]


def test_no_body_hashes_as_no_bytes() -> None:
    assert sign_parts("GET", "/v1/nodes", "", b"").endswith(f"||{EMPTY_SHA256}")


# --- canonical forms ------------------------------------------------------------------------------------------------


def test_bodies_have_keys_sorted_at_every_depth_and_no_spaces() -> None:
    assert canonical_json(JOB_BODY) == JOB_BYTES


@given(bodies)
def test_a_body_says_the_same_in_its_canonical_form_and_is_ascii(body: Any) -> None:
    text = canonical_json(body)
    assert json.loads(text) == body
    assert canonical_json(json.loads(text)) == text
    assert text.isascii()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"env": {"MODEL": "llama-ü"}}, "body.env.MODEL"),
        ({"é": 1}, "body key"),
        ({"ports": [8000, 0.5]}, r"body.ports\[1\]"),
        ({"image": b"x"}, "body.image"),
    ],
)
def test_what_two_writers_may_write_differently_is_refused_by_its_place(body: Any, place: str) -> None:
    with pytest.raises(InvalidInput, match=place):
        canonical_json(body)


@pytest.mark.parametrize(
    ("pairs", "query"),
    [
        ([], ""),
        ([("page", "1"), ("limit", "50")], "limit=50&page=1"),
        ([("filter[gpu_name]", "NVIDIA RTX 4090")], "filter%5Bgpu_name%5D=NVIDIA%20RTX%204090"),
        ([("a", "2"), ("a", "1")], "a=1&a=2"),
        ([("sort", "-created_at"), ("s", "x+y/z~._-")], "s=x%2By%2Fz~._-&sort=-created_at"),
        ([("filter[status]", "PENDING,RUNNING")], "filter%5Bstatus%5D=PENDING%2CRUNNING"),
        ([("q", "ü")], "q=%C3%BC"),
    ],
)
def test_queries_are_sorted_and_percent_encoded(pairs: list[tuple[str, str]], query: str) -> None:
    assert canonical_query(pairs) == query


# --- on the wire ----------------------------------------------------------------------------------------------------


class Wire:
    """Remembers what was sent; answers from a list, the last for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers, self.sent = list(answers), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(answer.status_code, content=answer.content)


def fetcher(wire: Wire, base_url: str = "https://dispersed.example", **auth: Any) -> Fetcher:
    clock = FrozenClock()
    return Fetcher(
        base_url,
        clock=clock,
        auth=DispersedAuth(PUBLIC, SecretStr(SECRET), clock=clock, **auth),
        max_wait_s=0,
        transport=httpx.MockTransport(wire),
    )


def expected_signature(request: httpx.Request) -> str:
    """From the bytes on the wire and nothing else."""
    path, _, query = request.url.raw_path.decode().partition("?")
    parts = (
        request.headers["X-API-Key"],
        request.headers["X-Time"],
        request.headers["X-Nonce"],
        request.method,
        path,
        query,
        hashlib.sha256(request.content).hexdigest(),
    )
    return hmac_by_hand(SECRET, "|".join(parts))


def test_the_bytes_that_are_signed_are_the_bytes_that_are_sent() -> None:
    wire = Wire(httpx.Response(200, json={}))
    api = fetcher(wire)
    api.get("/v1/compute/offers", {"page": "1", "filter[gpu_name]": "NVIDIA RTX 4090"})
    api.change_once("POST", "/v1/jobs", JOB_BODY)
    api.put_again("PUT", "/v1/jobs/17/cancel", {"reason": "budget"})
    read, create, cancel = wire.sent
    assert read.url.raw_path == b"/v1/compute/offers?filter%5Bgpu_name%5D=NVIDIA%20RTX%204090&page=1"
    assert create.content == JOB_BYTES
    assert create.headers["content-length"] == str(len(JOB_BYTES))
    assert create.headers["content-type"] == "application/json"
    for request in (read, create, cancel):
        assert request.headers["X-Signature"] == expected_signature(request)
        assert request.headers["X-Time"] == str(int(FrozenClock().now().timestamp()) * 1000)


def test_the_path_is_signed_with_whatever_the_api_is_mounted_under() -> None:
    wire = Wire(httpx.Response(200, json={}))
    fetcher(wire, "http://127.0.0.1:8790/dispersed").get("/v1/jobs/17")
    assert wire.sent[0].url.raw_path == b"/dispersed/v1/jobs/17"
    assert wire.sent[0].headers["X-Signature"] == expected_signature(wire.sent[0])


def test_every_attempt_has_a_nonce_of_its_own() -> None:
    wire = Wire(httpx.Response(503), httpx.Response(503), httpx.Response(200, json={}))
    fetcher(wire).get("/v1/gpu-registry")
    nonces = [request.headers["X-Nonce"] for request in wire.sent]
    assert len(set(nonces)) == 3
    assert all(request.headers["X-Signature"] == expected_signature(request) for request in wire.sent)


def test_nonces_are_sixteen_bytes_in_hex() -> None:
    assert len(bytes.fromhex(new_nonce())) == 16
    assert new_nonce() != new_nonce()


def test_the_secret_shows_in_no_header_and_no_failure() -> None:
    wire = Wire(httpx.Response(503))
    with pytest.raises(Unavailable) as failure:
        fetcher(wire, nonce=lambda: NONCE).get("/v1/jobs")
    assert SECRET not in str(failure.value)
    assert all(SECRET not in value for request in wire.sent for value in request.headers.values())
