"""A folder of catalogues as further clouds: where the lists are, whose they are, and of which day their prices are."""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from necto_pipelines.failures import Unavailable
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.clouds.skypilot_folder import open_skypilot_catalogs
from necto_pipelines.market.registry import open_cloud_sources
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

SHARED = Path(os.environ.get("NECTO_SHARED", Path(__file__).parents[4] / "shared"))
CATALOGS = SHARED / "data" / "skypilot-catalog"
CHECKED = SHARED / "data" / "clouds" / "gcp_skypilot_rows_vs_reference.csv"
PUBLISHED = {
    "skypilot:aws": (290, 612),
    "skypilot:azure": (572, 257),
    "skypilot:gcp": (290, 1797),
    "skypilot:lambda": (374, 17),
    "skypilot:lium": (39, 1),
    "skypilot:shadeform": (117, 1),
    "skypilot:vast": (60, 4),
}
"""prices, one for each machine and region, and rows set aside; a wider GPU vocabulary reads more"""
CLOCK = FrozenClock()
DAY = date(2026, 5, 20)
LIST = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice\n"
    "gpu_1x_h100,H100,1,26,200,{usd},us-east-1,,\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "catalogs"


def write(folder: Path, place: str, usd: str = "2.49") -> Path:
    file = folder / place / "vms.csv"
    file.parent.mkdir(parents=True)
    file.write_text(LIST.format(usd=usd))
    return file


def only(folder: Path, as_of: date | None = DAY) -> CloudSource:
    (source,) = open_skypilot_catalogs(folder, as_of, CLOCK)
    return source


@pytest.mark.parametrize("layout", ["{}", "v8/{}"])
def test_each_folder_with_a_list_is_a_cloud_of_its_own(folder: Path, layout: str) -> None:
    for cloud in ("vast", "lambda"):
        write(folder, layout.format(cloud))
    sources = open_skypilot_catalogs(folder, DAY, CLOCK)
    assert [source.name for source in sources] == ["skypilot:lambda", "skypilot:vast"]
    for source in sources:
        (price,) = source.prices().rows
        assert (price.cloud, price.mode, price.as_of) == (source.name, SourceMode.SNAPSHOT, "2026-05-20")
        assert (
            price.source == f"SkyPilot-format catalogue {layout.format(source.name.removeprefix('skypilot:'))}/vms.csv"
        )


def test_the_newest_version_of_the_format_is_read_and_the_others_are_named(folder: Path) -> None:
    for version, usd in (("v5", "5"), ("v10", "10"), ("v8", "8")):
        write(folder, f"{version}/lambda", usd)
    listing = only(folder).prices()
    assert [str(price.usd_per_hour) for price in listing.rows] == ["10"]
    assert listing.quarantined == (
        ("skypilot:lambda v8/lambda/vms.csv", "v10/lambda/vms.csv is newer"),
        ("skypilot:lambda v5/lambda/vms.csv", "v10/lambda/vms.csv is newer"),
    )


def test_the_nearest_date_counts_and_the_setting_only_where_there_is_none(folder: Path) -> None:
    for cloud in ("aws", "lambda"):
        write(folder, f"v8/{cloud}")
    write(folder, "vast")
    (folder / "v8" / "as-of.txt").write_text("2026-05-20\n")
    (folder / "v8" / "aws" / "as-of.txt").write_text("2022-12-02")
    sources = open_skypilot_catalogs(folder, date(2026, 1, 1), CLOCK)
    dates = {source.name: source.prices().rows[0].as_of for source in sources}
    assert dates == {"skypilot:aws": "2022-12-02", "skypilot:lambda": "2026-05-20", "skypilot:vast": "2026-01-01"}


def test_a_date_above_the_given_folder_is_not_ours_to_use(folder: Path) -> None:
    write(folder, "lambda")
    (folder.parent / "as-of.txt").write_text("2026-05-20")
    with pytest.raises(Unavailable, match="have no date"):
        only(folder, None).prices()


def test_the_day_of_the_copy_is_never_taken_for_the_day_of_the_prices(folder: Path) -> None:
    write(folder, "lambda")
    with pytest.raises(Unavailable, match=r"write their day as YYYY-MM-DD into .*/lambda/as-of\.txt, or set NECTO_SKY"):
        only(folder, None).prices()


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "20260520", "2026-05-20 2026-05-21"])
def test_a_date_that_is_none_is_told_and_no_other_takes_its_place(folder: Path, text: str) -> None:
    write(folder, "lambda")
    (folder / "as-of.txt").write_text(text)
    with pytest.raises(Unavailable, match=r"vms\.csv: "):
        only(folder).prices()


def test_prices_of_tomorrow_are_no_prices(folder: Path) -> None:
    write(folder, "lambda")
    with pytest.raises(Unavailable, match="lies in the future"):
        only(folder, date(2026, 11, 23)).prices()
    assert only(folder, date(2026, 11, 22)).prices().rows


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_lists_is_one_source_that_says_so(folder: Path, made: bool) -> None:
    if made:
        (folder / "v8").mkdir(parents=True)
        (folder / "v8" / "vms.csv").write_text(LIST)
    source = only(folder)
    assert source.name == "skypilot"
    with pytest.raises(Unavailable, match=r"NECTO_SKYPILOT_CATALOGS: .* holds no price list"):
        source.prices()


def test_a_faulty_list_takes_no_other_with_it(folder: Path) -> None:
    write(folder, "lambda")
    write(folder, "vast").write_text("instance,price\n")
    good, bad = open_skypilot_catalogs(folder, DAY, CLOCK)
    assert good.prices().rows
    with pytest.raises(Unavailable, match="a SkyPilot catalogue has the columns"):
        bad.prices()


def test_the_settings_add_them_after_the_three_clouds(folder: Path, tmp_path: Path) -> None:
    write(folder, "aws")
    chosen = Settings(home=tmp_path, skypilot_catalogs=folder, skypilot_as_of=DAY)
    assert [source.name for source in open_cloud_sources(chosen, CLOCK)] == ["aws", "azure", "gcp", "skypilot:aws"]


@pytest.mark.skipif(not CATALOGS.exists(), reason="the published catalogues are not on this machine")
def test_published_catalogues_say_how_many_rows_were_read_and_set_aside(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    for file in CATALOGS.glob("v*/*/vms.csv"):
        copy = folder / file.relative_to(CATALOGS)
        copy.parent.mkdir(parents=True)
        shutil.copyfile(file, copy)
    (folder / "as-of.txt").write_text("2026-05-20")
    (folder / "v5" / "as-of.txt").write_text("2022-12-02")
    listings = {source.name: source.prices() for source in open_skypilot_catalogs(folder, None, CLOCK)}
    counts = {name: (len(listing.rows), len(listing.quarantined)) for name, listing in listings.items()}
    for name, (read, aside) in counts.items():
        record_property(name, f"{read} prices, {aside} set aside")
    for name, (read, aside) in PUBLISHED.items():
        assert counts[name][0] >= read
        assert counts[name][1] <= aside
    assert counts.keys() == PUBLISHED.keys()
    assert all(what.startswith(name) and why for name, found in listings.items() for what, why in found.quarantined)

    prices = {(row.instance, row.region): row.usd_per_hour for row in listings["skypilot:gcp"].rows}
    believed: Counter[str] = Counter()
    checked = list(csv.DictReader(CHECKED.read_text().splitlines()))
    for row in checked:
        price = prices.get((row["instance"], row["region"]))
        believed[row["verdict"]] += price is not None and abs(price - Decimal(row["catalog_total_usd_h"])) < Decimal(
            "0.01"
        )
    record_property("of 162 checked rows believed", dict(believed))
    assert len(checked) == 162
    assert believed == {"ok": 94, "no reference": 5, "WRONG": 0, "WRONG (spot > on-demand)": 0}
