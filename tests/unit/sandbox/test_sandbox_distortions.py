"""Distorted answers: repeatable, different from the truth, and each of them can be told from it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.sandbox.distortions import FACTOR, distorted
from necto_pipelines.sandbox.drifts import with_moved_prices, with_skewed_times

ROWS: dict[str, Any] = {
    "rows": [{"id": f"a{n}", "usd": 2.5, "free": 4, "text": "12.5", "on": True, "at": {"x": None}} for n in range(8)]
}


@given(st.integers(0, 10**6))
def test_the_same_draw_distorts_alike_and_never_nothing(seed: int) -> None:
    assert distorted(ROWS, seed) == distorted(ROWS, seed) != ROWS


@given(st.integers(0, 10**6))
def test_a_number_becomes_nothing_that_could_be_true(seed: int) -> None:
    rows = distorted(ROWS, seed).get("rows")
    for row in rows if isinstance(rows, list) else ():
        usd, true = row.get("usd"), 2.5
        if isinstance(usd, int | float):
            assert usd == true or usd <= 0 or usd >= true * FACTOR * 0.99 or usd <= true / FACTOR * 1.01


def test_every_kind_of_fault_comes_up() -> None:
    seen = set()
    for seed in range(400):
        rows = distorted(ROWS, seed).get("rows")
        for row in rows if isinstance(rows, list) else ():
            seen |= {"missing"} if "usd" not in row and "usd_v2" not in row else set()
            seen |= {"renamed"} if "usd_v2" in row else set()
            seen.add(repr(row.get("usd")))
    assert {"missing", "renamed", "None", "0.0", "-2.5", "2500000.0", "2.5e-06", "'N/A'"} <= seen


def test_an_amount_in_two_parts_is_changed_as_one() -> None:
    document = [{"price": {"currencyCode": "USD", "units": "9", "nanos": 796_550_000}} for _ in range(4)]
    amounts = set()
    for seed in range(300):
        for row in distorted(document, seed):
            price = row.get("price")
            if isinstance(price, dict) and "nanos" in price:
                amounts.add(Decimal(price["units"]) + Decimal(price["nanos"]) / 10**9)
    true = Decimal("9.79655")
    assert amounts == {true, -true, Decimal(0), true * FACTOR, Decimal("0.000009796")}


@given(st.integers(-86_400, 86_400))
def test_times_keep_their_form_and_all_move_alike(seconds: int) -> None:
    document = {
        "a": "2026-11-22T12:00:00.250Z",
        "b": {"publish_time": 1000, "ended_at_ms": 5000, "height": 77, "name": "2026"},
        "c": ["2026-11-22T12:00:00Z"],
    }
    moved = with_skewed_times(document, Decimal(seconds))
    then = datetime.fromisoformat("2026-11-22T12:00:00.250Z")
    assert (datetime.fromisoformat(moved["a"]) - then).total_seconds() == seconds
    assert len(moved["a"]) == len(document["a"])
    assert moved["b"] == {"publish_time": 1000 + seconds, "ended_at_ms": 5000 + 1000 * seconds} | {
        "height": 77,
        "name": "2026",
    }
    assert len(moved["c"][0]) == len("2026-11-22T12:00:00Z")


def test_only_list_prices_move() -> None:
    document = {"data": [{"pricing": {"hourly_rate_usd": 4.14}, "ram": 64}]}
    [row] = with_moved_prices(document, "/dispersed/v1/compute/offers", Decimal("0.1"), 1)["data"]
    assert row["ram"] == 64
    assert 0 < abs(row["pricing"]["hourly_rate_usd"] / 4.14 - 1) <= 0.101
    assert with_moved_prices(document, "/dispersed/v1/job-runs", Decimal("0.1"), 1) == document
