"""Where an order is not placed again for a while, because a lease of it failed there: its failure domains.

A failure rarely stays with one machine: a region loses its power or its line, an organisation its control plane, a
network its API. Pure: tables and past failures in, offers that rest out.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from necto_pipelines.model.health import Failover, FailureScope
from necto_pipelines.model.tables import records

ORGANISATION = "organization"
"""attribute key of a provider's organisation (Akash provider-attributes.json, read 2026-11-22)"""


def resting_offers(offers: pd.DataFrame, evidence: pd.DataFrame, failures: Iterable[Failover]) -> dict[str, str]:
    """The offers (OFFERS) that lie in a domain of `failures`, by id, each with the reason for a person.

    A domain is the failed lease's region within its network, or its country where no region is known; beside that the
    provider's organisation, by the signed attributes in `evidence` (EVIDENCE), on whatever network. Where the network
    itself gave no answer it is the whole network, and nothing else.
    """
    failed = list(failures)
    if not failed:
        return {}
    organisations = organisations_of(evidence)
    resting = {}
    for offer in records(offers):
        organisation = organisations.get((offer["network"], offer["provider"]))
        for failure in failed:
            if shared := _shared(offer, organisation, failure):
                resting[offer["offer_id"]] = f"a lease failed at {shared} at {failure.decided_at:%Y-%m-%d %H:%M} UTC"
    return resting


def organisations_of(evidence: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(network, provider) -> its organisation, where an auditor signed one."""
    found = {}
    for row in records(evidence):
        for key, value, _ in json.loads(row["audited_attributes"] or "[]"):
            if key == ORGANISATION and value:
                found[row["network"], row["provider"]] = value
    return found


def _shared(offer: Mapping[str, Any], organisation: str | None, failure: Failover) -> str:
    """What an offer has in common with a failure; empty when nothing."""
    if failure.scope is FailureScope.NETWORK:
        return f"network {failure.network}" if offer["network"] == failure.network else ""
    if organisation is not None and organisation == failure.organisation:
        return f"organisation {organisation}"
    if offer["network"] != failure.network:
        return ""
    if failure.region is not None:
        return f"region {failure.region}" if offer["region"] == failure.region else ""
    if failure.country is not None and offer["country"] == failure.country:
        return f"country {failure.country}"
    return ""
