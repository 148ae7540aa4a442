"""Providers and prices of the Console API as offers and evidence. Pure: bytes in, rows out; nothing is decided.

What cannot be told as an offer is set aside with its reason: a GPU without a name in our vocabulary or without a
price, and a provider that does not say what it has free or does not answer when asked. Providers that are listed as
offline or outdated are told like any other: compliance decides.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from necto_pipelines.fetching import wrong_shape
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.offer import Offer, ProviderEvidence, SourceMode
from necto_pipelines.model.place import country_code
from necto_pipelines.networks.akash.price_list import Price, price_list_of
from necto_pipelines.networks.akash.pricing import USD_STEP
from necto_pipelines.networks.akash.probe import Finding
from necto_pipelines.networks.akash.wire import WireGpu, WireProvider, WireStats
from necto_pipelines.networks.reading import collector_paused, each_item, first_fault

NETWORK: Final = "akash"
LARGEST_MACHINE_GPUS: Final = 8
"""a deployment runs on one machine; lists do not tell machine sizes, and eight is what boards commonly hold"""
_NOT_ASKED: Final = Finding()
_GIB: Final = 1024**3


@collector_paused()
def offers_of(
    providers: RawAnswer, prices: RawAnswer, *, mode: SourceMode, findings: Mapping[str, Finding] | None = None
) -> Listing[Offer]:
    """One row for every provider and GPU model with free GPUs, at the price of `price_list.py`; the binding price
    comes with a bid.

    Providers state their free GPUs over all models: these are spread evenly over the models, the rest to the first.
    `findings` are the answers of providers that were asked themselves: what they say is free replaces what the list
    says, and those that did not answer are set aside.
    """
    findings = findings or {}
    price_list, quarantined = price_list_of(prices)
    offers: list[Offer] = []
    for provider in _each_provider(providers, quarantined):
        finding = findings.get(provider.owner, _NOT_ASKED)
        if finding.free_gpus == 0:
            quarantined.append((provider.owner, "listed with free GPUs, but says itself that it has none"))
            continue
        for wire_gpu, units in _free_gpus(provider, finding):
            gpu = _gpu(wire_gpu)
            price = price_list.of(provider.owner, wire_gpu)
            reason = finding.fault or _set_aside(provider, gpu, units, price)
            if reason or gpu is None or price is None or provider.stats is None:
                quarantined.append((f"{provider.owner} {' '.join(wire_gpu.key)}", reason))
            else:
                largest = LARGEST_MACHINE_GPUS if finding.largest_free_gpus is None else finding.largest_free_gpus
                largest = min(units, largest)
                offers.append(_offer(provider, wire_gpu, gpu, units, largest, price, provider.stats, prices, mode))
    if findings and all(finding.fault for finding in findings.values()):
        why = f"none of {len(findings)} providers answers: is outgoing traffic to port 8443 open?"
        quarantined.append((NETWORK, why))
    answers = [finding.raw for finding in findings.values() if finding.raw]
    return Listing(tuple(offers), (providers, prices, *answers), tuple(quarantined))


def hosts_to_ask(providers: RawAnswer) -> dict[str, str | None]:
    """Registered hosts of the providers that are listed with free GPUs, by provider."""
    rows = _each_provider(providers, [])
    return {row.owner: row.host_uri for row in rows if row.gpu_models and _listed_free(row)}


@collector_paused()
def evidence_of(providers: RawAnswer) -> Listing[ProviderEvidence]:
    """What the network says of each provider, with only those attributes that an auditor signed."""
    faulty: list[tuple[str, str]] = []
    rows = _each_provider(providers, faulty)
    return Listing(tuple(_evidence(row, providers) for row in rows), (providers,), tuple(faulty))


def _each_provider(answer: RawAnswer, quarantined: list[tuple[str, str]]) -> Iterator[WireProvider]:
    """The providers one at a time, what has to be set aside being added to `quarantined`; else as `read_rows`.

    A long list whose rows were all kept would take three times as long: Python's collector walks whatever is kept.
    """
    fits, before = False, len(quarantined)
    for number, item in enumerate(each_item(answer)):
        try:
            provider = WireProvider.model_validate(item)
        except ValidationError as error:
            owner = item.get("owner") if isinstance(item, dict) else None
            name = owner if isinstance(owner, str) else f"row {number}"
            quarantined.append((name, f"unexpected shape: {first_fault(error)}"))
        else:
            fits = True
            yield provider
    faulty = quarantined[before:]
    if faulty and not fits:
        raise wrong_shape(answer, ValueError(f"none of {len(faulty)} rows fits; {': '.join(faulty[0])}"))


def _listed_free(provider: WireProvider) -> int:
    return max(0, int(provider.stats.gpu.available)) if provider.stats else 0


def _free_gpus(provider: WireProvider, finding: Finding) -> Iterator[tuple[WireGpu, int]]:
    models = {gpu.key: gpu for gpu in provider.gpu_models}
    if provider.stats is None:
        yield from ((gpu, 0) for gpu in models.values())
        return
    free = _listed_free(provider) if finding.free_gpus is None else finding.free_gpus
    if models and free:
        share, rest = divmod(free, len(models))
        yield from ((gpu, share + (number < rest)) for number, gpu in enumerate(models.values()))


def _set_aside(provider: WireProvider, gpu: Gpu | None, units: int, price: Price | None) -> str:
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
    largest: int,
    price: Price,
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
        max_gpus_per_order=largest,
        # Below zero where a provider has promised more than it has, as its GPUs may be.
        cpu_cores=max(0.0, float(stats.cpu.available) / 1000),
        memory_gib=max(0.0, float(stats.memory.available) / _GIB),
        disk_gib=max(0.0, float(stats.storage.ephemeral.available) / _GIB),
        country=_country(provider),
        region=provider.location_region or provider.ip_region,
        usd_per_gpu_hour=price.usd_per_hour.quantize(USD_STEP),
        price_basis=price.basis,
        native_amount=price.usd_per_hour.quantize(USD_STEP),
        native_unit="USD/hour",
        block_seconds=None,
        # A provider may take capacity back only where the SDL grants it a reclamation window; ours grants none.
        interruptible=False,
        observed_at=prices.received_at,
        source=price.source,
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
        audited_attributes=tuple(
            sorted(
                {(attribute.key, attribute.value, auditor) for attribute in signed for auditor in attribute.audited_by}
            )
        ),
        country=_country(provider),
        uptime_7d=provider.uptime_7d,
        observed_at=answer.received_at,
        raw_sha256=answer.sha256,
    )


def _gpu(wire_gpu: WireGpu) -> Gpu | None:
    return _named(wire_gpu.model, wire_gpu.ram, wire_gpu.interface)


@lru_cache(maxsize=1024)  # a market has thousands of offers of a few dozen models
def _named(model: str, ram: str, interface: str) -> Gpu | None:
    size = re.match(r"\d+(?:\.\d+)?", ram)
    return normalise_gpu(model, memory_gib=float(size[0]) if size else None, interface=interface or None)


def _name(provider: WireProvider) -> str:
    return provider.name or urlsplit(provider.host_uri or "").hostname or provider.owner


def _country(provider: WireProvider) -> str | None:
    """Where the provider's address lies, as the network looked it up; what a provider says itself does not count."""
    try:
        return country_code(provider.ip_country_code) if provider.ip_country_code else None
    except ValueError:
        return None
