"""The oracle over several sources: asks them all, keeps what each said, and pays by what they agree on."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.fetching import raw_answer
from necto_pipelines.market.oracles import fresh_price
from necto_pipelines.market.oracles.consensus import VOTES_URL, Consensus
from necto_pipelines.market.oracles.peg import peg_of
from necto_pipelines.market.oracles.port import PriceSource
from necto_pipelines.market.oracles.voting import Rules
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock, rfc3339
from necto_pipelines.model.offer import SourceMode, TokenPrice
from necto_pipelines.model.tables import TOKEN_PRICES, records

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLOCK = FrozenClock(NOW)


@dataclass
class Source:
    """A source that states fixed prices, by token, `age_s` old; or fails."""

    name: str
    usd: dict[str, str]
    publisher: str = ""
    age_s: float = 10
    failure: Exception | None = None
    aside: tuple[tuple[str, str], ...] = ()
    mode: SourceMode = SourceMode.SANDBOX
    on_ask: Callable[[], object] = lambda: None
    asked: list[Sequence[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.publisher = self.publisher or self.name
        self.tokens = frozenset(self.usd) | {token for token, _ in self.aside}

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        self.asked.append(tokens)
        self.on_ask()
        if self.failure:
            raise self.failure
        answer = raw_answer(f"https://{self.name}.test", f"{self.name} {self.usd}".encode(), CLOCK)
        rows = tuple(
            TokenPrice(
                token=token,
                usd=Decimal(self.usd[token]),
                published_at=NOW - timedelta(seconds=self.age_s),
                observed_at=NOW,
                source=f"{self.name} {token}/USD",
                mode=self.mode,
                raw_sha256=answer.sha256,
            )
            for token in tokens
            if token in self.usd
        )
        return Listing(rows=rows, raw=(answer,), quarantined=self.aside)


def consensus(*sources: PriceSource, bps: int = 150, min_publishers: int = 2) -> Consensus:
    return Consensus(sources, CLOCK, Rules(300, bps, min_publishers))


def agreed(listing: Listing[TokenPrice]) -> dict[str, Decimal]:
    return {row.token: row.usd for row in listing.rows if row.consensus}


def test_the_agreed_price_comes_first_and_names_its_sources() -> None:
    found = consensus(
        Source("A", {"AKT": "0.54"}), Source("B", {"AKT": "0.541"}, age_s=40), Source("C", {"AKT": "0.7"}, age_s=90)
    ).prices(["AKT"])
    akt = found.rows[0]
    assert (akt.consensus, akt.usd, akt.source) == (True, Decimal("0.541"), "consensus of A, B")
    assert akt.published_at == NOW - timedelta(seconds=40)
    assert akt.observed_at == NOW
    assert akt.mode is SourceMode.SANDBOX
    assert fresh_price(found, "AKT", now=NOW, max_age_s=300) is akt
    assert [(row.source, row.used) for row in found.rows[1:]] == [
        ("A AKT/USD", True),
        ("B AKT/USD", True),
        ("C AKT/USD", False),
    ]


def test_every_row_can_be_shown_as_it_was_given() -> None:
    found = consensus(Source("A", {"AKT": "0.54"}), Source("B", {"AKT": "0.541"})).prices(["AKT"])
    assert {row.raw_sha256 for row in found.rows} == {answer.sha256 for answer in found.raw}


def test_the_document_of_votes_names_value_source_time_digest_and_fate_of_each() -> None:
    found = consensus(
        Source("A", {"AKT": "0.54"}),
        Source("B", {"AKT": "0.541"}),
        Source("C", {"AKT": "0.7"}),
        Source("D", {"AKT": "1"}, failure=Unavailable("HTTP 429")),
    ).prices(["AKT"])
    document = next(answer for answer in found.raw if answer.url == VOTES_URL)
    assert found.rows[0].raw_sha256 == document.sha256
    assert json.loads(document.body)["judged_at"] == rfc3339(NOW)
    akt = json.loads(document.body)["tokens"]["AKT"]
    assert akt["usd"] == "0.541"
    assert akt["limits"] == {"max_age_s": 300, "max_deviation_bps": 150, "min_publishers": 2}
    assert akt["set_aside"] == ["D: HTTP 429"]
    first, _, third = akt["votes"]
    assert first == {
        "publisher": "A",
        "source": "A AKT/USD",
        "usd": "0.54",
        "confidence_usd": None,
        "published_at": rfc3339(NOW - timedelta(seconds=10)),
        "observed_at": rfc3339(NOW),
        "timed": True,
        "used": True,
        "reason": "",
        "raw_sha256": found.raw[0].sha256,
    }
    assert (third["used"], third["reason"].split(":")[0]) == (False, "token_price_disagrees")


def test_the_rows_fit_the_price_table() -> None:
    found = consensus(Source("A", {"AKT": "0.54"}), Source("B", {"AKT": "0.541"})).prices(["AKT"])
    rows = records(TOKEN_PRICES.frame(found.rows))
    assert [(row["consensus"], row["used"], row["timed"], row["reason"]) for row in rows] == [
        (True, True, True, ""),
        (False, True, True, ""),
        (False, True, True, ""),
    ]


def test_a_disagreement_gives_no_price_and_stops_payments_with_the_reason() -> None:
    found = consensus(Source("A", {"AKT": "0.54"}), Source("B", {"AKT": "0.6"})).prices(["AKT"])
    assert agreed(found) == {}
    assert [row.used for row in found.rows] == [False, False]
    with pytest.raises(Unavailable, match=r"token_price_disagrees: 1053 bps .* \(A 0\.54, B 0\.6\)"):
        fresh_price(found, "AKT", now=NOW, max_age_s=300)


def test_each_source_is_asked_only_for_what_it_knows_and_each_token_once() -> None:
    one, other = Source("A", {"AKT": "1", "USDC": "1"}), Source("B", {"AKT": "1"})
    consensus(one, other, Source("C", {"ATH": "1"}, on_ask=pytest.fail)).prices(["USDC", "AKT", "USDC"])
    assert (one.asked, other.asked) == ([["USDC", "AKT"]], [["AKT"]])


@pytest.mark.parametrize("failure", [Unavailable("HTTP 503"), Refused("HTTP 401", code="401")])
def test_a_source_that_fails_is_named_and_the_others_agree_without_it(failure: Exception) -> None:
    found = consensus(
        Source("A", {"AKT": "1"}), Source("B", {"AKT": "1"}), Source("C", {"AKT": "1"}, failure=failure)
    ).prices(["AKT"])
    assert agreed(found) == {"AKT": Decimal(1)}
    assert found.quarantined == (("AKT", f"C: {failure}"),)


def test_a_missing_id_is_noticed_though_the_others_agree() -> None:
    gone = (("AKT", "CoinGecko id akash-network: absent from the answer"),)
    found = consensus(Source("A", {"AKT": "1"}), Source("B", {"AKT": "1"}), Source("C", {}, aside=gone)).prices(["AKT"])
    assert agreed(found) == {"AKT": Decimal(1)}
    assert found.quarantined == gone


def test_too_few_sources_are_refused_with_what_became_of_the_rest() -> None:
    found = consensus(
        Source("A", {"AKT": "1"}), Source("B", {"AKT": "1"}, failure=Unavailable("HTTP 429: slow down"))
    ).prices(["AKT"])
    with pytest.raises(Unavailable, match=r"token_price_too_few: 1 of at least 2 .*B: HTTP 429: slow down"):
        fresh_price(found, "AKT", now=NOW, max_age_s=300)


def test_it_is_unavailable_when_nobody_answers() -> None:
    failing = [Source(name, {"AKT": "1"}, failure=Unavailable(f"{name} is down")) for name in "AB"]
    with pytest.raises(Unavailable, match="no token price source answered: A: A is down; B: B is down"):
        consensus(*failing).prices(["AKT"])


def test_a_token_that_no_source_knows_is_set_aside() -> None:
    found = consensus(Source("A", {"AKT": "1"})).prices(["DOGE"])
    ((token, why),) = found.quarantined
    assert (found.rows, token) == ((), "DOGE")
    assert why.startswith("token_price_too_few: 0 of at least 2")


def test_a_fault_of_ours_is_not_hidden_as_a_source_that_failed() -> None:
    with pytest.raises(ZeroDivisionError):
        consensus(Source("A", {"AKT": "1"}, failure=ZeroDivisionError()), Source("B", {"AKT": "1"})).prices(["AKT"])


def test_the_sources_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)
    sources = [Source(name, {"AKT": "1"}, on_ask=together.wait) for name in "ABC"]
    assert agreed(consensus(*sources).prices(["AKT"])) == {"AKT": Decimal(1)}


def test_a_stablecoin_needs_two_publishers_whatever_the_rules() -> None:
    alone = consensus(Source("A", {"USDC": "0.9", "AKT": "1"}), min_publishers=1).prices(["USDC", "AKT"])
    assert agreed(alone) == {"AKT": Decimal(1)}
    with pytest.raises(Unavailable, match="token_price_too_few: 1 of at least 2"):
        peg_of(alone, "USDC", now=NOW, max_age_s=300)


@pytest.mark.parametrize(("other", "agrees"), [("0.996", True), ("0.994", False)])
def test_publishers_of_a_stablecoin_may_lie_only_half_a_percent_apart(other: str, agrees: bool) -> None:
    found = consensus(Source("A", {"USDC": "1"}), Source("B", {"USDC": other}), bps=5000).prices(["USDC"])
    assert bool(agreed(found)) is agrees


def test_a_peg_is_off_only_when_two_sources_say_so() -> None:
    both = consensus(Source("A", {"USDC": "0.97"}), Source("B", {"USDC": "0.971"})).prices(["USDC"])
    peg = peg_of(both, "USDC", now=NOW, max_age_s=300)
    assert not peg.may_convert
    assert [row.source for row in peg.witnesses] == ["A USDC/USD", "B USDC/USD"]
    one = consensus(Source("A", {"USDC": "0.97"}), Source("B", {"USDC": "1"})).prices(["USDC"])
    with pytest.raises(Unavailable, match="token_price_disagrees"):
        peg_of(one, "USDC", now=NOW, max_age_s=300)


@pytest.mark.parametrize(
    "sources", [[], [Source("A", {}, mode=SourceMode.LIVE), Source("B", {}, mode=SourceMode.SANDBOX)]]
)
def test_simulated_and_real_prices_are_never_mixed(sources: list[Source]) -> None:
    with pytest.raises(ValueError, match="all of one mode"):
        consensus(*sources)
