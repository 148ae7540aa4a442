"""What each strategy ranks offers and bids by, and what it falls back on.

Which offers may serve at all is for `matching` to say; a strategy never admits one.
"""

from collections.abc import Collection, Iterable
from decimal import Decimal

from necto_pipelines.model.decision import Candidate, ExpectedCost
from necto_pipelines.model.money import cents_up
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.model.order import Strategy


def ranking_usd(strategy: Strategy, paid_usd: Decimal, cost: ExpectedCost) -> Decimal:
    """What an offer is ranked by: what is to pay, and under `balanced` the risk and the transfer on top of it."""
    if strategy is not Strategy.BALANCED:
        return paid_usd
    return paid_usd + cents_up(cost.risk_usd + (cost.transfer_usd or Decimal(0)))


def bid_weight(strategy: str, candidate: Candidate) -> Decimal:
    """What a dollar bid by this candidate's provider counts as: under `balanced` more, the less reliable it is."""
    if strategy != Strategy.BALANCED or candidate.cost is None:
        return Decimal(1)
    return 1 + candidate.cost.risk_usd / candidate.cost.compute_usd


def fallback_of(ranked: Iterable[Candidate], chosen: Candidate, bidding: Collection[str]) -> Candidate | None:
    """The next ranked offer with a firm price elsewhere, when the chosen one's price is open until its provider bids.

    `bidding` are the networks whose providers answer a request with bids of their own. Everywhere else a list price is
    what is paid.
    """
    if _firm(chosen, bidding):
        return None
    here = (chosen.network, chosen.provider)
    return next((c for c in ranked if (c.network, c.provider) != here and _firm(c, bidding)), None)


def _firm(candidate: Candidate, bidding: Collection[str]) -> bool:
    if candidate.price_basis in (PriceBasis.BID, PriceBasis.PRIVATE_QUOTE):
        return True
    return candidate.price_basis is PriceBasis.LIST and candidate.network not in bidding
