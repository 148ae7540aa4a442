"""Judge providers against a policy, fail closed: what is missing, expired or unsigned counts against the provider.

The score says how much of what the policy asks for is proved, 0 to 100. It ranks; it never excuses: a provider with any
refusal is not compliant, whatever its score.
"""

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pandas as pd

from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.order import Policy
from necto_pipelines.model.tables import COMPLIANCE_SCORES, records

KNOWN_AUDITORS: Final = ("akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63",)
"""whom the house trusts (akash-network/console config/auditors.json, read 2026-11-22)"""
EMBARGOED: Final = frozenset({"BY", "CU", "IR", "KP", "RU", "SY"})
"""countries no policy may allow: comprehensive US or EU measures; the compliance team reviews this list"""
WEIGHTS: Final = {"online": 15, "version": 15, "audited": 35, "uptime": 20, "country": 15}
"""points of a full score; they add up to 100"""


def score_providers(
    evidence: pd.DataFrame, policy: Policy, *, now: datetime, auditors: Collection[str] = KNOWN_AUDITORS
) -> pd.DataFrame:
    """One row of COMPLIANCE_SCORES for each row of EVIDENCE, in the same order.

    `auditors` are those the house trusts; a policy that names auditors counts only those of them. A provider without
    a row of evidence has no row here, and whoever routes must treat it as refused.
    """
    trusted = frozenset(auditors).intersection(policy.auditors or auditors)
    return COMPLIANCE_SCORES.frame(_judge(row, policy, now, trusted) for row in records(evidence))


def _judge(row: dict[str, Any], policy: Policy, now: datetime, trusted: frozenset[str]) -> dict[str, Any]:
    refusals: list[Refusal] = []
    details: list[str] = []
    points = 0.0

    def demand(met: bool, weight: float, refusal: Refusal, detail: str) -> None:
        nonlocal points
        if met:
            points += weight
        else:
            refusals.append(refusal)
            details.append(detail)

    age = now - row["observed_at"]
    if age > timedelta(hours=float(policy.max_evidence_age_hours)) or age < timedelta(minutes=-5):
        refusals.append(Refusal.EVIDENCE_EXPIRED)
        details.append(f"evidence is {age} old, at most {policy.max_evidence_age_hours} h is allowed")
    demand(row["is_online"] is True, WEIGHTS["online"], Refusal.OFFLINE, "the network does not see it online")
    demand(row["is_valid_version"] is True, WEIGHTS["version"], Refusal.VERSION, "its software version is not accepted")

    signers = set(filter(None, (row["audited_by"] or "").split(","))) & trusted
    signed = {key for key, _, auditor in json.loads(row["audited_attributes"] or "[]") if auditor in signers}
    missing = [key for key in policy.required_attributes if key not in signed]
    if not signers:
        demand(False, 0, Refusal.NO_EVIDENCE, "no trusted auditor signed anything for it")
    else:
        demand(not missing, WEIGHTS["audited"], Refusal.NOT_AUDITED, f"unsigned: {', '.join(missing)}")

    uptime = row["uptime_7d"]
    shown = "unknown" if uptime is None else f"{uptime:.4f}"
    demand(
        uptime is not None and Decimal(str(uptime)) >= policy.min_uptime_7d,
        WEIGHTS["uptime"] * (uptime or 0.0),
        Refusal.UPTIME,
        f"uptime over 7 days is {shown}, at least {policy.min_uptime_7d} is asked",
    )
    country = row["country"]
    allowed = country is not None and country not in EMBARGOED and (not policy.countries or country in policy.countries)
    demand(
        allowed,
        WEIGHTS["country"],
        Refusal.COUNTRY,
        f"country {country or 'unknown'} is not among {', '.join(policy.countries) or 'those without embargo'}",
    )
    score = round(points)
    if score < policy.min_score:
        refusals.append(Refusal.SCORE)
        details.append(f"score {score}, at least {policy.min_score} is asked")
    return {
        "network": row["network"],
        "provider": row["provider"],
        "provider_name": row["provider_name"],
        "policy": policy.name,
        "score": score,
        "compliant": not refusals,
        "refusals": ",".join(refusals),
        "details": "; ".join(details),
        "country": country,
        "evidence_observed_at": row["observed_at"],
        "evidence_sha256": row["raw_sha256"],
    }
