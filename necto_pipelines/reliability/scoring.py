"""Score providers by the chance that a lease lasts: their uptime and our own leases, shrunk to a prior.

1. Uptime. The days a provider was watched are cut into windows of 12 hours, for the minutes of one outage say nothing
   new each. Of n windows the share u was up. The prior is a Beta distribution worth PRIOR_WINDOWS windows at the median
   uptime of the provider's network, and half a window up and half a window down besides (Jeffreys), so that nobody is
   ever held to be without fault. The posterior's mean is

       A = (PRIOR_WINDOWS p0 + n u + 1/2) / (PRIOR_WINDOWS + n + 1)

   Who is unknown (n = 0) gets the prior alone, so a new name gains nothing over one with a good week.
2. Hazard. An outage ends the lease. With outages of OUTAGE_HOURS, availability A means
   h = (1 - A) / (A OUTAGE_HOURS) of them in an hour.
3. Our own leases. A Gamma prior worth PRIOR_LEASE_HOURS at h, and d leases lost in t hours, give
   (h PRIOR_LEASE_HOURS + d) / (PRIOR_LEASE_HOURS + t). A lease that still runs counts with its hours so far.
4. Survival of T hours: exp(-hazard T). The score is 100 times that of 24 hours.

Methods: Josang and Ismail, The Beta Reputation System, 2002 (1); exposure and events under a Gamma prior (3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Final

import pandas as pd

from necto_pipelines.model.tables import RELIABILITY_SCORES, records

WINDOWS_OF_A_WEEK: Final = 14
PRIOR_WINDOWS: Final = 20
"""how many windows the prior is worth: ten days"""
UNKNOWN_NETWORK_UPTIME: Final = Decimal("0.95")
"""prior of a network of which no uptime is known at all: the least that the house policy accepts of anyone"""
OUTAGE_HOURS: Final = Decimal(5)
"""A test of 2025 on SaladCloud, whose nodes are up 90 to 95 % of the time, lost 182 of 282 runs of 60 h on average:
0.0108 in an hour (its documentation, service-performance.mdx, commit 504c704). Outages of 5 to 10 hours give that; the
shorter they are taken, the more there are of them."""
PRIOR_LEASE_HOURS: Final = Decimal(168)
"""how many hours of our own leases weigh as much as the uptime: the week it was measured in"""
SCORED_HOURS: Final = Decimal(24)
_HALF: Final = Decimal("0.5")
_STEP: Final = Decimal("1E-12")


@dataclass(frozen=True)
class LeaseOutcome:
    """How one of our leases fared: the hours it has run, and whether its provider or network ended it early."""

    network: str
    provider: str
    hours: Decimal
    lost: bool


def score_reliability(evidence: pd.DataFrame, outcomes: Iterable[LeaseOutcome] = ()) -> pd.DataFrame:
    """One row of RELIABILITY_SCORES for each row of `evidence` (EVIDENCE), in the same order."""
    rows = records(evidence)
    priors = _priors(rows)
    seen: dict[tuple[str, str], list[LeaseOutcome]] = {}
    for outcome in outcomes:
        seen.setdefault((outcome.network, outcome.provider), []).append(outcome)
    return RELIABILITY_SCORES.frame(
        _score(row, priors[row["network"]], seen.get((row["network"], row["provider"]), [])) for row in rows
    )


def hazards(scores: pd.DataFrame) -> dict[tuple[str, str], Decimal]:
    """(network, provider) -> chance of losing a lease in an hour, from RELIABILITY_SCORES."""
    return {(row["network"], row["provider"]): row["hazard_per_hour"] for row in records(scores)}


def survival(hazard_per_hour: Decimal, hours: Decimal) -> Decimal:
    """The chance that a lease lasts so many hours, 0 to 1, when losing it is as likely in every hour."""
    return (-hazard_per_hour * hours).exp()


def hazard_of(uptime: Decimal | None, prior: Decimal, outcomes: Iterable[LeaseOutcome] = ()) -> Decimal:
    """Chance of losing a lease in an hour: steps 1 to 3 above. `uptime` is the share of a week, None when unknown."""
    availability = expected_uptime(uptime, prior)
    by_uptime = (1 - availability) / (availability * OUTAGE_HOURS)
    leases = list(outcomes)
    hours = sum((lease.hours for lease in leases), start=Decimal(0))
    lost = sum(lease.lost for lease in leases)
    return (by_uptime * PRIOR_LEASE_HOURS + lost) / (PRIOR_LEASE_HOURS + hours)


def expected_uptime(uptime: Decimal | None, prior: Decimal) -> Decimal:
    """Mean of the posterior of step 1."""
    windows = 0 if uptime is None else WINDOWS_OF_A_WEEK
    up = Decimal(0) if uptime is None else windows * uptime
    return (PRIOR_WINDOWS * prior + up + _HALF) / (PRIOR_WINDOWS + windows + 1)


def _priors(rows: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """The median uptime of each network, as far as it is known."""
    known: dict[str, list[Decimal]] = {}
    for row in rows:
        uptimes = known.setdefault(row["network"], [])
        if row["uptime_7d"] is not None:
            uptimes.append(Decimal(str(row["uptime_7d"])))
    return {network: median(uptimes) if uptimes else UNKNOWN_NETWORK_UPTIME for network, uptimes in known.items()}


def _score(row: Mapping[str, Any], prior: Decimal, outcomes: list[LeaseOutcome]) -> dict[str, Any]:
    uptime = None if row["uptime_7d"] is None else Decimal(str(row["uptime_7d"]))
    hazard = hazard_of(uptime, prior, outcomes).quantize(_STEP)
    lasts = survival(hazard, SCORED_HOURS)
    return {
        "network": row["network"],
        "provider": row["provider"],
        "provider_name": row["provider_name"],
        "score": int((100 * lasts).to_integral_value()),
        "survival_24h": lasts.quantize(_STEP),
        "hazard_per_hour": hazard,
        "uptime_7d": row["uptime_7d"],
        "expected_uptime": expected_uptime(uptime, prior).quantize(_STEP),
        "leases": len(outcomes),
        "leases_lost": sum(outcome.lost for outcome in outcomes),
        "lease_hours": sum((outcome.hours for outcome in outcomes), start=Decimal(0)).quantize(_STEP),
        "evidence_observed_at": row["observed_at"],
        "evidence_sha256": row["raw_sha256"],
    }
