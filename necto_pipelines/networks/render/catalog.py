"""Dispersed's offers as our offers and evidence. Pure: answers in, rows out; nothing is decided.

Dispersed does not name who runs a machine: a customer buys a shape in a region from the network itself. So the provider
of an offer is the network's pool of that region, and all that is known of it is that it sells there now.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.offer import Offer, PriceBasis, ProviderEvidence, SourceMode
from necto_pipelines.model.place import country_code
from necto_pipelines.networks.reading import collector_paused, read_as, read_rows
from necto_pipelines.networks.render.wire import WireOffer, WirePage, WireRegistryGpu

NETWORK: Final = "render"
NATIVE_UNIT: Final = "USD/hour"
_USD_STEP: Final = Decimal("1e-12")
_COMPASS: Final = frozenset({"af", "as", "me", "na", "ne", "sa", "sc", "se"})
"""country codes that region schemes write for Africa, Asia, the Middle East, the Americas and points of the compass"""


@dataclass(frozen=True)
class Shape:
    """A machine on offer whose card we know by name: `gpu_name` is the network's word, `gpu` ours."""

    offer_id: str
    region: str
    gpu: Gpu
    gpu_name: str
    gpu_count: int
    cpu_cores: Decimal
    memory_gib: Decimal
    disk_gib: Decimal
    usd_per_hour: Decimal
    """for the whole machine"""
    answer: RawAnswer

    @property
    def provider(self) -> str:
        """The pool that sells it."""
        return pool_of(self.region)


def pool_of(region: str) -> str:
    """The provider's name for a region."""
    return f"dispersed-{region}"


@lru_cache(maxsize=1024)  # a market has thousands of offers in a few dozen regions
def country_of(region: str) -> str | None:
    """The country that a region code begins with (`us-east-1`); None for one that names a continent or a direction."""
    prefix = re.match(r"([a-z]{2})-", region.lower())
    if prefix is None or prefix[1] in _COMPASS:
        return None
    try:
        return country_code(prefix[1])
    except ValueError:
        return None


def shapes_of(offers: Sequence[RawAnswer], registry: Sequence[RawAnswer]) -> tuple[list[Shape], list[tuple[str, str]]]:
    """The machines on offer, and what was set aside as (what, reason). `offers` and `registry` are pages of lists.

    Jobs are matched with the cards of the registry, and cards were on offer that stood nowhere in it: a job for such a
    card would never be assigned, so the offer is set aside.
    """
    known, aside = _registered(registry)
    shapes: dict[str, Shape] = {}
    for page in offers:
        rows, faulty = read_rows(page, read_as(page, WirePage).data, WireOffer, named_by=("offer_id",))
        aside += faulty
        for offer in rows:
            reason = "listed on two pages; the first counts" if offer.offer_id in shapes else ""
            shape = _shape(offer, known, page)
            if reason or isinstance(shape, str):
                aside.append((offer.offer_id, reason or str(shape)))
            else:
                shapes[offer.offer_id] = shape
    return list(shapes.values()), aside


@collector_paused()
def offers_of(offers: Sequence[RawAnswer], registry: Sequence[RawAnswer], *, mode: SourceMode) -> Listing[Offer]:
    """One row for each machine on offer, at its list price.

    How many machines of a shape are free is not told: `units_available` is what one of them holds.
    """
    shapes, aside = shapes_of(offers, registry)
    return Listing(tuple(_offer(shape, mode) for shape in shapes), (*offers, *registry), tuple(aside))


@collector_paused()
def evidence_of(offers: Sequence[RawAnswer]) -> Listing[ProviderEvidence]:
    """One row for each region that sells now. The network publishes no audits, versions or uptimes: none is told."""
    regions: dict[str, RawAnswer] = {}
    aside: list[tuple[str, str]] = []
    for page in offers:
        rows, faulty = read_rows(page, read_as(page, WirePage).data, WireOffer, named_by=("offer_id",))
        aside += faulty
        regions |= {row.region_code: page for row in rows if row.region_code not in regions}
    return Listing(tuple(_evidence(region, page) for region, page in regions.items()), tuple(offers), tuple(aside))


def _registered(registry: Iterable[RawAnswer]) -> tuple[set[str], list[tuple[str, str]]]:
    known: set[str] = set()
    aside: list[tuple[str, str]] = []
    for page in registry:
        rows, faulty = read_rows(page, read_as(page, WirePage).data, WireRegistryGpu, named_by=("name",))
        known |= {row.uuid for row in rows}
        aside += faulty
    return known, aside


def _shape(offer: WireOffer, known: set[str], page: RawAnswer) -> Shape | str:
    """The machine, or why it is none that can be bought."""
    hardware = offer.hardware_summary
    if not offer.pricing.hourly_rate_usd:
        return "no price"
    if len(hardware.gpu_models) != 1 or hardware.gpu_models[0].count != hardware.gpu_count:
        return f"{hardware.gpu_count} GPUs of {len(hardware.gpu_models)} models: a job asks for GPUs of one model"
    card = hardware.gpu_models[0]
    if card.gpu_registry_uuid not in known:
        return f"{card.name} is not in the GPU registry that jobs are matched with"
    gpu = _named(card.name, card.min_vram_gib)
    if gpu is None:
        return f"{card.name} with {card.min_vram_gib} GiB is not in the vocabulary (model/gpu.py)"
    return Shape(
        offer_id=offer.offer_id,
        region=offer.region_code,
        gpu=gpu,
        gpu_name=card.name,
        gpu_count=card.count,
        cpu_cores=hardware.cpu_cores,
        memory_gib=hardware.ram_gib,
        disk_gib=hardware.storage_gib,
        usd_per_hour=offer.pricing.hourly_rate_usd,
        answer=page,
    )


@lru_cache(maxsize=1024)
def _named(name: str, min_vram_gib: Decimal | None) -> Gpu | None:
    return normalise_gpu(name, memory_gib=float(min_vram_gib) if min_vram_gib else None)


def _offer(shape: Shape, mode: SourceMode) -> Offer:
    return Offer(
        offer_id=f"{NETWORK}/{shape.offer_id}",
        network=NETWORK,
        provider=shape.provider,
        provider_name=f"Dispersed {shape.region}",
        gpu=shape.gpu,
        units_available=shape.gpu_count,
        max_gpus_per_order=shape.gpu_count,
        gpus_per_unit=shape.gpu_count,
        cpu_cores=float(shape.cpu_cores),
        memory_gib=float(shape.memory_gib),
        disk_gib=float(shape.disk_gib),
        country=country_of(shape.region),
        region=shape.region,
        usd_per_gpu_hour=(shape.usd_per_hour / shape.gpu_count).quantize(_USD_STEP, ROUND_HALF_UP),
        price_basis=PriceBasis.LIST,
        native_amount=shape.usd_per_hour,
        native_unit=NATIVE_UNIT,
        block_seconds=None,
        # Machines belong to private people, who take them back without notice (operators' notes, 2026-08).
        interruptible=True,
        observed_at=shape.answer.received_at,
        source="dispersed compute offers",
        mode=mode,
        raw_sha256=shape.answer.sha256,
    )


def _evidence(region: str, page: RawAnswer) -> ProviderEvidence:
    return ProviderEvidence(
        network=NETWORK,
        provider=pool_of(region),
        provider_name=f"Dispersed {region}",
        is_online=True,
        is_valid_version=None,
        audited_by=(),
        audited_attributes=(),
        country=country_of(region),
        uptime_7d=None,
        observed_at=page.received_at,
        raw_sha256=page.sha256,
    )
