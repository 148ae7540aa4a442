"""What `necto offers` shows of an offer, and how it says why another one does not fit."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from necto_pipelines.cli.offer_rows import BASES, exclusion, in_words, native, sentence, shown, summary
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.routing.catalog import Query

NOW = FrozenClock().now()
ROW: dict[str, Any] = {
    "offer_id": "akash/one",
    "network": "akash",
    "provider": "akash1one",
    "gpu_key": "A100-80GB",
    "gpu_family": "A100",
    "vram_gib": 80,
    "units_available": 2,
    "max_gpus_per_order": 1,
    "gpus_per_unit": None,
    "cpu_cores": 8.0,
    "memory_gib": 64.0,
    "disk_gib": 500.5,
    "country": "US",
    "region": None,
    "usd_per_gpu_hour": Decimal("1.330000000000"),
    "price_basis": "estimate",
    "native_amount": Decimal("4424.5"),
    "native_unit": "uact/block",
    "block_seconds": Decimal("6.1"),
    "observed_at": NOW - timedelta(seconds=240),
    "valid_until": None,
    "mode": "sandbox",
}
HOUR = timedelta(hours=1)
WISH = Query(
    networks=frozenset({"render"}), gpu="H100", min_vram_gib=94, min_fp16_tflops=400, gpus=2, min_cpu_cores=16,
    min_memory_gib=128, min_disk_gib=1000, countries=frozenset({"NL", "DE"}), regions=frozenset({"eu-west"}),
    interruptible=False, compliant=True, min_score=90, max_usd_per_gpu_hour=0.5,
)  # fmt: skip
VERDICT = {"score": 65, "details": "uptime 0.91 of 0.95"}


def offer(now: datetime = NOW, max_age: timedelta = HOUR, **changes: Any) -> dict[str, Any]:
    return shown(ROW | changes, score=85, now=now, max_age=max_age)


def test_an_offer_is_shown_with_its_age_its_basis_and_exact_figures() -> None:
    found = offer()
    assert (found["age_s"], found["age"], found["fresh"], found["score"]) == (240, "4 min", True, 85)
    assert (found["usd_per_gpu_hour"], found["native_amount"]) == ("1.33", "4424.5")
    assert found["observed_at"] == "2026-11-22T11:56:00.000000Z"
    assert native(found) == "4424.5 uact/block (6.1 s a block)"
    assert native(offer(native_unit="USD/hour", block_seconds=None)) == "4424.5 USD/hour"


@pytest.mark.parametrize(
    ("age_s", "until_s", "fresh"),
    [(3600, None, True), (3601, None, False), (86_400, 60, True), (86_400, -60, False), (10, -60, False)],
)
def test_an_offer_is_fresh_while_young_and_a_quote_until_its_date(age_s: int, until_s: int | None, fresh: bool) -> None:
    until = None if until_s is None else NOW + timedelta(seconds=until_s)
    assert offer(observed_at=NOW - timedelta(seconds=age_s), valid_until=until)["fresh"] is fresh


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (89, "89 s"), (90, "2 min"), (240, "4 min"), (5399, "90 min"), (5400, "2 h"), (86_400, "24 h"),
        (172_800, "2 days"), (-5, "in the future"),
    ],
)  # fmt: skip
def test_an_age_is_told_as_people_tell_it(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (Refusal.NETWORK, "network akash, asked render"),
        (Refusal.GPU, "GPU A100-80GB, asked H100"),
        (Refusal.VRAM, "VRAM 80 GiB, asked at least 94 GiB"),
        (Refusal.COMPUTE, "312 FP16 TFLOPS, asked at least 400"),
        (Refusal.CAPACITY, "2 GPUs free, at most 1 an order, asked 2"),
        (
            Refusal.MACHINE,
            "8 cores, 64 GiB memory, 500.5 GiB disk free, asked 16 cores, 128 GiB, 1000 GiB",
        ),
        (Refusal.COUNTRY, "country US, asked DE or NL"),
        (Refusal.REGION, "region unknown, asked eu-west"),
        (Refusal.PRICE_CAP, "1.33 USD per GPU-hour, asked at most 0.5"),
        (Refusal.INTERRUPTIBLE, "its provider may take it back, asked capacity that stays"),
        (Refusal.SCORE, "compliance score 65, asked at least 90"),
        (Refusal.UPTIME, "uptime too low (uptime 0.91 of 0.95), asked the house policy"),
    ],
)
def test_each_reason_names_what_is_there_and_what_was_asked(reason: Refusal, line: str) -> None:
    found = exclusion(reason, ROW, WISH, VERDICT)
    assert sentence(found) == line
    assert found["reason"] == reason.value


def test_what_nobody_knows_is_said_to_be_unknown() -> None:
    nowhere = ROW | {"country": None, "gpu_family": "GTX-unheard-of"}
    assert sentence(exclusion(Refusal.COUNTRY, nowhere, WISH, None)) == "country unknown, asked DE or NL"
    assert sentence(exclusion(Refusal.COMPUTE, nowhere, WISH, None)) == "no FP16 figure, asked at least 400"
    assert sentence(exclusion(Refusal.SCORE, nowhere, WISH, None)) == "compliance score unknown, asked at least 90"
    line = "no evidence (nothing is known about this provider), asked the house policy"
    assert sentence(exclusion(Refusal.NO_EVIDENCE, nowhere, WISH, None)) == line


@pytest.mark.parametrize("reason", Refusal)
def test_no_reason_is_without_words(reason: Refusal) -> None:
    found = exclusion(reason, ROW, WISH, VERDICT)
    assert found["has"]
    assert found["asked"]


def test_every_price_basis_is_explained() -> None:
    assert BASES.keys() == {basis.value for basis in PriceBasis}


def test_the_sources_are_summed_by_network_and_mode() -> None:
    old = NOW - timedelta(seconds=500)
    rows = [
        offer(),
        offer(offer_id="akash/two", observed_at=old, price_basis="list"),
        offer(network="render", offer_id="r"),
    ]
    assert summary(rows, {"akash/two"}) == [
        {
            "network": "akash", "mode": "sandbox", "offers": 2, "fitting": 1, "price_bases": ["estimate", "list"],
            "youngest_s": 240, "oldest_s": 500,
        },
        {
            "network": "render", "mode": "sandbox", "offers": 1, "fitting": 0, "price_bases": ["estimate"],
            "youngest_s": 240, "oldest_s": 240,
        },
    ]  # fmt: skip
