"""The oracle and the rail against the sandbox, over real HTTP on a loopback socket."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Refused, Stale, Unavailable, Unknown
from necto_pipelines.market.oracles import PriceOracle, fresh_price
from necto_pipelines.market.rails import Rail
from necto_pipelines.market.registry import open_oracle, open_rail
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration

TOKENS = ["AKT", "RENDER", "ATH", "USDC"]
TEN_DOLLARS = 10_000_000
LIMIT_S = 300


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: FrozenClock) -> Iterator[httpx.Client]:
    """The running sandbox, for what only a test may do to it."""
    with running_sandbox(clock) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def settings(sandbox: httpx.Client, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, sandbox_port=urlsplit(str(sandbox.base_url)).port or 0, request_timeout_s=5)


@pytest.fixture
def oracle(settings: Settings, clock: FrozenClock) -> PriceOracle:
    return open_oracle(settings, clock)


@pytest.fixture
def rail(settings: Settings, clock: FrozenClock) -> Rail:
    return open_rail(settings, clock)


def told(sandbox: httpx.Client, path: str, body: Any) -> None:
    sandbox.post(path, json=body).raise_for_status()


def swaps_made(sandbox: httpx.Client) -> int:
    return len(sandbox.get("/sandbox/state").raise_for_status().json()["swaps"])


def test_all_prices_are_read_and_fresh(oracle: PriceOracle, clock: FrozenClock) -> None:
    listing = oracle.prices(TOKENS)
    assert [row.token for row in listing.rows if row.consensus] == TOKENS
    assert listing.quarantined == ()
    for token in TOKENS:
        price = fresh_price(listing, token, now=clock.now(), max_age_s=LIMIT_S)
        assert price.mode is SourceMode.SANDBOX
        assert price.usd > 0


def test_a_set_price_comes_through_to_the_last_digit(oracle: PriceOracle, sandbox: httpx.Client) -> None:
    told(sandbox, "/sandbox/prices", {"token": "AKT", "usd": "0.612345"})
    assert oracle.prices(["AKT"]).rows[0].usd == Decimal("0.612345")


def test_a_feed_that_stopped_goes_stale_though_it_still_answers(
    oracle: PriceOracle, sandbox: httpx.Client, clock: FrozenClock
) -> None:
    told(sandbox, "/sandbox/prices", {"frozen": True})
    clock.advance(LIMIT_S + 60)
    listing = oracle.prices(["AKT"])
    assert listing.rows[0].observed_at == clock.now()
    with pytest.raises(Stale):
        fresh_price(listing, "AKT", now=clock.now(), max_age_s=LIMIT_S)


def test_a_feed_that_fails_for_a_moment_is_read_all_the_same(oracle: PriceOracle, sandbox: httpx.Client) -> None:
    fault = {"method": "GET", "path_prefix": "/coingecko", "action": "status", "status": 429, "times": 1}
    told(sandbox, "/sandbox/faults", fault)
    assert oracle.prices(TOKENS).quarantined == ()


def test_usdc_becomes_akt_and_akt_becomes_act(rail: Rail, oracle: PriceOracle, clock: FrozenClock) -> None:
    usd = {row.token: row.usd for row in oracle.prices(["AKT", "USDC"]).rows}
    bought = rail.swap("ord_1/swap/USDC-AKT/1", "USDC", "AKT", 2 * TEN_DOLLARS)
    fair = 2 * TEN_DOLLARS * usd["USDC"] / usd["AKT"]
    assert fair * Decimal("0.99") < bought.to_units < fair
    assert bought.fee_units > 0
    assert bought.executed_at == clock.now()
    minted = rail.swap("ord_1/swap/AKT-ACT/1", "AKT", "ACT", bought.to_units)
    assert minted.to_units >= TEN_DOLLARS
    assert minted.ref != bought.ref


def test_the_same_swap_asked_for_twice_is_made_once(rail: Rail, sandbox: httpx.Client) -> None:
    first = rail.swap("ord_1/swap/1", "USDC", "AKT", TEN_DOLLARS)
    again = rail.swap("ord_1/swap/1", "USDC", "AKT", TEN_DOLLARS)
    assert (again.ref, again.to_units) == (first.ref, first.to_units)
    assert swaps_made(sandbox) == 1


def test_a_swap_whose_reply_was_lost_is_found_by_its_client_id(rail: Rail, sandbox: httpx.Client) -> None:
    told(sandbox, "/sandbox/faults", {"method": "POST", "path_prefix": "/rail", "action": "drop_reply", "times": 1})
    with pytest.raises(Unknown):
        rail.swap("ord_1/swap/1", "USDC", "AKT", TEN_DOLLARS)
    found = rail.find("ord_1/swap/1")
    assert found is not None
    assert found.from_units == TEN_DOLLARS
    assert swaps_made(sandbox) == 1


def test_a_swap_the_rail_failed_before_making_is_not_found(rail: Rail, sandbox: httpx.Client) -> None:
    fault = {"method": "POST", "path_prefix": "/rail", "action": "status", "status": 503, "times": 1}
    told(sandbox, "/sandbox/faults", fault)
    with pytest.raises(Unknown):
        rail.swap("ord_1/swap/1", "USDC", "AKT", TEN_DOLLARS)
    assert rail.find("ord_1/swap/1") is None
    assert swaps_made(sandbox) == 0


def test_a_mint_under_the_minimum_is_refused_and_not_made(rail: Rail, sandbox: httpx.Client) -> None:
    with pytest.raises(Refused) as caught:
        rail.swap("ord_1/swap/1", "AKT", "ACT", 1_000_000)
    assert caught.value.code == "below_minimum"
    assert swaps_made(sandbox) == 0


def test_a_rail_that_is_not_there_did_nothing(tmp_path: Path, clock: FrozenClock) -> None:
    nobody = open_rail(Settings(home=tmp_path, sandbox_port=1, request_timeout_s=2), clock)
    with pytest.raises(Unavailable):
        nobody.swap("ord_1/swap/1", "USDC", "AKT", TEN_DOLLARS)
