"""What an order would have cost at a cloud, beside what it cost here.

A pure function on what the books hold and on cloud prices. Which cloud prices those are is for the caller to choose and
to say; which machine of a cloud would do stands in `twins`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pandas as pd

from necto_pipelines.billing.charges import GPU_HOURS
from necto_pipelines.market.clouds.regions import place_group
from necto_pipelines.market.comparison import savings_pct
from necto_pipelines.market.twins import Machines, Need, Twin, cheapest_of, known_homes
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.gpu import FAMILIES, normalise_gpu
from necto_pipelines.model.invoice import InvoiceLine
from necto_pipelines.model.lease import Charge, ChargeKind
from necto_pipelines.model.money import cents
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import ORDER_STEPS
from necto_pipelines.model.tables import CLOUD_PRICES


class CostBasis(StrEnum):
    """What the cost here rests on, the firmest first."""

    INVOICED = "invoiced"
    CHARGED = "charged"
    """metered and priced, not all of it on an invoice yet"""
    EXPECTED = "expected"
    """of the decision: the order is not over, or nothing was charged for it"""
    NONE = "none"
    """no offer was chosen: there is nothing to compare with"""


@dataclass(frozen=True)
class Here:
    """What was ordered and what it cost; `usd` is None when no offer was chosen."""

    gpu: str
    """the key that was chosen, else what the order asks for"""
    gpu_count: int
    hours: Decimal
    """metered when the cost is charged, else ordered"""
    region_groups: frozenset[str]
    """parts of the world where it ran or may run; empty when anywhere"""
    usd: Decimal | None
    basis: CostBasis


@dataclass(frozen=True)
class Alternative:
    """The order on a cloud's on-demand machine for the same hours. A saving is negative where the cloud is cheaper."""

    twin: Twin
    usd: Decimal
    saved_usd: Decimal | None
    savings_pct: Decimal | None
    """None when there is no cost here, or nothing ran"""
    cheapest: bool


@dataclass(frozen=True)
class Elsewhere:
    """The cost here and at each cloud that has a machine as good; the others are left out."""

    here: Here
    alternatives: tuple[Alternative, ...]


def elsewhere(
    order: Order,
    decision: Decision | None,
    charges: Sequence[Charge],
    lines: Iterable[InvoiceLine],
    clouds: pd.DataFrame,
) -> Elsewhere:
    """Price `order` at every cloud in `clouds` (CLOUD_PRICES).

    `decision` is the newest that chose an offer, else the newest, else None; `charges` are those of the order; `lines`
    are invoice lines, of which the order's own count. All amounts are whole cents, half-up.
    """
    here, need = _here(order, decision, charges, lines), _need(order, decision)
    machines = Machines(CLOUD_PRICES.arrow(clouds).to_pylist())
    twins = {cloud: twin for cloud in machines.clouds if (twin := machines.twin(cloud, need))}
    cheapest = cheapest_of({cloud: twin.machine.usd_per_hour for cloud, twin in twins.items()})
    return Elsewhere(here, tuple(_alternative(twin, here, cloud == cheapest) for cloud, twin in twins.items()))


def _alternative(twin: Twin, here: Here, cheapest: bool) -> Alternative:
    usd = cents(twin.machine.usd_per_hour * here.hours)
    return Alternative(
        twin=twin,
        usd=usd,
        saved_usd=None if here.usd is None else usd - here.usd,
        savings_pct=savings_pct(here.usd, usd) if here.usd is not None and usd else None,
        cheapest=cheapest,
    )


def _here(order: Order, decision: Decision | None, charges: Sequence[Charge], lines: Iterable[InvoiceLine]) -> Here:
    need = order.request.requirement
    chosen = decision.chosen if decision else None
    facts: dict[str, Any] = {
        "gpu": chosen.gpu_key if chosen else need.gpu.model or f">= {need.gpu.min_vram_gib} GiB",
        "gpu_count": need.gpu.count,
        "region_groups": _homes(order, decision),
    }
    # While an order runs, a lease that broke off may be charged already: that is no cost of the whole order.
    if charges and not ORDER_STEPS[order.state]:
        gpu_hours = sum((c.quantity for c in charges if _is_time(c)), start=Decimal(0))
        facts["hours"] = gpu_hours / need.gpu.count
        if all(charge.invoice_number for charge in charges):
            billed = sum((line.amount_usd for line in lines if line.order_id == order.id), start=Decimal(0))
            return Here(usd=billed, basis=CostBasis.INVOICED, **facts)
        charged = sum((charge.amount_usd for charge in charges), start=Decimal(0))
        return Here(usd=cents(charged), basis=CostBasis.CHARGED, **facts)
    if decision and chosen:
        return Here(usd=decision.expected_usd, basis=CostBasis.EXPECTED, hours=need.hours, **facts)
    return Here(usd=None, basis=CostBasis.NONE, hours=need.hours, **facts)


def _is_time(charge: Charge) -> bool:
    return charge.kind is ChargeKind.COMPUTE and charge.unit == GPU_HOURS


def _need(order: Order, decision: Decision | None) -> Need:
    """The GPU that was chosen; without one what the order asks for, at the least memory that would satisfy it."""
    wanted = order.request.requirement.gpu
    chosen = decision.chosen if decision else None
    gpu = normalise_gpu(chosen.gpu_key if chosen else wanted.model or "")
    least = gpu.vram_gib if gpu else 0
    if gpu and not chosen and wanted.model == gpu.family:  # any memory size of the family will do
        least = min(FAMILIES[gpu.family])
    return Need(
        gpu_family=gpu.family if gpu else None,
        vram_gib=max(least, 0 if chosen else wanted.min_vram_gib or 0),
        gpu_count=wanted.count,
        homes=_homes(order, decision),
    )


def _homes(order: Order, decision: Decision | None) -> frozenset[str]:
    """Where the chosen offer stands; without one, or when it does not say, where the order may run."""
    if decision and decision.chosen and (group := place_group(decision.chosen.country, None)):
        return frozenset({group})
    countries = order.request.requirement.countries or order.request.policy.countries
    return known_homes([place_group(country, None) for country in countries])
