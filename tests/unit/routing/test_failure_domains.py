"""Where an order is not placed again for a while after a lease of it failed."""

from typing import Any

import pytest
from support.dagster_world import AUDITOR, answer, evidence, offer
from support.samples import NOON, sample_failover

from necto_pipelines.model.health import FailureScope
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.routing.failure_domains import resting_offers

RAW = answer(b"", NOON)
PLACES: dict[str, dict[str, Any]] = {
    "same region": {"region": "eu-central", "country": "DE"},
    "same country": {"region": "eu-west", "country": "DE"},
    "elsewhere": {"region": "na-east", "country": "US"},
    "nowhere": {"region": None, "country": None},
    "other network": {"network": "render", "region": "eu-central", "country": "DE"},
    "same organisation": {"network": "render", "region": "na-east", "country": "US"},
}
OFFERS_THERE = OFFERS.frame(offer(RAW, provider=name, offer_id=name, **place) for name, place in PLACES.items())
KNOWN = EVIDENCE.frame(
    [
        evidence(
            RAW,
            network="render",
            provider="same organisation",
            audited_attributes=(("organization", "Acme", AUDITOR), ("tier", "community", AUDITOR)),
        )
    ]
)


@pytest.mark.parametrize(
    ("failed", "resting"),
    [
        ({}, {"same region": "region eu-central"}),
        ({"organisation": "Acme"}, {"same region": "region eu-central", "same organisation": "organisation Acme"}),
        ({"organisation": "Other"}, {"same region": "region eu-central"}),
        ({"region": None}, {"same region": "country DE", "same country": "country DE"}),
        ({"region": None, "country": None}, {}),
        (
            {"scope": FailureScope.NETWORK, "organisation": "Acme"},
            dict.fromkeys(("same region", "same country", "elsewhere", "nowhere"), "network akash"),
        ),
    ],
)
def test_what_rests_is_the_place_the_organisation_or_the_whole_network(
    failed: dict[str, Any], resting: dict[str, str]
) -> None:
    found = resting_offers(OFFERS_THERE, KNOWN, [sample_failover("ord_1", **failed)])
    assert found == {name: f"a lease failed at {shared} at 2026-11-22 12:00 UTC" for name, shared in resting.items()}


def test_nothing_rests_while_nothing_failed() -> None:
    assert resting_offers(OFFERS_THERE, KNOWN, []) == {}
