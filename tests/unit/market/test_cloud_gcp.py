"""Google's billing catalogue: the right rate among many, and machines put together from their parts."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.market.clouds import gcp
from necto_pipelines.market.clouds.gcp import PARTS, SERIES, GcpPrices
from necto_pipelines.market.clouds.gcp_skus import Terms, read_rates
from necto_pipelines.market.clouds.machines import machines_of
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import CloudPrice, SourceMode

KEY = SecretStr("AIza-0123456789")
REGION = "us-east4"
H100 = "Nvidia H100 80GB GPU"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def sku(description: str, usd: str, *, usage: str = "OnDemand", unit: str = "h", **changes: Any) -> dict[str, Any]:
    """A row of the catalogue as Google's documentation shows it."""
    units, _, nanos = usd.partition(".")
    price = {"currencyCode": "USD", "units": units, "nanos": int(nanos.ljust(9, "0"))}
    return {
        "name": f"services/6F81-5844-456A/skus/{description}",
        "skuId": description,
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Compute",
            "resourceGroup": "GPU",
            "usageType": usage,
        },
        "serviceRegions": [REGION],
        "pricingInfo": [
            {
                "effectiveTime": "2025-01-01T00:00:00Z",
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1,
                    "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}],
                },
                "currencyConversionRate": 1,
            }
        ],
    } | changes


A3 = [
    sku("A3 Instance Core running in Northern Virginia", "0.0293"),
    sku("A3 Instance Ram running in Northern Virginia", "0.001797906", unit="GiBy.h"),
    sku("SSD backed Local Storage in Northern Virginia", "0.088", unit="GiBy.mo"),
    sku("Nvidia H100 80GB GPU running in Northern Virginia", "9.79655"),
]
"""rates at which a3-highgpu-8g comes to the 88.55576 USD that Google asks in us-east4"""
OTHERS = [
    sku("Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Northern Virginia", "4.200761"),
    sku("DWS Defined Duration A3 Instance Core running in Northern Virginia", "0.01"),
    sku("DWS Calendar Mode Nvidia H100 80GB GPU in Northern Virginia", "6.12"),
    sku("Reserved Nvidia H100 80GB GPU running in Northern Virginia", "5.0"),
    sku("Nvidia H100 80GB GPU attached to Sole Tenancy VMs running in Northern Virginia", "12.0"),
    sku("Commitment v1: Nvidia H100 80GB GPU running in Northern Virginia for 1 Year", "6.76", usage="Commit1Yr"),
    sku("Commitment v1: Nvidia H100 80GB GPU running in Northern Virginia for 1 Year", "6.76"),
    sku(
        "Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Northern Virginia",
        "2.99",
        usage="Preemptible",
    ),
]


def listing(*pages: list[dict[str, Any]], asked: list[httpx.Request] | None = None) -> Listing[CloudPrice]:
    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        number = int(request.url.params.get("pageToken", 0))
        token = str(number + 1) if number + 1 < len(pages) else ""
        return httpx.Response(200, json={"skus": pages[number], "nextPageToken": token})

    source = GcpPrices("http://gcp.test", KEY, SourceMode.LIVE, FrozenClock(), transport=httpx.MockTransport(answer))
    return source.prices()


def prices(*rows: dict[str, Any]) -> dict[str, Decimal]:
    return {row.instance: row.usd_per_hour for row in listing(list(rows)).rows}


def test_a_machine_costs_its_cores_memory_gpus_and_disks() -> None:
    found = prices(*A3)
    assert set(found) == {"a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g", "a3-highgpu-8g"}
    cores, memory = 208 * Decimal("0.0293"), 1872 * Decimal("0.001797906")
    exact = cores + memory + 8 * Decimal("9.79655") + 6000 * Decimal("0.088") / 730
    assert found["a3-highgpu-8g"] == pytest.approx(exact, abs=Decimal("1e-9"))
    assert found["a3-highgpu-8g"] == pytest.approx(Decimal("88.555756"), abs=Decimal("1e-4"))
    assert found["a3-highgpu-1g"] == pytest.approx(Decimal("11.06947"), abs=Decimal("1e-4"))


@pytest.mark.parametrize("other", OTHERS, ids=lambda row: row["description"])
def test_rates_on_other_terms_are_not_the_on_demand_rate(other: dict[str, Any]) -> None:
    """The DWS rate taken for this one is how published lists came to show 43.07 USD for 88.49."""
    assert prices(*A3, other) == prices(other, *A3) == prices(*A3)


@pytest.mark.parametrize("other", OTHERS, ids=lambda row: row["description"])
def test_a_gpu_that_is_listed_on_other_terms_only_has_no_on_demand_price(other: dict[str, Any]) -> None:
    found = read_rates([(row, "") for row in [*A3[:3], other]], PARTS, datetime(2026, 1, 1, tzinfo=UTC))
    assert found.of(H100, REGION, Terms.ON_DEMAND) is None


def test_a_machine_whose_gpu_is_not_sold_on_demand_is_set_aside() -> None:
    l4 = [
        sku("G2 Instance Core running in Virginia", "0.025"),
        sku("G2 Instance Ram running in Virginia", "0.0029", unit="GiBy.h"),
        sku("Nvidia L4 GPU running in Virginia", "0.56"),
    ]
    found = listing([*A3[:3], OTHERS[0], *l4])
    assert {row.gpu.key for row in found.rows} == {"L4-24GB"}
    reasons = dict(found.quarantined)
    assert reasons[f"gcp a3-highgpu-8g {REGION}"] == "Nvidia H100 80GB GPU is listed here, but not on demand"


@pytest.mark.parametrize(
    ("without", "reason"),
    [(0, "no rates of A3 Instance Core and Ram"), (1, "no rates of A3 Instance Core and Ram"), (2, "no rate of SSD")],
)
def test_a_machine_with_a_part_missing_is_not_priced_by_the_rest(without: int, reason: str) -> None:
    elsewhere = [row | {"serviceRegions": ["us-west1"]} for row in A3]
    rows = [row for number, row in enumerate(A3) if number != without]
    found = listing([*elsewhere, *rows])
    assert {row.region for row in found.rows} == {"us-west1"}
    assert reason in dict(found.quarantined)[f"gcp a3-highgpu-8g {REGION}"]


def test_a_continents_rate_gives_way_to_its_regions() -> None:
    broad = sku("Nvidia H100 80GB GPU running in Americas", "7.0", serviceRegions=["us-east4", "us-west1"])
    assert prices(*A3, broad) == prices(broad, *A3) == prices(*A3)


def test_two_rates_for_one_region_are_both_set_aside() -> None:
    rows = [(row, "") for row in [*A3, sku("Nvidia H100 80GB GPU running in Virginia", "9.0")]]
    rates = read_rates(rows, PARTS, datetime(2026, 1, 1, tzinfo=UTC))
    assert rates.of(H100, REGION, Terms.ON_DEMAND) is None
    assert (f"gcp {H100} {REGION}", "2 rates, OnDemand, for one region") in rates.quarantined


def priced(**changes: Any) -> dict[str, Any]:
    row = sku("Nvidia H100 80GB GPU running in Virginia", "9.79655")
    row["pricingInfo"][0]["pricingExpression"] |= changes
    return row


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (priced(usageUnit="count"), "usage unit 'count' is not per hour or month"),
        (priced(tieredRates=[]), "unexpected shape: pricingInfo"),
        (sku(f"{H100} running in Virginia", "9.8", pricingInfo=[]), "no price that has begun"),
        (sku(f"{H100} running in Virginia", "9.8", serviceRegions=None), "unexpected shape: serviceRegions"),
        (sku("Nvidia X1000 GPU running in Virginia", "99"), "a GPU of no machine of ours"),
    ],
)
def test_rows_that_cannot_be_read_as_a_rate_are_set_aside(row: dict[str, Any], reason: str) -> None:
    rates = read_rates([(row, "")], PARTS, datetime(2026, 1, 1, tzinfo=UTC))
    assert rates.known == {}
    ((_, why),) = rates.quarantined
    assert reason in why


def test_a_rate_by_gigabytes_is_turned_into_gibibytes() -> None:
    rows = [(sku("G2 Instance Ram running in Virginia", "0.004", unit="GBy.h"), "")]
    rate = read_rates(rows, PARTS, datetime(2026, 1, 1, tzinfo=UTC)).of("G2 Instance Ram", REGION, Terms.ON_DEMAND)
    assert rate is not None
    assert rate.usd == Decimal("0.004294967296")


def test_the_newest_price_that_has_begun_counts() -> None:
    def at(usd: str, moment: str) -> dict[str, Any]:
        (info,) = sku(H100, usd)["pricingInfo"]
        return {**info, "effectiveTime": moment}

    row = sku(f"{H100} running in Virginia", "0")
    row["pricingInfo"] = [
        at("7", "2031-01-01T00:00:00Z"),
        at("9.79655", "2025-06-01T00:00:00Z"),
        at("12", "2023-01-01T00:00:00Z"),
    ]
    rate = read_rates([(row, "")], PARTS, datetime(2026, 1, 1, tzinfo=UTC)).of(H100, REGION, Terms.ON_DEMAND)
    assert rate is not None
    assert rate.usd == Decimal("9.79655")


def test_a_wrong_gpu_rate_is_caught_by_the_dated_table() -> None:
    half = sku("Nvidia H100 80GB GPU running in Northern Virginia", "4.200761")
    right = [row | {"serviceRegions": ["us-west1"]} for row in A3]
    found = listing([*A3[:3], half, *right])
    assert {row.region for row in found.rows} == {"us-west1"}
    assert "under our reference, 88.556" in dict(found.quarantined)[f"gcp a3-highgpu-8g {REGION}"]


def test_pages_are_followed_to_the_end_and_a_price_names_the_page_of_its_gpu() -> None:
    asked: list[httpx.Request] = []
    found = listing(A3[:2], A3[2:], asked=asked)
    assert [request.url.params.get("pageToken") for request in asked] == [None, "1"]
    assert asked[0].url.params["pageSize"] == "5000"
    assert {row.raw_sha256 for row in found.rows} == {found.raw[1].sha256}


def test_the_key_travels_in_a_header_and_stands_in_no_address_that_is_kept() -> None:
    asked: list[httpx.Request] = []
    found = listing(A3, asked=asked)
    assert asked[0].headers["x-goog-api-key"] == KEY.get_secret_value()
    assert KEY.get_secret_value() not in found.raw[0].url


@pytest.mark.parametrize("answer", [[], {}, {"skus": {}}, {"skus": []}, {"skus": [1, None]}])
def test_an_answer_without_a_single_machine_is_no_price_list(answer: Any) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with pytest.raises(Unavailable):
        GcpPrices("http://gcp.test", KEY, SourceMode.LIVE, FrozenClock(), transport=transport).prices()


def test_a_page_that_leads_back_to_itself_is_no_list() -> None:
    answer = {"skus": A3, "nextPageToken": "again"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with pytest.raises(Unavailable, match="names the page it stands on"):
        GcpPrices("http://gcp.test", KEY, SourceMode.LIVE, FrozenClock(), transport=transport).prices()


def test_pages_without_end_are_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp, "MAX_PAGES", 2)
    with pytest.raises(Unavailable, match="more than 2 pages"):
        listing(A3, A3, A3)


def test_google_refusing_the_key_is_a_refusal() -> None:
    body = {"error": {"code": 403, "message": "unregistered callers", "status": "PERMISSION_DENIED"}}
    transport = httpx.MockTransport(lambda _: httpx.Response(403, json=body))
    with pytest.raises(Refused, match="unregistered callers"):
        GcpPrices("http://gcp.test", None, SourceMode.LIVE, FrozenClock(), transport=transport).prices()


def test_every_machine_of_the_table_is_billed_in_exactly_one_series() -> None:
    for name in machines_of("gcp"):
        assert [series for series in SERIES if series in name], name
        assert len([series for series in SERIES if series in name]) == 1, name


@pytest.mark.parametrize("usd", ["0.0", "0.000000002", "2930.0"])
def test_a_rate_that_hides_in_the_sum_is_set_aside(usd: str) -> None:
    """A core for nothing makes a machine 7 % cheaper: no gate on machines would notice."""
    name = "A3 Instance Core running in"
    regions = {"Iowa": "us-central1", "Oregon": "us-west1", "Belgium": "europe-west1"}
    rows = [sku(f"{name} {place}", "0.0293", serviceRegions=[region]) for place, region in regions.items()]
    rates = read_rates([(row, "f" * 64) for row in (*rows, sku(f"{name} Northern Virginia", usd))], PARTS, NOW)
    assert {region for part, region, _ in rates.known if part == "A3 Instance Core"} == set(regions.values())
    assert len(rates.quarantined) == 1
