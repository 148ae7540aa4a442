"""The simulated price sources: one market seen from several sides, each with the manners of the real one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sandbox_app import SandboxCaller

from necto_pipelines.sandbox.feed import SPREADS_BPS, TOKENS, Feed, FeedState
from necto_pipelines.sandbox.pyth import FEEDS, RateLimit

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
PYTH = "/pyth/v2/updates/price/latest"
BEARER = {"authorization": "Bearer any"}
IDS = {name: feed for feed, name in FEEDS.items()}
AGGREGATE = "/akash-lcd/akash/oracle/v2/aggregated_price/akt"


def pyth(sandbox: SandboxCaller, *tokens: str, headers: dict[str, str] = BEARER, **more: str) -> httpx.Response:
    query = [("ids[]", IDS.get(name, name)) for name in tokens] + list(more.items())
    return sandbox.call("GET", PYTH, params=query, headers=headers)


def akt(sandbox: SandboxCaller) -> dict[str, Any]:
    (entry,) = pyth(sandbox, "AKT").json()["parsed"]
    return entry["price"]


@given(st.sampled_from(sorted(SPREADS_BPS)), st.sampled_from(TOKENS), MOMENTS)
def test_every_source_stays_near_the_one_market(source: str, token: str, moment: datetime) -> None:
    feed = Feed(7, FeedState())
    off = abs(feed.quote(source, token, moment) / feed.usd(token, moment) - 1)
    assert off <= Decimal("0.00125")
    assert token != "USDC" or off <= Decimal("0.00013")


def test_sources_differ_and_coingecko_repeats_the_market() -> None:
    feed = Feed(7, FeedState())
    quotes = {source: feed.quote(source, "AKT", NOON) for source in SPREADS_BPS}
    assert len(set(quotes.values())) > 2
    assert quotes["coingecko"] == feed.usd("AKT", NOON)


def test_a_price_that_was_set_is_the_same_everywhere(sandbox: SandboxCaller) -> None:
    sandbox.post("/sandbox/prices", {"token": "AKT", "usd": "0.612345"})
    assert akt(sandbox)["price"] == "61234500"
    assert sandbox.get("/coinbase/v2/prices/AKT-USD/spot")["data"]["amount"] == "0.612345"
    assert sandbox.get("/coinbase-exchange/products/AKT-USD/ticker")["price"] == "0.612345"
    assert Decimal(sandbox.get(AGGREGATE)["aggregated_price"]["median_price"]) == Decimal("0.612345")


def test_one_source_can_be_set_apart_and_follows_again(sandbox: SandboxCaller) -> None:
    before = akt(sandbox)["price"]
    sandbox.post("/sandbox/prices/pyth", {"token": "AKT", "usd": "9"})
    assert akt(sandbox)["price"] == "900000000"
    assert float(sandbox.get("/coinbase/v2/prices/AKT-USD/spot")["data"]["amount"]) < 1
    sandbox.restart()
    assert akt(sandbox)["price"] == "900000000", "a switch survives a restart"
    sandbox.post("/sandbox/prices/pyth", {"token": "AKT", "usd": None})
    assert akt(sandbox)["price"] == before


def test_an_id_can_vanish_from_one_source_as_each_shows_it(sandbox: SandboxCaller) -> None:
    for source in SPREADS_BPS:
        sandbox.post(f"/sandbox/prices/{source}", {"token": "AKT", "vanished": True})
    missing = pyth(sandbox, "AKT", "USDC")
    assert (missing.status_code, missing.text) == (404, f"Price ids not found: 0x{IDS['AKT']}")
    assert sandbox.get("/coingecko/api/v3/simple/price", ids="akash-network,usd-coin", vs_currencies="usd").keys() == {
        "usd-coin"
    }
    assert sandbox.call("GET", "/coinbase/v2/prices/AKT-USD/spot").status_code == 404
    assert sandbox.call("GET", "/coinbase-exchange/products/AKT-USD/ticker").status_code == 404
    gone = sandbox.call("GET", AGGREGATE)
    assert (gone.status_code, gone.json()["code"]) == (404, 5)
    sandbox.post("/sandbox/prices/pyth", {"token": "AKT", "vanished": False})
    assert akt(sandbox)


@pytest.mark.parametrize(
    ("source", "body", "status"),
    [
        ("nasdaq", {"token": "AKT", "usd": "1"}, 404),
        ("pyth", {"token": "DOGE", "usd": "1"}, 404),
        ("pyth", {"token": "DOGE", "vanished": True}, 404),
        ("pyth", {"token": "AKT", "usd": "-1"}, 400),
        ("pyth", {"token": "AKT", "usd": "dear"}, 400),
        ("pyth", {"token": "AKT", "vanished": "yes"}, 400),
        ("pyth", {"usd": "1"}, 400),
    ],
)
def test_a_switch_that_makes_no_sense_is_refused(
    sandbox: SandboxCaller, source: str, body: dict[str, Any], status: int
) -> None:
    assert sandbox.call("POST", f"/sandbox/prices/{source}", json=body).status_code == status


def test_pyth_has_hermes_shape(sandbox: SandboxCaller) -> None:
    body = pyth(sandbox, "AKT", "USDC", parsed="true").json()
    assert body["binary"]["encoding"] == "hex"
    assert bytes.fromhex(body["binary"]["data"][0]).startswith(b"PNAU")
    entry = body["parsed"][0]
    assert set(entry) == {"id", "price", "ema_price", "metadata"}
    assert set(entry["price"]) == {"price", "conf", "expo", "publish_time"}
    assert set(entry["metadata"]) == {"slot", "proof_available_time", "prev_publish_time"}
    assert [type(entry["price"][name]) for name in ("price", "conf", "expo", "publish_time")] == [str, str, int, int]
    assert NOON.timestamp() == entry["price"]["publish_time"]
    assert "parsed" not in pyth(sandbox, "AKT", parsed="false").json()


def test_pyth_wants_a_key(sandbox: SandboxCaller) -> None:
    assert pyth(sandbox, "AKT", headers={}).status_code == 401
    assert pyth(sandbox, "AKT", headers={"authorization": "Bearer "}).status_code == 401


def test_the_trap_id_is_answered_with_the_price_of_sol(sandbox: SandboxCaller) -> None:
    body = pyth(sandbox, "SOL").json()
    assert int(body["parsed"][0]["price"]["price"]) > 100 * 10**8


def test_a_stopped_pyth_feed_grows_old_and_doubtful_until_it_runs_again(sandbox: SandboxCaller) -> None:
    def share() -> Decimal:
        return Decimal(akt(sandbox)["conf"]) / Decimal(akt(sandbox)["price"])

    sandbox.post("/sandbox/prices", {"frozen": True})
    at, calm = akt(sandbox)["publish_time"], share()
    sandbox.clock.advance(30)
    assert akt(sandbox)["publish_time"] == at
    assert calm < Decimal("0.01") < share()
    sandbox.post("/sandbox/prices", {"frozen": False})
    assert akt(sandbox)["publish_time"] == at + 30
    assert share() == calm


def test_the_eleventh_request_in_ten_seconds_brings_a_minute_of_silence(sandbox: SandboxCaller) -> None:
    assert [pyth(sandbox, "AKT").status_code for _ in range(11)] == [200] * 10 + [429]
    sandbox.clock.advance(59)
    assert pyth(sandbox, "AKT").status_code == 429
    sandbox.clock.advance(1)
    assert pyth(sandbox, "AKT").status_code == 200


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_ten_requests_in_any_ten_seconds_are_let_through(pauses: list[int]) -> None:
    limit, now, through = RateLimit(), NOON, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        if not limit.refuses(now):
            through.append(now)
    for first, eleventh in zip(through, through[10:], strict=False):
        assert eleventh - first >= timedelta(seconds=10)


def test_the_exchange_wants_a_user_agent_and_shows_the_last_trade(sandbox: SandboxCaller) -> None:
    path = "/coinbase-exchange/products/RENDER-USD/ticker"
    assert sandbox.call("GET", path, headers={"user-agent": ""}).status_code == 400
    ticker = sandbox.get(path)
    assert set(ticker) == {"ask", "bid", "volume", "trade_id", "price", "size", "time"}
    assert Decimal(ticker["bid"]) < Decimal(ticker["price"]) < Decimal(ticker["ask"])
    assert timedelta(0) <= NOON - datetime.fromisoformat(ticker["time"]) <= timedelta(seconds=20)


@pytest.mark.parametrize("pair", ["USDC-USD", "DOGE-USD", "AKT-EUR", "AKT"])
def test_a_pair_that_is_not_traded_is_not_found(sandbox: SandboxCaller, pair: str) -> None:
    assert sandbox.call("GET", f"/coinbase-exchange/products/{pair}/ticker").status_code == 404


@pytest.mark.parametrize("pair", ["DOGE-USD", "AKT-EUR", "AKT"])
def test_a_pair_without_a_retail_price_is_not_found(sandbox: SandboxCaller, pair: str) -> None:
    assert sandbox.call("GET", f"/coinbase/v2/prices/{pair}/spot").status_code == 404


def test_a_retail_price_has_no_time(sandbox: SandboxCaller) -> None:
    assert set(sandbox.get("/coinbase/v2/prices/AKT-USD/spot")["data"]) == {"amount", "base", "currency"}


def test_the_chains_price_has_the_chains_shape(sandbox: SandboxCaller) -> None:
    body = sandbox.get(AGGREGATE)
    assert set(body["aggregated_price"]) == {
        "denom",
        "twap",
        "median_price",
        "min_price",
        "max_price",
        "timestamp",
        "num_sources",
        "deviation_bps",
    }
    assert body["price_health"] == {
        "denom": "akt",
        "is_healthy": True,
        "has_min_sources": True,
        "deviation_ok": True,
        "total_sources": 1,
        "total_healthy_sources": 1,
        "failure_reason": [],
    }
    age = NOON - datetime.fromisoformat(body["aggregated_price"]["timestamp"])
    assert timedelta(0) <= age < timedelta(seconds=8), "as old as the newest block"
    assert sandbox.get(AGGREGATE.replace("akt", "uakt")) == body
    assert Decimal(sandbox.get("/akash-lcd/akash/oracle/v2/aggregated_price/act")["aggregated_price"]["twap"]) == 1
    unknown = sandbox.call("GET", "/akash-lcd/akash/oracle/v2/aggregated_price/doge")
    assert (unknown.status_code, set(unknown.json())) == (404, {"code", "message", "details"})


def test_the_chain_calls_a_stopped_price_unhealthy_after_half_a_minute_and_halts_minting(
    sandbox: SandboxCaller,
) -> None:
    sandbox.post("/sandbox/prices", {"frozen": True})
    sandbox.clock.advance(30)
    assert sandbox.get(AGGREGATE)["price_health"]["is_healthy"]
    assert sandbox.get("/akash-lcd/akash/bme/v1/status")["mints_allowed"]
    kept = sandbox.get(AGGREGATE)["aggregated_price"]["timestamp"]
    sandbox.clock.advance(600)
    body = sandbox.get(AGGREGATE)
    assert (body["price_health"]["is_healthy"], body["price_health"]["total_healthy_sources"]) == (False, 0)
    assert body["price_health"]["failure_reason"]
    assert body["aggregated_price"]["timestamp"] == kept, "an unhealthy aggregate is not kept"
    status = sandbox.get("/akash-lcd/akash/bme/v1/status")
    assert (status["status"], status["mints_allowed"]) == ("mint_status_halt_oracle", False)


def test_the_price_history_goes_back_block_by_block(sandbox: SandboxCaller) -> None:
    body = sandbox.get("/akash-lcd/akash/oracle/v2/prices")
    times = [row["id"]["timestamp"] for row in body["prices"]]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times) == int(body["pagination"]["total"])
    assert set(body["prices"][0]["id"]) == {"source", "denom", "base_denom", "timestamp", "sequence"}
    other = sandbox.call("GET", "/akash-lcd/akash/oracle/v2/prices", params={"filters.asset_denom": "atom"})
    assert other.json()["prices"] == []


def test_the_burn_mint_module_states_its_limits(sandbox: SandboxCaller) -> None:
    status = sandbox.get("/akash-lcd/akash/bme/v1/status")
    assert status["status"] == "mint_status_healthy"
    assert Decimal(status["halt_threshold"]) < Decimal(status["warn_threshold"]) < Decimal(status["collateral_ratio"])
    assert sandbox.get("/akash-lcd/akash/bme/v1/params")["params"]["mint_spread_bps"] == 25


def test_the_ledger_shows_every_mint_of_the_rail(sandbox: SandboxCaller) -> None:
    ledger = "/akash-lcd/akash/bme/v1/ledger"
    assert sandbox.get(ledger) == {"records": [], "pagination": {"next_key": None, "total": "0"}}
    mint = {"from_asset": "AKT", "to_asset": "ACT", "from_units": 40_000_000}
    swaps = [sandbox.post("/rail/v1/swaps", mint | {"client_id": f"order-{number}"}) for number in range(3)]
    sandbox.post("/rail/v1/swaps", {"client_id": "x", "from_asset": "USDC", "to_asset": "AKT", "from_units": 10**7})
    body = sandbox.get(ledger)
    assert body["pagination"]["total"] == "3"
    assert len({(row["id"]["height"], row["id"]["sequence"]) for row in body["records"]}) == 3
    record = body["records"][0]
    assert record["status"] == "ledger_record_status_executed"
    assert record["executed_record"]["minted"]["coin"] == {"denom": "uact", "amount": str(swaps[0]["to_units"])}
    assert record["executed_record"]["burned"]["coin"] == {"denom": "uakt", "amount": "40000000"}

    def asked(**query: str) -> int:
        return len(sandbox.call("GET", ledger, params=query).json()["records"])

    assert asked(**{"pagination.limit": "2", "pagination.offset": "2"}) == 1
    assert asked(**{"filters.source": record["id"]["source"]}) == 3
    assert asked(**{"filters.status": "ledger_record_status_pending"}) == 0
