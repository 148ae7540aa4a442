"""Providers and list prices of the Console API as offers and evidence. Pure: bytes in, rows out; nothing is decided.

What cannot be told as an offer is set aside with its reason: a GPU without a name in our vocabulary or without a
price, and a provider that does not say what it has free. Providers that are offline or outdated are told like any
other: compliance decides.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.offer import Offer, PriceBasis, ProviderEvidence, SourceMode
from necto_pipelines.model.place import country_code
from necto_pipelines.networks.akash.pricing import USD_STEP
from necto_pipelines.networks.akash.wire import (
    WireGpu,
    WireGpuPrice,
    WireGpuPrices,
    WireProvider,
    WireStats,
    read_as,
    read_list,
    read_rows,
)

NETWORK: Final = "akash"
LARGEST_MACHINE_GPUS: Final = 8
"""a deployment runs on one machine; providers do not publish machine sizes, and eight is what boards commonly hold"""
_GIB: Final = 1024**3


def offers_of(providers: RawAnswer, prices: RawAnswer, *, mode: SourceMode) -> Listing[Offer]:
    """One row for every provider and GPU model with free GPUs.

    The price is the model's `weightedAverage` over its providers: their bids of the last month weighted by how many of
    these GPUs each has, so what an average GPU of the model costs rather than what the dearest or cheapest seller asks.
    It is a list price that the network reckons at 600 blocks per hour; the binding one comes with a bid.
    Providers state their free GPUs over all models: these are spread evenly over the models, the rest to the first.
    """
    provider_rows, faulty_providers = read_rows(providers, read_list(providers), WireProvider)
    price_rows, faulty_prices = read_rows(prices, read_as(prices, WireGpuPrices).models, WireGpuPrice)
    list_prices = {row.key: row.price.weighted_average if row.price else None for row in price_rows}
    offers: list[Offer] = []
    quarantined = faulty_providers + faulty_prices
    for provider in provider_rows:
        for wire_gpu, units in _free_gpus(provider):
            gpu = _gpu(wire_gpu)
            price = list_prices.get(wire_gpu.key)
            reason = _set_aside(provider, gpu, units, price)
            if reason or gpu is None or price is None or provider.stats is None:
                quarantined.append((f"{provider.owner} {' '.join(wire_gpu.key)}", reason))
            else:
                offers.append(_offer(provider, wire_gpu, gpu, units, price, provider.stats, prices, mode))
    return Listing(tuple(offers), (providers, prices), tuple(quarantined))


def evidence_of(providers: RawAnswer) -> Listing[ProviderEvidence]:
    """What the network says of each provider, with only those attributes that an auditor signed."""
    rows, faulty = read_rows(providers, read_list(providers), WireProvider)
    return Listing(tuple(_evidence(row, providers) for row in rows), (providers,), tuple(faulty))


def _free_gpus(provider: WireProvider) -> Iterator[tuple[WireGpu, int]]:
    models = {gpu.key: gpu for gpu in provider.gpu_models}
    if provider.stats is None:
        yield from ((gpu, 0) for gpu in models.values())
        return
    free = max(0, int(provider.stats.gpu.available))
    if models and free:
        share, rest = divmod(free, len(models))
        yield from ((gpu, share + (number < rest)) for number, gpu in enumerate(models.values()))


def _set_aside(provider: WireProvider, gpu: Gpu | None, units: int, price: Decimal | None) -> str:
    """Why this is no offer; empty when it is one."""
    if provider.stats is None:
        return "the provider does not say how many GPUs are free"
    if gpu is None:
        return "the GPU's name and memory are not in the vocabulary (model/gpu.py)"
    if gpu.vendor != "nvidia":
        return f"SDL cannot ask for GPUs of {gpu.vendor}"
    if not price:
        return "the network knows no price of this model: nobody bid on it lately"
    if not units:
        return "the provider has fewer free GPUs than models, and does not say which"
    return ""


def _offer(
    provider: WireProvider,
    wire_gpu: WireGpu,
    gpu: Gpu,
    units: int,
    price: Decimal,
    stats: WireStats,
    prices: RawAnswer,
    mode: SourceMode,
) -> Offer:
    return Offer(
        offer_id="/".join((NETWORK, provider.owner, *wire_gpu.key[1:])),
        network=NETWORK,
        provider=provider.owner,
        provider_name=_name(provider),
        gpu=gpu,
        units_available=units,
        max_gpus_per_order=min(units, LARGEST_MACHINE_GPUS),
        cpu_cores=float(stats.cpu.available) / 1000,
        memory_gib=float(stats.memory.available) / _GIB,
        disk_gib=float(stats.storage.ephemeral.available) / _GIB,
        country=_country(provider),
        region=provider.location_region or provider.ip_region,
        usd_per_gpu_hour=price.quantize(USD_STEP),
        price_basis=PriceBasis.LIST,
        native_amount=price.quantize(USD_STEP),
        native_unit="USD/hour",
        block_seconds=None,
        # A provider may take capacity back only where the SDL grants it a reclamation window; ours grants none.
        interruptible=False,
        observed_at=prices.received_at,
        source="akash console gpu-prices",
        mode=mode,
        raw_sha256=prices.sha256,
    )


def _evidence(provider: WireProvider, answer: RawAnswer) -> ProviderEvidence:
    signed = [attribute for attribute in provider.attributes if attribute.audited_by]
    return ProviderEvidence(
        network=NETWORK,
        provider=provider.owner,
        provider_name=_name(provider),
        is_online=provider.is_online,
        is_valid_version=provider.is_valid_version,
        audited_by=tuple(sorted({auditor for attribute in signed for auditor in attribute.audited_by})),
        audited_attributes=tuple(sorted({(attribute.key, attribute.value) for attribute in signed})),
        country=_country(provider),
        uptime_7d=provider.uptime_7d,
        observed_at=answer.received_at,
        raw_sha256=answer.sha256,
    )


def _gpu(wire_gpu: WireGpu) -> Gpu | None:
    ram = re.match(r"\d+(?:\.\d+)?", wire_gpu.ram)
    return normalise_gpu(
        wire_gpu.model, memory_gib=float(ram[0]) if ram else None, interface=wire_gpu.interface or None
    )


def _name(provider: WireProvider) -> str:
    return provider.name or urlsplit(provider.host_uri or "").hostname or provider.owner


def _country(provider: WireProvider) -> str | None:
    """Where the provider's address lies, as the network looked it up; what a provider says itself does not count."""
    try:
        return country_code(provider.ip_country_code) if provider.ip_country_code else None
    except ValueError:
        return None
