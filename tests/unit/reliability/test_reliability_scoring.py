"""Reliability: shrunk to a prior, better with every hour that lasts, worse with every lease lost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables_of import evidence_row

from necto_pipelines.model.tables import EVIDENCE, records
from necto_pipelines.reliability.scoring import (
    UNKNOWN_NETWORK_UPTIME,
    LeaseOutcome,
    expected_uptime,
    hazard_of,
    hazards,
    score_reliability,
    survival,
)

UPTIME = st.decimals("0", "1", places=4)
LEASES = st.lists(
    st.builds(LeaseOutcome, st.just("akash"), st.just("p"), st.decimals("0.1", "500", places=2), st.booleans()),
    max_size=6,
)


def lease(hours: int, *, lost: bool, provider: str = "a") -> LeaseOutcome:
    return LeaseOutcome("akash", provider, Decimal(hours), lost)


@given(prior=UPTIME, one=UPTIME, other=UPTIME)
def test_more_uptime_never_makes_a_loss_likelier(prior: Decimal, one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert hazard_of(high, prior) <= hazard_of(low, prior)


@given(prior=UPTIME, uptime=UPTIME)
def test_what_is_seen_moves_the_prior_and_never_past_it(prior: Decimal, uptime: Decimal) -> None:
    shrunk = expected_uptime(uptime, prior)
    assert min(uptime, prior, Decimal("0.5")) <= shrunk <= max(uptime, prior, Decimal("0.5"))
    assert 0 < shrunk < 1, "nobody is held to be without fault, or without use"


@given(prior=UPTIME, leases=LEASES, hours=st.decimals("0.1", "500", places=2))
def test_a_lease_that_lasts_helps_and_one_that_is_lost_harms(
    prior: Decimal, leases: list[LeaseOutcome], hours: Decimal
) -> None:
    before = hazard_of(None, prior, leases)
    assert hazard_of(None, prior, [*leases, LeaseOutcome("akash", "p", hours, lost=False)]) < before
    lost_at_once = LeaseOutcome("akash", "p", Decimal(0), lost=True)
    assert hazard_of(None, prior, [*leases, lost_at_once]) > before


@given(hazard=st.decimals("0", "2", places=6), hours=st.decimals("0.000001", "8784", places=6))
def test_a_longer_job_is_never_likelier_to_last(hazard: Decimal, hours: Decimal) -> None:
    assert 0 <= survival(hazard, hours + 1) <= survival(hazard, hours) <= 1


def test_a_new_name_is_held_to_be_what_its_network_is_and_no_better() -> None:
    rows = [evidence_row("a", uptime_7d=0.99), evidence_row("b", uptime_7d=1.0), evidence_row("new", uptime_7d=None)]
    scores = {row["provider"]: row for row in records(score_reliability(EVIDENCE.frame(rows)))}
    assert scores["a"]["hazard_per_hour"] > scores["b"]["hazard_per_hour"]
    assert scores["new"]["hazard_per_hour"] > scores["b"]["hazard_per_hour"]
    alone = records(score_reliability(EVIDENCE.frame([evidence_row("x", network="render", uptime_7d=None)])))
    assert alone[0]["expected_uptime"] == expected_uptime(None, UNKNOWN_NETWORK_UPTIME).quantize(Decimal("1E-12"))


def test_our_own_leases_count_for_their_provider_only() -> None:
    frame = EVIDENCE.frame([evidence_row("a"), evidence_row("b")])
    outcomes = [lease(10, lost=True), lease(100, lost=False)]
    first, second = records(score_reliability(frame, outcomes))
    assert (first["leases"], first["leases_lost"], first["lease_hours"]) == (2, 1, 110)
    assert (second["leases"], second["leases_lost"], second["lease_hours"]) == (0, 0, 0)
    assert first["score"] < second["score"]
    assert hazards(score_reliability(frame, outcomes)) == {
        ("akash", "a"): first["hazard_per_hour"],
        ("akash", "b"): second["hazard_per_hour"],
    }


@pytest.mark.parametrize(
    ("uptime", "score"),
    [(1.0, 93), (0.999, 93), (0.95, 84), (0.5, 27), (0.0, 3)],
)
def test_the_score_is_the_chance_of_a_day_in_percent(uptime: float, score: int) -> None:
    """Beside thirteen providers that are always up."""
    rows = [evidence_row(f"p{n}", uptime_7d=1.0) for n in range(13)] + [evidence_row("x", uptime_7d=uptime)]
    row = records(score_reliability(EVIDENCE.frame(rows)))[-1]
    assert row["score"] == score
    assert row["survival_24h"] == pytest.approx(Decimal(score) / 100, abs=Decimal("0.005"))
