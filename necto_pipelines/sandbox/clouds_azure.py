"""Azure's Retail Prices API: GET /api/retail/prices, filtered and in pages of a thousand.

Shape: Microsoft's documentation of the API (2023-01-01-preview). As there, values are compared with regard to case, a
machine is listed once for each way to pay for it, and a list that changes while it is read shows a row twice: here each
page after the first begins with the last row of the one before.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.clouds_table import SINCE, ListedMachine, listed
from necto_pipelines.sandbox.seeded import digest

CLOUD: Final = "azure"
PAGE: Final = 1000
VARIANTS: Final[tuple[tuple[str, str, str, Decimal], ...]] = (
    ("", "", "", Decimal(1)),
    (" Windows", "", "", Decimal("1.4")),
    ("", " Spot", " Spot", Decimal("0.4")),
    ("", " Low Priority", " Low Priority", Decimal("0.4")),
    (" Dedicated Host", "", "", Decimal("1.1")),
)
"""what each way to pay adds to the names of product, SKU and meter, and the share of the price; the shares are ours"""
WITHOUT_GPU: Final = ListedMachine("Standard_D2s_v5", "eastus", Decimal("0.096"), 0)

_TERM: Final = re.compile(r"(?P<field>\w+) eq '(?P<value>[^']*)'|contains\((?P<where>\w+), ?'(?P<part>[^']*)'\)")
_FIELDS: Final = {"priceType": "type"}
"""names that the filter has for fields of an item"""


def azure_routes() -> list[Route]:
    """The route, relative to the service's host."""

    async def retail_prices(request: Request) -> Response:
        query = dict(request.query_params)
        skip = int(query.pop("$skip", "0"))
        try:
            found = [item for item in _items() if _matches(item, query.get("$filter", ""))]
        except ValueError as error:
            return answer({"Error": {"Code": "BadRequest", "Message": str(error)}}, 400)
        page = found[max(0, skip - 1) : skip + PAGE]
        more = skip + PAGE < len(found)
        link = request.url.replace(query=urlencode(query | {"$skip": skip + PAGE}))
        return answer(
            {
                "BillingCurrency": "USD",
                "CustomerEntityId": "Default",
                "CustomerEntityType": "Retail",
                "Items": page,
                "NextPageLink": str(link) if more else None,
                "Count": len(page),
            }
        )

    return [Route("/api/retail/prices", retail_prices)]


def _matches(item: dict[str, Any], condition: str) -> bool:
    """Whether the item fits a filter of comparisons joined by `and`; ValueError for anything else."""
    for term in filter(None, condition.split(" and ")):
        read = _TERM.fullmatch(term)
        if read is None:
            raise ValueError(f"Invalid OData parameters supplied: {term}")
        name = read["field"] or read["where"]
        if _FIELDS.get(name, name) not in item:
            raise ValueError(f"Invalid OData parameters supplied: {name}")
        value = str(item[_FIELDS.get(name, name)])
        if value != read["value"] if read["field"] else read["part"] not in value:
            return False
    return True


@cache
def _items() -> list[dict[str, Any]]:
    return [item for machine in (*listed(CLOUD), WITHOUT_GPU) for item in _listings(machine)]


def _listings(machine: ListedMachine) -> Iterator[dict[str, Any]]:
    name = machine.name.removeprefix("Standard_").replace("_", " ")
    for product, sku, meter, share in VARIANTS:
        yield _item(machine, (f"{name} Series{product}", f"{name}{sku}", f"{name}{meter}"), machine.usd * share)
    yield _item(machine, (f"{name} Series", name, name), machine.usd * 5000) | {
        "type": "Reservation",
        "reservationTerm": "1 Year",
    }


def _item(machine: ListedMachine, names: tuple[str, str, str], usd: Decimal) -> dict[str, Any]:
    product, sku, meter = names
    product_id = f"DZH{digest(product).hex()[:9].upper()}"
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": float(usd),
        "unitPrice": float(usd),
        "armRegionName": machine.region,
        "location": machine.region,
        "effectiveStartDate": SINCE,
        "meterId": digest(machine.region, *names).hex()[:32],
        "meterName": meter,
        "productId": product_id,
        "skuId": f"{product_id}/{digest(machine.region, sku).hex()[:4].upper()}",
        "productName": f"Virtual Machines {product}",
        "skuName": sku,
        "serviceName": "Virtual Machines",
        "serviceId": "DZH313Z7MMC8",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": machine.name,
    }
