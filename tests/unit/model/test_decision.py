"""Decisions stay readable: those stored before parts of the cost, strategies and fall-backs were kept."""

import json
from decimal import Decimal

from support.samples import sample_candidate, sample_decision

from necto_pipelines.model.decision import Candidate, Decision, ExpectedCost

NEW_IN_CANDIDATES = ("cost", "ranked_usd", "survival")


def test_a_decision_stored_before_there_were_strategies_is_read_as_it_stands() -> None:
    document = json.loads(sample_decision("ord_1").model_dump_json())
    for candidate in (document["chosen"], *document["candidates"]):
        for name in NEW_IN_CANDIDATES:
            del candidate[name]
    del document["fallback"], document["strategy"]
    old = Decision.model_validate_json(json.dumps(document))
    assert (old.strategy, old.fallback) == ("cheapest_compliant", None)
    assert old.chosen is not None
    assert (old.chosen.cost, old.chosen.weighed_usd) == (None, old.chosen.expected_usd)


def test_a_candidate_comes_back_from_the_books_with_every_part_of_its_cost() -> None:
    parts = ExpectedCost(compute_usd=Decimal("18.5"), conversion_usd=Decimal("0.1295"), risk_usd=Decimal("0.000001"))
    kept = sample_candidate(cost=parts, ranked_usd=Decimal("18.64"), survival=Decimal("0.9"))
    assert Candidate.model_validate_json(kept.model_dump_json()) == kept
    assert kept.weighed_usd == Decimal("18.64")
