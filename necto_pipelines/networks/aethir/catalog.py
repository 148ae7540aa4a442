"""Quotes as our offers and evidence. Pure; nothing is decided.

A quote's age is counted from the day it was given, however lately its card was read. It stays good until it ends,
whatever its age, which `valid_until` tells routing. No auditor has signed anything about Aethir's hosts, and nothing of
them is published that could be asked: evidence names who sells where, and leaves the rest unknown.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.offer import Offer, PriceBasis, ProviderEvidence, SourceMode
from necto_pipelines.networks.aethir.quote import Quote

NETWORK: Final = "aethir"
QUOTED_UNIT: Final = "USD/hour"
"""quotes are in fiat money; what they come to in ATH is known at the order"""


def offers_of(
    quotes: Iterable[Quote],
    answer: RawAnswer,
    *,
    now: datetime,
    source: str,
    mode: SourceMode,
    aside: Sequence[tuple[str, str]] = (),
) -> Listing[Offer]:
    """One row for each quote that holds at `now`; the others are set aside with the reason, after `aside`."""
    offers, faulty = [], list(aside)
    for quote in quotes:
        if fault := quote.fault_at(now):
            faulty.append((quote.key, fault))
        else:
            offers.append(_offer(quote, answer, source=source, mode=mode))
    return Listing(tuple(offers), (answer,), tuple(faulty))


def evidence_of(quotes: Iterable[Quote], answer: RawAnswer) -> Listing[ProviderEvidence]:
    """One row for each counterparty and region."""
    sellers = {quote.provider: quote for quote in quotes}
    return Listing(tuple(_evidence(quote, answer) for quote in sellers.values()), (answer,))


def _offer(quote: Quote, answer: RawAnswer, *, source: str, mode: SourceMode) -> Offer:
    return Offer(
        offer_id=f"{NETWORK}/{quote.key}",
        network=NETWORK,
        provider=quote.provider,
        provider_name=f"{quote.counterparty}, {quote.region}",
        gpu=quote.gpu,
        units_available=quote.units * quote.gpus_per_unit,
        max_gpus_per_order=quote.gpus_per_unit,
        gpus_per_unit=quote.gpus_per_unit,
        cpu_cores=float(quote.cpu_cores),
        memory_gib=float(quote.memory_gib),
        disk_gib=float(quote.disk_gib),
        country=quote.country,
        region=quote.region,
        usd_per_gpu_hour=quote.usd_per_gpu_hour,
        price_basis=PriceBasis.PRIVATE_QUOTE,
        min_hours=quote.min_hours,
        valid_until=quote.ends_at,
        native_amount=quote.usd_per_hour,
        native_unit=QUOTED_UNIT,
        block_seconds=None,
        interruptible=False,
        observed_at=quote.quoted_at,
        source=source,
        mode=mode,
        raw_sha256=answer.sha256,
    )


def _evidence(quote: Quote, answer: RawAnswer) -> ProviderEvidence:
    return ProviderEvidence(
        network=NETWORK,
        provider=quote.provider,
        provider_name=f"{quote.counterparty}, {quote.region}",
        is_online=None,
        is_valid_version=None,
        audited_by=(),
        audited_attributes=(),
        country=quote.country,
        uptime_7d=None,
        observed_at=answer.received_at,
        raw_sha256=answer.sha256,
    )
