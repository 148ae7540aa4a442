"""How votes become a price: the laws that hold for all of them, and the cases that must not pass."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.market.oracles.voting import Outcome, Rules, Vote, agree
from necto_pipelines.model.offer import SourceMode, TokenPrice

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = Rules(max_age_s=300, max_deviation_bps=150)


def vote(publisher: str, usd: str | Decimal, age_s: float = 10, source: str = "", **changes: object) -> Vote:
    values = {
        "token": "AKT",
        "usd": Decimal(usd),
        "published_at": NOW - timedelta(seconds=age_s),
        "observed_at": NOW,
        "source": f"{source or publisher} AKT/USD",
        "mode": SourceMode.SANDBOX,
        "raw_sha256": "00",
    }
    return Vote(source or publisher, publisher, TokenPrice.model_validate(values | changes))


def outcome(*votes: Vote, rules: Rules = RULES) -> Outcome:
    return agree(votes, now=NOW, rules=rules)


def used(result: Outcome) -> list[str]:
    return [each.source for each in result.used]


def reason(result: Outcome, source: str) -> str:
    return next(each.price.reason for each in result.votes if each.source == source)


AMOUNTS = st.decimals(Decimal("0.000001"), Decimal(100_000), places=12)
NEAR = st.decimals(Decimal("0.990"), Decimal("1.010"), places=12)
"""prices that often agree and often do not"""


def votes_of(amounts: st.SearchStrategy[Decimal]) -> st.SearchStrategy[list[Vote]]:
    """One to seven votes of up to five publishers, some old, early, untimed or not vouched for."""
    return st.lists(
        st.builds(
            lambda number, publisher, usd, age_s, timed, vouched: vote(
                publisher,
                usd,
                age_s,
                source=f"{publisher}-{number}",
                timed=timed,
                used=vouched,
                reason="" if vouched else "its own source doubts it",
            ),
            st.integers(0, 99),
            st.sampled_from("ABCDE"),
            amounts,
            st.sampled_from([-90, -30, 0, 10, 60, 299, 300, 301, 4000]),
            st.sampled_from([True, True, True, False]),
            st.sampled_from([True, True, True, False]),
        ),
        min_size=1,
        max_size=7,
        unique_by=lambda each: each.source,
    )


@given(votes_of(NEAR))
def test_the_price_lies_between_the_lowest_and_the_highest_vote_used(votes: list[Vote]) -> None:
    result = outcome(*votes)
    if result.usd is not None:
        prices = [each.price.usd for each in result.used]
        assert min(prices) <= result.usd <= max(prices)


@given(st.one_of(votes_of(NEAR), votes_of(AMOUNTS)), st.randoms(use_true_random=False))
def test_the_order_of_the_votes_does_not_matter(votes: list[Vote], random: object) -> None:
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert outcome(*shuffled) == outcome(*votes)


@given(st.one_of(votes_of(NEAR), votes_of(AMOUNTS)))
def test_a_stale_early_or_doubted_vote_is_never_used(votes: list[Vote]) -> None:
    doubted = {each.source for each in votes if not each.price.used}
    for each in outcome(*votes).used:
        assert timedelta(seconds=-60) <= NOW - each.price.published_at <= timedelta(seconds=300)
        assert each.source not in doubted


@given(st.one_of(votes_of(NEAR), votes_of(AMOUNTS)))
def test_every_vote_is_kept_and_says_why_when_it_is_not_used(votes: list[Vote]) -> None:
    result = outcome(*votes)
    assert sorted(each.source for each in result.votes) == sorted(each.source for each in votes)
    assert all(bool(each.price.reason) is not each.price.used for each in result.votes)
    assert bool(result.refusal) is (result.usd is None)
    assert bool(result.used) is (result.usd is not None)


@given(st.one_of(votes_of(NEAR), votes_of(AMOUNTS)))
def test_a_price_rests_on_two_publishers_and_on_most_of_what_counts_within_the_limit(votes: list[Vote]) -> None:
    result = outcome(*votes)
    if result.usd is None:
        return
    timed = [each for each in result.used if each.price.timed]
    prices = [each.price.usd for each in result.used]
    assert len({each.publisher for each in timed}) == len(timed) >= 2
    assert (max(prices) - min(prices)) * 10_000 <= 150 * result.usd
    wild = [each for each in result.votes if each.price.reason.startswith("token_price_disagrees")]
    assert len(result.used) > len(wild)
    assert result.published_at == min(each.price.published_at for each in timed)


@given(st.lists(NEAR, min_size=2, max_size=5), AMOUNTS)
def test_one_wild_source_never_moves_the_price_out_of_the_others_range(honest: list[Decimal], wild: Decimal) -> None:
    votes = [vote(publisher, usd) for publisher, usd in zip("ABCDE", honest, strict=False)]
    result = outcome(*votes, vote("wild", wild))
    if result.usd is not None:
        assert min(honest) <= result.usd <= max(honest)


@given(st.lists(NEAR, min_size=2, max_size=5), AMOUNTS, AMOUNTS)
def test_how_wild_it_is_makes_no_difference(honest: list[Decimal], wild: Decimal, wilder: Decimal) -> None:
    votes = [vote(publisher, usd) for publisher, usd in zip("ABCDE", honest, strict=False)]
    one, other = (outcome(*votes, vote("wild", 1000 + usd)) for usd in (wild, wilder))
    assert one.usd == other.usd


@pytest.mark.parametrize(
    ("prices", "usd", "counted"),
    [
        (["1", "1.001"], "1.0005", "AB"),
        (["1", "1.001", "1.003"], "1.001", "ABC"),
        (["1", "1.001", "1.003", "1.004"], "1.002", "ABCD"),
        (["1", "1.001", "1.5"], "1.001", "AB"),
        (["1", "1.001", "0.001"], "1", "AB"),
        (["1", "1.0075", "1.015"], "1.0075", "ABC"),
        (["1", "1", "1", "9", "9"], "1", "ABC"),
    ],
)
def test_the_price_is_the_median_and_what_lies_far_off_is_not_used(prices: list[str], usd: str, counted: str) -> None:
    result = outcome(*(vote(publisher, each) for publisher, each in zip("ABCDE", prices, strict=False)))
    assert (result.usd, used(result)) == (Decimal(usd), list(counted))


@pytest.mark.parametrize(
    "prices",
    [
        ["1", "1.02"],
        ["1", "1.5"],
        ["1", "1.01", "1.02"],
        ["1", "1", "2", "2"],
        ["1", "2", "3"],
        ["1", "1", "1.02", "1.02"],
        ["0.5", "1", "1.001", "2"],
    ],
)
def test_sources_that_disagree_give_no_price(prices: list[str]) -> None:
    result = outcome(*(vote(publisher, each) for publisher, each in zip("ABCDE", prices, strict=False)))
    assert result.usd is None
    assert result.refusal.startswith("token_price_disagrees: ")
    assert "at most 150 are allowed" in result.refusal
    assert all(each in result.refusal for each in prices), "the figures stand in the refusal"


def test_the_limit_itself_is_allowed() -> None:
    rules = Rules(max_age_s=300, max_deviation_bps=200)
    assert outcome(vote("A", "0.99"), vote("B", "1.01"), rules=rules).usd == 1
    assert outcome(vote("A", "0.99"), vote("B", "1.010001"), rules=rules).usd is None


@pytest.mark.parametrize(
    "votes",
    [
        [],
        [vote("A", "1")],
        [vote("A", "1"), vote("B", "1", age_s=301)],
        [vote("A", "1"), vote("B", "1", age_s=-61)],
        [vote("A", "1"), vote("B", "1", used=False, reason="±3 %")],
        [vote("A", "1"), vote("A", "1", source="A by another way")],
        [vote("A", "1"), vote("B", "1", timed=False)],
        [vote("A", "1", timed=False), vote("B", "1", timed=False), vote("C", "1", timed=False)],
    ],
)
def test_one_publisher_is_too_few(votes: list[Vote]) -> None:
    result = outcome(*votes)
    assert result.usd is None
    assert result.refusal.startswith("token_price_too_few: ")
    assert all(each.price.reason in result.refusal for each in result.votes if "±" in each.price.reason)


def test_one_publisher_is_enough_only_when_the_rules_say_so() -> None:
    alone = Rules(max_age_s=300, max_deviation_bps=150, min_publishers=1)
    assert outcome(vote("A", "1"), rules=alone).usd == 1
    assert outcome(vote("A", "1", timed=False), rules=alone).usd is None


def test_a_price_without_a_time_does_not_make_up_the_number() -> None:
    three = Rules(max_age_s=300, max_deviation_bps=150, min_publishers=3)
    result = outcome(vote("A", "1"), vote("B", "1"), vote("C", "1", timed=False), rules=three)
    assert result.refusal.startswith("token_price_too_few: 2 of at least 3")


def test_a_publisher_speaks_once_through_its_newest_price() -> None:
    result = outcome(
        vote("Pyth", "1", 30, source="by its server"),
        vote("Pyth", "1.001", 5, source="by the chain"),
        vote("Pyth", "1.002", 0, source="without a time", timed=False),
        vote("CoinGecko", "1.003"),
    )
    assert used(result) == ["CoinGecko", "by the chain"]
    assert result.usd == Decimal("1.002")
    assert reason(result, "by its server") == "Pyth speaks through by the chain"


def test_a_publisher_whose_newest_price_is_unusable_speaks_through_another() -> None:
    result = outcome(
        vote("Pyth", "1", 5, source="doubted", used=False, reason="±3 %"),
        vote("Pyth", "1.001", 20, source="by the chain"),
        vote("CoinGecko", "1.001"),
    )
    assert used(result) == ["CoinGecko", "by the chain"]


def test_a_price_without_a_time_is_a_third_vote_and_never_a_second_witness() -> None:
    spot = vote("Coinbase", "1.004", timed=False)
    third = outcome(vote("A", "1"), vote("B", "1.006"), spot)
    assert used(third) == ["A", "B", "Coinbase"]
    assert third.usd == Decimal("1.004")
    beside_one = outcome(vote("A", "1"), spot)
    assert "counts only beside 2" in reason(beside_one, "Coinbase")
    tipping = outcome(vote("A", "1"), vote("B", "1.5"), spot)
    assert tipping.refusal.startswith("token_price_disagrees")


def test_the_price_is_as_old_as_the_oldest_it_rests_on() -> None:
    result = outcome(vote("A", "1", 200), vote("B", "1", 20), vote("C", "5", 290))
    assert used(result) == ["A", "B"]
    assert result.published_at == NOW - timedelta(seconds=200)


def test_a_vote_that_its_source_doubts_without_saying_why_is_not_used_either() -> None:
    result = outcome(vote("A", "1", used=False), vote("B", "1"), vote("C", "1"))
    assert used(result) == ["B", "C"]
    assert reason(result, "A")
