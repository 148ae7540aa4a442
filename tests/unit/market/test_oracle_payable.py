"""Only what the sources agree on is paid by, while it is fresh; and a stablecoin only near its peg."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import Stale, Unavailable
from necto_pipelines.market.oracles import fresh_price
from necto_pipelines.market.oracles.peg import PegBand, peg_of
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.offer import SourceMode, TokenPrice

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def price(usd: str, age_s: float, name: str = "AKT", **changes: object) -> TokenPrice:
    values = {
        "token": name,
        "usd": Decimal(usd),
        "published_at": NOW - timedelta(seconds=age_s),
        "observed_at": NOW,
        "consensus": True,
        "source": "consensus of CoinGecko, Pyth",
        "mode": SourceMode.SANDBOX,
        "raw_sha256": "00",
    }
    return TokenPrice.model_validate(values | changes)


def listing(*rows: TokenPrice, quarantined: tuple[tuple[str, str], ...] = ()) -> Listing[TokenPrice]:
    return Listing(rows=rows, raw=(), quarantined=quarantined)


def test_a_fresh_consensus_is_given() -> None:
    said = price("0.7", 1, consensus=False, source="Pyth")
    assert fresh_price(listing(price("0.5", 30), said), "AKT", now=NOW, max_age_s=300).usd == Decimal("0.5")


def test_the_newest_of_several_consensus_prices_is_given() -> None:
    several = listing(price("0.5", 200), price("0.6", 20), price("0.7", 100))
    assert fresh_price(several, "AKT", now=NOW, max_age_s=300).usd == Decimal("0.6")


def test_what_one_source_says_is_never_paid_by() -> None:
    with pytest.raises(Unavailable, match="no usable AKT price"):
        fresh_price(listing(price("0.5", 1, consensus=False)), "AKT", now=NOW, max_age_s=300)


@given(st.floats(min_value=0, max_value=1e6))
def test_a_price_is_stale_exactly_when_it_is_older_than_allowed(age_s: float) -> None:
    prices = listing(price("0.5", age_s))
    if NOW - prices.rows[0].published_at > timedelta(seconds=300):
        with pytest.raises(Stale, match="at most 300 s"):
            fresh_price(prices, "AKT", now=NOW, max_age_s=300)
    else:
        assert fresh_price(prices, "AKT", now=NOW, max_age_s=300)


def test_without_a_consensus_it_is_stale_only_when_every_source_is() -> None:
    old = [price("0.5", age_s, consensus=False, used=False) for age_s in (3600, 4000)]
    refusal = (("AKT", "token_price_too_few: 0 of 2"),)
    with pytest.raises(Stale, match="3600 s old"):
        fresh_price(listing(*old, quarantined=refusal), "AKT", now=NOW, max_age_s=300)
    one_fresh = price("0.5", 5, consensus=False, used=False)
    with pytest.raises(Unavailable, match="token_price_too_few"):
        fresh_price(listing(*old, one_fresh, quarantined=refusal), "AKT", now=NOW, max_age_s=300)


def test_a_price_without_a_time_keeps_nothing_fresh() -> None:
    untimed = price("0.5", 0, consensus=False, used=False, timed=False)
    with pytest.raises(Stale):
        fresh_price(listing(price("0.5", 3600, consensus=False), untimed), "AKT", now=NOW, max_age_s=300)


def test_without_a_consensus_a_source_ahead_of_its_time_is_no_stale_price() -> None:
    early = price("0.5", -3600, consensus=False, used=False)
    with pytest.raises(Unavailable, match="token_price_too_few"):
        fresh_price(listing(early, quarantined=(("AKT", "token_price_too_few"),)), "AKT", now=NOW, max_age_s=300)


@pytest.mark.parametrize("skew_s", [1, 60])
def test_a_clock_a_little_ahead_is_forgiven(skew_s: int) -> None:
    assert fresh_price(listing(price("0.5", -skew_s)), "AKT", now=NOW, max_age_s=300)


@pytest.mark.parametrize("skew_s", [61, 86400])
def test_a_price_from_the_future_is_refused(skew_s: int) -> None:
    with pytest.raises(Unavailable, match="in the future"):
        fresh_price(listing(price("0.5", -skew_s)), "AKT", now=NOW, max_age_s=300)


@pytest.mark.parametrize(
    ("quarantined", "reason"),
    [
        ((), "no consensus was asked for"),
        ((("AKT", "token_price_disagrees: 800 bps"), ("ATH", "other")), "token_price_disagrees: 800 bps"),
    ],
)
def test_a_missing_price_is_unavailable_with_the_reason(quarantined: tuple[tuple[str, str], ...], reason: str) -> None:
    with pytest.raises(Unavailable, match=f"no usable AKT price: .*{reason}") as caught:
        fresh_price(listing(price("1", 0, "USDC"), quarantined=quarantined), "AKT", now=NOW, max_age_s=300)
    assert "other" not in str(caught.value)


@pytest.mark.parametrize(
    ("usd", "band", "may_convert"),
    [
        ("1", PegBand.PAR, True),
        ("1.001", PegBand.PAR, True),
        ("0.999", PegBand.PAR, True),
        ("0.9989", PegBand.MARKET, True),
        ("0.995", PegBand.MARKET, True),
        ("0.9949", PegBand.SUSPENDED, False),
        ("1.02", PegBand.SUSPENDED, False),
        ("0.9799", PegBand.BROKEN, False),
        ("0.88", PegBand.BROKEN, False),
    ],
)
def test_the_peg_has_bands(usd: str, band: PegBand, may_convert: bool) -> None:
    said = price(usd, 5, "USDC", consensus=False, source="Pyth USDC/USD")
    left_out = price("0.5", 5, "USDC", consensus=False, used=False, source="odd")
    peg = peg_of(listing(price(usd, 5, "USDC"), said, left_out), "USDC", now=NOW, max_age_s=60)
    assert (peg.band, peg.may_convert) == (band, may_convert)
    assert peg.witnesses == (said,)


def test_the_distance_from_the_peg_has_a_sign() -> None:
    below = listing(price("0.9975", 5, "USDC"))
    assert peg_of(below, "USDC", now=NOW, max_age_s=60).off_bps == Decimal(-25)


def test_a_stale_peg_is_no_peg() -> None:
    with pytest.raises(Stale):
        peg_of(listing(price("1", 61, "USDC")), "USDC", now=NOW, max_age_s=60)
