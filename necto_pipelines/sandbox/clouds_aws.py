"""The EC2 part of AWS's price list: an index of regions, and for each region one large file.

Shape: the AWS Price List bulk API as dstackai/gpuhunt reads it. Beside each machine of the table stand the entries that
must not be taken for it: other systems, dedicated hosts, reserved and blocked capacity, machines without GPUs.
"""

import json
from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.clouds_table import ListedMachine, listed, shapes
from necto_pipelines.sandbox.seeded import digest

CLOUD: Final = "aws"
OFFERS: Final = "/offers/v1.0/aws/AmazonEC2"
VERSION: Final = "20261120000000"
PUBLISHED: Final = "2026-11-20T00:00:00Z"
DISCLAIMER: Final = "Simulated price list: no one sells at these prices."
ON_DEMAND, HOURLY = "JRTCKXETXF", "6YS6EN2CT7"
"""the codes that AWS uses for on-demand terms and their hourly rate"""

PLAIN: Final = {
    "locationType": "AWS Region", "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA",
    "capacitystatus": "Used", "marketoption": "OnDemand", "licenseModel": "No License required",
}  # fmt: skip
OTHERS: Final[tuple[tuple[dict[str, str], Decimal], ...]] = (
    ({"operatingSystem": "Windows", "licenseModel": "License Included"}, Decimal("1.35")),
    ({"operatingSystem": "Linux", "preInstalledSw": "SQL Web"}, Decimal("1.2")),
    ({"tenancy": "Dedicated"}, Decimal("1.06")),
    ({"capacitystatus": "AllocatedCapacityReservation"}, Decimal(0)),
    ({"marketoption": "CapacityBlock"}, Decimal("0.4")),
)
"""how else a machine is listed, and at which share of its plain price; the shares are ours"""
WITHOUT_GPU: Final = {"m5.large": "0.0960000000", "c7i.48xlarge": "8.5680000000"}


def aws_routes() -> list[Route]:
    """The routes, relative to the service's host."""
    regions = sorted({machine.region for machine in listed(CLOUD)})

    async def region_index(_: Request) -> Response:
        return answer(
            {
                "formatVersion": "v1.0",
                "disclaimer": DISCLAIMER,
                "publicationDate": PUBLISHED,
                "regions": {
                    region: {
                        "regionCode": region,
                        "currentVersionUrl": f"{OFFERS}/{VERSION}/{region}/index.json",
                    }
                    for region in regions
                },
            }
        )

    async def price_list(request: Request) -> Response:
        region = request.path_params["region"]
        if region not in regions or request.path_params["version"] != VERSION:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        # The real files are printed like this, over hundreds of megabytes.
        text = json.dumps(_price_list(region), indent=2, separators=(",", " : "))
        return Response(text, media_type="application/octet-stream")

    return [
        Route(f"{OFFERS}/current/region_index.json", region_index),
        Route(f"{OFFERS}/{{version}}/{{region}}/index.json", price_list),
    ]


def _price_list(region: str) -> dict[str, Any]:
    products: dict[str, Any] = {}
    terms: dict[str, Any] = {}
    for machine in listed(CLOUD):
        if machine.region != region:
            continue
        for other, share in (({}, Decimal(1)), *OTHERS):
            _enter(products, terms, _attributes(machine, other), machine.usd * share)
    for name, usd in WITHOUT_GPU.items():
        _enter(products, terms, PLAIN | {"instanceType": name, "regionCode": region}, Decimal(usd))
    return {
        "formatVersion": "v1.0",
        "disclaimer": DISCLAIMER,
        "offerCode": "AmazonEC2",
        "version": VERSION,
        "publicationDate": PUBLISHED,
        "products": products,
        "terms": {"OnDemand": terms, "Reserved": {sku: {} for sku in products}},
        "attributesList": {},
    }


def _attributes(machine: ListedMachine, other: dict[str, str]) -> dict[str, str]:
    shape = shapes(CLOUD)[machine.name]
    return PLAIN | {
        "servicecode": "AmazonEC2",
        "instanceType": machine.name,
        "regionCode": machine.region,
        "vcpu": str(shape.vcpu),
        "memory": f"{shape.memory_gib:,} GiB",
        "gpu": str(shape.gpu_count),
        "operation": "RunInstances",
    } | other  # fmt: skip


def _enter(products: dict[str, Any], terms: dict[str, Any], attributes: dict[str, str], usd: Decimal) -> None:
    sku = digest(*sorted(attributes.items())).hex()[:16].upper()
    metal = attributes["instanceType"].endswith(".metal")
    products[sku] = {
        "sku": sku,
        "productFamily": f"Compute Instance{' (bare metal)' if metal else ''}",
        "attributes": attributes,
    }
    offer = f"{sku}.{ON_DEMAND}"
    dimension = {
        "rateCode": f"{offer}.{HOURLY}",
        "description": f"${usd} per {attributes['operatingSystem']} {attributes['instanceType']} hour",
        "beginRange": "0",
        "endRange": "Inf",
        "unit": "Hrs",
        "pricePerUnit": {"USD": f"{usd:.10f}"},
        "appliesTo": [],
    }
    terms[sku] = {offer: {"offerTermCode": ON_DEMAND, "sku": sku, "priceDimensions": {f"{offer}.{HOURLY}": dimension}}}
