"""What a GPU costs before anybody bids on our order: the provider's own bid, else the model's average."""

import json
from decimal import Decimal
from typing import Any

import pytest

from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.networks.akash.price_list import SOURCE, Price, price_list_of
from necto_pipelines.networks.akash.wire import WireGpu

A100 = {"vendor": "nvidia", "model": "a100", "ram": "80Gi", "interface": "SXM4"}
GPU = WireGpu.model_validate(A100)
AVERAGE = Price(Decimal("1.36"), PriceBasis.LIST, SOURCE)


def own_bid(owner: str = "akash1p", price: object = 1.13, **gpu: object) -> dict[str, Any]:
    """A row of `providersWithBestBid`, as gpu-price.service.ts makes it."""
    ordered = {"vendor": "nvidia", "model": "a100", "ram": "80Gi", "interface": "sxm"} | gpu
    return {
        "provider": {"owner": owner, "hostUri": "https://p.example:8443", "allocated": 2, "allocatable": 8},
        "bestBid": {
            "height": 27_761_000,
            "txHash": "8F",
            "datetime": "2026-07-16T09:00:00.000Z",
            "provider": owner,
            "aktTokenPrice": 0.54,
            "hourlyPrice": price,
            "monthlyPrice": 800.0,
            "deployment": {"owner": "akash1o", "cpuUnits": 100, "memoryUnits": 1, "storageUnits": 1, "gpus": [ordered]},
        },
    }


def answered(*bids: object, price: object = ..., debug: bool = True) -> RawAnswer:
    row: dict[str, Any] = dict(A100)
    row["price"] = {"currency": "USD", "weightedAverage": 1.36} if price is ... else price
    if debug:
        row["providersWithBestBid"] = list(bids)
    return raw_answer("https://console.example/v1/gpu-prices", json.dumps({"models": [row]}).encode(), FrozenClock())


def test_a_providers_own_bid_goes_before_the_average_and_says_that_it_binds_nobody() -> None:
    prices, faulty = price_list_of(answered(own_bid()))
    own = Price(Decimal("1.13"), PriceBasis.ESTIMATE, f"{SOURCE}, own bid of 2026-07-16")
    assert prices.of("akash1p", GPU) == own
    assert prices.of("akash1other", GPU) == AVERAGE
    assert faulty == []


def test_without_own_bids_every_price_is_the_average() -> None:
    prices, faulty = price_list_of(answered(debug=False))
    assert prices.of("akash1p", GPU) == AVERAGE
    assert faulty == []


def test_the_own_bid_is_used_even_where_the_model_has_no_average() -> None:
    prices, _ = price_list_of(answered(own_bid(), price=None))
    assert prices.of("akash1p", GPU) is not None
    assert prices.of("akash1other", GPU) is None


@pytest.mark.parametrize("price", [None, {"weightedAverage": 0}])
def test_no_price_is_no_price_and_not_nothing_to_pay(price: object) -> None:
    assert price_list_of(answered(price=price))[0].of("akash1p", GPU) is None


def several() -> dict[str, Any]:
    bid = own_bid()
    bid["bestBid"]["deployment"]["gpus"] *= 2
    return bid


@pytest.mark.parametrize(
    "bid",
    [
        # The service falls back to the cheapest bid on any memory size of the model.
        own_bid(ram="40Gi"),
        own_bid(ram=None),
        own_bid(price=0),
        several(),
    ],
)
def test_a_bid_on_something_else_says_nothing(bid: dict[str, Any]) -> None:
    prices, faulty = price_list_of(answered(bid))
    assert prices.of("akash1p", GPU) == AVERAGE
    assert faulty == []


@pytest.mark.parametrize("bid", [own_bid(price=-1), own_bid(price="NaN"), {"provider": {"owner": "akash1p"}}, None])
def test_a_bid_of_another_shape_is_set_aside_and_the_average_stands(bid: object) -> None:
    prices, faulty = price_list_of(answered(bid, own_bid("akash1q")))
    assert prices.of("akash1p", GPU) == AVERAGE
    assert prices.of("akash1q", GPU) != AVERAGE
    [(what, why)] = faulty
    assert what == "a100 own bid 0"
    assert why.startswith("unexpected shape")
