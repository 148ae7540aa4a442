"""The packaged table of cloud prices: what stands in it, and how it is made."""

import csv
import hashlib
import importlib.util
import os
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from necto_pipelines.market.clouds import reference, reference_cloud_prices
from necto_pipelines.market.clouds.reference import ReferencePrices
from necto_pipelines.model.gpu import normalise_gpu
from necto_pipelines.model.offer import CloudPrice, SourceMode
from necto_pipelines.model.tables import CLOUD_PRICES, records

REPO = Path(__file__).parents[3]
SHARED = Path(os.environ.get("NECTO_SHARED", REPO.parent / "shared"))
GATHERED = SHARED / "data" / "clouds" / "cloud_gpu_prices.csv"
REFUTED = SHARED / "data" / "clouds" / "gcp_skypilot_rows_vs_reference.csv"

ROW = {
    "cloud": "gcp",
    "instance": "a3-highgpu-8g",
    "gpu": "H100",
    "gpu_count": "8",
    "gpu_mem_gib": "80",
    "region": "us-central1",
    "usd_per_hour": "88.49",
    "usd_per_gpu_hour": "11.06125",
    "spot_usd_per_hour": "",
    "as_of": "2026-08-03",
    "source": "a price list",
}


@pytest.fixture(scope="module")
def rows() -> tuple[CloudPrice, ...]:
    return reference_cloud_prices().rows


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("builder", REPO / "scripts" / "build_cloud_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_covers_three_clouds_and_five_regions_of_each(rows: tuple[CloudPrice, ...]) -> None:
    regions = defaultdict(set)
    for row in rows:
        regions[row.cloud].add(row.region)
    assert len(rows) >= 150
    assert set(regions) == {"aws", "azure", "gcp"}
    assert min(len(found) for found in regions.values()) >= 5


def test_every_row_has_its_source_its_date_and_its_label(rows: tuple[CloudPrice, ...]) -> None:
    for row in rows:
        assert row.source
        assert re.fullmatch(r"2026(-\d\d-\d\d)?", row.as_of), row
        assert row.mode is SourceMode.SNAPSHOT


def test_the_price_per_gpu_times_the_gpus_is_the_price_of_the_machine(rows: tuple[CloudPrice, ...]) -> None:
    for row in rows:
        assert row.gpu_count >= 1
        assert row.usd_per_gpu_hour > 0
        assert row.usd_per_gpu_hour * row.gpu_count == row.usd_per_hour, row


def test_every_gpu_is_in_the_vocabulary(rows: tuple[CloudPrice, ...]) -> None:
    assert reference_cloud_prices().quarantined == ()
    assert all(normalise_gpu(row.gpu.key) == row.gpu for row in rows)


def test_a_machine_has_one_price_in_a_region(rows: tuple[CloudPrice, ...]) -> None:
    assert len({(row.cloud, row.instance, row.region) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("cloud", "instance", "region", "usd_per_hour"),
    [
        ("aws", "p5.48xlarge", "us-east-1", "55.04"),
        ("azure", "Standard_ND96isr_H100_v5", "eastus", "98.32"),
        ("gcp", "a3-highgpu-8g", "us-central1", "88.49"),  # published lists show 43.07
        ("gcp", "a2-ultragpu-1g", "us-central1", "5.068798"),  # published lists show 2.95
    ],
)
def test_known_prices_stand_as_the_clouds_publish_them(
    rows: tuple[CloudPrice, ...], cloud: str, instance: str, region: str, usd_per_hour: str
) -> None:
    found = [row.usd_per_hour for row in rows if (row.cloud, row.instance, row.region) == (cloud, instance, region)]
    assert found == [Decimal(usd_per_hour)]


def test_no_gcp_h100_is_offered_at_half_its_price(rows: tuple[CloudPrice, ...]) -> None:
    assert min(row.usd_per_gpu_hour for row in rows if (row.cloud, row.gpu.family) == ("gcp", "H100")) > 9


def test_the_raw_answer_is_the_table_itself(rows: tuple[CloudPrice, ...]) -> None:
    (raw,) = reference_cloud_prices().raw
    assert raw.sha256 == hashlib.sha256(raw.body).hexdigest() == rows[0].raw_sha256
    assert raw.body.count(b"\n") == len(rows) + 1


def test_the_rows_fit_the_cloud_price_table(rows: tuple[CloudPrice, ...]) -> None:
    first = records(CLOUD_PRICES.frame(rows))[0]
    assert first["usd_per_gpu_hour"] == rows[0].usd_per_gpu_hour


def test_a_gpu_without_a_name_is_set_aside_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "normalise_gpu", lambda name: None if name == "T4G-16GB" else normalise_gpu(name))
    listing = reference_cloud_prices()
    assert len(listing.quarantined) == 6
    assert all("unknown GPU 'T4G-16GB'" in reason for _, reason in listing.quarantined)
    assert not any(row.gpu.family == "T4G" for row in listing.rows)


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_the_table_is_a_source_of_each_cloud(rows: tuple[CloudPrice, ...], cloud: str) -> None:
    source = ReferencePrices(cloud)
    assert (source.name, source.mode) == (cloud, SourceMode.SNAPSHOT)
    assert source.prices().rows == tuple(row for row in rows if row.cloud == cloud)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gpu_count": "0.5", "usd_per_gpu_hour": "176.98"}, "a share of a GPU"),
        ({"gpu": "TPU v5e"}, "GPU not in the vocabulary"),
        ({"gpu_mem_gib": "10"}, "GPU not in the vocabulary"),
        ({"usd_per_hour": ""}, "no on-demand price"),
        ({"usd_per_gpu_hour": "88.49"}, "price per GPU and per machine disagree"),
        ({"spot_usd_per_hour": "90"}, "spot above on-demand"),
        ({"as_of": "yesterday"}, "no source or no date"),
        ({"source": ""}, "no source or no date"),
        ({"cloud": "azure", "instance": "Standard_NC24rs_v3"}, "retired on 2025-09-30"),
        ({"cloud": "aws", "instance": "p3.8xlarge"}, "no longer sold"),
    ],
)
def test_a_faulty_row_is_left_out_and_named(builder: ModuleType, change: dict[str, str], reason: str) -> None:
    text, dropped = builder.build([ROW | change])
    assert text.count("\n") == 1
    assert [why for _, why in dropped] == [reason]


def test_a_price_far_under_its_regions_median_is_left_out(builder: ModuleType) -> None:
    """43.07 for eight H100 is what published lists say of us-central1."""
    elsewhere = [ROW | {"region": region} for region in ("us-east4", "europe-west1", "asia-east1")]
    wrong = ROW | {"usd_per_hour": "43.07", "usd_per_gpu_hour": "5.38375"}
    text, dropped = builder.build([*elsewhere, wrong])
    assert text.count("\n") == 4
    ((row, why),) = dropped
    assert row["region"] == "us-central1"
    assert "under the median" in why


def test_a_cheaper_region_is_no_fault(builder: ModuleType) -> None:
    dear = [
        ROW | {"region": region, "usd_per_hour": "120", "usd_per_gpu_hour": "15"}
        for region in ("asia-east1", "asia-south1")
    ]
    assert builder.build([ROW, *dear])[1] == []


def test_a_source_without_a_day_is_dated_by_its_year(builder: ModuleType) -> None:
    text, _ = builder.build([ROW | {"as_of": "2026 (commit date not shown)"}])
    assert ",2026,a price list\n" in text


def test_the_confidential_h100_of_azure_has_94_gib(builder: ModuleType) -> None:
    text, _ = builder.build([ROW | {"instance": "Standard_NCC40ads_H100_v5"}])
    assert "H100-94GB" in text


def test_the_same_rows_in_any_order_give_the_same_bytes(builder: ModuleType) -> None:
    rows = [ROW | {"region": region} for region in ("us-east4", "europe-west1", "asia-east1")]
    assert builder.build(rows)[0] == builder.build(rows[::-1])[0]


@pytest.mark.skipif(not GATHERED.exists(), reason="the gathered figures are not on this machine")
def test_the_packaged_table_is_what_the_script_makes_of_the_gathered_figures(
    builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "table.csv"
    builder.main([str(GATHERED), "--table", str(made)])
    assert made.read_bytes() == builder.TABLE.read_bytes()
    assert "690 rows written" in capsys.readouterr().out


@pytest.mark.skipif(not REFUTED.exists(), reason="the refuted rows are not on this machine")
def test_no_row_is_one_that_was_found_wrong(rows: tuple[CloudPrice, ...]) -> None:
    with REFUTED.open(newline="") as file:
        wrong = [row for row in csv.DictReader(file) if row["verdict"].startswith("WRONG")]
    assert len(wrong) == 61
    ours = {(row.instance, row.region): row.usd_per_hour for row in rows if row.cloud == "gcp"}
    for row in wrong:
        figure = ours.get((row["instance"], row["region"]))
        assert figure is None or figure > Decimal(row["catalog_total_usd_h"]) * Decimal("1.3"), row
