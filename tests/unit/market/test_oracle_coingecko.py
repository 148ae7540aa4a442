"""CoinGecko's prices: read exactly, and set aside when unusable."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.market.oracles import COINGECKO_IDS, CoinGecko
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.tables import TOKEN_PRICES, records

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
UPDATED = int(NOW.timestamp()) - 30
ALL = ["AKT", "RENDER", "ATH", "USDC"]
GOOD = {
    "akash-network": {"usd": 0.543761, "last_updated_at": UPDATED},
    "render-token": {"usd": 3.2, "last_updated_at": UPDATED},
    "aethir": {"usd": 0.0123456789012345678, "last_updated_at": UPDATED},
    "usd-coin": {"usd": 1, "last_updated_at": UPDATED},
}


def coingecko(body: Any = None, *, status: int = 200, text: str | None = None) -> CoinGecko:
    answer = httpx.Response(status, text=text if text is not None else json.dumps(body))
    return CoinGecko(
        "http://prices.test/coingecko",
        None,
        SourceMode.SANDBOX,
        FrozenClock(NOW),
        transport=httpx.MockTransport(lambda _: answer),
    )


@respx.mock
def test_the_call_is_the_one_coingecko_documents() -> None:
    route = respx.get(
        "https://api.coingecko.com/api/v3/simple/price",
        params={
            "ids": "akash-network,usd-coin",
            "vs_currencies": "usd",
            "precision": "full",
            "include_last_updated_at": "true",
        },
        headers={"x-cg-demo-api-key": "CG-key"},
    ).respond(json=GOOD)
    oracle = CoinGecko("https://api.coingecko.com", SecretStr("CG-key"), SourceMode.LIVE, FrozenClock(NOW))
    found = oracle.prices(["AKT", "USDC"])
    assert route.call_count == 1
    assert [row.token for row in found.rows] == ["AKT", "USDC"]
    assert "CG-key" not in repr(found)


@respx.mock
def test_a_paid_key_goes_to_the_paid_host_under_its_own_header() -> None:
    route = respx.get("https://pro-api.coingecko.com/api/v3/simple/price").respond(json=GOOD)
    oracle = CoinGecko("https://pro-api.coingecko.com", SecretStr("CG-key"), SourceMode.LIVE, FrozenClock(NOW))
    oracle.prices(["AKT"])
    assert route.calls.last.request.headers["x-cg-pro-api-key"] == "CG-key"
    assert "x-cg-demo-api-key" not in route.calls.last.request.headers


@respx.mock
def test_without_a_key_no_key_header_is_sent() -> None:
    route = respx.get("http://prices.test/coingecko/api/v3/simple/price").respond(json=GOOD)
    CoinGecko("http://prices.test/coingecko", None, SourceMode.SANDBOX, FrozenClock(NOW)).prices(["AKT"])
    assert "x-cg-demo-api-key" not in route.calls.last.request.headers


def test_a_price_is_read_with_its_source_time_and_digest() -> None:
    found = coingecko(GOOD).prices(ALL)
    akt = found.rows[0]
    assert (akt.token, akt.usd, akt.mode) == ("AKT", Decimal("0.543761"), SourceMode.SANDBOX)
    assert akt.published_at == NOW - timedelta(seconds=30)
    assert akt.observed_at == NOW
    assert akt.raw_sha256 == found.raw[0].sha256
    assert found.quarantined == ()


def test_prices_of_any_precision_fit_the_price_table() -> None:
    rows = records(TOKEN_PRICES.frame(coingecko(GOOD).prices(ALL).rows))
    assert {row["token"]: row["usd"] for row in rows} == {
        "AKT": Decimal("0.543761"),
        "RENDER": Decimal("3.2"),
        "ATH": Decimal("0.012345678901"),
        "USDC": Decimal(1),
    }


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "absent from the answer"),
        ([], "an object is needed"),
        ({"last_updated_at": UPDATED}, "usd is None"),
        ({"usd": None, "last_updated_at": UPDATED}, "usd is None"),
        ({"usd": "0.5", "last_updated_at": UPDATED}, "not a number"),
        ({"usd": True, "last_updated_at": UPDATED}, "not a number"),
        ({"usd": 0, "last_updated_at": UPDATED}, "above zero"),
        ({"usd": -0.5, "last_updated_at": UPDATED}, "above zero"),
        ({"usd": 1e-13, "last_updated_at": UPDATED}, "above zero"),
        ({"usd": 1e40, "last_updated_at": UPDATED}, "out of range"),
        ({"usd": 0.5}, "last_updated_at is None"),
        ({"usd": 0.5, "last_updated_at": "2026"}, "not a time"),
        ({"usd": 0.5, "last_updated_at": UPDATED + 0.5}, "not a time"),
        ({"usd": 0.5, "last_updated_at": 10**18}, "out of range"),
    ],
)
def test_an_unusable_price_is_set_aside_with_the_reason(entry: Any, reason: str) -> None:
    body = {**GOOD, "akash-network": entry} if entry is not None else {"usd-coin": GOOD["usd-coin"]}
    found = coingecko(body).prices(["AKT", "USDC"])
    assert [row.token for row in found.rows] == ["USDC"]
    ((token, why),) = found.quarantined
    assert token == "AKT"
    assert reason in why
    assert "akash-network" in why


def test_a_token_without_a_coingecko_id_is_set_aside() -> None:
    found = coingecko(GOOD).prices(["AKT", "DOGE"])
    assert [row.token for row in found.rows] == ["AKT"]
    assert found.quarantined == (("DOGE", "CoinGecko id not known to Necto"),)


def test_nothing_is_asked_when_no_token_is_known() -> None:
    found = coingecko(status=500).prices(["DOGE"])
    assert (found.rows, found.raw) == ((), ())
    assert [token for token, _ in found.quarantined] == ["DOGE"]


@pytest.mark.parametrize("text", ["[]", '"down for maintenance"', "<html>", '{"akash-network":{"usd":NaN}}'])
def test_an_answer_that_is_no_price_list_is_unavailable(text: str) -> None:
    with pytest.raises(Unavailable):
        coingecko(text=text).prices(["AKT"])


def test_a_rejected_key_is_refused() -> None:
    with pytest.raises(Refused):
        coingecko({"status": {"error_code": 10002}}, status=401).prices(["AKT"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={"usd": JSON, "last_updated_at": JSON}) | JSON)
def test_whatever_stands_in_an_entry_it_becomes_a_positive_price_or_is_set_aside(entry: Any) -> None:
    try:
        found = coingecko({"akash-network": entry}).prices(["AKT"])
    except Unavailable:
        assert "NaN" in json.dumps(entry) or "Infinity" in json.dumps(entry)
        return
    assert len(found.rows) + len(found.quarantined) == 1
    assert all(row.usd > 0 for row in found.rows)


def test_every_token_has_its_own_id() -> None:
    assert len(set(COINGECKO_IDS.values())) == len(COINGECKO_IDS)
