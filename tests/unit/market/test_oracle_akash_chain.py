"""The chain's own price: believed while the chain believes it, from whichever host answers."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from necto_pipelines.failures import Unavailable
from necto_pipelines.market.oracles.akash_chain import AkashChain
from necto_pipelines.market.oracles.pyth import Pyth
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode

NOW = datetime(2026, 7, 17, 20, 7, 10, tzinfo=UTC)
AGGREGATE = {
    "denom": "akt",
    "twap": "0.5431",
    "median_price": "0.543300000000000000",
    "min_price": "0.5429",
    "max_price": "0.5436",
    "timestamp": "2026-07-17T20:07:00.123456789Z",
    "num_sources": 1,
    "deviation_bps": "12",
}
HEALTH = {
    "denom": "akt",
    "is_healthy": True,
    "has_min_sources": True,
    "deviation_ok": True,
    "total_sources": 1,
    "total_healthy_sources": 1,
    "failure_reason": [],
}
MOVED = {"code": 12, "message": "Not Implemented", "details": []}


def body(aggregate: dict[str, Any] | None = None, health: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"aggregated_price": AGGREGATE | (aggregate or {}), "price_health": HEALTH | (health or {})}


def chain(*hosts: httpx.Response | Exception) -> tuple[AkashChain, list[str]]:
    """The oracle over hosts that each answer so, and the hosts as they were asked."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        given = hosts[int(request.url.host.removesuffix(".test").removeprefix("h"))]
        if isinstance(given, Exception):
            raise given
        return given

    urls = [f"http://h{number}.test" for number in range(len(hosts))]
    return AkashChain(urls, SourceMode.LIVE, FrozenClock(NOW), transport=httpx.MockTransport(handler)), asked


def test_the_median_is_read_with_the_chains_time() -> None:
    oracle, asked = chain(httpx.Response(200, json=body()))
    found = oracle.prices(["AKT"])
    (row,) = found.rows
    assert asked == ["http://h0.test/akash/oracle/v2/aggregated_price/akt"]
    assert (row.usd, row.used, row.timed) == (Decimal("0.5433"), True, True)
    assert row.published_at == datetime(2026, 7, 17, 20, 7, 0, 123456, tzinfo=UTC)
    assert row.raw_sha256 == found.raw[0].sha256


@pytest.mark.parametrize(
    "health", [{"is_healthy": False, "failure_reason": ["price deviation 300 > 150"]}, {"is_healthy": False}]
)
def test_a_price_that_the_chain_calls_unhealthy_is_kept_but_not_used(health: dict[str, Any]) -> None:
    (row,) = chain(httpx.Response(200, json=body(health=health)))[0].prices(["AKT"]).rows
    assert not row.used
    assert "unhealthy" in row.reason
    assert "".join(health.get("failure_reason", ["no reason given"])) in row.reason


def test_health_that_is_not_stated_is_no_health() -> None:
    answer = httpx.Response(200, json={"aggregated_price": AGGREGATE, "price_health": {"denom": "akt"}})
    (row,) = chain(answer)[0].prices(["AKT"]).rows
    assert not row.used


@pytest.mark.parametrize(
    "first",
    [
        httpx.Response(501, json=MOVED),
        httpx.Response(429, text="slow down"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"aggregated_price": {}}),
        httpx.ReadTimeout("late"),
    ],
)
def test_the_next_host_is_asked_when_one_cannot_answer(first: httpx.Response | Exception) -> None:
    oracle, asked = chain(first, httpx.Response(200, json=body()))
    assert [row.usd for row in oracle.prices(["AKT"]).rows] == [Decimal("0.5433")]
    assert len(asked) == 2


def test_it_is_unavailable_only_when_no_host_answers() -> None:
    with pytest.raises(Unavailable, match=r"h0\.test.*h1\.test"):
        chain(httpx.Response(501, json=MOVED), httpx.Response(503))[0].prices(["AKT"])


@pytest.mark.parametrize(
    ("aggregate", "reason"),
    [({"denom": "act"}, "the price is of 'act'"), ({"median_price": "0"}, "above zero")],
)
def test_a_price_of_something_else_is_set_aside(aggregate: dict[str, Any], reason: str) -> None:
    found = chain(httpx.Response(200, json=body(aggregate)))[0].prices(["AKT"])
    ((token, why),) = found.quarantined
    assert (found.rows, token) == ((), "AKT")
    assert reason in why


def test_other_tokens_are_set_aside_without_asking() -> None:
    oracle, asked = chain(httpx.Response(500))
    assert [token for token, _ in oracle.prices(["USDC"]).quarantined] == ["USDC"]
    assert asked == []


def test_the_chain_and_pyth_are_one_witness_because_pyth_feeds_the_chain() -> None:
    assert AkashChain.publisher == Pyth.publisher
