"""GCP: machines priced from their parts, by the Cloud Billing catalogue.

Google sells cores, memory, GPUs and local disks by the hour; what a machine costs is the sum of its parts in a region.
The rates are `gcp_skus.py`, the parts of each machine `machines.py`. Needs an API key, sent as a header so that it
stands in no address that is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import httpx
from pydantic import Field, SecretStr

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, wrong_shape
from necto_pipelines.market.clouds.claims import USD_STEP, PriceClaim
from necto_pipelines.market.clouds.gcp_skus import SSD, Rates, Terms, read_rates
from necto_pipelines.market.clouds.machines import Machine, machines_of
from necto_pipelines.market.clouds.plausibility import screen
from necto_pipelines.market.clouds.reference import reference_cloud_prices
from necto_pipelines.market.clouds.wire import Wire, read_as
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import CloudPrice, SourceMode

CLOUD: Final = "gcp"
LIVE_URL: Final = "https://cloudbilling.googleapis.com"
COMPUTE_ENGINE: Final = "6F81-5844-456A"
PATH: Final = f"/v1/services/{COMPUTE_ENGINE}/skus"
PAGE_SIZE: Final = 5000
MAX_PAGES: Final = 100


class Billed(NamedTuple):
    """Under which names the catalogue prices a series: the first that a region has counts."""

    hosts: tuple[str, ...]
    """cores are priced as `<host> Core`, memory as `<host> Ram`"""
    gpus: tuple[str, ...]


SERIES: Final[Mapping[str, Billed]] = {
    "a2-highgpu": Billed(("A2 Instance",), ("Nvidia Tesla A100 GPU",)),
    "a2-megagpu": Billed(("A2 Instance",), ("Nvidia Tesla A100 GPU",)),
    "a2-ultragpu": Billed(("A2 Instance",), ("Nvidia Tesla A100 80GB GPU",)),
    "a3-highgpu": Billed(("A3 Instance",), ("Nvidia H100 80GB GPU",)),
    "a3-megagpu": Billed(
        ("A3Plus Instance", "A3 Instance"), ("Nvidia H100 80GB Mega GPU", "Nvidia H100 80GB Plus GPU")
    ),
    "a3-ultragpu": Billed(("A3Ultra Instance",), ("H200 141GB GPU",)),
    "g2-standard": Billed(("G2 Instance",), ("Nvidia L4 GPU",)),
    "g4-standard": Billed(("G4 Instance",), ("RTX 6000 96GB",)),
    "+1xP100": Billed(("N1 Predefined Instance",), ("Nvidia Tesla P100 GPU",)),
    "+1xT4": Billed(("N1 Predefined Instance",), ("Nvidia Tesla T4 GPU",)),
    "+1xV100": Billed(("N1 Predefined Instance",), ("Nvidia Tesla V100 GPU",)),
}
"""by a part of the machine's name. Names: karpenter-provider-gcp instanceprice/families.go @206bbdd4 (2026)"""
PARTS: Final = frozenset(
    part
    for billed in SERIES.values()
    for part in (*(f"{host} {what}" for host in billed.hosts for what in ("Core", "Ram")), *billed.gpus, SSD)
)


class WireSkus(Wire):
    """A page of the catalogue; its rows are checked one by one."""

    skus: list[object]
    next_page_token: str = Field(default="", alias="nextPageToken")


class GcpPrices:
    """The Cloud Billing catalogue as a source."""

    name = CLOUD

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._fetcher = Fetcher(
            base_url,
            clock=clock,
            headers={"x-goog-api-key": api_key.get_secret_value()} if api_key else None,
            timeout_s=timeout_s,
            budget=budget,
            transport=transport,
        )

    def prices(self) -> Listing[CloudPrice]:
        """As `CloudSource.prices`. A sum of parts can be wrong in any of them, so it is measured by the dated reference
        table too. The list is whole or not at all: a page that fails fails it."""
        answers = list(self._pages())
        claims, quarantined = claims_of(answers, self.mode)
        if not claims:
            raise Unavailable(f"no machine with a GPU can be priced from {len(answers)} pages of Google's catalogue")
        prices, doubted = screen(claims, reference=reference_cloud_prices().rows)
        return Listing(prices, tuple(answers), (*quarantined, *doubted))

    def _pages(self) -> Iterator[RawAnswer]:
        token = ""
        for _ in range(MAX_PAGES):
            query = {"pageSize": str(PAGE_SIZE), "currencyCode": "USD"} | ({"pageToken": token} if token else {})
            answer = self._fetcher.get(PATH, query)
            yield answer
            following = read_as(answer, WireSkus).next_page_token
            if not following:
                return
            if following == token:
                raise wrong_shape(answer, ValueError("nextPageToken names the page it stands on"))
            token = following
        raise wrong_shape(answer, ValueError(f"more than {MAX_PAGES} pages"))


def claims_of(answers: Sequence[RawAnswer], mode: SourceMode) -> tuple[list[PriceClaim], list[tuple[str, str]]]:
    """Every machine in every region that has all its parts, and what was set aside with the reason."""
    now = answers[-1].received_at
    rows = ((thing, answer.sha256) for answer in answers for thing in read_as(answer, WireSkus).skus)
    rates = read_rates(rows, PARTS, now)
    regions = sorted({region for _, region, _ in rates.known})
    claims: list[PriceClaim] = []
    quarantined = list(rates.quarantined)
    for machine in machines_of(CLOUD).values():
        billed = next(billed for series, billed in SERIES.items() if series in machine.name)
        for region in regions:
            parts = _priced(machine, billed, region, Terms.ON_DEMAND, rates)
            if isinstance(parts, str):
                if parts:
                    quarantined.append((f"{CLOUD} {machine.name} {region}", parts))
                continue
            spot = _priced(machine, billed, region, Terms.SPOT, rates)
            claims.append(
                PriceClaim(
                    cloud=CLOUD,
                    instance=machine.name,
                    gpu=machine.gpu,
                    gpu_count=int(machine.gpu_count),
                    region=region,
                    usd_per_hour=parts.total,
                    spot_usd_per_hour=None if isinstance(spot, str) else spot.total,
                    gpus_usd_per_hour=parts.gpus,
                    gpus_spot_usd_per_hour=None if isinstance(spot, str) else spot.gpus,
                    as_of=now.date().isoformat(),
                    source="Google Cloud Billing catalogue, cores + memory + GPUs + local SSD",
                    mode=mode,
                    raw_sha256=parts.raw_sha256,
                )
            )
    return claims, quarantined


class Priced(NamedTuple):
    """What the parts of a machine cost per hour, USD."""

    cores: Decimal
    memory: Decimal
    gpus: Decimal
    local_ssd: Decimal
    raw_sha256: str
    """the answer with the rate of the GPUs"""

    @property
    def total(self) -> Decimal:
        """The whole machine."""
        return (self.cores + self.memory + self.gpus + self.local_ssd).quantize(USD_STEP)


def _priced(machine: Machine, billed: Billed, region: str, terms: Terms, rates: Rates) -> Priced | str:
    """The machine's parts at their rates, or why one of them has none: empty when its GPUs are not sold there."""
    gpu = next((rate for name in billed.gpus if (rate := rates.of(name, region, terms)) is not None), None)
    if gpu is None:
        elsewhere = any((name, region) in rates.on_other_terms for name in billed.gpus)
        return f"{billed.gpus[0]} is listed here, but not on demand" if elsewhere else ""
    for host in billed.hosts:
        core, memory = (rates.of(f"{host} {what}", region, terms) for what in ("Core", "Ram"))
        if core is not None and memory is not None:
            break
    else:
        return f"no rates of {' or '.join(billed.hosts)} Core and Ram"
    ssd = rates.of(SSD, region, terms)
    if ssd is None and machine.local_ssd_gib:
        return f"no rate of {SSD}"
    return Priced(
        cores=machine.vcpu * core.usd,
        memory=machine.memory_gib * memory.usd,
        gpus=(machine.gpu_count * gpu.usd).quantize(USD_STEP),
        local_ssd=machine.local_ssd_gib * ssd.usd if ssd else Decimal(0),
        raw_sha256=gpu.raw_sha256,
    )
