"""Nouns become frames without losing a digit, a time or an absence."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.model import tables
from necto_pipelines.model.gpu import Gpu
from necto_pipelines.model.offer import CloudPrice, ProviderEvidence, SourceMode, TokenPrice
from necto_pipelines.model.tables import CLOUD_PRICES, EVIDENCE, TOKEN_PRICES, Table, records


class Place(NamedTuple):
    country: str
    city: str


ALL = [value for value in vars(tables).values() if isinstance(value, Table)]
AT = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def token_price(usd: str = "0.543761", published_at: datetime = AT) -> TokenPrice:
    return TokenPrice(
        token="AKT",
        usd=Decimal(usd),
        published_at=published_at,
        observed_at=AT,
        source="test",
        mode=SourceMode.SANDBOX,
        raw_sha256="00",
    )


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_column_has_a_type_and_a_meaning(table: Table) -> None:
    for name, (kind, meaning) in table.columns.items():
        assert table.schema.field(name).type == kind
        assert meaning.strip(), f"{table.name}.{name} says nothing"


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_money_columns_are_decimals(table: Table) -> None:
    money = [name for name in table.columns if "usd" in name or name.startswith("native_amount")]
    for name in money:
        assert pa.types.is_decimal(table.schema.field(name).type), f"{table.name}.{name}"


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_an_empty_frame_still_has_its_columns_and_types(table: Table) -> None:
    frame = table.frame([])
    assert len(frame) == 0
    assert table.arrow(frame).schema == table.schema


def test_table_names_are_unique() -> None:
    assert len({table.name for table in ALL}) == len(ALL)


def test_a_rows_gpu_is_spread_over_its_columns() -> None:
    price = CloudPrice(
        cloud="aws",
        instance="p5.48xlarge",
        gpu=Gpu(family="H100", vram_gib=80, interface="sxm"),
        gpu_count=8,
        region="us-east-1",
        usd_per_hour=Decimal("55.04"),
        usd_per_gpu_hour=Decimal("6.88"),
        as_of="2026-07-20",
        source="test",
        mode=SourceMode.SNAPSHOT,
        raw_sha256="00",
    )
    (row,) = records(CLOUD_PRICES.frame([price]))
    gpu = (row["gpu_key"], row["gpu_family"], row["gpu_interface"], row["vram_gib"])
    assert gpu == (
        "H100-80GB",
        "H100",
        "sxm",
        80,
    )
    assert (row["usd_per_hour"], row["mode"]) == (Decimal("55.04"), "snapshot")


def test_lists_become_text_and_missing_stays_missing() -> None:
    evidence = ProviderEvidence(
        network="akash",
        provider="akash1p",
        provider_name="p",
        is_online=None,
        is_valid_version=True,
        audited_by=("akash1a", "akash1b"),
        audited_attributes=(("region", "eu-west", "akash1a"), ("tier", "a,b=c", "akash1b")),
        country=None,
        uptime_7d=None,
        observed_at=AT,
        raw_sha256="00",
    )
    (row,) = records(EVIDENCE.frame([evidence]))
    assert row["audited_by"] == "akash1a,akash1b"
    assert json.loads(row["audited_attributes"]) == [["region", "eu-west", "akash1a"], ["tier", "a,b=c", "akash1b"]]
    assert (row["is_online"], row["is_valid_version"], row["country"], row["uptime_7d"]) == (None, True, None, None)


@given(st.decimals(min_value=Decimal("1E-12"), max_value=10**12, places=12))
def test_money_keeps_every_digit(usd: Decimal) -> None:
    (row,) = records(TOKEN_PRICES.frame([token_price(str(usd))]))
    assert row["usd"] == usd


def test_more_digits_than_a_column_holds_are_refused_not_rounded() -> None:
    with pytest.raises(pa.ArrowInvalid):
        TOKEN_PRICES.frame([token_price("0.1234567890123")])


def test_times_are_utc_with_microseconds_whatever_their_offset() -> None:
    there = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    (row,) = records(TOKEN_PRICES.frame([token_price(published_at=there)]))
    assert row["published_at"] == AT
    assert row["published_at"].utcoffset() == timedelta(0)


def test_a_frame_survives_the_way_through_arrow() -> None:
    frame = TOKEN_PRICES.frame([token_price(), token_price("1")])
    pd.testing.assert_frame_equal(tables.to_frame(TOKEN_PRICES.arrow(frame)), frame)


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="usd"):
        TOKEN_PRICES.arrow(TOKEN_PRICES.frame([token_price()]).drop(columns=["usd"]))


def test_a_float_in_a_money_column_is_an_error() -> None:
    frame = TOKEN_PRICES.frame([token_price()]).assign(usd=[0.543761])
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError)):
        TOKEN_PRICES.arrow(frame)


def test_rows_of_nouns_and_plain_rows_stand_in_one_table() -> None:
    plain = {"cloud": "gcp", "gpu_key": "T4-16GB", "usd_per_hour": Decimal("0.35"), "region": Place("a", "b")}
    model = CloudPrice(
        cloud="aws",
        instance="g4dn.xlarge",
        gpu=Gpu(family="T4", vram_gib=16),
        gpu_count=1,
        region="us-east-1",
        usd_per_hour=Decimal("0.526"),
        usd_per_gpu_hour=Decimal("0.526"),
        as_of="2026-07-20",
        source="test",
        mode=SourceMode.SNAPSHOT,
        raw_sha256="00",
    )
    first, second = records(CLOUD_PRICES.frame([plain, model]))
    assert (first["gpu_key"], first["vram_gib"], first["instance"], first["region"]) == ("T4-16GB", None, None, "a,b")
    assert (second["gpu_key"], second["vram_gib"], second["cloud"]) == ("T4-16GB", 16, "aws")
