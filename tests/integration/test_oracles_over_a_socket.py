"""The token price sources and their consensus against the sandbox, over real HTTP on a loopback socket."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Stale, Unavailable
from necto_pipelines.market.oracles import PriceOracle, fresh_price
from necto_pipelines.market.oracles.consensus import VOTES_URL
from necto_pipelines.market.oracles.peg import PegBand, peg_of
from necto_pipelines.market.oracles.port import PriceSource
from necto_pipelines.market.oracles.pyth import Pyth
from necto_pipelines.market.registry import open_oracle, price_sources
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode, TokenPrice
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration

LIMIT_S = 300
SOURCES = ["Akash oracle", "CoinGecko", "Coinbase Exchange", "Coinbase spot", "Pyth"]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: FrozenClock) -> Iterator[httpx.Client]:
    with running_sandbox(clock) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def settings(sandbox: httpx.Client, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, sandbox_port=urlsplit(str(sandbox.base_url)).port or 0, request_timeout_s=5)


@pytest.fixture
def oracle(settings: Settings, clock: FrozenClock) -> PriceOracle:
    return open_oracle(settings, clock)


@pytest.fixture
def sources(settings: Settings, clock: FrozenClock) -> dict[str, PriceSource]:
    return {source.name: source for source in price_sources(settings, clock)}


def told(sandbox: httpx.Client, path: str, **body: Any) -> None:
    sandbox.post(path, json=body).raise_for_status()


def failing(sandbox: httpx.Client, path_prefix: str, **more: Any) -> None:
    fault = {"method": "GET", "path_prefix": path_prefix, "action": "status", "status": 503, "times": 100}
    told(sandbox, "/sandbox/faults", **fault | more)


def agreed(listing: Listing[TokenPrice]) -> dict[str, TokenPrice]:
    return {row.token: row for row in listing.rows if row.consensus}


def said(listing: Listing[TokenPrice], token: str = "AKT") -> dict[str, TokenPrice]:  # noqa: S107
    """What each source said of a token, by the source's name."""
    rows = [row for row in listing.rows if row.token == token and not row.consensus]
    return {next(name for name in SOURCES if row.source.startswith(name)): row for row in rows}


def test_every_source_answers_and_no_answer_lacks_its_label(
    sources: dict[str, PriceSource], sandbox: httpx.Client
) -> None:
    assert sorted(sources) == SOURCES
    for source in sources.values():
        found = source.prices(sorted(source.tokens))
        assert {row.token for row in found.rows} == source.tokens
        assert found.quarantined == ()
        assert {row.mode for row in found.rows} == {SourceMode.SANDBOX}
        assert all(httpx.get(answer.url).headers["x-necto-simulated"] == "true" for answer in found.raw)


def test_the_sources_agree_on_every_token_and_what_each_said_is_kept(oracle: PriceOracle, clock: FrozenClock) -> None:
    tokens = ["AKT", "RENDER", "ATH", "USDC"]
    found = oracle.prices(tokens)
    assert list(agreed(found)) == tokens
    assert found.quarantined == ()
    assert sorted(said(found)) == SOURCES
    for token in tokens:
        price = fresh_price(found, token, now=clock.now(), max_age_s=LIMIT_S)
        used = [row.usd for row in said(found, token).values() if row.used]
        assert min(used) <= price.usd <= max(used)
    assert len({row.usd for row in said(found).values()}) > 1, "the sources are not copies of each other"
    document = next(answer for answer in found.raw if answer.url == VOTES_URL)
    assert {vote["raw_sha256"] for vote in json.loads(document.body)["tokens"]["AKT"]["votes"]} <= {
        answer.sha256 for answer in found.raw
    }


@pytest.mark.parametrize("usd", ["0.01", "25"])
def test_one_wild_source_is_outvoted(oracle: PriceOracle, sandbox: httpx.Client, usd: str) -> None:
    calm = agreed(oracle.prices(["AKT"]))["AKT"].usd
    told(sandbox, "/sandbox/prices/coingecko", token="AKT", usd=usd)
    found = oracle.prices(["AKT"])
    assert abs(agreed(found)["AKT"].usd / calm - 1) < Decimal("0.002")
    wild = said(found)["CoinGecko"]
    assert (wild.used, wild.reason.split(":")[0]) == (False, "token_price_disagrees")


def test_two_sources_that_disagree_stop_payments(
    oracle: PriceOracle, sandbox: httpx.Client, clock: FrozenClock
) -> None:
    failing(sandbox, "/coinbase")
    told(sandbox, "/sandbox/prices/coingecko", token="AKT", usd="0.60")
    with pytest.raises(Unavailable, match="token_price_disagrees"):
        fresh_price(oracle.prices(["AKT"]), "AKT", now=clock.now(), max_age_s=LIMIT_S)


@pytest.mark.parametrize("prefix", ["/coingecko", "/pyth", "/coinbase", "/coinbase-exchange", "/akash-lcd"])
def test_any_one_source_can_be_away(oracle: PriceOracle, sandbox: httpx.Client, prefix: str) -> None:
    failing(sandbox, prefix)
    found = oracle.prices(["AKT"])
    assert "AKT" in agreed(found)
    assert any("503" in why for _, why in found.quarantined)


def test_one_publisher_left_is_too_few(oracle: PriceOracle, sandbox: httpx.Client, clock: FrozenClock) -> None:
    failing(sandbox, "/coingecko")
    failing(sandbox, "/coinbase")
    found = oracle.prices(["AKT"])
    assert {name for name, row in said(found).items()} == {"Pyth", "Akash oracle"}
    with pytest.raises(Unavailable, match="token_price_too_few: 1 of at least 2"):
        fresh_price(found, "AKT", now=clock.now(), max_age_s=LIMIT_S)


def test_with_nobody_there_it_is_unavailable(tmp_path: Path, clock: FrozenClock) -> None:
    with pytest.raises(Unavailable, match="no token price source answered"):
        open_oracle(Settings(home=tmp_path, sandbox_port=1, request_timeout_s=2), clock).prices(["AKT"])


def test_a_market_that_stopped_goes_stale_source_by_source(
    oracle: PriceOracle, sandbox: httpx.Client, clock: FrozenClock
) -> None:
    told(sandbox, "/sandbox/prices", frozen=True)
    clock.advance(25)
    found = oracle.prices(["AKT"])
    assert "at most 1% is allowed" in said(found)["Pyth"].reason, "its confidence widens first"
    assert agreed(found)["AKT"].usd > 0
    clock.advance(45)
    found = oracle.prices(["AKT"])
    assert "unhealthy" in said(found)["Akash oracle"].reason
    assert not said(found)["Pyth"].used
    clock.advance(LIMIT_S)
    found = oracle.prices(["AKT"])
    assert [row.used for row in found.rows] == [False] * len(SOURCES)
    with pytest.raises(Stale, match="at most 300 s"):
        fresh_price(found, "AKT", now=clock.now(), max_age_s=LIMIT_S)
    told(sandbox, "/sandbox/prices", frozen=False)
    assert fresh_price(oracle.prices(["AKT"]), "AKT", now=clock.now(), max_age_s=LIMIT_S)


def test_pyth_silent_for_a_minute_is_done_without_and_comes_back(
    oracle: PriceOracle, sources: dict[str, PriceSource], clock: FrozenClock
) -> None:
    for _ in range(10):
        sources["Pyth"].prices(["AKT"])
    with pytest.raises(Unavailable, match="429"):
        sources["Pyth"].prices(["AKT"])
    found = oracle.prices(["AKT", "USDC"])
    assert list(agreed(found)) == ["AKT"], "the chain speaks for Pyth on AKT, nobody does on USDC"
    assert any("429" in why for token, why in found.quarantined if token == "AKT")
    with pytest.raises(Unavailable, match="token_price_too_few: 1 of at least 2"):
        peg_of(found, "USDC", now=clock.now(), max_age_s=LIMIT_S)
    clock.advance(61)
    assert list(agreed(oracle.prices(["AKT", "USDC"]))) == ["AKT", "USDC"]


def test_pyth_refuses_a_stranger(sandbox: httpx.Client) -> None:
    assert sandbox.get("/pyth/v2/updates/price/latest", params={"ids[]": "00"}).status_code == 401


@pytest.mark.parametrize("name", SOURCES)
def test_an_id_that_vanished_is_noticed(
    oracle: PriceOracle, sources: dict[str, PriceSource], sandbox: httpx.Client, name: str
) -> None:
    switch = name.lower().replace(" ", "-").removesuffix("-spot")
    told(sandbox, f"/sandbox/prices/{switch}", token="AKT", vanished=True)
    found = oracle.prices(["AKT", "USDC"])
    assert name not in said(found)
    assert [token for token, _ in found.quarantined] == ["AKT"]
    assert list(agreed(found)) == ["AKT", "USDC"], "one id does not spoil the others"
    if isinstance(sources[name], Pyth):
        assert "not found" in found.quarantined[0][1]


@pytest.mark.parametrize(
    ("usd", "band"),
    [("0.9995", PegBand.PAR), ("0.996", PegBand.MARKET), ("0.985", PegBand.SUSPENDED), ("0.88", PegBand.BROKEN)],
)
def test_the_peg_is_witnessed_by_two(
    oracle: PriceOracle, sandbox: httpx.Client, clock: FrozenClock, usd: str, band: PegBand
) -> None:
    told(sandbox, "/sandbox/prices", token="USDC", usd=usd)
    peg = peg_of(oracle.prices(["USDC"]), "USDC", now=clock.now(), max_age_s=LIMIT_S)
    assert (peg.band, len(peg.witnesses)) == (band, 2)


def test_one_source_alone_does_not_break_the_peg_but_stops_payments(
    oracle: PriceOracle, sandbox: httpx.Client, clock: FrozenClock
) -> None:
    told(sandbox, "/sandbox/prices/pyth", token="USDC", usd="0.97")
    with pytest.raises(Unavailable, match="token_price_disagrees"):
        peg_of(oracle.prices(["USDC"]), "USDC", now=clock.now(), max_age_s=LIMIT_S)
