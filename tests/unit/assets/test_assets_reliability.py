"""Reliability scores as an asset: evidence and our own leases, in one table a person can read."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from support.dagster_world import World, answer, evidence
from support.samples import NOON, sample_failover, sample_lease

from necto_pipelines.assets.discovery import provider_evidence
from necto_pipelines.assets.reliability import reliability_scores
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.health import FailoverCause
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.outcomes import lease_outcomes
from necto_pipelines.reliability.scoring import LeaseOutcome
from necto_pipelines.resources.snapshots import INPUTS, latest_snapshot


def books_with(*causes: FailoverCause | None) -> SimpleNamespace:
    """Books with a lease of the only provider for each cause, ten hours long and given up after four; None: not."""
    leases = [
        sample_lease("ord", lease_id=f"lse_{n}", provider="akash1alpha", started_at=NOON - timedelta(hours=10))
        for n in range(len(causes))
    ]
    failovers = [
        sample_failover("ord", f"lse_{n}", cause=cause, decided_at=NOON - timedelta(hours=6))
        for n, cause in enumerate(causes)
        if cause
    ]
    return SimpleNamespace(leases=lambda: leases, failovers=lambda: failovers)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_scores_rest_on_the_evidence_and_on_how_our_leases_fared(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path, books=books_with(FailoverCause.UNHEALTHY, None))
    raw = answer(b"evidence", world.clock.now())
    world.network.known = Listing((evidence(raw), evidence(raw, provider="akash1beta", uptime_7d=None)), (raw,))
    result = world.materialize(instance, [provider_evidence, reliability_scores])
    [event] = result.asset_materializations_for_node("reliability_scores")
    said = {key: value.value for key, value in event.metadata.items()}
    assert (said["necto/leases"], said["necto/leases_lost"]) == (2, 1)
    assert set(said[INPUTS]) == {"provider_evidence"}
    rows = {
        row["provider"]: row for row in records(latest_snapshot(instance, world.warehouse, "reliability_scores").frame)
    }
    assert (rows["akash1alpha"]["leases_lost"], rows["akash1alpha"]["lease_hours"]) == (1, 14)
    assert rows["akash1alpha"]["score"] < rows["akash1beta"]["score"] <= 100


@pytest.mark.parametrize(
    ("cause", "hours", "lost"),
    [
        (None, 10, False),
        (FailoverCause.UNHEALTHY, 4, True),
        (FailoverCause.UNKNOWN, 4, True),
        (FailoverCause.ENDED, 4, True),
        (FailoverCause.BUDGET, 4, False),
        (FailoverCause.NOT_COMPLIANT, 4, False),
    ],
)
def test_a_lease_is_lost_when_its_provider_or_network_ended_it(
    cause: FailoverCause | None, hours: int, lost: bool
) -> None:
    (outcome,) = lease_outcomes(books_with(cause), NOON)  # type: ignore[arg-type]
    assert outcome == LeaseOutcome("akash", "akash1alpha", Decimal(hours), lost)


def test_a_lease_that_never_began_says_nothing() -> None:
    books = SimpleNamespace(leases=lambda: [sample_lease("ord")], failovers=list)
    assert lease_outcomes(books, NOON) == []  # type: ignore[arg-type]
