"""The catalog is the union of the networks' offers: each offer once, as it was seen last."""

import io
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from support.tables_of import NOW, offer_row

from necto_pipelines.assets.discovery import union_of_offers
from necto_pipelines.model.tables import OFFERS, records

MOMENTS = st.integers(0, 3).map(lambda minutes: NOW + timedelta(minutes=minutes))
ROWS = st.builds(
    lambda offer_id, seen, usd, region, cores: offer_row(
        offer_id=offer_id, observed_at=seen, usd_per_gpu_hour=usd, region=region, cpu_cores=cores
    ),
    # Beyond ASCII too: Arrow orders texts by their bytes, Python by their characters.
    st.sampled_from(["a", "a/b", "B", "é", "\uffee", "\U0001f600", "akash/x", ""]),
    MOMENTS,
    st.decimals("0.01", "99", places=12),
    st.sampled_from([None, "", "eu-west"]),
    st.sampled_from([0.0, 12.5, float("nan")]),
)
FRAMES = st.lists(st.lists(ROWS, max_size=12), max_size=4)


def row_by_row(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The same said in plain Python."""
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted((row for frame in frames for row in records(frame)), key=lambda row: row["observed_at"]):
        newest[row["offer_id"]] = row
    return OFFERS.frame(newest[offer_id] for offer_id in sorted(newest))


def stored(frame: pd.DataFrame) -> bytes:
    """The bytes by which the warehouse names a table."""
    sink = io.BytesIO()
    pq.write_table(OFFERS.arrow(frame).combine_chunks(), sink, compression="zstd")
    return sink.getvalue()


@given(FRAMES)
def test_the_union_has_the_bytes_of_the_same_done_row_by_row(rows: list[list[dict[str, Any]]]) -> None:
    frames = [OFFERS.frame(each) for each in rows]
    assert stored(union_of_offers(frames)) == stored(row_by_row(frames))


@given(st.lists(ROWS, max_size=20, unique_by=lambda row: (row["offer_id"], row["observed_at"])), st.randoms())
def test_neither_the_order_of_rows_nor_who_brought_them_matters(rows: list[dict[str, Any]], chance: Any) -> None:
    mixed = chance.sample(rows, len(rows))
    cut = chance.randint(0, len(rows))
    there, here = union_of_offers([OFFERS.frame(mixed[:cut]), OFFERS.frame(mixed[cut:])]), OFFERS.frame(rows)
    assert stored(there) == stored(union_of_offers([here]))


@given(FRAMES)
def test_the_union_of_a_union_is_itself(rows: list[list[dict[str, Any]]]) -> None:
    once = union_of_offers([OFFERS.frame(each) for each in rows])
    assert stored(union_of_offers([once])) == stored(once)


def test_among_rows_of_one_offer_and_moment_the_last_counts() -> None:
    first, second = (OFFERS.frame([offer_row(usd_per_gpu_hour=Decimal(usd))]) for usd in (3, 2))
    assert [row["usd_per_gpu_hour"] for row in records(union_of_offers([first, second]))] == [2]
    assert [row["usd_per_gpu_hour"] for row in records(union_of_offers([second, first]))] == [3]
