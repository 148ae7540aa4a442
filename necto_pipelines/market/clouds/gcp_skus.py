"""The rates in Google's billing catalogue: what one core, one GiB or one GPU costs in a region, on demand or as spot.

The catalogue holds the same part many times: on demand, as spot, for Dynamic Workload Scheduler (DWS), in calendar
mode, reserved, committed for years, on hosts of one's own. All but the last few are told apart by their description
alone, and DWS rates even carry the usage type OnDemand: taking one of those for the on-demand rate is how published
lists came to show half prices. So a description counts only if it is, word for word, `<part> running in <place>`.

Format and descriptions: Cloud Billing Catalog API v1; cloudpilot-ai/karpenter-provider-gcp instanceprice @206bbdd4.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from statistics import median
from typing import Final, NamedTuple

from pydantic import AwareDatetime, Field, ValidationError

from necto_pipelines.market.clouds.wire import Wire, first_fault

HOURS_PER_MONTH: Final = 730
"""by which Google turns monthly prices into hourly ones"""
GIB_PER_GB: Final = Decimal("1.073741824")
SSD: Final = "SSD backed Local Storage"
FEWEST_REGIONS: Final = 3
TIMES_APART: Final = 5
"""rates of one part differ by up to twice between regions; beyond this a unit was misread"""
NANO: Final = Decimal("1E-9")

_PER_HOUR: Final[dict[str, Decimal]] = {
    "h": Decimal(1),
    "GiBy.h": Decimal(1),
    "GBy.h": GIB_PER_GB,
    "GiBy.mo": 1 / Decimal(HOURS_PER_MONTH),
}
"""usage units: factor to one hour of one piece or GiB"""
_PLACE: Final = r"(?: (?:running )?in (?P<place>.+))?"
_ON_DEMAND: Final = re.compile(rf"(?P<part>.+?){_PLACE}")
_SPOT: Final = re.compile(rf"(?:Spot Preemptible )?(?P<part>.+?)(?: attached to Spot Preemptible VMs)?{_PLACE}")


class Terms(Enum):
    """The two ways to pay that are read, by the catalogue's usage type."""

    ON_DEMAND = "OnDemand"
    SPOT = "Preemptible"


class WireMoney(Wire):
    """Whole units as text, and billionths."""

    currency_code: str = Field(alias="currencyCode")
    units: Decimal = Decimal(0)
    nanos: int = 0


class WireTier(Wire):
    """A rate from an amount of usage on."""

    start_usage_amount: Decimal = Field(default=Decimal(0), alias="startUsageAmount")
    unit_price: WireMoney = Field(alias="unitPrice")


class WireExpression(Wire):
    """How usage is priced."""

    usage_unit: str = Field(alias="usageUnit")
    tiered_rates: tuple[WireTier, ...] = Field(alias="tieredRates", min_length=1)


class WirePricing(Wire):
    """A price since a moment."""

    effective_time: AwareDatetime = Field(alias="effectiveTime")
    pricing_expression: WireExpression = Field(alias="pricingExpression")


class WireCategory(Wire):
    """What kind of thing is priced, and for which way to pay."""

    resource_group: str = Field(default="", alias="resourceGroup")
    usage_type: str = Field(alias="usageType")


class WireSku(Wire):
    """A row of the catalogue."""

    sku_id: str = Field(alias="skuId")
    description: str
    category: WireCategory
    service_regions: tuple[str, ...] = Field(alias="serviceRegions")
    pricing_info: tuple[WirePricing, ...] = Field(alias="pricingInfo")


class Rate(NamedTuple):
    """USD per hour of one core, one GiB or one GPU, and the answer that it was read from."""

    usd: Decimal
    raw_sha256: str


@dataclass
class Rates:
    """What the parts of machines cost, by (part, region, terms), and what could not be read as a rate."""

    known: dict[tuple[str, str, Terms], Rate] = field(default_factory=dict)
    on_other_terms: set[tuple[str, str]] = field(default_factory=set)
    """(part, region) that stand in the catalogue, but neither on demand nor as spot"""
    quarantined: list[tuple[str, str]] = field(default_factory=list)

    def of(self, part: str, region: str, terms: Terms) -> Rate | None:
        """The rate, None when there is none."""
        return self.known.get((part, region, terms))


def read_rates(rows: Iterable[tuple[object, str]], parts: frozenset[str], now: datetime) -> Rates:
    """The rates of `parts` as of `now`, from the catalogue's rows, each with the SHA-256 of its answer.

    Where a part has a SKU for a continent and another for a region of it, the narrower one counts. Two equally narrow
    ones at different prices are both set aside: which is meant cannot be told. So is a GPU that no machine of ours has.
    """
    rates = Rates()
    found: dict[tuple[str, str, Terms], list[tuple[int, Rate]]] = {}
    unknown: dict[str, str] = {}
    for thing, raw_sha256 in rows:
        try:
            sku = WireSku.model_validate(thing)
        except ValidationError as error:
            rates.quarantined.append((f"gcp SKU {_name(thing)}", f"unexpected shape: {first_fault(error)}"))
            continue
        part, terms = _part_and_terms(sku, parts)
        if terms is None or part not in parts:
            mentioned = _mentions(sku, parts)
            if terms is Terms.ON_DEMAND and sku.category.resource_group == "GPU" and not mentioned:
                unknown.setdefault(part, sku.sku_id)
            rates.on_other_terms |= {(known, region) for known in mentioned for region in sku.service_regions}
            continue
        usd = _hourly(sku, now)
        if isinstance(usd, Decimal) and usd <= 0:
            usd = f"a rate of {usd:f} USD: no part is given away"
        if isinstance(usd, str):
            rates.quarantined.append((f"gcp SKU {sku.sku_id} {sku.description}", usd))
            continue
        for region in sku.service_regions:
            found.setdefault((part, region, terms), []).append((len(sku.service_regions), Rate(usd, raw_sha256)))
    rates.quarantined += [(f"gcp SKU {sku} {part}", "a GPU of no machine of ours") for part, sku in unknown.items()]
    for (part, region, terms), candidates in found.items():
        least = min(width for width, _ in candidates)
        narrowest = [rate for width, rate in candidates if width == least]
        if len({rate.usd for rate in narrowest}) > 1:
            rates.quarantined.append((f"gcp {part} {region}", f"{len(narrowest)} rates, {terms.value}, for one region"))
        else:
            rates.known[part, region, terms] = narrowest[0]
    _set_aside_outliers(rates)
    return rates


def _set_aside_outliers(rates: Rates) -> None:
    """Take out rates far off those of the same part elsewhere: in the sum of a machine a wrong one need not show."""
    of_part: dict[tuple[str, Terms], list[Decimal]] = {}
    for (part, _, terms), rate in rates.known.items():
        of_part.setdefault((part, terms), []).append(rate.usd)
    usual = {key: median(usd) for key, usd in of_part.items() if len(usd) >= FEWEST_REGIONS}
    for part, region, terms in list(rates.known):
        usd, middle = rates.known[part, region, terms].usd, usual.get((part, terms))
        if middle is not None and not middle / TIMES_APART <= usd <= middle * TIMES_APART:
            del rates.known[part, region, terms]
            reason = f"{usd:.6g} USD, {terms.value}, is far off the median over its regions, {middle:.6g}"
            rates.quarantined.append((f"gcp {part} {region}", reason))


def _part_and_terms(sku: WireSku, parts: frozenset[str]) -> tuple[str, Terms | None]:
    """The part that the SKU prices and how it is paid; None when that is neither on demand nor spot."""
    if sku.category.usage_type not in {terms.value for terms in Terms}:
        return "", None
    terms = Terms(sku.category.usage_type)
    read = (_ON_DEMAND if terms is Terms.ON_DEMAND else _SPOT).fullmatch(sku.description)
    part = read["part"] if read else ""
    if part in parts and part != SSD and not (read and read["place"]):
        return "", None
    return part, terms


def _mentions(sku: WireSku, parts: frozenset[str]) -> set[str]:
    """Parts that the description names somewhere: `Nvidia L4 GPU attached to DWS Defined Duration VMs running in …`."""
    return {part for part in parts if part in sku.description}


def _hourly(sku: WireSku, now: datetime) -> Decimal | str:
    """USD per hour at the newest price that has begun, from the first unit of usage on; or why there is none."""
    begun = [pricing for pricing in sku.pricing_info if pricing.effective_time <= now]
    if not begun:
        return "no price that has begun"
    expression = max(begun, key=lambda pricing: pricing.effective_time).pricing_expression
    factor = _PER_HOUR.get(expression.usage_unit)
    if factor is None:
        return f"usage unit {expression.usage_unit!r} is not per hour or month"
    first = min(expression.tiered_rates, key=lambda tier: tier.start_usage_amount)
    if len(expression.tiered_rates) > 1:
        return "its price depends on the amount used"
    if first.unit_price.currency_code != "USD":
        return f"priced in {first.unit_price.currency_code}"
    return (first.unit_price.units + first.unit_price.nanos * NANO) * factor


def _name(thing: object) -> str:
    name = thing.get("skuId") if isinstance(thing, dict) else None
    return str(name) if name else "without skuId"
