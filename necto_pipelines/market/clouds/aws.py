"""AWS: the EC2 price list, one file per region, read as it comes and kept only as far as GPUs go.

`region_index.json` names each region's file; a file is one JSON object of hundreds of megabytes with `products` (what
is sold) and `terms` (for how much), joined by SKU. Format: AWS Price List bulk API, as read by dstackai/gpuhunt
providers/aws.py. Spot prices are not in it. It does not say which GPU a machine has: that is `machines.py`.
"""

import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import httpx
from pydantic import Field, TypeAdapter, ValidationError

from necto_pipelines.failures import NectoError, Unavailable
from necto_pipelines.fetching import DEFAULT_BUDGET, AnswerStore, Budget, Fetcher, read_json, side_by_side
from necto_pipelines.market.clouds import json_stream
from necto_pipelines.market.clouds.claims import PriceClaim
from necto_pipelines.market.clouds.json_stream import JsonStream
from necto_pipelines.market.clouds.machines import SHARE_OF_A_GPU, UNKNOWN_MACHINE, machines_of
from necto_pipelines.market.clouds.plausibility import screen
from necto_pipelines.market.clouds.reference import reference_cloud_prices
from necto_pipelines.market.clouds.wire import Wire, first_fault, read_as
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import CloudPrice, SourceMode

CLOUD: Final = "aws"
LIVE_URL: Final = "https://pricing.us-east-1.amazonaws.com"
INDEX_PATH: Final = "/offers/v1.0/aws/AmazonEC2/current/region_index.json"
MAX_FILE_BYTES: Final = 2 * 1024**3
"""the largest file, us-east-1, has several hundred megabytes"""

WANTED: Final[Mapping[str, frozenset[str]]] = {
    "tenancy": frozenset({"Shared"}),
    "operatingSystem": frozenset({"Linux"}),
    "capacitystatus": frozenset({"Used"}),
    "preInstalledSw": frozenset({"NA"}),
    "marketoption": frozenset({"OnDemand"}),
    "locationType": frozenset({"AWS Region"}),
}
"""product attributes of a plain machine by the hour; the same machine is listed dozens of times under other ones, so
one that leaves any of them out may be something else and is set aside"""
HOURS: Final = "Hrs"
NO_GPU: Final = "0"
"""what the price list leaves out where a machine has no GPU"""


class WireRegion(Wire):
    """Where a region's file stands, relative to the host."""

    current_version_url: str = Field(alias="currentVersionUrl", pattern=r"^/[^/]")


class WireIndex(Wire):
    """`region_index.json`; the regions are checked one by one."""

    regions: dict[str, object]


class WireAttributes(Wire):
    """What a product is."""

    instance_type: str = Field(alias="instanceType", min_length=1)
    gpu: str = NO_GPU
    tenancy: str = ""
    operating_system: str = Field(default="", alias="operatingSystem")
    capacity_status: str = Field(default="", alias="capacitystatus")
    pre_installed_software: str = Field(default="", alias="preInstalledSw")
    market_option: str = Field(default="", alias="marketoption")
    location_type: str = Field(default="", alias="locationType")

    @property
    def unsaid(self) -> tuple[str, ...]:
        """Attributes that would tell a plain machine, and are left out."""
        said = self.model_dump(by_alias=True)
        return tuple(name for name in WANTED if not said[name])


class WireProduct(Wire):
    """One thing on sale, named by its SKU."""

    attributes: WireAttributes


class WireDimension(Wire):
    """A price per unit, as text, by currency."""

    unit: str
    price_per_unit: dict[str, Decimal] = Field(alias="pricePerUnit")


class WireTerm(Wire):
    """The price dimensions of one way to pay for a product."""

    price_dimensions: dict[str, WireDimension] = Field(alias="priceDimensions")


TERMS: Final = TypeAdapter(dict[str, WireTerm])
"""the ways to pay for one product, by offer term code"""


class AwsPrices:
    """The EC2 price list as a source. `regions` None reads those that the reference table covers."""

    name = CLOUD

    def __init__(
        self,
        base_url: str,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        regions: Collection[str] | None = None,
        budget: Budget = DEFAULT_BUDGET,
        store: AnswerStore | None = None,
    ) -> None:
        self.mode = mode
        self._regions = regions
        self._fetcher = Fetcher(
            base_url, clock=clock, timeout_s=timeout_s, budget=budget, store=store, transport=transport
        )

    def prices(self) -> Listing[CloudPrice]:
        """As `CloudSource.prices`. A region whose file cannot be read is set aside.

        What is kept of a file is its GPU products with their terms, as JSON: the file itself is too large to keep. A
        file that AWS says is the one of last time is not read again.
        """
        index_answer = self._fetcher.get(INDEX_PATH)
        index = read_as(index_answer, WireIndex)
        answers = [index_answer]
        claims: list[PriceClaim] = []
        quarantined: list[tuple[str, str]] = []
        paths: dict[str, str] = {}
        for region in sorted(self._wanted_regions()):
            if region not in index.regions:
                quarantined.append((f"{CLOUD} {region}", "AWS lists no price file of this region"))
                continue
            try:
                paths[region] = WireRegion.model_validate(index.regions[region]).current_version_url
            except ValidationError as error:
                quarantined.append((f"{CLOUD} {region}", f"unexpected shape: {first_fault(error)}"))
        parts = side_by_side([functools.partial(self._gpu_part, path) for path in paths.values()])
        for region, answer in zip(paths, parts, strict=True):
            if isinstance(answer, NectoError):
                quarantined.append((f"{CLOUD} {region}", str(answer)))
                continue
            answers.append(answer)
            found, faulty = claims_of(answer, region, self.mode)
            claims += found
            quarantined += faulty
        if not claims:
            why = f"; {': '.join(quarantined[0])}" if quarantined else ""
            raise Unavailable(f"no machine with a GPU in {len(answers) - 1} price files of AWS{why}")
        prices, doubted = screen(claims)
        return Listing(prices, tuple(answers), (*quarantined, *doubted))

    def _wanted_regions(self) -> Collection[str]:
        if self._regions is not None:
            return self._regions
        return {row.region for row in reference_cloud_prices().rows if row.cloud == CLOUD}

    def _gpu_part(self, path: str) -> RawAnswer:
        return self._fetcher.read_part(path, _gpu_bytes, part="gpu", reader=_reader(), max_bytes=MAX_FILE_BYTES)


@functools.cache
def _reader() -> str:
    """Names how a file is read: another line of this code, or another machine, may take out something else."""
    code = "".join(map(inspect.getsource, (sys.modules[__name__], json_stream)))
    return hashlib.sha256(f"{code}{sorted(machines_of(CLOUD))}".encode()).hexdigest()


def _gpu_bytes(chunks: Iterator[bytes]) -> bytes:
    return json.dumps(gpu_part(chunks), separators=(",", ":"), default=str).encode()


def gpu_part(chunks: Iterator[bytes]) -> dict[str, Any]:
    """Of a region's file: who published it, the plain GPU machines among its products, and what these cost on demand.

    Stops reading after the on-demand terms: the reserved ones that follow are most of the file. ValueError when it is
    no such file.
    """
    stream = JsonStream(chunks)
    part: dict[str, Any] = {"terms": {"OnDemand": {}}}
    for name in stream.members():
        if name == "products":
            part["products"] = dict(_plain_gpu_machines(stream))
        elif name == "terms" and "products" in part:
            for kind in stream.members():
                if kind != "OnDemand":
                    stream.skip()
                    continue
                for sku in stream.members():
                    if sku in part["products"]:
                        part["terms"]["OnDemand"][sku] = stream.value()
                    else:
                        stream.skip()
                return part
        elif name in ("formatVersion", "offerCode", "version", "publicationDate"):
            part[name] = stream.value()
        else:
            stream.skip()
    raise ValueError("no on-demand terms after the products")


def _plain_gpu_machines(stream: JsonStream) -> Iterator[tuple[str, Any]]:
    machines = machines_of(CLOUD)
    for sku in stream.members():
        product = stream.value()
        attributes = product.get("attributes") if isinstance(product, dict) else None
        if not isinstance(attributes, dict):
            yield sku, product  # what it is cannot be told: it is kept, to be set aside with its reason
            continue
        instance = attributes.get("instanceType")
        has_gpu = attributes.get("gpu", NO_GPU) != NO_GPU or (isinstance(instance, str) and instance in machines)
        if has_gpu and not any(_says_otherwise(attributes.get(name), values) for name, values in WANTED.items()):
            yield sku, product


def _says_otherwise(value: object, values: Collection[str]) -> bool:
    return isinstance(value, str) and value not in ("", *values)


def claims_of(answer: RawAnswer, region: str, mode: SourceMode) -> tuple[list[PriceClaim], list[tuple[str, str]]]:
    """The machines of a file's GPU part as claims, and those set aside with the reason."""
    body = read_json(answer)
    prices: dict[str, set[Decimal]] = {}
    quarantined: list[tuple[str, str]] = []
    for sku, product in body["products"].items():
        try:
            attributes = WireProduct.model_validate(product).attributes
            asked = _hourly_usd(TERMS.validate_python(body["terms"]["OnDemand"].get(sku, {})))
        except ValidationError as error:
            quarantined.append((f"{CLOUD} {sku} {region}", f"unexpected shape: {first_fault(error)}"))
            continue
        if reason := _not_a_claim(attributes):
            quarantined.append((f"{CLOUD} {attributes.instance_type} {region}", reason))
        else:
            prices.setdefault(attributes.instance_type, set()).update(asked)
    claims: list[PriceClaim] = []
    for instance, asked in prices.items():
        if len(asked) > 1:
            quarantined.append((f"{CLOUD} {instance} {region}", f"listed at {len(asked)} prices per hour"))
            continue
        machine = machines_of(CLOUD)[instance]
        claims.append(
            PriceClaim(
                cloud=CLOUD,
                instance=instance,
                gpu=machine.gpu,
                gpu_count=int(machine.gpu_count),
                region=region,
                usd_per_hour=next(iter(asked), None),
                as_of=answer.received_at.date().isoformat(),
                source=f"AWS price list EC2 {body.get('version', '')}".strip(),
                mode=mode,
                raw_sha256=answer.sha256,
            )
        )
    return claims, quarantined


def _not_a_claim(attributes: WireAttributes) -> str:
    """Why the product cannot be told as a machine of ours; empty when it can."""
    machine = machines_of(CLOUD).get(attributes.instance_type)
    if unsaid := attributes.unsaid:
        return f"it does not say its {', '.join(unsaid)}: it may be another product"
    if machine is None:
        return UNKNOWN_MACHINE
    if machine.gpu_count != int(machine.gpu_count):
        return SHARE_OF_A_GPU
    if attributes.gpu not in (NO_GPU, str(machine.gpu_count)):
        return f"AWS says that it has {attributes.gpu} GPUs, our table of machines {machine.gpu_count}"
    return ""


def _hourly_usd(terms: Mapping[str, WireTerm]) -> set[Decimal]:
    """What a product's on-demand terms ask per hour; the same figure may stand in several of them."""
    dimensions = (dimension for term in terms.values() for dimension in term.price_dimensions.values())
    return {each.price_per_unit["USD"] for each in dimensions if each.unit == HOURS and "USD" in each.price_per_unit}
