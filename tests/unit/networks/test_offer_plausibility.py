"""The gate for offers: absurd rows are set aside by name, real ones never."""

import csv
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.dagster_world import answer, offer

from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.offer import Offer
from necto_pipelines.networks.plausibility import believable, doubt

RAW = answer(b"[]", FrozenClock().now())
PRICES = (
    Path(os.environ.get("NECTO_SHARED") or Path(__file__).parents[4] / "shared") / "data/depin/depin_gpu_prices.csv"
)


def one(**changes: Any) -> Offer:
    return offer(RAW, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"usd_per_gpu_hour": Decimal("0.0001")}, "0.0001 USD per GPU-hour cannot be"),
        ({"usd_per_gpu_hour": Decimal(9999)}, "usual is 2.71"),
        ({"usd_per_gpu_hour": Decimal("2.71") * 24}, "cannot be"),
        ({"usd_per_gpu_hour": Decimal("2.71") / 60}, "cannot be"),
        ({"gpu": Gpu(family="L40S", vram_gib=48), "usd_per_gpu_hour": Decimal(101)}, "0.001 to 100 can be believed"),
        ({"units_available": 3_000_000}, "units_available"),
        ({"cpu_cores": 24e6}, "cpu_cores"),
        ({"memory_gib": -1.0}, "memory_gib -1 cannot be"),
        ({"disk_gib": float("nan")}, "disk_gib"),
    ],
)
def test_an_absurd_offer_is_set_aside_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    good, bad = one(), one(offer_id="bad", **changes)
    found = believable(Listing((good, bad), (RAW,), (("x", "y"),)))
    assert found.rows == (good,)
    assert found.quarantined[0] == ("x", "y")
    ((what, why),) = found.quarantined[1:]
    assert what == "bad"
    assert reason in why


@pytest.mark.parametrize("usd", ["0.50", "1.13", "2.71", "12", "54"])
def test_a_cheap_or_dear_offer_stands(usd: str) -> None:
    assert doubt(one(usd_per_gpu_hour=Decimal(usd))) == ""


@pytest.mark.skipif(not PRICES.exists(), reason="the price data are not here")
def test_no_real_price_is_doubted() -> None:
    judged = 0
    for row in csv.DictReader(PRICES.read_text().splitlines()):
        size = "".join(filter(str.isdigit, row["ram"]))
        gpu = normalise_gpu(row["model"].partition(" x")[0], memory_gib=float(size) if size else None)
        for column in ("usd_per_gpu_hour", "usd_min", "usd_max"):
            if gpu and row[column]:
                judged += 1
                assert doubt(one(gpu=gpu, usd_per_gpu_hour=Decimal(row[column]))) == "", row
    assert judged >= 40
