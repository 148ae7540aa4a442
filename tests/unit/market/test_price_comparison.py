"""DePIN against the clouds: the right pair, the right percent, always the same table."""

import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.market.clouds import reference_cloud_prices
from necto_pipelines.market.clouds.regions import place_group, remoteness
from necto_pipelines.market.comparison import (
    Question,
    bar,
    compare,
    count_class,
    headlines,
    not_compared,
    same_gpu_prices,
    savings_pct,
)
from necto_pipelines.model.gpu import FP16_TFLOPS, Gpu, normalise_gpu
from necto_pipelines.model.offer import CloudPrice, Offer, PriceBasis, SourceMode, TokenPrice
from necto_pipelines.model.tables import (
    CLOUD_PRICES,
    COMPLIANCE_SCORES,
    OFFERS,
    PRICE_COMPARISON,
    TOKEN_PRICES,
    records,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NO_TOKENS = TOKEN_PRICES.frame([])
PRICES = st.decimals(min_value=Decimal("0.001"), max_value=Decimal(1000), places=6)


def named(key: str) -> Gpu:
    gpu = normalise_gpu(key)
    assert gpu is not None
    return gpu


def offer(gpu: str, usd: str | Decimal, provider: str = "akash1p", network: str = "akash") -> Offer:
    return Offer(
        offer_id=f"{network}/{provider}/{gpu}",
        network=network,
        provider=provider,
        provider_name=provider,
        gpu=named(gpu),
        units_available=8,
        max_gpus_per_order=8,
        cpu_cores=64,
        memory_gib=512,
        disk_gib=2000,
        country="DE",
        region="eu",
        usd_per_gpu_hour=Decimal(usd),
        price_basis=PriceBasis.LIST,
        native_amount=Decimal(4424),
        native_unit="uact/block",
        block_seconds=Decimal("5.9"),
        interruptible=False,
        observed_at=NOW,
        source="test",
        mode=SourceMode.SANDBOX,
        raw_sha256="00",
    )


def cloud_price(
    cloud: str, gpu: str, usd_per_gpu: str | Decimal, instance: str = "m", region: str = "r", gpu_count: int = 1
) -> CloudPrice:
    return CloudPrice(
        cloud=cloud,
        instance=instance,
        gpu=named(gpu),
        gpu_count=gpu_count,
        region=region,
        usd_per_hour=Decimal(usd_per_gpu) * gpu_count,
        usd_per_gpu_hour=Decimal(usd_per_gpu),
        as_of="2026-07-20",
        source="test",
        mode=SourceMode.SNAPSHOT,
        raw_sha256="01",
    )


def token(usd: str, age_s: int = 0, name: str = "AKT") -> TokenPrice:
    return TokenPrice(
        token=name,
        usd=Decimal(usd),
        published_at=NOW - timedelta(seconds=age_s),
        observed_at=NOW,
        source="test",
        mode=SourceMode.SANDBOX,
        raw_sha256="02",
    )


ONE: Any = Question(gpu_counts=(1,))


def compared(
    offers: list[Offer],
    clouds: list[CloudPrice],
    tokens: list[TokenPrice] | None = None,
    *,
    compliant: list[str] | None = None,
    question: Question = ONE,
) -> list[dict[str, Any]]:
    """The rows for these; `compliant` names the providers that the house buys from."""
    scores = None
    if compliant is not None:
        everyone = {(offer.network, offer.provider): offer.provider in compliant for offer in offers}
        scores = COMPLIANCE_SCORES.frame(
            {"network": network, "provider": provider, "compliant": good}
            for (network, provider), good in everyone.items()
        )
    tables = OFFERS.frame(offers), CLOUD_PRICES.frame(clouds), TOKEN_PRICES.frame(tokens or [])
    return records(compare(*tables, scores, question))


def test_the_cheapest_offer_meets_each_clouds_machine_that_is_nearest() -> None:
    rows = compared(
        [offer("H100-80GB", "2.50", "akash1b"), offer("H100-80GB", "2.01", "akash1a"), offer("P40-24GB", "0.15")],
        [
            cloud_price("gcp", "H100-80GB", "11.06125", "a3-highgpu-1g", "us-central1"),
            cloud_price("aws", "H100-80GB", "5.4944", "p5.4xlarge", "ap-southeast-3"),
            cloud_price("aws", "H100-80GB", "6.88", "p5.48xlarge", "eu-central-1", 8),
        ],
        [token("0.5")],
    )
    assert [(row["gpu_key"], row["cloud"]) for row in rows] == [("H100-80GB", "aws"), ("H100-80GB", "gcp")]
    assert rows[0] == {
        "gpu_key": "H100-80GB",
        "gpu_count": 1,
        "choice": "cheapest",
        "offer_id": "akash/akash1a/H100-80GB",
        "network": "akash",
        "provider": "akash1a",
        "country": "DE",
        "region_group": "europe",
        "interruptible": False,
        "offers_seen": 2,
        "depin_usd_per_gpu_hour": Decimal("2.01"),
        "depin_akt_per_gpu_hour": Decimal("4.02"),
        "depin_usd_per_hour": Decimal("2.01"),
        "price_basis": "list",
        "cloud": "aws",
        "twin": "same",
        "proxy_gpu": None,
        "cloud_gpu_key": "H100-80GB",
        "cloud_instance": "p5.48xlarge",
        "cloud_gpu_count": 8,
        "cloud_region": "eu-central-1",
        "cloud_region_group": "europe",
        "same_region_group": True,
        "cloud_usd_per_gpu_hour": Decimal("6.88"),
        "cloud_usd_per_hour": Decimal("55.04"),
        "cloud_as_of": "2026-07-20",
        "cloud_source": "test",
        "cloud_mode": "snapshot",
        "savings_pct": Decimal("70.78"),
        "order_savings_pct": Decimal("96.35"),
        "cheapest_per_gpu_hour": True,
        "cheapest_per_order": False,
        "observed_at": NOW,
        "mode": "sandbox",
    }
    assert [(row["cloud_region"], row["same_region_group"], row["cheapest_per_order"]) for row in rows[1:]] == [
        ("us-central1", False, True)
    ]


@pytest.mark.parametrize(
    ("depin", "cloud", "percent"),
    [
        ("2.01", "6.88", "70.78"),
        ("1", "1", "0.00"),
        ("3", "2", "-50.00"),
        ("0.00005", "1", "100.00"),  # 99.995, half up
        ("0.99995", "1", "0.01"),
        ("1", "3", "66.67"),
    ],
)
def test_savings_are_percent_of_the_clouds_price(depin: str, cloud: str, percent: str) -> None:
    assert str(savings_pct(Decimal(depin), Decimal(cloud))) == percent


@given(PRICES, PRICES)
def test_savings_are_positive_exactly_when_the_offer_is_cheaper(depin: Decimal, cloud: Decimal) -> None:
    saved = savings_pct(depin, cloud)
    assert saved <= 100
    assert abs(saved - 100 * (cloud - depin) / cloud) <= Decimal("0.0050001")
    assert saved >= 0 if depin <= cloud else saved <= 0


def test_a_gpu_that_no_cloud_can_match_gives_no_row() -> None:
    assert compared([offer("H200-141GB", "4.10")], [cloud_price("aws", "H100-80GB", "6.88")]) == []


@pytest.mark.parametrize(
    ("wanted", "sold", "instance", "proxy"),
    [
        ("RTX4090-24GB", {"m": ("L40S-48GB", "1.861"), "n": ("H100-80GB", "6.88")}, "m", "L40S-48GB"),
        ("RTX4090-24GB", {"m": ("L4-24GB", "0.8"), "n": ("H100-80GB", "6.88")}, "n", "H100-80GB"),  # L4 is weaker
        ("RTXA6000-48GB", {"m": ("A100-40GB", "3.67"), "n": ("A100-80GB", "5.06")}, "n", "A100-80GB"),
        ("RTXA6000-48GB", {"m": ("A100-80GB", "5.06"), "n": ("RTXPRO6000-96GB", "4.5")}, "n", "RTXPRO6000-96GB"),
        ("RTX4090-24GB", {"m": ("MI300X-192GB", "1"), "n": ("L40S-48GB", "1.861")}, "n", "L40S-48GB"),
        ("T4-16GB", {"m": ("T4-16GB", "0.7"), "n": ("L4-24GB", "0.5")}, "m", None),
    ],
)
def test_a_gpu_that_a_cloud_lacks_meets_the_nearest_better_one(
    wanted: str, sold: dict[str, tuple[str, str]], instance: str, proxy: str | None
) -> None:
    prices = [cloud_price("aws", gpu, usd, name, "eu-west-1") for name, (gpu, usd) in sold.items()]
    (row,) = compared([offer(wanted, "0.39")], prices)
    assert (row["cloud_instance"], row["proxy_gpu"]) == (instance, proxy)
    assert row["twin"] == ("proxy" if proxy else "same")


def test_without_a_published_figure_of_its_compute_a_gpu_has_no_proxy() -> None:
    assert "P40" not in FP16_TFLOPS
    offers, clouds = [offer("P40-24GB", "0.08")], [cloud_price("aws", "H100-80GB", "6.88")]
    assert compared(offers, clouds) == []
    frame = OFFERS.frame([*offers, offer("H200-141GB", "4"), offer("T4-16GB", "0.1").model_copy(update=TAKEN)])
    comparison = compare(frame, CLOUD_PRICES.frame(clouds), NO_TOKENS, None, ONE)
    assert {gpu: why.partition(",")[0] for gpu, why in not_compared(frame, comparison, ONE).items()} == {
        "P40-24GB": "no cloud sells it",
        "H200-141GB": "no cloud has a machine as good",
        "T4-16GB": "no offer fits: too few GPUs at once",
    }


def test_the_same_model_with_more_memory_is_a_twin_and_with_less_it_is_none() -> None:
    prices = [cloud_price("azure", "H100-94GB", "6.98"), cloud_price("azure", "H100-80GB", "12.29", gpu_count=8)]
    (row,) = compared([offer("H100-80GB", "2.01")], prices)
    assert (row["twin"], row["cloud_gpu_key"], row["cloud_usd_per_hour"]) == ("same", "H100-94GB", Decimal("6.98"))
    (row,) = compared([offer("A100-80GB", "1.33")], [cloud_price("aws", "A100-40GB", "2"), *prices])
    assert (row["cloud"], row["twin"]) == ("azure", "proxy")


def test_an_order_of_one_gpu_pays_for_the_whole_machine() -> None:
    rows = compared(
        [offer("H200-141GB", "4")],
        [cloud_price("aws", "H200-141GB", "8", gpu_count=8)],
        question=Question(gpu_counts=(1, 8)),
    )
    assert [(row["gpu_count"], row["depin_usd_per_hour"], row["cloud_usd_per_hour"]) for row in rows] == [
        (1, Decimal(4), Decimal(64)),
        (8, Decimal(32), Decimal(64)),
    ]
    assert [(row["savings_pct"], row["order_savings_pct"]) for row in rows] == [
        (Decimal(50), Decimal("93.75")),
        (Decimal(50), Decimal(50)),
    ]


TAKEN = {"units_available": 0}


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (1, TAKEN),
        (4, {"units_available": 8, "max_gpus_per_order": 2}),
        (2, {"gpus_per_unit": 4}),
        (1, {"interruptible": True}),
        (1, {"min_hours": Decimal(24)}),
    ],
)
def test_an_offer_that_cannot_serve_the_order_is_not_compared(count: int, changes: dict[str, Any]) -> None:
    offers = [offer("T4-16GB", "0.10", "akash1a").model_copy(update=changes), offer("T4-16GB", "0.15", "akash1b")]
    prices = [cloud_price("aws", "T4-16GB", "0.526", gpu_count=4)]
    (row,) = compared(offers, prices, question=Question(gpu_counts=(count,)))
    assert (row["provider"], row["offers_seen"]) == ("akash1b", 1)
    asked = Question(gpu_counts=(4,), hours=Decimal(24), interruptible=True)
    if "units_available" not in changes:
        assert compared(offers, prices, question=asked)[0]["provider"] == "akash1a"


def test_the_cheapest_compliant_offer_stands_beside_the_cheapest_of_anyone() -> None:
    offers = [offer("T4-16GB", "0.10", "akash1shady"), offer("T4-16GB", "0.15", "akash1good")]
    rows = compared(offers, [cloud_price("aws", "T4-16GB", "0.5")], compliant=["akash1good"])
    assert [(row["choice"], row["provider"], row["savings_pct"], row["offers_seen"]) for row in rows] == [
        ("cheapest", "akash1shady", Decimal(80), 2),
        ("cheapest_compliant", "akash1good", Decimal(70), 1),
    ]
    nobody = compared(offers, [cloud_price("aws", "T4-16GB", "0.5")], compliant=[])
    assert [row["choice"] for row in nobody] == ["cheapest"]


def test_a_place_narrows_the_offers_and_draws_the_clouds_near() -> None:
    offers = [
        offer("T4-16GB", "0.10", "akash1us").model_copy(update={"country": "US"}),
        offer("T4-16GB", "0.20", "akash1de"),
        offer("T4-16GB", "0.30", "akash1jp").model_copy(update={"country": None, "region": "ap-northeast-1"}),
    ]
    prices = [
        cloud_price("aws", "T4-16GB", "0.5", region="us-east-1"),
        cloud_price("aws", "T4-16GB", "0.6", region="eu-west-1"),
        cloud_price("aws", "T4-16GB", "0.7", region="ap-south-1"),
    ]

    def found(**place: Any) -> list[tuple[str, str]]:
        rows = compared(offers, prices, question=Question(gpu_counts=(1,), **place))
        return [(row["provider"], row["cloud_region"]) for row in rows]

    assert found() == [("akash1us", "us-east-1")]
    assert found(countries=frozenset({"DE", "FR"})) == [("akash1de", "eu-west-1")]
    assert found(countries=frozenset({"DE", "US"})) == [("akash1us", "us-east-1")]
    assert found(region_group="asia-pacific") == [("akash1jp", "ap-south-1")]
    assert found(region_group="africa") == []


def test_an_offer_of_unknown_place_meets_the_cheapest_machine_anywhere() -> None:
    nowhere = offer("T4-16GB", "0.10").model_copy(update={"country": None, "region": "somewhere"})
    prices = [cloud_price("aws", "T4-16GB", "0.5", region="us-east-1"), cloud_price("aws", "T4-16GB", "0.4", "n", "x")]
    (row,) = compared([nowhere], prices)
    assert (row["region_group"], row["cloud_region"], row["same_region_group"]) == (None, "x", None)


def test_a_free_machine_is_no_price() -> None:
    assert compared([offer("T4-16GB", "0.10")], [cloud_price("aws", "T4-16GB", "0")]) == []


def test_a_headline_is_of_the_smallest_order_a_compliant_provider_takes_against_the_cheapest_cloud() -> None:
    offers = [
        offer("T4-16GB", "0.10", "akash1shady"),
        offer("T4-16GB", "0.20", "akash1good").model_copy(update={"gpus_per_unit": 4}),
        offer("L4-24GB", "0.60", "akash1shady"),
    ]
    prices = [
        cloud_price("aws", "T4-16GB", "0.5", gpu_count=8),
        cloud_price("gcp", "T4-16GB", "0.4", gpu_count=4),
        cloud_price("gcp", "L4-24GB", "0.7"),
    ]
    rows = compared(offers, prices, compliant=["akash1good"], question=Question())
    lines = headlines(PRICE_COMPARISON.frame(rows))
    assert [(row["gpu_key"], row["gpu_count"], row["provider"], row["cloud"]) for row in lines] == [
        ("T4-16GB", 4, "akash1good", "gcp"),
        ("L4-24GB", 1, "akash1shady", "gcp"),
    ]


def test_a_decision_is_told_the_prices_of_the_same_gpu_only() -> None:
    offers = [offer("T4-16GB", "0.10", "akash1shady"), offer("T4-16GB", "0.20", "akash1good")]
    prices = [
        cloud_price("aws", "T4-16GB", "0.5", gpu_count=1),
        cloud_price("aws", "T4-16GB", "0.6", "n", gpu_count=4),
        cloud_price("azure", "L4-24GB", "0.7", gpu_count=4),
    ]
    comparison = PRICE_COMPARISON.frame(compared(offers, prices, compliant=["akash1good"], question=Question()))
    told = same_gpu_prices(comparison)
    assert told["T4-16GB", 1] == {"aws": Decimal("0.5")}
    assert told["T4-16GB", count_class(3)] == {"aws": Decimal("0.6")}
    assert told.keys() == {("T4-16GB", 1), ("T4-16GB", 2), ("T4-16GB", 4)}
    assert [count_class(count) for count in (1, 2, 3, 4, 5, 8, 9)] == [1, 2, 4, 4, 8, 8, 9]


@pytest.mark.parametrize(
    ("pct", "shown"), [("100", "████████"), ("150", "████████"), ("25", "██"), ("1.5625", "▏"), ("0", ""), ("-40", "")]
)
def test_a_bar_is_full_at_a_hundred_and_empty_at_nothing(pct: str, shown: str) -> None:
    assert bar(Decimal(pct), 8) == shown


def test_equal_prices_are_settled_by_size_and_name_whatever_the_order() -> None:
    offers = [offer("T4-16GB", "0.15", f"akash1{name}") for name in "cab"]
    offers.append(offer("T4-16GB", "0.15", "aaa", network="render"))
    clouds = [
        cloud_price("aws", "T4-16GB", "0.526", "g4dn.metal", "us-east-1", 8),
        cloud_price("aws", "T4-16GB", "0.526", "g4dn.xlarge", "us-west-2"),
        cloud_price("aws", "T4-16GB", "0.526", "g4dn.xlarge", "us-east-1"),
    ]
    shuffler = random.Random(7)
    tables = []
    for _ in range(5):
        shuffler.shuffle(offers)
        shuffler.shuffle(clouds)
        tables.append(compared(offers, clouds))
    (row,) = tables[0]
    assert (row["network"], row["provider"]) == ("akash", "akash1a")
    assert (row["cloud_instance"], row["cloud_region"]) == ("g4dn.xlarge", "us-east-1")
    assert all(table == tables[0] for table in tables)


def test_without_an_akt_price_the_akt_column_is_empty() -> None:
    rows = compared([offer("T4-16GB", "0.15")], [cloud_price("aws", "T4-16GB", "0.526")], [token("1", name="USDC")])
    assert [row["depin_akt_per_gpu_hour"] for row in rows] == [None]


def test_the_newest_akt_price_counts() -> None:
    rows = compared(
        [offer("T4-16GB", "0.15")], [cloud_price("aws", "T4-16GB", "0.526")], [token("0.3", 600), token("0.6", 10)]
    )
    assert rows[0]["depin_akt_per_gpu_hour"] == Decimal("0.25")


def test_what_the_sources_agree_on_goes_before_what_one_says_and_a_price_that_does_not_count_is_no_price() -> None:
    agreed = token("0.5", 600).model_copy(update={"consensus": True})
    wild = token("9", 5).model_copy(update={"used": False, "reason": "token_price_disagrees"})

    def akt(*tokens: TokenPrice) -> Decimal | None:
        (row,) = compared([offer("T4-16GB", "0.15")], [cloud_price("aws", "T4-16GB", "0.526")], list(tokens))
        return row["depin_akt_per_gpu_hour"]

    assert akt(token("0.6", 10), agreed, wild) == Decimal("0.3")
    assert akt(wild) is None


@pytest.mark.parametrize("empty", ["offers", "clouds", "both"])
def test_nothing_to_compare_is_an_empty_table_with_its_columns(empty: str) -> None:
    offers = [] if empty in ("offers", "both") else [offer("T4-16GB", "0.15")]
    clouds = [] if empty in ("clouds", "both") else [cloud_price("aws", "T4-16GB", "0.526")]
    frame = compare(OFFERS.frame(offers), CLOUD_PRICES.frame(clouds), NO_TOKENS)
    assert len(frame) == 0
    assert PRICE_COMPARISON.arrow(frame).schema == PRICE_COMPARISON.schema


def test_object_columns_of_decimals_give_the_same_table() -> None:
    offers, clouds = (
        OFFERS.frame([offer("T4-16GB", "0.15")]),
        CLOUD_PRICES.frame([cloud_price("aws", "T4-16GB", "0.5")]),
    )
    pd.testing.assert_frame_equal(
        compare(offers.astype({"usd_per_gpu_hour": object, "gpu_key": object}), clouds.astype(object), NO_TOKENS),
        compare(offers, clouds, NO_TOKENS),
    )


GPUS = st.sampled_from(["T4-16GB", "H100-80GB", "H100-94GB", "L4-24GB", "RTX4090-24GB", "P40-24GB", "MI300X-192GB"])
COUNTRIES = st.sampled_from(["DE", "US", "BR", "JP", "AE", "ZA", None])
REGIONS = st.sampled_from(["eu-west-1", "us-east-1", "sa-east-1", "ap-south-1", "me-south-1", "af-south-1", "moon"])
OFFERED = st.lists(st.tuples(GPUS, PRICES, COUNTRIES, st.integers(0, 8), st.booleans()), max_size=10)
SOLD = st.lists(
    st.tuples(st.sampled_from(["aws", "azure", "gcp"]), GPUS, PRICES, REGIONS, st.sampled_from([1, 2, 4, 8])),
    max_size=14,
)


@given(OFFERED, SOLD, st.randoms(use_true_random=False))
def test_whatever_is_offered_and_sold_the_laws_of_a_comparison_hold(
    offered: list[tuple[str, Decimal, str | None, int, bool]],
    sold: list[tuple[str, str, Decimal, str, int]],
    shuffler: random.Random,
) -> None:
    offers = [
        offer(gpu, usd, f"akash1{n}").model_copy(update={"country": country, "region": None, "units_available": units})
        for n, (gpu, usd, country, units, _) in enumerate(offered)
    ]
    compliant = [f"akash1{n}" for n, (*_, good) in enumerate(offered) if good]
    prices = [
        cloud_price(cloud, gpu, usd, f"m{n}", region, size) for n, (cloud, gpu, usd, region, size) in enumerate(sold)
    ]
    rows = compared(offers, prices, compliant=compliant, question=Question(gpu_counts=(1, 4)))
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["gpu_key"], row["gpu_count"], row["choice"]), []).append(row)
        wanted = named(row["gpu_key"])
        # the saving is what the prices give
        assert row["savings_pct"] == savings_pct(row["depin_usd_per_gpu_hour"], row["cloud_usd_per_gpu_hour"])
        assert row["order_savings_pct"] == savings_pct(row["depin_usd_per_hour"], row["cloud_usd_per_hour"])
        # never less memory, never fewer GPUs, never weaker
        assert named(row["cloud_gpu_key"]).vram_gib >= wanted.vram_gib
        assert row["cloud_gpu_count"] >= row["gpu_count"]
        family = named(row["cloud_gpu_key"]).family
        assert (family == wanted.family) is (row["twin"] == "same")
        assert family == wanted.family or FP16_TFLOPS[family] >= FP16_TFLOPS[wanted.family]
        # the offer is the cheapest that can serve, and if need be compliant
        able = [
            one.usd_per_gpu_hour
            for one in offers
            if one.gpu.key == row["gpu_key"]
            and one.units_available >= row["gpu_count"]
            and (row["choice"] == "cheapest" or one.provider in compliant)
        ]
        assert row["depin_usd_per_gpu_hour"] == min(able)
        # no machine of the same model is nearer, or as near and cheaper
        homes = {row["region_group"]} - {None}
        chosen = (remoteness(row["cloud_region_group"], homes), row["cloud_usd_per_hour"])
        for price in prices:
            fits = price.gpu.vram_gib >= wanted.vram_gib and price.gpu_count >= row["gpu_count"]
            if price.cloud == row["cloud"] and fits and price.gpu.family == wanted.family:
                assert row["twin"] == "same"
                assert chosen <= (remoteness(place_group(None, price.region), homes), price.usd_per_hour)
    for group in groups.values():
        for flag, price in (
            ("cheapest_per_gpu_hour", "cloud_usd_per_gpu_hour"),
            ("cheapest_per_order", "cloud_usd_per_hour"),
        ):
            (best,) = [row for row in group if row[flag]]
            assert best[price] == min(row[price] for row in group)
    shuffler.shuffle(offers)
    shuffler.shuffle(prices)
    assert compared(offers, prices, compliant=compliant, question=Question(gpu_counts=(1, 4))) == rows


def test_ten_thousand_offers_are_compared_with_the_real_table_in_well_under_a_second() -> None:
    keys = ("H100-80GB", "A100-80GB", "RTX4090-24GB", "T4-16GB", "L4-24GB", "L40S-48GB")
    draw = random.Random(7)
    template = OFFERS.frame([offer(key, "1") for key in keys])
    offers = pd.concat([template] * (10_000 // len(keys) + 1), ignore_index=True)
    cents = [Decimal(draw.randint(100, 5000)) / 1000 for _ in range(len(offers))]
    offers["usd_per_gpu_hour"] = pd.array(cents, dtype=template["usd_per_gpu_hour"].dtype)
    clouds = CLOUD_PRICES.frame(reference_cloud_prices().rows)
    begun = time.perf_counter()
    frame = compare(offers, clouds, TOKEN_PRICES.frame([token("0.5")]))
    assert time.perf_counter() - begun < 1
    assert {row["gpu_key"] for row in records(frame)} == set(keys)
