"""Aethir's token, held against HMAC worked out by hand, and by openssl, and the headers that go out with it."""

import base64
import hashlib
import json
import shutil
import subprocess

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.networks.aethir.token import AethirAuth, base64url, new_nonce, op_token

AK, SK, EXPIRES_MS, NONCE = "ak_test_1", "sk_test_secret", 1_795_348_860_000, "000102030405060708090a0b0c0d0e0f"
SIGNED = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkNIS19PUCJ9"
    ".eyJhayI6ImFrX3Rlc3RfMSIsImV4cCI6MTc5NTM0ODg2MDAwMCwibm9uY2UiOiIwMDAxMDIwMzA0MDUwNjA3MDgwOTBhMGIwYzBkMGUwZiJ9"
)
"""both parts as coreutils' base64 wrote them, with + and / exchanged and = cut off"""


def hmac_by_hand(secret: str, text: str) -> bytes:
    """RFC 2104 from its definition: H((K xor opad) || H((K xor ipad) || text)) with blocks of 64 bytes."""
    key = secret.encode()
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + text.encode()).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def unpadded(data: bytes) -> str:
    """Base64url by way of the plain alphabet."""
    return base64.b64encode(data).decode().replace("+", "-").replace("/", "_").replace("=", "")


def test_the_token_is_three_parts_signed_by_the_secret() -> None:
    token = op_token(AK, SK, expires_ms=EXPIRES_MS, nonce=NONCE)
    assert token == f"{SIGNED}.{unpadded(hmac_by_hand(SK, SIGNED))}"


def test_the_parts_say_algorithm_kind_key_end_and_nonce() -> None:
    header, payload, _ = op_token(AK, SK, expires_ms=EXPIRES_MS, nonce=NONCE).split(".")
    assert base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)) == b'{"alg":"HS256","typ":"CHK_OP"}'
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == {
        "ak": AK,
        "exp": EXPIRES_MS,
        "nonce": NONCE,
    }


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_signs_the_same() -> None:
    command = ["openssl", "dgst", "-sha256", "-hmac", SK, "-binary"]
    digest = subprocess.run(command, input=SIGNED.encode(), capture_output=True, check=True).stdout
    assert op_token(AK, SK, expires_ms=EXPIRES_MS, nonce=NONCE).rpartition(".")[2] == unpadded(digest)


@given(
    ak=st.text(min_size=1, max_size=40),
    sk=st.text(min_size=1, max_size=90),
    exp=st.integers(0, 10**14),
    nonce=st.text(),
)
def test_any_key_pair_and_nonce_gives_parts_without_padding_that_verify(ak: str, sk: str, exp: int, nonce: str) -> None:
    token = op_token(ak, sk, expires_ms=exp, nonce=nonce)
    signed, _, signature = token.rpartition(".")
    assert token.isascii()
    assert not set(token) & set("=+/ ")
    assert signature == unpadded(hmac_by_hand(sk, signed))


@given(st.binary(max_size=64))
def test_base64url_has_no_padding_and_is_undone(data: bytes) -> None:
    text = base64url(data)
    assert text == unpadded(data)
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == data


def test_every_attempt_is_signed_anew_and_expires_a_minute_after_our_clock() -> None:
    seen: list[httpx.Request] = []
    clock, nonces = FrozenClock(), iter(["n1", "n2"])
    auth = AethirAuth(AK, SecretStr(SK), clock=clock, nonce=lambda: next(nonces))

    def keep(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    with httpx.Client(transport=httpx.MockTransport(keep), auth=auth) as client:
        client.get("https://aethir.example/v2/tenant/inventory")
        clock.advance(1)
        client.post("https://aethir.example/v2/tenant/orders", json={"hours": 4})
    begun = int(FrozenClock().now().timestamp() * 1000)
    assert [request.headers["x-ak"] for request in seen] == [AK, AK]
    assert [request.headers["x-op-token"] for request in seen] == [
        op_token(AK, SK, expires_ms=begun + 60_000, nonce="n1"),
        op_token(AK, SK, expires_ms=begun + 61_000, nonce="n2"),
    ]
    assert SK not in str(seen[0].headers)


def test_nonces_differ() -> None:
    assert len({new_nonce() for _ in range(100)}) == 100
