"""Expected cost and strategies: the laws they keep, and that nothing changes for who does not ask."""

from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders_of import an_order
from support.samples import sample_candidate
from support.tables_of import NOW, evidence_row, offer_row

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Candidate, ExpectedCost
from necto_pipelines.model.money import cents_up
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.model.order import Policy, Strategy
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.reliability.scoring import survival
from necto_pipelines.routing.expected_cost import expected_cost
from necto_pipelines.routing.matching import Terms, match
from necto_pipelines.routing.strategies import bid_weight, fallback_of, ranking_usd

MICRO = Decimal("0.000001")
PRICE = st.decimals("0.01", "100", places=6)
HOURS = st.decimals("0.01", "1000", places=3)
WEIGHT = st.decimals("0", "10", places=3)
HAZARD = st.decimals("0", "0.5", places=5)


def cost(price: Decimal, hours: Decimal, weight: Decimal, hazard: Decimal, **more: Any) -> ExpectedCost:
    given_parts = {"conversion_share": Decimal("0.007"), "gpus": 2} | more
    return expected_cost(
        usd_per_gpu_hour=price, hours=hours, risk_weight=weight, survival=survival(hazard, hours), **given_parts
    )


@given(price=PRICE, hours=HOURS, weight=WEIGHT, hazard=HAZARD, more=st.decimals("0", "50", places=3))
def test_a_higher_price_more_hours_or_more_weight_never_costs_less(
    price: Decimal, hours: Decimal, weight: Decimal, hazard: Decimal, more: Decimal
) -> None:
    least = cost(price, hours, weight, hazard).total_usd
    assert cost(price + more, hours, weight, hazard).total_usd >= least
    assert cost(price, hours + more, weight, hazard).total_usd >= least
    assert cost(price, hours, weight + more, hazard).total_usd >= least
    assert cost(price, hours, weight, hazard + more).total_usd >= least


@given(price=PRICE, hours=HOURS, weight=WEIGHT, hazard=HAZARD, transfer=st.none() | st.decimals("0", "9", places=2))
def test_the_parts_add_up_exactly_and_none_is_rounded_down(
    price: Decimal, hours: Decimal, weight: Decimal, hazard: Decimal, transfer: Decimal | None
) -> None:
    found = cost(price, hours, weight, hazard, transfer_usd=transfer)
    compute = price * 2 * hours
    assert found.compute_usd == compute.quantize(MICRO, ROUND_CEILING)
    assert found.conversion_usd == (compute * Decimal("0.007")).quantize(MICRO, ROUND_CEILING)
    assert 0 <= found.risk_usd <= compute * weight / 2 + MICRO
    assert found.transfer_usd == transfer, "unknown stays unknown"
    parts = (found.compute_usd, found.conversion_usd, found.risk_usd, transfer or 0)
    assert found.total_usd == sum(parts)
    assert ExpectedCost.model_validate_json(found.model_dump_json()) == found


def test_the_formula_by_hand() -> None:
    """4 hours of one GPU at $2.50, lost with a chance of one in five: half of it is done again."""
    found = expected_cost(
        usd_per_gpu_hour=Decimal("2.50"),
        gpus=1,
        hours=Decimal(4),
        conversion_share=Decimal("0.007"),
        survival=Decimal("0.8"),
        risk_weight=Decimal(2),
    )
    assert (found.compute_usd, found.conversion_usd, found.risk_usd) == (10, Decimal("0.07"), 2)
    assert (found.transfer_usd, found.total_usd) == (None, Decimal("12.07"))


def ranked(
    policy: Policy, prices: list[Decimal], chances: list[Decimal], networks: list[str] | None = None, **terms: Any
) -> list[Candidate]:
    names = networks or ["akash"] * len(prices)
    offers = [
        offer_row(f"p{n}", usd_per_gpu_hour=price, network=name, offer_id=f"{name}/p{n}")
        for n, (price, name) in enumerate(zip(prices, names, strict=True))
    ]
    evidence = EVIDENCE.frame([evidence_row(f"p{n}", network=name) for n, name in enumerate(names)])
    lasting = {(name, f"p{n}"): chance for n, (chance, name) in enumerate(zip(chances, names, strict=True))}
    told = Terms(NOW, policy, timedelta(hours=1), Decimal("0.007"), survival=lasting, **terms)
    order = an_order(budget_usd=100_000)
    return match(order, OFFERS.frame(offers), score_providers(evidence, policy, now=NOW), told)


OFFERED = st.lists(
    st.tuples(st.decimals("0.5", "3", places=3), st.decimals("0", "1", places=3)), min_size=1, max_size=8
)


@given(offered=OFFERED)
def test_without_weight_and_without_asking_candidates_stand_by_price_score_and_id(
    offered: list[tuple[Decimal, Decimal]],
) -> None:
    prices, chances = [p for p, _ in offered], [s for _, s in offered]
    today = sorted(range(len(prices)), key=lambda n: (cents_up(prices[n] * 4 * Decimal("1.007")), f"akash/p{n}"))
    for policy in (
        Policy(),
        Policy(risk_weight=Decimal(9)),
        Policy(strategy=Strategy.BID_AND_WAIT),
        Policy(strategy=Strategy.BALANCED, risk_weight=Decimal(0)),
    ):
        found = ranked(policy, prices, chances)
        assert [c.offer_id for c in found] == [f"akash/p{n}" for n in today]
        assert all(c.ranked_usd == c.expected_usd for c in found)


@given(offered=OFFERED, weight=WEIGHT)
def test_balanced_stands_by_all_parts_and_pays_what_it_always_paid(
    offered: list[tuple[Decimal, Decimal]], weight: Decimal
) -> None:
    prices, chances = [p for p, _ in offered], [s for _, s in offered]
    found = ranked(Policy(strategy=Strategy.BALANCED, risk_weight=weight), prices, chances)
    assert [c.weighed_usd for c in found] == sorted(c.weighed_usd for c in found)
    for c in found:
        assert c.cost is not None
        assert c.expected_usd == cents_up(c.usd_per_gpu_hour * 4 * Decimal("1.007"))
        assert abs(c.weighed_usd - c.cost.total_usd) <= Decimal("0.02")


def test_a_reliable_provider_wins_over_a_slightly_cheaper_one_that_is_not() -> None:
    prices, chances = [Decimal("2.00"), Decimal("2.10")], [Decimal("0.5"), Decimal("0.99")]
    assert ranked(Policy(), prices, chances)[0].provider == "p0"
    assert ranked(Policy(strategy=Strategy.BALANCED), prices, chances)[0].provider == "p1"


def test_a_provider_whose_chance_nobody_knows_is_reckoned_with_as_lost() -> None:
    (found,) = ranked(Policy(strategy=Strategy.BALANCED), [Decimal(2)], [Decimal(1)])
    assert found.cost is not None
    assert found.cost.risk_usd == 0
    told = Terms(NOW, Policy(), timedelta(hours=1), Decimal("0.007"))
    scores = score_providers(EVIDENCE.frame([evidence_row("p0")]), Policy(), now=NOW)
    (unknown,) = match(an_order(), OFFERS.frame([offer_row("p0", usd_per_gpu_hour=Decimal(2))]), scores, told)
    assert unknown.cost is not None
    assert unknown.cost.risk_usd == 4


def test_nothing_is_converted_where_an_account_is_charged() -> None:
    chances = [Decimal(1)] * 2
    found = ranked(Policy(), [Decimal(2)] * 2, chances, ["akash", "render"], account_networks=["render"])
    assert {c.network: (c.expected_usd, c.cost.conversion_usd) for c in found if c.cost} == {
        "akash": (Decimal("8.06"), Decimal("0.056")),
        "render": (Decimal("8.00"), 0),
    }


@pytest.mark.parametrize(
    ("house", "order", "strategy", "weight"),
    [
        ({}, {}, "cheapest", 1),
        ({"strategy": "balanced", "risk_weight": 2}, {}, "balanced", 2),
        ({"strategy": "balanced", "risk_weight": 2}, {"strategy": "cheapest", "risk_weight": 0}, "cheapest", 0),
        ({}, {"strategy": "bid_and_wait"}, "bid_and_wait", 1),
    ],
)
def test_an_order_says_its_strategy_and_weight_and_the_house_where_it_does_not(
    house: dict[str, Any], order: dict[str, Any], strategy: str, weight: int
) -> None:
    both = Policy(**house).tightened_by(Policy(**order))
    assert (both.effective_strategy, both.effective_risk_weight) == (strategy, weight)


def candidate(provider: str, network: str, basis: PriceBasis, **more: Any) -> Candidate:
    return sample_candidate(
        offer_id=f"{network}/{provider}", provider=provider, network=network, price_basis=basis, **more
    )


def test_the_fall_back_is_the_next_offer_elsewhere_whose_price_is_firm() -> None:
    open_price = candidate("a", "akash", PriceBasis.LIST)
    other_open = candidate("b", "akash", PriceBasis.ESTIMATE)
    same_provider = candidate("a", "akash", PriceBasis.BID)
    listed, quoted = candidate("c", "render", PriceBasis.LIST), candidate("d", "aethir", PriceBasis.PRIVATE_QUOTE)
    every = [open_price, other_open, same_provider, listed, quoted]
    assert fallback_of(every, open_price, {"akash"}) == listed
    assert fallback_of([open_price, other_open, quoted], open_price, {"akash"}) == quoted
    assert fallback_of([open_price, other_open, same_provider], open_price, {"akash"}) is None
    assert fallback_of(every, listed, {"akash"}) is None, "its price is firm already"


def test_a_bid_counts_for_more_where_it_is_riskier_and_only_under_balanced() -> None:
    parts = ExpectedCost(compute_usd=Decimal(10), conversion_usd=Decimal(0), risk_usd=Decimal(1))
    risky, old = candidate("a", "akash", PriceBasis.LIST, cost=parts), candidate("b", "akash", PriceBasis.LIST)
    assert bid_weight("balanced", risky) == Decimal("1.1")
    assert bid_weight("cheapest", risky) == bid_weight("balanced", old) == bid_weight("cheapest_compliant", risky) == 1
    assert ranking_usd(Strategy.BALANCED, Decimal(10), parts) == 11
