"""Coinbase: a last trade with its time, and a retail price that has none and says so."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from necto_pipelines.failures import Unavailable
from necto_pipelines.market.oracles.coinbase import CoinbaseExchange, CoinbaseSpot
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TICKER = {
    "ask": "0.5440",
    "bid": "0.5436",
    "volume": "183201.55",
    "trade_id": 8123,
    "price": "0.5437",
    "size": "12",
    "time": "2026-11-22T11:59:48.123456789Z",
}
SPOT = {"data": {"amount": "0.5437", "base": "AKT", "currency": "USD"}}


def exchange(handler: Any) -> CoinbaseExchange:
    return CoinbaseExchange("http://exchange.test", SourceMode.LIVE, FrozenClock(NOW), transport=transport(handler))


def spot(handler: Any) -> CoinbaseSpot:
    return CoinbaseSpot("http://spot.test", SourceMode.LIVE, FrozenClock(NOW), transport=transport(handler))


def transport(handler: Any) -> httpx.MockTransport:
    return httpx.MockTransport(handler if callable(handler) else lambda _: httpx.Response(200, json=handler))


def test_the_last_trade_is_read_with_its_time() -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=TICKER)

    found = exchange(handler).prices(["AKT"])
    (row,) = found.rows
    assert asked[0].url.path == "/products/AKT-USD/ticker"
    assert asked[0].headers["user-agent"].startswith("necto")
    assert (row.usd, row.timed, row.used) == (Decimal("0.5437"), True, True)
    assert row.published_at == NOW - timedelta(seconds=11, microseconds=876544)
    assert row.raw_sha256 == found.raw[0].sha256


@pytest.mark.parametrize("body", [SPOT, {"data": {"amount": "0.5437", "currency": "USD"}}])
def test_the_retail_price_has_no_time_and_says_so(body: dict[str, Any]) -> None:
    (row,) = spot(body).prices(["AKT"]).rows
    assert (row.usd, row.timed) == (Decimal("0.5437"), False)
    assert row.published_at == row.observed_at == NOW


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"amount": "0.5", "base": "AKTIO", "currency": "USD"}, "the price is of AKTIO"),
        ({"amount": "0.5", "base": "AKT", "currency": "EUR"}, "data.currency"),
        ({"amount": "0", "base": "AKT", "currency": "USD"}, "above zero"),
        ({"amount": "NaN", "base": "AKT", "currency": "USD"}, "data.amount"),
        ({"base": "AKT", "currency": "USD"}, "data.amount"),
        (None, "data"),
    ],
)
def test_a_wrong_retail_price_is_set_aside(data: Any, reason: str) -> None:
    found = spot({"data": data}).prices(["AKT"])
    ((token, why),) = found.quarantined
    assert (found.rows, token) == ((), "AKT")
    assert reason in why


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": "-1"}, "above zero"),
        ({"price": None}, "price"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-11-22T11:59:48"}, "time"),
    ],
)
def test_a_wrong_ticker_is_set_aside(change: dict[str, Any], reason: str) -> None:
    ((_, why),) = exchange(TICKER | change).prices(["AKT"]).quarantined
    assert reason in why


def test_a_pair_that_is_not_listed_is_set_aside_and_the_others_are_read() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        listed = "AKT-USD" in request.url.path
        return httpx.Response(200, json=TICKER) if listed else httpx.Response(404, json={"message": "NotFound"})

    found = exchange(handler).prices(["ATH", "AKT"])
    assert [row.token for row in found.rows] == ["AKT"]
    ((token, why),) = found.quarantined
    assert token == "ATH"
    assert "404" in why


def test_an_answer_that_is_no_json_costs_that_pair_only() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>") if "ATH" in request.url.path else httpx.Response(200, json=TICKER)

    found = exchange(handler).prices(["ATH", "AKT"])
    assert [row.token for row in found.rows] == ["AKT"]
    assert [token for token, _ in found.quarantined] == ["ATH"]


def test_an_exchange_that_is_away_is_unavailable() -> None:
    source = CoinbaseExchange("http://exchange.test", SourceMode.LIVE, FrozenClock(NOW), transport=transport(_broken))
    with pytest.raises(Unavailable):
        source.prices(["AKT"])


def _broken(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("gone")


def test_usdc_is_not_asked_for_because_coinbase_itself_changes_it_at_par() -> None:
    found = spot(_broken).prices(["USDC"])
    assert (found.rows, found.raw) == ((), ())
    assert [token for token, _ in found.quarantined] == ["USDC"]
    assert "USDC" not in CoinbaseSpot.tokens
