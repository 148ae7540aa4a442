"""AWS's price list: which of its thousands of entries are plain machines, and what of it is kept."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from necto_pipelines.failures import Unavailable
from necto_pipelines.market.clouds import aws
from necto_pipelines.market.clouds.aws import AwsPrices
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import CloudPrice, SourceMode

REGION = "us-east-1"
FILE = f"/offers/v1.0/aws/AmazonEC2/20260720000000/{REGION}/index.json"
INDEX = {"regions": {REGION: {"regionCode": REGION, "currentVersionUrl": FILE}}}
PLAIN = {
    "locationType": "AWS Region",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "regionCode": REGION,
    "instanceType": "p5.48xlarge",
    "vcpu": "192",
    "memory": "2048 GiB",
    "gpu": "8",
}


def price_list(*entries: tuple[dict[str, str], str], unit: str = "Hrs", **more: Any) -> bytes:
    """A file with these products (changes to a plain one) at these prices, printed as AWS prints it."""
    products, terms = {}, {}
    for number, (changes, usd) in enumerate(entries):
        sku = f"SKU{number}"
        attributes = {name: value for name, value in (PLAIN | changes).items() if value}
        products[sku] = {"sku": sku, "productFamily": "Compute Instance", "attributes": attributes}
        dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
        terms[sku] = {f"{sku}.JRTCKXETXF": {"priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension}}}
    document = {
        "formatVersion": "v1.0",
        "disclaimer": "…",
        "version": "20260720000000",
        "products": products,
        "terms": {"OnDemand": terms, "Reserved": {}},
    }
    return json.dumps(document | more, indent=2, separators=(",", " : ")).encode()


def listing(files: dict[str, bytes] | bytes, index: Any = INDEX, **options: Any) -> Listing[CloudPrice]:
    files = {FILE: files} if isinstance(files, bytes) else files

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == aws.INDEX_PATH:
            return httpx.Response(200, json=index)
        body = files.get(request.url.path)
        return httpx.Response(200, content=body) if body is not None else httpx.Response(404, text="NoSuchKey")

    options = {"regions": [REGION]} | options
    source = AwsPrices(
        "http://aws.test", SourceMode.LIVE, FrozenClock(), transport=httpx.MockTransport(answer), **options
    )
    return source.prices()


def test_a_machine_is_read_with_its_gpus() -> None:
    (row,) = listing(price_list(({}, "55.0400000000"))).rows
    assert (row.cloud, row.instance, row.region, row.gpu.key, row.gpu_count) == (
        "aws",
        "p5.48xlarge",
        REGION,
        "H100-80GB",
        8,
    )
    assert (row.usd_per_hour, row.usd_per_gpu_hour) == (Decimal("55.04"), Decimal("6.88"))
    assert (row.mode, row.source) == (SourceMode.LIVE, "AWS price list EC2 20260720000000")


@pytest.mark.parametrize(
    "changes",
    [
        {"operatingSystem": "Windows"},
        {"tenancy": "Dedicated"},
        {"preInstalledSw": "SQL Web"},
        {"capacitystatus": "AllocatedCapacityReservation"},
        {"marketoption": "CapacityBlock"},
        {"locationType": "AWS Local Zone"},
    ],
)
def test_other_ways_to_buy_the_machine_are_not_its_price(changes: dict[str, str]) -> None:
    (row,) = listing(price_list((changes, "1.00"), ({}, "55.04"), (changes, "99.00"))).rows
    assert row.usd_per_hour == Decimal("55.04")


def test_a_machine_that_does_not_say_how_it_is_sold_is_set_aside() -> None:
    found = listing(price_list(({"preInstalledSw": "", "marketoption": ""}, "66.05"), ({"gpu": "8"}, "55.04")))
    assert [row.usd_per_hour for row in found.rows] == [Decimal("55.04")]
    assert "does not say its preInstalledSw, marketoption" in dict(found.quarantined)["aws p5.48xlarge us-east-1"]


def test_an_attribute_that_is_no_text_costs_its_row_and_not_the_file() -> None:
    spoiled = price_list(({"gpu": "8"}, "55.04"), ({"tenancy": "Odd"}, "1")).replace(b'"Odd"', b'{"value": "Shared"}')
    found = listing(spoiled)
    assert [row.usd_per_hour for row in found.rows] == [Decimal("55.04")]
    assert any("unexpected shape: attributes.tenancy" in reason for _, reason in found.quarantined)


def test_machines_without_gpus_are_no_news() -> None:
    found = listing(price_list(({"instanceType": "m5.large", "gpu": ""}, "0.096"), ({}, "55.04")))
    assert [row.instance for row in found.rows] == ["p5.48xlarge"]
    assert found.quarantined == ()


@pytest.mark.parametrize(
    ("changes", "usd", "reason"),
    [
        ({"instanceType": "p9.48xlarge"}, "99", "not in our table of machines"),
        ({"gpu": "4"}, "55.04", "AWS says that it has 4 GPUs, our table of machines 8"),
        ({}, "0.0000000000", "a price of 0 USD per hour"),
    ],
)
def test_what_cannot_be_believed_is_set_aside(changes: dict[str, str], usd: str, reason: str) -> None:
    other = {"instanceType": "g6.xlarge", "gpu": "1"}
    found = listing(price_list((changes, usd), (other, "0.8048")))
    assert [row.instance for row in found.rows] == ["g6.xlarge"]
    ((what, why),) = found.quarantined
    assert what == f"aws {changes.get('instanceType', 'p5.48xlarge')} {REGION}"
    assert reason in why


def test_one_machine_at_two_prices_is_set_aside() -> None:
    other = {"instanceType": "g6.xlarge", "gpu": "1"}
    found = listing(price_list(({}, "55.04"), ({"operation": "RunInstances:0002"}, "60"), (other, "0.8")))
    assert found.quarantined == ((f"aws p5.48xlarge {REGION}", "listed at 2 prices per hour"),)


def test_one_machine_listed_twice_at_one_price_is_one_machine() -> None:
    assert len(listing(price_list(({}, "55.04"), ({"operation": "RunInstances:0002"}, "55.0400"))).rows) == 1


def test_prices_by_anything_but_the_hour_are_no_prices() -> None:
    found = listing(price_list(({}, "55.04"), unit="Quantity"))
    assert found.rows == ()
    assert found.quarantined == ((f"aws p5.48xlarge {REGION}", "no price"),)


def test_an_odd_product_does_not_take_the_others_away() -> None:
    body = json.loads(price_list(({"instanceType": "g6.xlarge", "gpu": "1"}, "0.8048"), ({}, "55.04")))
    body["terms"]["OnDemand"]["SKU1"] = {"SKU1.X": {"priceDimensions": ["55.04"]}}
    found = listing(json.dumps(body).encode())
    assert [row.instance for row in found.rows] == ["g6.xlarge"]
    assert found.quarantined[0][0] == f"aws SKU1 {REGION}"
    assert "unexpected shape" in found.quarantined[0][1]


def test_what_is_kept_is_the_index_and_the_gpu_part() -> None:
    noise = [({"instanceType": f"m5.{size}xlarge", "gpu": ""}, "1") for size in range(200)]
    body = price_list(*noise, ({}, "55.04"))
    index, part = listing(body).raw
    assert json.loads(index.body) == INDEX
    assert part.url == f"http://aws.test{FILE}#gpu"
    assert len(part.body) < len(body) / 100
    kept = json.loads(part.body)
    assert list(kept["products"]) == list(kept["terms"]["OnDemand"]) == ["SKU200"]
    assert kept["version"] == "20260720000000"


def test_reading_stops_where_the_reserved_terms_begin() -> None:
    whole = price_list(({}, "55.04"))
    cut = whole[: whole.index(b'"Reserved"')] + b"this is not even JSON"
    assert len(listing(cut).rows) == 1


def test_a_region_whose_file_fails_does_not_take_the_others_away() -> None:
    other = "eu-west-1"
    index = {
        "regions": INDEX["regions"] | {other: {"regionCode": other, "currentVersionUrl": FILE.replace(REGION, other)}}
    }
    found = listing(price_list(({}, "55.04")), index, regions=[REGION, other, "mars-north-1"])
    assert [row.region for row in found.rows] == [REGION]
    reasons = dict(found.quarantined)
    assert "HTTP 404" in reasons["aws eu-west-1"]
    assert reasons["aws mars-north-1"] == "AWS lists no price file of this region"


def broken(change: Callable[[bytes], bytes]) -> bytes:
    return change(price_list(({}, "55.04")))


@pytest.mark.parametrize(
    "body",
    [
        broken(lambda body: body[: len(body) // 2]),
        broken(lambda body: body.replace(b'"products"', b'"goods"')),
        broken(lambda body: body.replace(b'"OnDemand"', b'"Later"')),
        broken(lambda body: body.replace(b'"attributes"', b'"properties"')),
        b"[]",
        b"<html>",
    ],
    ids=["truncated", "no products", "no on-demand terms", "no attributes", "an array", "no JSON"],
)
def test_a_file_that_is_no_price_list_gives_no_prices(body: bytes) -> None:
    with pytest.raises(Unavailable, match=r"no machine with a GPU in \d price files of AWS"):
        listing(body)


@pytest.mark.parametrize("index", [[], {"regions": {REGION: {"currentVersionUrl": "//elsewhere.test/x"}}}, {}])
def test_an_index_of_another_shape_is_refused(index: Any) -> None:
    with pytest.raises(Unavailable, match="unexpected shape"):
        listing(b"", index)


def test_a_file_larger_than_any_real_one_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with pytest.raises(Unavailable, match="larger than 100 bytes"):
        listing(price_list(({}, "55.04")))


def test_an_odd_region_of_the_index_costs_that_region_only() -> None:
    regions = INDEX["regions"] | {"us-west-2": {"currentVersionUrl": None}}
    found = listing(price_list(({}, "55.04")), {"regions": regions}, regions=[REGION, "us-west-2"])
    assert [row.region for row in found.rows] == [REGION]
    assert "unexpected shape: currentVersionUrl" in dict(found.quarantined)["aws us-west-2"]


@pytest.mark.parametrize("usd", ["55040000.00", "0.00005504"])
def test_a_price_that_no_gpu_comes_near_is_set_aside_even_alone_in_its_region(usd: str) -> None:
    found = listing(price_list(({}, usd)))
    assert found.rows == ()
    assert "can be believed" in dict(found.quarantined)[f"aws p5.48xlarge {REGION}"]
