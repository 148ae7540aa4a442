"""Azure: the Retail Prices API, one list of every meter of every region, in pages.

Format and filters: Microsoft's documentation of the API (2023-01-01-preview) and dstackai/gpuhunt providers/azure.py.
Pages are cut by `$skip`, so a list that changes meanwhile shows rows twice. A machine has a row for each way to pay for
it: with Windows, as spot, with low priority, on a dedicated host. Its GPUs are not named: that is `machines.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import AwareDatetime, Field, ValidationError

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import DEFAULT_BUDGET, AnswerStore, Budget, Fetcher, wrong_shape
from necto_pipelines.market.clouds.claims import PriceClaim
from necto_pipelines.market.clouds.machines import SHARE_OF_A_GPU, UNKNOWN_MACHINE, machines_of
from necto_pipelines.market.clouds.plausibility import screen
from necto_pipelines.market.clouds.wire import Wire, first_fault, read_as
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import CloudPrice, SourceMode

CLOUD: Final = "azure"
LIVE_URL: Final = "https://prices.azure.com"
PATH: Final = "/api/retail/prices"
QUERY: Final = {
    "api-version": "2023-01-01-preview",
    "meterRegion": "'primary'",
    "$filter": "serviceName eq 'Virtual Machines' and priceType eq 'Consumption' "
    "and contains(armSkuName, 'Standard_N')",
}
"""machines with GPUs are the N series; values are case-sensitive in this version"""
MAX_PAGES: Final = 200
"""of up to a thousand rows; the N series has some ten thousand"""
OTHER_TERMS: Final = ("Windows", "Dedicated", "Low Priority")
SPOT: Final = "Spot"
HOUR: Final = "1 Hour"
NAMED: Final = "^[A-Za-z][A-Za-z0-9]"
"""a name and no placeholder: only names tell a plain machine from one with Windows, so a row that has lost them must
not pass for a plain one"""


class WireItem(Wire):
    """A meter's price."""

    currency_code: str = Field(alias="currencyCode")
    retail_price: Decimal = Field(alias="retailPrice")
    arm_region_name: str = Field(alias="armRegionName", pattern=r"^[a-z][a-z0-9]+$")
    effective_start_date: AwareDatetime = Field(alias="effectiveStartDate")
    meter_id: str = Field(alias="meterId", min_length=1)
    meter_name: str = Field(alias="meterName", pattern=NAMED)
    sku_id: str = Field(alias="skuId", min_length=1)
    product_name: str = Field(alias="productName", pattern=NAMED)
    sku_name: str = Field(alias="skuName", pattern=NAMED)
    unit_of_measure: str = Field(alias="unitOfMeasure")
    arm_sku_name: str = Field(alias="armSkuName", min_length=1)


class WirePage(Wire):
    """A page; its items are checked one by one."""

    items: list[object] = Field(alias="Items")
    next_page_link: str | None = Field(alias="NextPageLink")


class AzurePrices:
    """The Retail Prices API as a source; it needs no key."""

    name = CLOUD

    def __init__(
        self,
        base_url: str,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        store: AnswerStore | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._fetcher = Fetcher(
            base_url, clock=clock, timeout_s=timeout_s, budget=budget, store=store, transport=transport
        )

    def prices(self) -> Listing[CloudPrice]:
        """As `CloudSource.prices`. The list is whole or not at all: a page that fails fails it."""
        answers = list(self._pages())
        claims, quarantined = claims_of(answers, self.mode)
        if not claims:
            raise Unavailable(f"no machine with a GPU among {len(answers)} pages of Azure's retail prices")
        prices, doubted = screen(claims)
        return Listing(prices, tuple(answers), (*quarantined, *doubted))

    def _pages(self) -> Iterator[RawAnswer]:
        """Each page. Only the query of `NextPageLink` is followed: where we ask is ours to say."""
        query = QUERY
        for _ in range(MAX_PAGES):
            answer = self._fetcher.get(PATH, query)
            yield answer
            link = read_as(answer, WirePage).next_page_link
            if not link:
                return
            following = dict(parse_qsl(urlsplit(link).query))
            if following == query:
                raise wrong_shape(answer, ValueError("NextPageLink names the page it stands on"))
            query = following
        raise wrong_shape(answer, ValueError(f"more than {MAX_PAGES} pages"))


def claims_of(answers: Sequence[RawAnswer], mode: SourceMode) -> tuple[list[PriceClaim], list[tuple[str, str]]]:
    """The machines of all pages as claims, each with its spot price beside it, and those set aside with the reason."""
    newest, quarantined = _meters(answers)
    plain: dict[tuple[str, str], list[tuple[WireItem, RawAnswer]]] = {}
    spot: dict[tuple[str, str], Decimal] = {}
    for item, answer in newest:
        machine = item.arm_sku_name, item.arm_region_name
        if SPOT in item.sku_name or SPOT in item.meter_name:
            spot[machine] = item.retail_price
        else:
            plain.setdefault(machine, []).append((item, answer))
    claims: list[PriceClaim] = []
    for (instance, region), rows in plain.items():
        item, answer = rows[0]
        if reason := _not_a_claim([row for row, _ in rows]):
            quarantined.append((f"{CLOUD} {instance} {region}", reason))
            continue
        shape = machines_of(CLOUD)[instance]
        claims.append(
            PriceClaim(
                cloud=CLOUD,
                instance=instance,
                gpu=shape.gpu,
                gpu_count=int(shape.gpu_count),
                region=region,
                usd_per_hour=item.retail_price,
                spot_usd_per_hour=spot.get((instance, region)),
                as_of=answer.received_at.date().isoformat(),
                source=f"Azure retail prices, meter {item.meter_id}",
                mode=mode,
                raw_sha256=answer.sha256,
            )
        )
    return claims, quarantined


def _meters(
    answers: Sequence[RawAnswer],
) -> tuple[list[tuple[WireItem, RawAnswer]], list[tuple[str, str]]]:
    """Each meter and SKU once, at the price that began last but has begun; without terms other than plain and spot."""
    newest: dict[tuple[str, str], tuple[WireItem, RawAnswer]] = {}
    quarantined: list[tuple[str, str]] = []
    for answer in answers:
        for number, thing in enumerate(read_as(answer, WirePage).items):
            try:
                item = WireItem.model_validate(thing)
            except ValidationError as error:
                quarantined.append((f"{CLOUD} {_label(thing, number)}", f"unexpected shape: {first_fault(error)}"))
                continue
            key = item.meter_id, item.sku_id
            if not _is_plain(item) or item.effective_start_date > answer.received_at:
                continue
            if key not in newest or _began(newest[key]) < item.effective_start_date:
                newest[key] = item, answer
    return list(newest.values()), quarantined


def _is_plain(item: WireItem) -> bool:
    names = f"{item.product_name} {item.sku_name} {item.meter_name}"
    return not any(term in names for term in OTHER_TERMS)


def _not_a_claim(rows: Sequence[WireItem]) -> str:
    """Why a machine's rows in a region cannot be told as one machine of ours; empty when they can."""
    machine = machines_of(CLOUD).get(rows[0].arm_sku_name)
    if machine is None:
        return UNKNOWN_MACHINE
    if machine.gpu_count != int(machine.gpu_count):
        return SHARE_OF_A_GPU
    if wrong := [row for row in rows if row.currency_code != "USD" or row.unit_of_measure != HOUR]:
        return f"priced in {wrong[0].currency_code} per {wrong[0].unit_of_measure}"
    if len(prices := {row.retail_price for row in rows}) > 1:
        return f"listed at {len(prices)} prices per hour"
    return ""


def _began(row: tuple[WireItem, RawAnswer]) -> datetime:
    return row[0].effective_start_date


def _label(thing: object, number: int) -> str:
    name = thing.get("armSkuName") if isinstance(thing, dict) else None
    return str(name) if name else f"row {number}"
