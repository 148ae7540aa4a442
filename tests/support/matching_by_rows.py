"""Matching, one offer after the other in plain Python: slow, and what matching on columns must agree with."""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pandas as pd

from necto_pipelines.model.decision import Candidate, ExpectedCost, Refusal
from necto_pipelines.model.money import cents_up, plain
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.model.order import Order
from necto_pipelines.model.tables import records
from necto_pipelines.routing.matching import Terms
from necto_pipelines.routing.strategies import ranking_usd


def match_by_rows(order: Order, offers: pd.DataFrame, scores: pd.DataFrame, terms: Terms) -> list[Candidate]:
    verdicts = {(row["network"], row["provider"]): row for row in records(scores)}
    judged = [_candidate(order, row, verdicts.get((row["network"], row["provider"])), terms) for row in records(offers)]
    fit = sorted((c for c in judged if not c.refusals), key=lambda c: (c.weighed_usd, -c.score, c.offer_id))
    ranked = [c.model_copy(update={"rank": place}) for place, c in enumerate(fit, start=1)]
    return ranked + sorted((c for c in judged if c.refusals), key=lambda c: c.offer_id)


def _expected_usd(order: Order, usd_per_gpu_hour: Decimal, conversion_cost: Decimal) -> Decimal:
    """What is paid for the whole order at that price, conversion included; whole cents, rounded up."""
    need = order.request.requirement
    return cents_up(usd_per_gpu_hour * need.gpu.count * need.hours * (1 + conversion_cost))


def _candidate(order: Order, offer: Mapping[str, Any], verdict: Mapping[str, Any] | None, terms: Terms) -> Candidate:
    need, price, policy = order.request.requirement, offer["usd_per_gpu_hour"], terms.policy
    share = Decimal(0) if offer["network"] in terms.account_networks else terms.conversion_cost
    survival = terms.survival.get((offer["network"], offer["provider"]), Decimal(0))
    paid = _expected_usd(order, price, share)
    compute = price * need.gpu.count * need.hours
    cost = ExpectedCost(
        compute_usd=_micro_up(compute),
        conversion_usd=_micro_up(compute * share),
        risk_usd=_micro_up(policy.effective_risk_weight * (1 - survival) * Decimal("0.5") * compute),
        transfer_usd=None,
    )
    reasons = [*_unfit(order, offer), *_unwanted(order, offer, terms, paid), *_not_compliant(verdict)]
    return Candidate(
        offer_id=offer["offer_id"],
        network=offer["network"],
        provider=offer["provider"],
        provider_name=offer["provider_name"],
        gpu_key=offer["gpu_key"],
        country=offer["country"],
        usd_per_gpu_hour=offer["usd_per_gpu_hour"],
        price_basis=PriceBasis(offer["price_basis"]),
        expected_usd=paid,
        score=verdict["score"] if verdict else 0,
        rank=None,
        refusals=tuple(dict.fromkeys(reason for reason, _ in reasons)),
        details="; ".join(text for _, text in reasons if text),
        cost=cost,
        ranked_usd=ranking_usd(policy.effective_strategy, paid, cost),
        survival=round(survival, 6),
    )


def _unfit(order: Order, offer: Mapping[str, Any]) -> Iterator[tuple[Refusal, str]]:
    """What the machine lacks for the job."""
    need = order.request.requirement
    if need.gpu.model and need.gpu.model not in (offer["gpu_key"], offer["gpu_family"]):
        yield Refusal.GPU, f"{offer['gpu_key']} is not {need.gpu.model}"
    if need.gpu.min_vram_gib and offer["vram_gib"] < need.gpu.min_vram_gib:
        yield Refusal.VRAM, f"{offer['vram_gib']} GiB of {need.gpu.min_vram_gib} GiB"
    if min(offer["units_available"], offer["max_gpus_per_order"]) < need.gpu.count:
        most = f", at most {offer['max_gpus_per_order']} in one order"
        yield Refusal.CAPACITY, f"{offer['units_available']} of {need.gpu.count} GPUs free{most}"
    if offer["gpus_per_unit"] not in (None, need.gpu.count):
        yield Refusal.UNIT, f"sold whole, with {offer['gpus_per_unit']} GPUs"
    if need.hours < (offer["min_hours"] or 0):
        yield Refusal.MIN_HOURS, f"{need.hours} h, at least {plain(offer['min_hours'])} h are sold"
    cores, memory, disk = offer["cpu_cores"], offer["memory_gib"], offer["disk_gib"]
    if cores < need.cpu_cores or memory < need.memory_gib or disk < need.disk_gib:
        asked = f"{plain(need.cpu_cores)}, {plain(need.memory_gib)} and {plain(need.disk_gib)} are asked"
        yield Refusal.MACHINE, f"free: {cores:g} cores, {memory:g} GiB memory, {disk:g} GiB disk; {asked}"
    if offer["interruptible"] and not need.interruptible:
        yield Refusal.INTERRUPTIBLE, "its provider may take the capacity back"


def _unwanted(order: Order, offer: Mapping[str, Any], terms: Terms, paid: Decimal) -> Iterator[tuple[Refusal, str]]:
    """What the order, the budget or the house does not allow."""
    request, countries = order.request, order.request.requirement.countries
    if terms.policy.networks and offer["network"] not in terms.policy.networks:
        yield Refusal.NETWORK, f"network {offer['network']} is not among {', '.join(terms.policy.networks)}"
    if countries and offer["country"] not in countries:
        yield Refusal.COUNTRY, f"country {offer['country'] or 'unknown'} is not among {', '.join(countries)}"
    price, cap = offer["usd_per_gpu_hour"], request.max_usd_per_gpu_hour
    if cap is not None and price > cap:
        yield Refusal.PRICE_CAP, f"${price:.4f} per GPU-hour, at most ${cap} is allowed"
    if paid > request.budget_usd:
        yield Refusal.BUDGET, f"${paid} for the order, the budget is ${request.budget_usd}"
    if stale := _stale(offer, terms):
        yield Refusal.STALE, stale
    if (offer["network"], offer["provider"]) in terms.failed_providers:
        yield Refusal.PLACE_FAILED, "it failed this order before"
    elif why := terms.resting.get(offer["offer_id"]):
        yield Refusal.FAILURE_DOMAIN, why
    if (offer["network"], offer["provider"]) in terms.unanswered:
        yield Refusal.NO_BID, "asked for a binding price a moment ago: none at or below the fall-back offer's"


def _stale(offer: Mapping[str, Any], terms: Terms) -> str:
    """Why the price no longer counts: the end of a private quote, whatever its age, and the age of any other."""
    if offer["price_basis"] == PriceBasis.PRIVATE_QUOTE and (end := offer["valid_until"]) is not None:
        return f"the quote held until {end}" if terms.now >= end else ""
    age = terms.now - offer["observed_at"]
    return f"read {age} ago, at most {terms.max_offer_age} is allowed" if age > terms.max_offer_age else ""


def _not_compliant(verdict: Mapping[str, Any] | None) -> Iterator[tuple[Refusal, str]]:
    """What compliance found; a provider nobody judged is refused too."""
    if verdict is None:
        yield Refusal.NO_EVIDENCE, "nothing is known about this provider"
    elif not verdict["compliant"]:
        first, *others = verdict["refusals"].split(",")
        yield Refusal(first), verdict["details"]
        yield from ((Refusal(reason), "") for reason in others)


def _micro_up(usd: Decimal) -> Decimal:
    return usd.quantize(Decimal("0.000001"), ROUND_CEILING)
