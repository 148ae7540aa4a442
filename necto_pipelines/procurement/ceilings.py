"""The most an order may cost at an offer, what of it is held in a budget, and what orders of a plan would hold.

The plan of a run and the hold that follows it reckon with the same figures, so that what is planned can be held.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from necto_pipelines.model.decision import Candidate
from necto_pipelines.model.lease import Budget
from necto_pipelines.model.money import CENT, cents_up, from_micro
from necto_pipelines.model.order import Order
from necto_pipelines.networks.port import Network
from necto_pipelines.procurement.remaining import rest_of, used_on
from necto_pipelines.procurement.runtime import Runtime

CONVERSION_COST: Final = Decimal("0.0070")
"""what stablecoin -> AKT -> ACT is expected to take: 10 bps fee, up to 30 bps slippage, 25 bps burn-mint spread
(AEP-76), 5 bps for the rounding of two swaps; what it really took is charged, not this"""
PRICE_HEADROOM: Final = Decimal("1.25")
"""a list price is the market's; a provider's binding bid for the whole machine may stand this far above it"""
MINIMUM_MINT_UACT: Final = 10_000_000
"""burn-mint takes no less (AEP-76; networks practice: a smaller mint is accepted and silently cancelled)"""
_SHORTEST_MONTH_HOURS: Final = 28 * 24


@dataclass(frozen=True)
class Ceiling:
    """The most an order may cost: per hour at the network, and in all with the conversion. US dollars."""

    usd_per_hour: Decimal
    deposit_usd: Decimal
    hold_usd: Decimal


def ceiling_of(order: Order, list_usd_per_gpu_hour: Decimal, conversion_cost: Decimal) -> Ceiling:
    """What may be spent at most: the least of the order's price cap, its budget and the list price with headroom.

    `conversion_cost` is the share that conversion takes at the network (`conversion_share`).
    Of an order whose lease failed, `order` is the rest of it (`remaining.rest_of`).
    """
    request, need = order.request, order.request.requirement
    hourly = list_usd_per_gpu_hour * PRICE_HEADROOM * need.gpu.count
    if request.max_usd_per_gpu_hour is not None:
        hourly = min(hourly, request.max_usd_per_gpu_hour * need.gpu.count)
    # The least that is minted costs as much to convert, however little of it is needed; and each line of an invoice is
    # rounded to cents by itself, which a price this far below the budget must leave room for.
    rounding = _rounding_usd(need.hours, converts=conversion_cost > 0)
    least = from_micro(MINIMUM_MINT_UACT) * conversion_cost
    spendable = request.budget_usd - rounding
    hourly = min(hourly, max(min(spendable / (1 + conversion_cost), spendable - least), Decimal(0)) / need.hours)
    deposit = hourly * need.hours
    held = cents_up(deposit + max(deposit * conversion_cost, least) + rounding)
    return Ceiling(hourly, deposit, min(held, request.budget_usd))


def _rounding_usd(hours: Decimal, *, converts: bool) -> Decimal:
    """What rounding may add: half a cent for each month the lease may touch, for the fee, and for both slippages."""
    months = int(hours / _SHORTEST_MONTH_HOURS) + 2
    return CENT / 2 * (months + (3 if converts else 0))


def conversion_share(network: Network) -> Decimal:
    """Share of a cost at this network that turning stablecoin into its unit takes; 0 where an account is charged."""
    return CONVERSION_COST if network.paid_in == "ACT" else Decimal(0)


def draws_of(runtime: Runtime, order: Order, candidates: Sequence[Candidate]) -> dict[str, Decimal]:
    """What placing an order takes of what its cost centre has left, in US dollars by offer id, where it could go.

    It is what `funding.hold` will hold, less what the order holds already.
    """
    rest = rest_of(runtime, order)
    standing = runtime.books.hold(order.id)
    beside = used_on(runtime, order) if rest is not order else Decimal(0)
    beside -= standing.usd if standing and standing.state == "held" else Decimal(0)
    account_networks = [network.name for network in runtime.networks.values() if not conversion_share(network)]
    held = holds_of(rest, candidates, account_networks)
    return {offer_id: max(usd + beside, Decimal(0)) for offer_id, usd in held.items()}


def holds_of(order: Order, candidates: Sequence[Candidate], account_networks: Collection[str]) -> dict[str, Decimal]:
    """What is held for an order that holds nothing yet, in US dollars by offer id, where it could go."""
    return {
        candidate.offer_id: ceiling_of(
            order,
            candidate.usd_per_gpu_hour,
            Decimal(0) if candidate.network in account_networks else CONVERSION_COST,
        ).hold_usd
        for candidate in candidates
        if not candidate.refusals
    }


def may_be_freed(budget: Budget, usd: Decimal) -> bool:
    """Whether the budget would do for a hold of `usd` in all if every other order gave back what it holds."""
    return usd <= budget.limit_usd - budget.spent_usd
