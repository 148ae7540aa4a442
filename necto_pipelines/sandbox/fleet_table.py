"""The figures the simulated providers are made from: which GPUs stand where, how many are taken, at what price.

GPU names, memory and sockets: akash-network/provider-configs devices/pcie/gpus.json (@2d04f4fe4d89, 2026-11-22).
Totals: 248 GPUs, 117 free, 60 live providers; 63 H100 (48 taken), 48 A100-80 (42 taken), 40 H200 (28 taken); H100 at
2.01 to 3.16 with average 2.58, A100-80 at 1.13 to 1.83 with average 1.48 and weighted average 1.36 USD per GPU-hour:
live answers of the Console API on 2026-07-17, recorded by opencolin/n8n-nodes-akash docs/research (@98ae818c524a).
Other models are spread around the network's list prices of 2026-09-20 (api-evangelist/akash plans/plans.yml,
@4301f93c844d). No price is published for the RTX A6000: that one is ours. Who owns what, and where, is made up.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True)
class GpuModel:
    """A GPU as the network names it."""

    model: str
    ram: str
    interface: str
    vendor: str = "nvidia"


GPU_MODELS = {
    "h100": GpuModel("h100", "80Gi", "SXM5"),
    "h200": GpuModel("h200", "141Gi", "SXM5"),
    "a100": GpuModel("a100", "80Gi", "SXM4"),
    "rtx4090": GpuModel("rtx4090", "24Gi", "PCIe"),
    "rtx5090": GpuModel("rtx5090", "32Gi", "PCIe"),
    "rtx3090": GpuModel("rtx3090", "24Gi", "PCIe"),
    "rtxa6000": GpuModel("rtxa6000", "48Gi", "PCIe"),
    "pro6000se": GpuModel("pro6000se", "96Gi", "PCIe"),
    "t4": GpuModel("t4", "16Gi", "PCIe"),
    "v100-32": GpuModel("v100", "32Gi", "PCIe"),
    "v100-16": GpuModel("v100", "16Gi", "SXM2"),
    "rtx8000": GpuModel("rtx8000", "48Gi", "PCIe"),
    "p40": GpuModel("p40", "24Gi", "PCIe"),
    "rtx4000ada": GpuModel("rtx4000ada", "20Gi", "PCIe"),
    "rtx4080": GpuModel("rtx4080", "16Gi", "PCIe"),
    "gtx1070ti": GpuModel("gtx1070ti", "8Gi", "PCIe"),
}


@dataclass(frozen=True)
class Place:
    """Where a provider stands; `region` is the network's own code for it, after the United Nations geoscheme."""

    country: str
    country_name: str
    city: str
    region: str
    latitude: str
    longitude: str
    timezone: str


PLACES = {
    "us-west": Place("US", "United States", "Portland", "na-us-west", "45.52", "-122.68", "utc-8"),
    "us-south": Place("US", "United States", "Dallas", "na-us-southwest", "32.78", "-96.80", "utc-6"),
    "us-east": Place("US", "United States", "Ashburn", "na-us-southeast", "39.04", "-77.49", "utc-5"),
    "ca": Place("CA", "Canada", "Montreal", "na-ca-central", "45.50", "-73.57", "utc-5"),
    "de": Place("DE", "Germany", "Frankfurt", "eu-central", "50.11", "8.68", "utc+1"),
    "pl": Place("PL", "Poland", "Warsaw", "eu-central", "52.23", "21.01", "utc+1"),
    "nl": Place("NL", "Netherlands", "Amsterdam", "eu-west", "52.37", "4.90", "utc+1"),
    "gb": Place("GB", "United Kingdom", "London", "eu-west", "51.51", "-0.13", "utc+0"),
    "fr": Place("FR", "France", "Paris", "eu-west", "48.86", "2.35", "utc+1"),
    "fi": Place("FI", "Finland", "Helsinki", "eu-north", "60.17", "24.94", "utc+2"),
    "se": Place("SE", "Sweden", "Stockholm", "eu-north", "59.33", "18.07", "utc+1"),
    "sg": Place("SG", "Singapore", "Singapore", "as-southeast", "1.35", "103.82", "utc+8"),
    "jp": Place("JP", "Japan", "Tokyo", "as-east", "35.68", "139.69", "utc+9"),
    "in": Place("IN", "India", "Mumbai", "as-south", "19.08", "72.88", "utc+5"),
    "au": Place("AU", "Australia", "Sydney", "oc-aus", "-33.87", "151.21", "utc+10"),
    "br": Place("BR", "Brazil", "Sao Paulo", "sa-brazil", "-23.55", "-46.63", "utc-3"),
}


class Flaw(StrEnum):
    """What is wrong with a provider on purpose, so that screening has something to refuse."""

    NONE = "none"
    UNAUDITED = "no auditor signed anything"
    STRANGE_AUDITOR = "signed by an auditor nobody knows"
    REGION_UNSIGNED = "audited, but its location-region is not signed"
    OLD_VERSION = "its software is a version the network no longer accepts"
    FLAKY = "online now, but often was not"
    OFFLINE = "listed, but offline"
    LONG_GONE = "offline for weeks while its one-day uptime still reads 1, as in the live sample"


@dataclass(frozen=True)
class GpuStock:
    """GPUs of one model at one provider. `usd_per_hour` None: it has not bid for a month, so no price is known."""

    key: str
    count: int
    taken: int
    usd_per_hour: Decimal | None


@dataclass(frozen=True)
class ProviderRow:
    """One provider of the table."""

    place: str
    stock: tuple[GpuStock, ...]
    flaw: Flaw = Flaw.NONE


def _row(place: str, key: str, count: int, taken: int, usd_per_hour: str | None, flaw: Flaw = Flaw.NONE) -> ProviderRow:
    price = None if usd_per_hour is None else Decimal(usd_per_hour)
    return ProviderRow(place, (GpuStock(key, count, taken, price),), flaw)


FLEET: tuple[ProviderRow, ...] = (
    # The cheapest H100 of all are the ones nobody should buy.
    _row("us-south", "h100", 4, 1, "2.01", Flaw.UNAUDITED),
    _row("de", "h100", 4, 2, "2.06", Flaw.OLD_VERSION),
    _row("us-west", "h100", 8, 8, "2.30"),
    _row("ca", "h100", 8, 6, "2.42"),
    _row("de", "h100", 8, 4, "2.57"),
    _row("nl", "h100", 8, 7, "2.64"),
    _row("fi", "h100", 8, 6, "2.71"),
    _row("gb", "h100", 8, 7, "2.88"),
    _row("sg", "h100", 4, 4, "3.05"),
    _row("jp", "h100", 3, 3, "3.16"),
    _row("us-east", "h200", 8, 6, "4.10"),
    _row("ca", "h200", 8, 8, "4.30"),
    _row("fi", "h200", 8, 4, "4.45"),
    _row("sg", "h200", 8, 6, "4.62"),
    _row("jp", "h200", 8, 4, "4.85"),
    _row("us-west", "a100", 24, 24, "1.13"),
    _row("ca", "a100", 8, 6, "1.33"),
    _row("nl", "a100", 8, 6, "1.63"),
    _row("de", "a100", 8, 6, "1.83"),
    _row("us-east", "rtx4090", 8, 2, "0.32", Flaw.STRANGE_AUDITOR),
    _row("pl", "rtx4090", 6, 1, "0.34", Flaw.REGION_UNSIGNED),
    _row("de", "rtx4090", 4, 0, "0.37"),
    _row("ca", "rtx4090", 4, 1, "0.39"),
    _row("nl", "rtx4090", 4, 0, "0.43"),
    _row("jp", "rtx4090", 2, 0, "0.48"),
    _row("us-south", "rtx5090", 4, 1, "0.59", Flaw.FLAKY),
    _row("fr", "rtx5090", 4, 1, "0.67"),
    _row("se", "rtx5090", 4, 0, "0.78"),
    _row("us-west", "rtx3090", 4, 0, "0.14"),
    _row("de", "rtx3090", 4, 1, "0.16"),
    _row("br", "rtx3090", 2, 0, "0.19"),
    _row("us-east", "rtxa6000", 4, 1, "0.42"),
    _row("gb", "rtxa6000", 4, 1, "0.46"),
    _row("au", "rtxa6000", 2, 0, "0.55"),
    _row("us-south", "t4", 4, 0, "0.13"),
    _row("nl", "t4", 4, 1, "0.15"),
    _row("in", "t4", 2, 0, "0.18"),
    _row("us-east", "v100-32", 4, 1, "0.17"),
    _row("fi", "v100-16", 4, 0, "0.36"),
    _row("us-west", "pro6000se", 4, 1, "1.95"),
    _row("de", "pro6000se", 4, 1, "2.04"),
    _row("pl", "rtx8000", 3, 0, "0.21"),
    _row("ca", "p40", 3, 0, "0.08"),
    _row("fr", "rtx4000ada", 2, 0, "0.41"),
    ProviderRow("se", (GpuStock("rtx4080", 2, 0, Decimal("0.15")), GpuStock("gtx1070ti", 1, 0, None))),
    # Providers without GPUs, as a quarter of the network is.
    *(ProviderRow(place, ()) for place in ("us-west", "us-south", "us-east", "us-east", "ca", "de", "de", "nl")),
    *(ProviderRow(place, ()) for place in ("gb", "fr", "pl", "fi", "sg", "au", "in")),
    # Listed by the network, but not live: neither counts among the 60.
    _row("nl", "h100", 8, 0, "2.04", Flaw.OFFLINE),
    ProviderRow("nl", (), Flaw.LONG_GONE),
)
