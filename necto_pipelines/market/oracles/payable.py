"""Whether a price may be paid by, judged at the moment of paying. Which price that is was agreed in `consensus.py`."""

from datetime import datetime

from necto_pipelines.failures import Stale, Unavailable
from necto_pipelines.market.oracles.port import MAX_CLOCK_SKEW, age_fault
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.offer import TokenPrice


def fresh_price(listing: Listing[TokenPrice], token: str, *, now: datetime, max_age_s: float) -> TokenPrice:
    """The price of `token` that the sources agree on, if it may be paid by at `now`.

    What a single source says is never paid by. Age is judged by the oldest time the consensus rests on, so none of
    its prices is older. Raises `Stale` when it, or everything the sources said, is older than `max_age_s`;
    `Unavailable` when there is none, with the reasons: too few sources, or sources that disagree.
    """
    said = [row for row in listing.rows if row.token == token]
    agreed = max((row for row in said if row.consensus), key=lambda row: row.published_at, default=None)
    if agreed is None:
        newest = max((row for row in said if row.timed), key=lambda row: row.published_at, default=None)
        if newest is not None and newest.published_at < now and age_fault(newest, now=now, max_age_s=max_age_s):
            raise Stale(age_fault(newest, now=now, max_age_s=max_age_s))
        reasons = "; ".join(reason for what, reason in listing.quarantined if what == token)
        raise Unavailable(f"no usable {token} price: {reasons or 'no consensus was asked for'}")
    if fault := age_fault(agreed, now=now, max_age_s=max_age_s):
        raise Unavailable(fault) if agreed.published_at - now > MAX_CLOCK_SKEW else Stale(fault)
    return agreed
