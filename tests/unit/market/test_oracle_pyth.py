"""Pyth: exact prices from whole numbers and exponents; doubt, age and unknown feeds are noticed."""

import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.market.oracles.pyth import FEED_IDS, LIVE_URL, Pyth
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.tables import TOKEN_PRICES, records

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOL_FEED = "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"
KEY = SecretStr("pyth-key-0123456789")


def feed(token: str, price: Any = "54347160", conf: Any = "43210", expo: Any = -8, age_s: Any = 2) -> dict[str, Any]:
    """A feed as Hermes parses it (reference of 2026-11-22)."""
    at = int(NOW.timestamp()) - age_s if isinstance(age_s, int) else age_s
    quoted = {"price": price, "conf": conf, "expo": expo, "publish_time": at}
    metadata = {"slot": 29, "proof_available_time": 1, "prev_publish_time": 0}
    return {"id": FEED_IDS[token], "price": quoted, "ema_price": quoted, "metadata": metadata}


def answer(*feeds: dict[str, Any]) -> dict[str, Any]:
    return {"binary": {"encoding": "hex", "data": ["504e4155"]}, "parsed": list(feeds)}


def pyth(handler: Any) -> Pyth:
    """Pyth with a transport that answers from `handler`: a body, or a function of the request."""
    respond = handler if callable(handler) else lambda _: httpx.Response(200, json=handler)
    return Pyth("http://pyth.test", KEY, SourceMode.SANDBOX, FrozenClock(NOW), transport=httpx.MockTransport(respond))


@respx.mock
def test_one_call_asks_for_all_feeds_with_the_key() -> None:
    route = respx.get(f"{LIVE_URL}/v2/updates/price/latest").respond(json=answer(feed("AKT"), feed("USDC")))
    found = Pyth(LIVE_URL, KEY, SourceMode.LIVE, FrozenClock(NOW)).prices(["AKT", "USDC"])
    request = route.calls.last.request
    assert route.call_count == 1
    assert request.url.params.get_list("ids[]") == [FEED_IDS["AKT"], FEED_IDS["USDC"]]
    assert request.url.params["parsed"] == "true"
    assert request.headers["authorization"] == f"Bearer {KEY.get_secret_value()}"
    assert [row.token for row in found.rows] == ["AKT", "USDC"]
    assert KEY.get_secret_value() not in repr(found)


def test_a_price_is_read_with_its_confidence_time_and_digest() -> None:
    found = pyth(answer(feed("AKT"))).prices(["AKT"])
    (akt,) = found.rows
    assert (akt.usd, akt.confidence_usd) == (Decimal("0.5434716"), Decimal("0.0004321"))
    assert akt.published_at == NOW - timedelta(seconds=2)
    assert (akt.used, akt.reason, akt.timed, akt.consensus) == (True, "", True, False)
    assert akt.raw_sha256 == found.raw[0].sha256
    assert b"504e4155" in found.raw[0].body, "the signed update is kept"
    (row,) = records(TOKEN_PRICES.frame(found.rows))
    assert row["confidence_usd"] == Decimal("0.0004321")


@pytest.mark.parametrize(
    ("price", "expo", "usd"), [("123", 0, "123"), ("5", 2, "500"), ("543471600000", -12, "0.5434716")]
)
def test_the_exponent_moves_the_point(price: str, expo: int, usd: str) -> None:
    (row,) = pyth(answer(feed("AKT", price, "0", expo))).prices(["AKT"]).rows
    assert row.usd == Decimal(usd)


@given(st.integers(1, 10**12), st.integers(-12, 2))
def test_price_times_power_of_ten_is_exact(units: int, expo: int) -> None:
    (row,) = pyth(answer(feed("AKT", str(units), "0", expo))).prices(["AKT"]).rows
    assert row.usd == units * Decimal(10) ** expo


@pytest.mark.parametrize(("conf", "used"), [("1000000", True), ("1000001", False)])
def test_a_confidence_above_one_percent_is_not_used(conf: str, used: bool) -> None:
    (row,) = pyth(answer(feed("AKT", "100000000", conf))).prices(["AKT"]).rows
    assert row.used is used
    assert used or "at most 1% is allowed" in row.reason


@pytest.mark.parametrize(("age_s", "used"), [(60, True), (61, False), (-60, True), (-61, False)])
def test_a_feed_that_stopped_or_runs_ahead_is_kept_but_not_used(age_s: int, used: bool) -> None:
    (row,) = pyth(answer(feed("AKT", age_s=age_s))).prices(["AKT"]).rows
    assert row.used is used
    assert used or "AKT price of" in row.reason


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (feed("AKT", price="0"), "above zero"),
        (feed("AKT", price="-5"), "above zero"),
        (feed("AKT", price="dear"), "price.price"),
        (feed("AKT", price=None), "price.price"),
        (feed("AKT", price=0.5), "price.price"),
        (feed("AKT", price="9" * 40), "out of range"),
        (feed("AKT", conf="-1"), "price.conf"),
        (feed("AKT", conf="9" * 40), "out of range"),
        (feed("AKT", expo=99), "price.expo"),
        (feed("AKT", age_s="noon"), "price.publish_time"),
        (feed("AKT", age_s=-(10**18)), "out of range"),
        ({"id": FEED_IDS["AKT"]}, "price: Field required"),
    ],
)
def test_a_feed_that_reads_wrong_is_set_aside_and_the_others_are_read(entry: dict[str, Any], reason: str) -> None:
    found = pyth(answer(entry, feed("USDC"))).prices(["AKT", "USDC"])
    assert [row.token for row in found.rows] == ["USDC"]
    ((token, why),) = found.quarantined
    assert token == "AKT"
    assert reason in why


def test_an_id_that_is_missing_from_the_answer_is_noticed() -> None:
    found = pyth(answer(feed("USDC"), "noise", {"price": 1})).prices(["AKT", "USDC"])
    assert [row.token for row in found.rows] == ["USDC"]
    assert found.quarantined == (("AKT", f"Pyth feed {FEED_IDS['AKT']}: absent from the answer"),)


def test_ids_are_the_same_with_or_without_0x() -> None:
    entry = feed("AKT") | {"id": "0x" + FEED_IDS["AKT"].upper()}
    assert pyth(answer(entry)).prices(["AKT"]).rows


@pytest.mark.parametrize("status", [403, 404])
def test_a_feed_that_spoils_the_whole_request_is_found_by_asking_one_by_one(status: int) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        ids = request.url.params.get_list("ids[]")
        if FEED_IDS["AKT"] in ids:
            return httpx.Response(status, text=f"Price ids not found: 0x{FEED_IDS['AKT']}")
        return httpx.Response(200, json=answer(*(feed(token) for token, id_ in FEED_IDS.items() if id_ in ids)))

    found = pyth(handler).prices(["AKT", "RENDER", "USDC"])
    assert [row.token for row in found.rows] == ["RENDER", "USDC"]
    ((token, why),) = found.quarantined
    assert token == "AKT"
    assert "Price ids not found" in why
    assert {row.raw_sha256 for row in found.rows} <= {each.sha256 for each in found.raw}


def test_a_rejected_key_is_refused() -> None:
    with pytest.raises(Refused):
        pyth(lambda _: httpx.Response(401, text="Unauthorized")).prices(["AKT", "USDC"])


def test_a_rate_limited_minute_is_unavailable_and_not_hammered() -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(429, text="Too Many Requests")

    with pytest.raises(Unavailable, match="429"):
        pyth(handler).prices(["AKT", "USDC"])
    assert len(calls) <= 2


@pytest.mark.parametrize("text", ["<html>", "[]", '{"parsed":null}', '{"binary":{}}'])
def test_an_answer_that_is_no_list_of_feeds_is_unavailable(text: str) -> None:
    with pytest.raises(Unavailable):
        pyth(lambda _: httpx.Response(200, text=text)).prices(["AKT"])


def test_a_token_without_a_feed_is_set_aside_without_asking() -> None:
    found = pyth(lambda _: httpx.Response(500)).prices(["ATH"])
    assert (found.rows, found.raw) == ((), ())
    assert found.quarantined == (("ATH", "Pyth feed id not known to Necto"),)


def test_no_token_has_the_id_that_aep_81_prints_for_akt_and_is_sol() -> None:
    assert SOL_FEED not in FEED_IDS.values()


REGISTRY = Path(os.environ.get("NECTO_SHARED", "../shared")) / "data/prices/token_registry.json"


@pytest.mark.skipif(not REGISTRY.exists(), reason="the token registry is not at hand")
def test_the_feed_ids_are_those_of_the_registry() -> None:
    known = json.loads(REGISTRY.read_text())["pyth_feed_ids"]
    assert {f"{token}/USD": id_ for token, id_ in FEED_IDS.items()} == {
        pair: id_ for pair, id_ in known.items() if "do not use" not in pair
    }
    assert [id_ for pair, id_ in known.items() if "do not use" in pair] == [SOL_FEED]
