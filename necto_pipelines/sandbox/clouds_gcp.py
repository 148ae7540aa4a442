"""Google's Cloud Billing catalogue for Compute Engine: GET /v1/services/6F81-5844-456A/skus, in pages.

Google prices parts, the table prices machines, so each machine is taken apart: memory and cores at the rates below,
local SSD at 0.08 USD per GiB-month, and the GPUs at what remains. Rates of A2, G4 and N1 are those of us-central1; how
A3 and A3 Ultra divide between cores and memory is made up, only their sum is not (anycloud-sh/catalog, 2026-05-20).

Each part is listed on other terms too: as spot, for Dynamic Workload Scheduler (with usage type OnDemand, as in the
real catalogue, at the real share of the price) and committed for a year.
"""

import base64
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.clouds_table import SINCE, listed, shapes
from necto_pipelines.sandbox.seeded import digest

CLOUD: Final = "gcp"
SERVICE: Final = "services/6F81-5844-456A"
LARGEST_PAGE: Final = 500
"""smaller than Google's 5000, so that there are pages to turn"""
SSD: Final = "SSD backed Local Storage"
SSD_USD_PER_MONTH: Final = Decimal("0.08")
HOURS_PER_MONTH: Final = 730

HOSTS: Final[dict[str, tuple[Decimal, Decimal]]] = {
    "A2 Instance": (Decimal("0.031611"), Decimal("0.004237")),
    "A3 Instance": (Decimal("0.029300"), Decimal("0.001797906")),
    "A3Plus Instance": (Decimal("0.029300"), Decimal("0.001797906")),
    "A3Ultra Instance": (Decimal("0.029300"), Decimal("0.001931842")),
    "G2 Instance": (Decimal("0.024988"), Decimal("0.002927")),
    "G4 Instance": (Decimal("0.048910"), Decimal("0.005870")),
    "N1 Predefined Instance": (Decimal("0.031611"), Decimal("0.004237")),
}
"""USD per core-hour and GiB-hour"""
SERIES: Final[tuple[tuple[str, str, str], ...]] = (
    ("a2-highgpu", "A2 Instance", "Nvidia Tesla A100 GPU"),
    ("a2-ultragpu", "A2 Instance", "Nvidia Tesla A100 80GB GPU"),
    ("a3-highgpu", "A3 Instance", "Nvidia H100 80GB GPU"),
    ("a3-megagpu", "A3Plus Instance", "Nvidia H100 80GB Mega GPU"),
    ("a3-ultragpu", "A3Ultra Instance", "H200 141GB GPU"),
    ("g2-standard", "G2 Instance", "Nvidia L4 GPU"),
    ("g4-standard", "G4 Instance", "RTX 6000 96GB"),
    ("+1xP100", "N1 Predefined Instance", "Nvidia Tesla P100 GPU"),
    ("+1xT4", "N1 Predefined Instance", "Nvidia Tesla T4 GPU"),
    ("+1xV100", "N1 Predefined Instance", "Nvidia Tesla V100 GPU"),
)
"""part of a machine's name, and the names its parts are billed under"""
SPOT_SHARE, DWS_SHARE, COMMITTED_SHARE = Decimal("0.4"), Decimal("0.43"), Decimal("0.69")


def gcp_routes() -> list[Route]:
    """The route, relative to the service's host. Any API key is accepted, but there must be one."""

    async def skus(request: Request) -> Response:
        query = request.query_params
        if not (request.headers.get("x-goog-api-key") or query.get("key")):
            message = "Method doesn't allow unregistered callers (callers without established identity)."
            return answer({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}, 403)
        start = int(base64.urlsafe_b64decode(query["pageToken"])) if query.get("pageToken") else 0
        end = start + min(int(query.get("pageSize", LARGEST_PAGE)), LARGEST_PAGE)
        more = end < len(_skus())
        token = base64.urlsafe_b64encode(str(end).encode()).decode() if more else ""
        return answer({"skus": _skus()[start:end], "nextPageToken": token})

    return [Route(f"/v1/{SERVICE}/skus", skus)]


@cache
def _skus() -> list[dict[str, Any]]:
    return [sku for region in sorted({machine.region for machine in listed(CLOUD)}) for sku in _region(region)]


def _region(region: str) -> Iterator[dict[str, Any]]:
    """Every SKU of a region: its hosts, GPUs and disks on all terms."""
    machines = {machine.name: machine.usd for machine in listed(CLOUD) if machine.region == region}
    hosts_sold: dict[str, Decimal] = {}
    for series, host, gpu in SERIES:
        names = sorted((name for name in machines if series in name), key=lambda name: shapes(CLOUD)[name].gpu_count)
        if not names:
            if host in hosts_sold or series == "a3-megagpu":  # not sold on demand here, but listed all the same
                yield from _other_terms(gpu, region, Decimal(10), "GPU")
            continue
        level = hosts_sold.setdefault(host, _level(host, machines) if host == "G2 Instance" else Decimal(1))
        largest = names[-1]
        shape = shapes(CLOUD)[largest]
        core, memory = (rate * level for rate in HOSTS[host])
        ssd = shape.local_ssd_gib * SSD_USD_PER_MONTH / HOURS_PER_MONTH
        rest = machines[largest] - shape.vcpu * core - shape.memory_gib * memory - ssd
        yield from _on_all_terms(gpu, region, rest / shape.gpu_count, "GPU")
    for host, level in hosts_sold.items():
        core, memory = HOSTS[host]
        yield from _on_all_terms(f"{host} Core", region, core * level, "CPU")
        yield from _on_all_terms(f"{host} Ram", region, memory * level, "RAM")
    yield _sku(SSD, region, SSD_USD_PER_MONTH, "LocalSSD", "OnDemand")
    yield _sku(
        f"{SSD} attached to Spot Preemptible VMs", region, SSD_USD_PER_MONTH * SPOT_SHARE, "LocalSSD", "Preemptible"
    )


def _level(host: str, machines: dict[str, Decimal]) -> Decimal:
    """How dear the host is here: two machines with one GPU each differ by their hosts only."""
    small, large = shapes(CLOUD)["g2-standard-4"], shapes(CLOUD)["g2-standard-8"]
    core, memory = HOSTS[host]
    usual = (large.vcpu - small.vcpu) * core + (large.memory_gib - small.memory_gib) * memory
    return (machines[large.name] - machines[small.name]) / usual


def _on_all_terms(part: str, region: str, usd: Decimal, group: str) -> Iterator[dict[str, Any]]:
    place = _place(region)
    yield _sku(f"{part} running in {place}", region, usd, group, "OnDemand")
    spot = f"{part} attached to Spot Preemptible VMs" if group == "GPU" else f"Spot Preemptible {part}"
    yield _sku(f"{spot} running in {place}", region, usd * SPOT_SHARE, group, "Preemptible")
    yield from _other_terms(part, region, usd, group)


def _other_terms(part: str, region: str, usd: Decimal, group: str) -> Iterator[dict[str, Any]]:
    place = _place(region)
    dws = f"{part} attached to DWS Defined Duration VMs" if group == "GPU" else f"DWS Defined Duration {part}"
    yield _sku(f"{dws} running in {place}", region, usd * DWS_SHARE, group, "OnDemand")
    yield _sku(
        f"Commitment v1: {part} running in {place} for 1 Year", region, usd * COMMITTED_SHARE, group, "Commit1Yr"
    )


def _place(region: str) -> str:
    """Google names continents and cities in its descriptions, and the region apart."""
    continents = {"us": "Americas", "europe": "EMEA", "asia": "APAC"}
    return continents.get(region.partition("-")[0], region)


def _sku(description: str, region: str, usd: Decimal, group: str, usage_type: str) -> dict[str, Any]:
    letters = digest(description, region).hex()[:12].upper()
    sku_id = "-".join(letters[at : at + 4] for at in (0, 4, 8))
    unit = {"RAM": "GiBy.h", "LocalSSD": "GiBy.mo"}.get(group, "h")
    units, nanos = divmod(round(usd * 10**9), 10**9)
    price = {"currencyCode": "USD", "units": str(units), "nanos": nanos}
    return {
        "name": f"{SERVICE}/skus/{sku_id}",
        "skuId": sku_id,
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Storage" if group == "LocalSSD" else "Compute",
            "resourceGroup": group,
            "usageType": usage_type,
        },
        "serviceRegions": [region],
        "pricingInfo": [
            {
                "effectiveTime": SINCE,
                "summary": "",
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1,
                    "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}],
                },
                "currencyConversionRate": 1,
            }
        ],
        "serviceProviderName": "Google",
        "geoTaxonomy": {"type": "REGIONAL", "regions": [region]},
    }
