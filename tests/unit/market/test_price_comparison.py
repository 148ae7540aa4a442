"""DePIN against the clouds: the right pair, the right percent, always the same table."""

import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.market.clouds import reference_cloud_prices
from necto_pipelines.market.comparison import compare, savings_pct
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.offer import CloudPrice, Offer, PriceBasis, SourceMode, TokenPrice
from necto_pipelines.model.tables import CLOUD_PRICES, OFFERS, PRICE_COMPARISON, TOKEN_PRICES, records

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


def compared(offers: list[Offer], clouds: list[CloudPrice], tokens: list[TokenPrice] | None = None) -> list[dict]:
    return records(compare(OFFERS.frame(offers), CLOUD_PRICES.frame(clouds), TOKEN_PRICES.frame(tokens or [])))


def test_the_cheapest_offer_meets_each_clouds_cheapest_machine() -> None:
    rows = compared(
        [offer("H100-80GB", "2.50", "akash1b"), offer("H100-80GB", "2.01", "akash1a"), offer("T4-16GB", "0.15")],
        [
            cloud_price("gcp", "H100-80GB", "11.06125", "a3-highgpu-1g", "us-central1"),
            cloud_price("aws", "H100-80GB", "9.4944", "p5.4xlarge", "ap-southeast-3"),
            cloud_price("aws", "H100-80GB", "6.88", "p5.48xlarge", "us-east-1", 8),
        ],
        [token("0.5")],
    )
    assert [(row["gpu_key"], row["cloud"]) for row in rows] == [("H100-80GB", "aws"), ("H100-80GB", "gcp")]
    assert rows[0] == {
        "gpu_key": "H100-80GB",
        "network": "akash",
        "provider": "akash1a",
        "offers_seen": 2,
        "depin_usd_per_gpu_hour": Decimal("2.01"),
        "depin_akt_per_gpu_hour": Decimal("4.02"),
        "price_basis": "list",
        "cloud": "aws",
        "cloud_instance": "p5.48xlarge",
        "cloud_region": "us-east-1",
        "cloud_usd_per_gpu_hour": Decimal("6.88"),
        "cloud_as_of": "2026-07-20",
        "savings_pct": Decimal("70.78"),
        "observed_at": NOW,
        "mode": "sandbox",
    }


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


def test_a_gpu_without_a_twin_in_the_clouds_gives_no_row() -> None:
    assert compared([offer("RTX4090-24GB", "0.39")], [cloud_price("aws", "H100-80GB", "6.88")]) == []


def test_another_memory_size_is_another_gpu() -> None:
    rows = compared(
        [offer("H100-80GB", "2.01")],
        [cloud_price("azure", "H100-94GB", "6.98"), cloud_price("azure", "H100-80GB", "12.29")],
    )
    assert [row["cloud_usd_per_gpu_hour"] for row in rows] == [Decimal("12.29")]


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


GPUS = st.sampled_from(["T4-16GB", "H100-80GB", "L4-24GB", "RTX4090-24GB"])


@given(
    st.lists(st.tuples(GPUS, PRICES), max_size=12),
    st.lists(st.tuples(st.sampled_from(["aws", "azure", "gcp"]), GPUS, PRICES), max_size=12),
)
def test_the_table_is_what_looking_at_every_pair_would_find(
    offered: list[tuple[str, Decimal]], priced: list[tuple[str, str, Decimal]]
) -> None:
    rows = compared(
        [offer(gpu, usd, f"akash1{n}") for n, (gpu, usd) in enumerate(offered)],
        [cloud_price(cloud, gpu, usd, f"m{n}") for n, (cloud, gpu, usd) in enumerate(priced)],
    )
    expected = {
        (gpu, cloud): (
            min(usd for name, usd in offered if name == gpu),
            min(usd for where, name, usd in priced if (where, name) == (cloud, gpu)),
            sum(name == gpu for name, _ in offered),
        )
        for gpu in {name for name, _ in offered}
        for cloud in {where for where, name, _ in priced if name == gpu}
    }
    found = {
        (row["gpu_key"], row["cloud"]): (
            row["depin_usd_per_gpu_hour"],
            row["cloud_usd_per_gpu_hour"],
            row["offers_seen"],
        )
        for row in rows
    }
    assert found == expected
    assert [(row["gpu_key"], row["cloud"]) for row in rows] == sorted(expected)


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
    assert len(frame) == 12
