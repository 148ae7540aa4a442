"""Azure's retail prices: pages, rows that come twice, and the one row of a machine that is its plain price."""

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.market.clouds import azure
from necto_pipelines.market.clouds.azure import AzurePrices
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import CloudPrice, SourceMode

ITEM = {
    "currencyCode": "USD",
    "tierMinimumUnits": 0,
    "retailPrice": 6.98,
    "unitPrice": 6.98,
    "armRegionName": "eastus",
    "location": "US East",
    "effectiveStartDate": "2023-11-01T00:00:00Z",
    "meterId": "meter-1",
    "meterName": "NC40ads H100 v5",
    "productId": "DZH1",
    "skuId": "DZH1/00A1",
    "productName": "Virtual Machines NCads H100 v5 Series",
    "skuName": "NC40ads H100 v5",
    "serviceName": "Virtual Machines",
    "unitOfMeasure": "1 Hour",
    "type": "Consumption",
    "isPrimaryMeterRegion": True,
    "armSkuName": "Standard_NC40ads_H100_v5",
}
"""as Microsoft's documentation shows it"""
T4 = {
    "armSkuName": "Standard_NC4as_T4_v3",
    "skuName": "NC4as T4 v3",
    "meterName": "NC4as T4 v3",
    "productName": "Virtual Machines NCasT4_v3 Series",
    "retailPrice": 0.526,
    "meterId": "meter-2",
}


def page(*changes: dict[str, Any], link: str | None = None) -> dict[str, Any]:
    items = [ITEM | change for change in changes]
    return {"BillingCurrency": "USD", "Items": items, "NextPageLink": link, "Count": len(items)}


def listing(*pages: Any, asked: list[httpx.Request] | None = None) -> Listing[CloudPrice]:
    """What is made of these pages, the second of which is at `$skip` 1, and so on."""

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return httpx.Response(200, json=pages[int(request.url.params.get("$skip", 0))])

    return AzurePrices(
        "http://azure.test", SourceMode.LIVE, FrozenClock(), transport=httpx.MockTransport(answer)
    ).prices()


def next_link(number: int) -> str:
    """As Azure writes it: an address of its own, with the port."""
    return f"https://prices.azure.com:443/api/retail/prices?api-version=2023-01-01-preview&$skip={number}"


def test_a_machine_is_read_with_its_gpu() -> None:
    (row,) = listing(page({})).rows
    assert (row.instance, row.region, row.gpu.key, row.gpu_count) == (
        "Standard_NC40ads_H100_v5",
        "eastus",
        "H100-94GB",
        1,
    )
    assert (row.usd_per_hour, row.mode, row.as_of) == (Decimal("6.98"), SourceMode.LIVE, "2026-11-22")


def test_the_question_is_for_hourly_prices_of_machines_with_gpus() -> None:
    asked: list[httpx.Request] = []
    listing(page({}), asked=asked)
    assert dict(asked[0].url.params) == azure.QUERY
    assert "contains(armSkuName, 'Standard_N')" in asked[0].url.params["$filter"]


def test_pages_are_followed_to_the_end_at_the_address_that_was_set() -> None:
    asked: list[httpx.Request] = []
    found = listing(page({}, link=next_link(1)), page(T4, link=next_link(2)), page(), asked=asked)
    assert {row.instance for row in found.rows} == {"Standard_NC40ads_H100_v5", "Standard_NC4as_T4_v3"}
    assert [request.url.host for request in asked] == ["azure.test"] * 3
    assert [parse_qs(urlsplit(str(request.url)).query).get("$skip") for request in asked] == [None, ["1"], ["2"]]
    assert len(found.raw) == 3


def test_a_row_that_comes_on_two_pages_counts_once() -> None:
    found = listing(page({}, T4, link=next_link(1)), page(T4))
    assert len(found.rows) == 2
    assert found.quarantined == ()


def test_of_a_meters_prices_the_newest_that_has_begun_counts() -> None:
    later = {"retailPrice": 8.82, "effectiveStartDate": "2025-11-01T00:00:00Z"}
    future = {"retailPrice": 9.99, "effectiveStartDate": "2031-01-01T00:00:00Z"}
    (row,) = listing(page({}, later, future)).rows
    assert row.usd_per_hour == Decimal("8.82")


@pytest.mark.parametrize(
    "other",
    [
        {"productName": "Virtual Machines NCads H100 v5 Series Windows"},
        {"skuName": "NC40ads H100 v5 Low Priority", "meterName": "NC40ads H100 v5 Low Priority"},
        {"productName": "NCads H100 v5 Series Dedicated Host"},
        {"skuName": "NC40ads H100 v5 Spot", "meterName": "NC40ads H100 v5 Spot"},
    ],
)
def test_other_ways_to_pay_are_not_the_price(other: dict[str, str]) -> None:
    (row,) = listing(page(other | {"retailPrice": 1.0, "meterId": "other"}, {})).rows
    assert row.usd_per_hour == Decimal("6.98")


def test_the_spot_price_stands_beside_for_the_gate() -> None:
    spot = {"skuName": "NC40ads H100 v5 Spot", "retailPrice": 7.5, "meterId": "spot"}
    found = listing(page({}, spot, T4))
    assert [row.instance for row in found.rows] == ["Standard_NC4as_T4_v3"]
    ((what, why),) = found.quarantined
    assert what == "azure Standard_NC40ads_H100_v5 eastus"
    assert "spot price" in why


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([{"armSkuName": "Standard_ND999_X1000_v9"}], "not in our table of machines"),
        ([{"armSkuName": "Standard_NV6ads_A10_v5"}], "a share of a GPU"),
        ([{"currencyCode": "EUR"}], "priced in EUR per 1 Hour"),
        ([{"unitOfMeasure": "1/Month"}], "priced in USD per 1/Month"),
        ([{}, {"meterId": "meter-9", "retailPrice": 8.82}], "listed at 2 prices per hour"),
        ([{"retailPrice": 0}], "a price of 0"),
        ([{"retailPrice": None}], "unexpected shape: retailPrice"),
    ],
)
def test_what_cannot_be_believed_is_set_aside(changes: list[dict[str, Any]], reason: str) -> None:
    found = listing(page(*changes, T4))
    assert [row.instance for row in found.rows] == ["Standard_NC4as_T4_v3"]
    ((what, why),) = found.quarantined
    assert "Standard_N" in what
    assert reason in why


@pytest.mark.parametrize(
    "answer", [[], {}, {"Items": "none", "NextPageLink": None}, {"Items": []}, page(), page({"armSkuName": None})]
)
def test_an_answer_without_a_single_price_is_no_price_list(answer: Any) -> None:
    with pytest.raises(Unavailable):
        listing(answer)


def test_a_page_that_leads_back_to_itself_is_no_list() -> None:
    with pytest.raises(Unavailable, match="names the page it stands on"):
        listing(page({}, link=next_link(1)), page({}, link=next_link(1)))


def test_pages_without_end_are_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure, "MAX_PAGES", 3)
    pages = [page({}, link=next_link(number + 1)) for number in range(5)]
    with pytest.raises(Unavailable, match="more than 3 pages"):
        listing(*pages)


def test_half_a_list_is_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(400)
            if "$skip" in request.url.params
            else httpx.Response(200, json=page({}, link=next_link(1)))
        )

    source = AzurePrices("http://azure.test", SourceMode.LIVE, FrozenClock(), transport=httpx.MockTransport(answer))
    with pytest.raises(Refused):
        source.prices()


@pytest.mark.parametrize("name", ["productName", "skuName", "meterName", "armRegionName"])
@pytest.mark.parametrize("lost", ["N/A", ""])
def test_a_row_that_has_lost_its_names_is_not_taken_for_a_plain_machine(name: str, lost: str) -> None:
    found = listing(page({name: lost, "retailPrice": 9.8}, T4))
    assert [row.instance for row in found.rows] == ["Standard_NC4as_T4_v3"]
    assert f"unexpected shape: {name}" in found.quarantined[0][1]
