"""Rate cards: what is read from them, what is wrong with them in words, and what offers they make."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import InvalidInput, Refused
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import PriceBasis, SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.aethir.quote import RentalMode
from necto_pipelines.networks.aethir.quoted import QuotedAethir
from necto_pipelines.networks.aethir.rate_card import FIELDS, read_rate_card
from necto_pipelines.networks.port import Bid, Deployment, Network, Placement

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CARD = """\
counterparty: Example Cloud GmbH
contract: MSA-2026-014
quoted_on: 2026-11-02
valid_from: 2026-11-05
valid_until: 2026-12-31
gpu_model: NVIDIA H100 SXM5 80GB
vram_gib: 80
cpu_cores: 192
memory_gib: 1536
disk_gib: 8000
gpus_per_unit: 8
country: NO
quotes:
  - {spec: h100-8x, region: oslo-1, mode: RESERVE, usd_per_gpu_hour: 1.10, min_hours: 720, units: 4}
  - {spec: h100-8x, region: oslo-1, mode: ON_DEMAND, usd_per_gpu_hour: 1.85, units: 2}
"""
ROW: dict[str, str] = {
    "counterparty": "Example Cloud GmbH",
    "contract": "MSA-2026-014",
    "spec": "h100-8x",
    "gpu_model": "H100",
    "gpus_per_unit": "8",
    "vram_gib": "80",
    "cpu_cores": "192",
    "memory_gib": "1536",
    "disk_gib": "8000",
    "region": "oslo-1",
    "country": "NO",
    "mode": "ON_DEMAND",
    "usd_per_gpu_hour": "1.85",
    "min_hours": "",
    "units": "2",
    "quoted_on": "2026-11-02",
    "valid_from": "2026-11-05",
    "valid_until": "2026-12-31",
}
ORDER = Placement("t", Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(1)), "H100", 80, Decimal(9), Decimal(9))


def as_csv(*rows: dict[str, str]) -> bytes:
    lines = [",".join(ROW), *(",".join(f'"{row[name]}"' for name in ROW) for row in rows)]
    return "\n".join(lines).encode()


def with_card(folder: Path, body: bytes, name: str = "card.csv", at: datetime = NOON) -> QuotedAethir:
    path = folder / name
    path.write_bytes(body)
    return QuotedAethir(path, clock=FrozenClock(at))


# --- reading --------------------------------------------------------------------------------------------------------


def test_what_stands_at_the_top_of_a_yaml_card_holds_for_every_quote() -> None:
    card = read_rate_card(CARD.encode(), "card.yaml")
    assert card.problems == ()
    reserve, on_demand = card.quotes
    assert (reserve.mode, reserve.usd_per_gpu_hour, reserve.min_hours) == (RentalMode.RESERVE, Decimal("1.10"), 720)
    assert (on_demand.mode, on_demand.min_hours, on_demand.units) == (RentalMode.ON_DEMAND, 0, 2)
    assert {quote.country for quote in card.quotes} == {"NO"}, "Norway, not false"
    assert {quote.quoted_on for quote in card.quotes} == {date(2026, 11, 2)}
    assert reserve.gpu.key == "H100-80GB"


def test_a_csv_card_says_the_same_as_a_yaml_card() -> None:
    [row] = read_rate_card(b"\xef\xbb\xbf" + as_csv(ROW), "card.csv").quotes
    _, on_demand = read_rate_card(CARD.encode(), "card.yml").quotes
    assert row == on_demand.model_copy(update={"gpu_model": "H100"})


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("counterparty", "", "this field is needed"),
        ("counterparty", "a\tb", "one line"),
        ("counterparty", "N/A", "a placeholder names nobody"),
        ("spec", "h100 8x", "letters, digits"),
        ("gpu_model", "H1000", "name a known GPU"),
        ("gpus_per_unit", "0", "greater than or equal to 1"),
        ("gpus_per_unit", "8.5", "write a whole number"),
        ("vram_gib", "40", "H100 is made with 80 or 94 GiB"),
        ("cpu_cores", "many", "write a number"),
        ("country", "Norge", "ISO 3166-1"),
        ("mode", "SPOT", "ON_DEMAND or RESERVE"),
        ("usd_per_gpu_hour", "1,85", "write a number"),
        ("usd_per_gpu_hour", "0", "greater than 0"),
        ("usd_per_gpu_hour", "NaN", "write a number"),
        ("usd_per_gpu_hour", "185", "less than or equal to 100"),
        ("units", "-1", "greater than or equal to 0"),
        ("quoted_on", "2.11.2026", "write a date as 2026-11-30"),
        ("quoted_on", "20261102", "write a date as 2026-11-30"),
        ("valid_from", "2026-02-30", "write a date as 2026-11-30"),
        ("valid_until", "2026-11-04", "not lie before valid_from, 2026-11-05"),
        ("valid_until", "2026-11-01", "not lie before quoted_on, 2026-11-02"),
    ],
)
def test_each_wrong_field_is_told_once_with_file_row_value_and_what_is_allowed(
    field: str, value: str, allowed: str
) -> None:
    card = read_rate_card(as_csv(ROW | {field: value}, ROW | {"spec": "other"}), "card.csv")
    [problem] = card.problems
    assert problem.field == f"card.csv, line 2: {field}"
    assert problem.value == (value or None)
    assert allowed in problem.allowed
    assert [quote.spec for quote in card.quotes] == ["other"], "the other rows count"


def test_every_wrong_field_of_a_row_is_told() -> None:
    card = read_rate_card(as_csv(ROW | {"mode": "SPOT", "units": "x", "country": "Norge"}), "card.csv")
    assert [problem.field.partition(": ")[2] for problem in card.problems] == ["country", "mode", "units"]


def test_the_same_spec_region_and_mode_stands_once() -> None:
    card = read_rate_card(as_csv(ROW, ROW | {"usd_per_gpu_hour": "0.01"}), "card.csv")
    [quote] = card.quotes
    assert quote.usd_per_gpu_hour == Decimal("1.85")
    assert [problem.field for problem in card.problems] == ["card.csv, line 3: spec"]


def test_an_unknown_field_of_a_yaml_card_is_named_with_those_there_are() -> None:
    [problem] = read_rate_card(CARD.replace("units: 4", "units: 4, discount: 5").encode(), "c.yaml").problems
    assert problem.field == "c.yaml, quote 1: discount"
    assert "usd_per_gpu_hour" in problem.allowed


@pytest.mark.parametrize(
    ("body", "name", "words"),
    [
        (b"", "card.yaml", "list called `quotes`"),
        (b"quotes: []", "card.yaml", "at least one quote"),
        (b"quotes: [1]", "card.yaml", "card.yaml, quote 1"),
        (b"quotes: [", "card.yaml", "write valid YAML"),
        (b"a: 1\na: 2\nquotes: []", "card.yaml", "card.yaml, line 2: 'the field a is given twice'"),
        (b"\x00", "card.yaml", "write valid YAML"),
        (b"\xff\xfe", "card.yaml", "UTF-8"),
        (b"x", "card.json", ".yaml, .yml or .csv"),
        (b"spec,price\nx,1", "card.csv", "name each column once"),
        (b"spec,spec\nx,1", "card.csv", "name each column once"),
        (b"spec,units\nx", "card.csv", "card.csv, line 2"),
        (b'spec,units\n"x,1', "card.csv", "write valid CSV"),
        (b"spec,units", "card.csv", "at least one quote"),
    ],
)
def test_a_file_that_is_no_rate_card_is_refused_as_a_whole(body: bytes, name: str, words: str) -> None:
    with pytest.raises(InvalidInput) as failure:
        read_rate_card(body, name)
    assert len(failure.value.problems) == 1
    assert words in str(failure.value)


@given(st.binary(max_size=200), st.sampled_from(["card.csv", "card.yaml"]))
def test_no_bytes_break_the_reader(body: bytes, name: str) -> None:
    try:
        card = read_rate_card(body, name)
    except InvalidInput:
        return
    assert card.quotes or card.problems


# --- offers ---------------------------------------------------------------------------------------------------------


def test_offers_are_private_quotes_as_old_as_the_day_they_were_given(tmp_path: Path) -> None:
    network = with_card(tmp_path, CARD.encode(), "card.yaml")
    listing = network.offers()
    reserve, on_demand = listing.rows
    assert {offer.price_basis for offer in listing.rows} == {PriceBasis.PRIVATE_QUOTE}
    assert {offer.observed_at for offer in listing.rows} == {datetime(2026, 11, 2, tzinfo=UTC)}
    assert {offer.valid_until for offer in listing.rows} == {datetime(2027, 1, 1, tzinfo=UTC)}
    assert (reserve.usd_per_gpu_hour, reserve.native_amount, reserve.native_unit) == (
        Decimal("1.10"),
        Decimal("8.80"),
        "USD/hour",
    )
    assert (reserve.units_available, reserve.gpus_per_unit, reserve.min_hours) == (32, 8, 720)
    assert (on_demand.provider, on_demand.provider_name) == (
        "example-cloud-gmbh-oslo-1",
        "Example Cloud GmbH, oslo-1",
    )
    [answer] = listing.raw
    assert answer.body == CARD.encode()
    assert {offer.raw_sha256 for offer in listing.rows} == {answer.sha256}
    assert answer.url == "file:card.yaml", "the folder is nobody's business"
    assert {offer.mode for offer in listing.rows} == {SourceMode.LIVE}


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (datetime(2026, 11, 4, 23, 59, tzinfo=UTC), "not valid before 2026-11-05"),
        (datetime(2026, 11, 5, tzinfo=UTC), ""),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), ""),
        (datetime(2027, 1, 1, tzinfo=UTC), "expired: valid until 2026-12-31"),
    ],
)
def test_a_quote_outside_its_days_is_set_aside_with_the_reason(tmp_path: Path, at: datetime, reason: str) -> None:
    listing = with_card(tmp_path, as_csv(ROW), at=at).offers()
    assert len(listing.rows) == (not reason)
    if reason:
        [(what, why)] = listing.quarantined
        assert what == "h100-8x/oslo-1/on_demand"
        assert why.startswith(reason)


def test_a_quote_from_the_future_is_set_aside(tmp_path: Path) -> None:
    later = ROW | {"quoted_on": "2026-11-23", "valid_from": "2026-11-01"}
    [(_, why)] = with_card(tmp_path, as_csv(later)).offers().quarantined
    assert "still to come" in why


def test_what_is_wrong_with_a_row_is_set_aside_in_words(tmp_path: Path) -> None:
    listing = with_card(tmp_path, as_csv(ROW, ROW | {"mode": "SPOT"})).offers()
    assert len(listing.rows) == 1
    assert listing.quarantined == (
        (
            "card.csv, line 3: mode",
            "card.csv, line 3: mode: 'SPOT' is not allowed; ON_DEMAND or RESERVE",
        ),
    )


def test_a_new_card_counts_from_the_next_reading_on(tmp_path: Path) -> None:
    network = with_card(tmp_path, as_csv(ROW))
    with_card(tmp_path, as_csv(ROW | {"usd_per_gpu_hour": "1.70"}))
    assert [offer.usd_per_gpu_hour for offer in network.offers().rows] == [Decimal("1.70")]


def test_a_contract_is_no_evidence(tmp_path: Path) -> None:
    [row] = with_card(tmp_path, as_csv(ROW, ROW | {"mode": "RESERVE"})).evidence().rows
    assert (row.is_online, row.is_valid_version, row.uptime_7d) == (None, None, None)
    assert (row.audited_by, row.audited_attributes) == ((), ())
    assert (row.country, row.observed_at) == ("NO", NOON)


def test_a_missing_or_wrong_file_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    missing = QuotedAethir(tmp_path / "none.csv", clock=FrozenClock(NOON))
    with pytest.raises(Refused, match=r"NECTO_AETHIR_RATE_CARD: .*none\.csv: No such file") as failure:
        missing.offers()
    assert failure.value.code == "rate_card_unreadable"
    with pytest.raises(Refused, match=r"NECTO_AETHIR_RATE_CARD: card\.csv") as failure:
        with_card(tmp_path, b"price\n1").evidence()
    assert failure.value.code == "rate_card_invalid"


def test_without_a_card_there_are_no_offers_and_the_reason_stands_there() -> None:
    network: Network = QuotedAethir(None, clock=FrozenClock(NOON))
    listing = network.offers()
    assert (listing.rows, listing.raw) == ((), ())
    [(what, why)] = listing.quarantined
    assert what == "rate card"
    assert "NECTO_AETHIR_RATE_CARD" in why
    assert network.evidence().rows == ()


def test_nothing_is_placed_where_no_api_is_published(tmp_path: Path) -> None:
    network: Network = with_card(tmp_path, as_csv(ROW))
    deployment = Deployment("o", network.content_hash(ORDER), "", "active", raw=None)  # type: ignore[arg-type]
    bid = Bid("o", "p", "open", Decimal(1), "ATH/hour", Decimal(0), Decimal(1), "")
    acts: list[Any] = [
        lambda: network.request(ORDER),
        lambda: network.lease(deployment, bid),
        lambda: network.status("o"),
        lambda: network.close("o"),
    ]
    for act in acts:
        with pytest.raises(Refused, match="a person orders") as refusal:
            act()
        assert refusal.value.code == "no_published_api"
    assert network.find(deployment.content_hash) == ()
    assert network.bids(deployment).rows == ()


def test_the_documentation_names_every_field() -> None:
    page = Path(__file__).parents[3].joinpath("docs/how-to/aethir-rate-cards.md").read_text()
    assert [name for name in FIELDS if f"`{name}`" not in page] == []
    example = page.partition("```yaml\n")[2].partition("```")[0]
    card = read_rate_card(example.encode(), "card.yaml")
    assert card.problems == ()
    assert len(card.quotes) == 2
