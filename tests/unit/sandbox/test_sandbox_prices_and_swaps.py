"""The price feed and the rail."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sandbox_app import SandboxCaller

from necto_pipelines.sandbox.answers import ApiError
from necto_pipelines.sandbox.feed import TOKENS, Feed, FeedState
from necto_pipelines.sandbox.rail import Rail, RailState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
PRICE_PATH = "/coingecko/api/v3/simple/price"
SWAP = {"client_id": "order-1", "from_asset": "USDC", "to_asset": "AKT", "from_units": 25_000_000}


def new_rail() -> tuple[Feed, Rail]:
    feed = Feed(7, FeedState())
    return feed, Rail(7, feed, RailState())


@given(st.sampled_from(TOKENS), MOMENTS)
def test_prices_stay_near_where_they_began(token: str, moment: datetime) -> None:
    base = {"AKT": "0.543761", "USDC": "0.9999", "RENDER": "3.25", "ATH": "0.031"}[token]

    assert abs(Feed(7, FeedState()).usd(token, moment) / Decimal(base) - 1) <= Decimal("0.0201")


@given(MOMENTS)
def test_the_feed_is_never_older_than_a_minute(moment: datetime) -> None:
    age = moment - Feed(7, FeedState()).updated_at(moment)

    assert timedelta(0) <= age < timedelta(minutes=1)


def test_the_price_answer_has_coingeckos_shape_and_leaves_unknown_ids_out(sandbox: SandboxCaller) -> None:
    answer = sandbox.get(
        PRICE_PATH, ids="akash-network,no-such-coin,usd-coin", vs_currencies="usd", include_last_updated_at="true"
    )

    assert set(answer) == {"akash-network", "usd-coin"}
    assert set(answer["akash-network"]) == {"usd", "last_updated_at"}
    assert 0 <= NOON.timestamp() - answer["akash-network"]["last_updated_at"] < 60


def test_the_price_answer_is_only_what_was_asked_for(sandbox: SandboxCaller) -> None:
    assert list(sandbox.get(PRICE_PATH, ids="usd-coin", vs_currencies="usd")["usd-coin"]) == ["usd"]
    assert sandbox.get(PRICE_PATH, ids="usd-coin", vs_currencies="eur")["usd-coin"] == {}
    assert sandbox.call("GET", PRICE_PATH, params={"ids": "usd-coin"}).status_code == 422


def test_a_demo_key_is_accepted(sandbox: SandboxCaller) -> None:
    asked = {"ids": "aethir", "vs_currencies": "usd"}

    assert sandbox.call("GET", PRICE_PATH, params=asked, headers={"x-cg-demo-api-key": "CG-1"}).status_code == 200


def test_a_frozen_feed_grows_old_until_it_runs_again(sandbox: SandboxCaller) -> None:
    def updated() -> int:
        answer = sandbox.get(PRICE_PATH, ids="akash-network", vs_currencies="usd", include_last_updated_at="true")
        return answer["akash-network"]["last_updated_at"]

    sandbox.post("/sandbox/prices", {"frozen": True})
    before = updated()
    sandbox.clock.advance(3600)
    assert updated() == before
    sandbox.post("/sandbox/prices", {"frozen": False})
    assert updated() == before + 3600


def test_a_price_can_be_set_and_let_go(sandbox: SandboxCaller) -> None:
    def akt() -> float:
        return sandbox.get("/akash/v1/market-data")["price"]

    moving = akt()
    sandbox.post("/sandbox/prices", {"token": "AKT", "usd": "0.60"})
    assert akt() == 0.6
    sandbox.post("/sandbox/prices", {"token": "AKT", "usd": None})
    assert akt() == moving


@pytest.mark.parametrize("body", [{"token": "AKT", "usd": "0"}, {"token": "AKT", "usd": "dear"}, {"frozen": "yes"}])
def test_a_price_that_is_none_is_refused(sandbox: SandboxCaller, body: dict) -> None:
    assert sandbox.call("POST", "/sandbox/prices", json=body).status_code == 400


def test_a_swap_is_executed_once_for_its_client_id(sandbox: SandboxCaller) -> None:
    first = sandbox.post("/rail/v1/swaps", SWAP)
    again = sandbox.call("POST", "/rail/v1/swaps", json=SWAP | {"from_units": 1})

    assert first["state"] == "executed"
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_client_id")
    assert sandbox.get("/rail/v1/swaps", client_id="order-1") == {"swaps": [first]}
    assert sandbox.get("/rail/v1/swaps", client_id="order-2") == {"swaps": []}
    assert sandbox.get("/sandbox/state")["swaps"] == [first]


@given(st.integers(1, 10**12), st.text(min_size=1, max_size=20))
def test_an_exchange_takes_ten_bps_and_slips_by_five_to_thirty(units: int, client_id: str) -> None:
    feed, rail = new_rail()

    swap = rail.swap(client_id, "USDC", "AKT", units, NOON)

    fair = (units - swap.fee_units) * feed.usd("USDC", NOON) / feed.usd("AKT", NOON)
    assert swap.fee_units == -(-units * 10 // 10_000)
    assert fair * Decimal("0.997") - 1 < swap.to_units <= fair * Decimal("0.9995")


@given(st.integers(25_000_000, 10**12))
def test_a_mint_takes_a_spread_of_25_bps_and_nothing_else(units: int) -> None:
    feed, rail = new_rail()

    swap = rail.swap("mint", "AKT", "ACT", units, NOON)

    assert swap.fee_units == -(-units * 25 // 10_000)
    assert swap.to_units == int((units - swap.fee_units) * feed.usd("AKT", NOON))


def test_a_mint_below_ten_act_is_refused_and_leaves_no_trace(sandbox: SandboxCaller) -> None:
    refused = sandbox.call(
        "POST", "/rail/v1/swaps", json=SWAP | {"from_asset": "AKT", "to_asset": "ACT", "from_units": 15_000_000}
    )

    assert (refused.status_code, refused.json()["code"]) == (400, "below_minimum")
    assert sandbox.get("/rail/v1/swaps") == {"swaps": []}


def test_minted_money_arrives_in_the_wallet(sandbox: SandboxCaller) -> None:
    before = sandbox.get("/akash/v1/balances")["data"]["balance"]

    swap = sandbox.post("/rail/v1/swaps", SWAP | {"from_asset": "AKT", "to_asset": "ACT", "from_units": 50_000_000})

    assert round((sandbox.get("/akash/v1/balances")["data"]["balance"] - before) * 10**6) == swap["to_units"]


@pytest.mark.parametrize(("from_asset", "to_asset"), [("AKT", "USDC"), ("USDC", "ACT"), ("USDC", "USDC"), ("", "")])
def test_other_pairs_are_not_offered(from_asset: str, to_asset: str) -> None:
    _, rail = new_rail()

    with pytest.raises(ApiError, match="is not offered") as refused:
        rail.swap("x", from_asset, to_asset, 1, NOON)

    assert refused.value.code == "unsupported_pair"


@pytest.mark.parametrize("units", [0, -1, 2.5, "25000000", None, True])
def test_amounts_are_positive_whole_numbers(sandbox: SandboxCaller, units: object) -> None:
    refused = sandbox.call("POST", "/rail/v1/swaps", json=SWAP | {"from_units": units})

    assert refused.status_code == 400
    assert "from_units" in refused.text


def test_the_same_swap_slips_by_the_same_under_the_same_seed() -> None:
    swaps = [new_rail()[1].swap("order-1", "USDC", "AKT", 10**7, NOON) for _ in range(2)]

    assert swaps[0] == swaps[1]
