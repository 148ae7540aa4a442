"""Whatever a source answers, it becomes positive prices, rows set aside, or a failure of ours: never anything else."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from necto_pipelines.failures import NectoError
from necto_pipelines.market.oracles.akash_chain import AkashChain
from necto_pipelines.market.oracles.coinbase import CoinbaseExchange, CoinbaseSpot
from necto_pipelines.market.oracles.port import PriceSource
from necto_pipelines.market.oracles.pyth import FEED_IDS, Pyth
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.tables import TOKEN_PRICES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.integers().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TIME = JSON | st.integers(-(10**12), 10**12) | st.sampled_from(["2026-11-22T12:00:00Z", "9999-12-31T23:59:59Z"])


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these fields, or something else altogether."""
    return st.fixed_dictionaries({}, optional=fields) | JSON


PRICE = maybe(price=JSON, conf=JSON, expo=JSON | st.integers(-40, 40), publish_time=TIME)
PYTH = maybe(parsed=st.lists(maybe(id=st.just(FEED_IDS["AKT"]), price=PRICE), max_size=2))
SPOT = maybe(data=maybe(amount=JSON, base=st.just("AKT") | JSON, currency=st.just("USD") | JSON))
TICKER = maybe(price=JSON, time=TIME)
CHAIN = maybe(
    aggregated_price=maybe(denom=st.just("akt"), median_price=JSON, timestamp=TIME),
    price_health=maybe(is_healthy=JSON, failure_reason=JSON),
)
Made = Callable[[httpx.MockTransport], PriceSource]
CLOCK = FrozenClock()
URL, MODE = "http://source.test", SourceMode.SANDBOX


@pytest.mark.parametrize(
    ("made", "answers"),
    [
        (lambda transport: Pyth(URL, SecretStr("k"), MODE, CLOCK, transport=transport), PYTH),
        (lambda transport: CoinbaseSpot(URL, MODE, CLOCK, transport=transport), SPOT),
        (lambda transport: CoinbaseExchange(URL, MODE, CLOCK, transport=transport), TICKER),
        (lambda transport: AkashChain([URL, URL], MODE, CLOCK, transport=transport), CHAIN),
    ],
    ids=["pyth", "spot", "exchange", "chain"],
)
@given(data=st.data())
def test_any_answer_is_prices_rows_set_aside_or_a_failure(
    made: Made, answers: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    body = json.dumps(data.draw(answers))
    source = made(httpx.MockTransport(lambda _: httpx.Response(200, text=body)))
    try:
        found = source.prices(["AKT"])
    except NectoError:
        return
    assert [row.token for row in found.rows] + [what for what, _ in found.quarantined] == ["AKT"]
    assert all(row.usd > 0 for row in found.rows)
    assert all(reason for _, reason in found.quarantined)
    TOKEN_PRICES.frame(found.rows)
