"""Price lists in SkyPilot's format, with everything that is odd about them."""

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer
from necto_pipelines.market.clouds.claims import CLAIMS, PriceClaim
from necto_pipelines.market.clouds.plausibility import judge
from necto_pipelines.market.clouds.skypilot import MARKETPLACES, SkyPilotCatalog, read_catalog
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode

SHARED = Path(os.environ.get("NECTO_SHARED", Path(__file__).parents[4] / "shared"))
CATALOGS = SHARED / "data" / "skypilot-catalog"
CLOCK = FrozenClock()

HEADER = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone"
GCP_ROWS = (
    "a3-highgpu-1g,,,26,234,,1.18251,0.47,us-central1,us-central1-a",
    "a3-highgpu-1g,,,26,234,,1.20000,0.47,us-east4,us-east4-a",
    "n1-standard-8,,,8,30,,0.38,0.08,us-central1,us-central1-a",
    ",H100,1,,,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}\",9.79655,2.98,us-central1,us-central1-a",
    ",T4,2,,,,0.70,0.30,us-central1,us-central1-a",
)


def read(*rows: str, cloud: str = "aws", header: str = HEADER) -> Listing[PriceClaim]:
    body = "\n".join([header, *rows]).encode()
    return read_catalog(raw_answer("vms.csv", body, CLOCK), cloud=cloud, as_of="2026-05-20", source="a published list")


def source_of(folder: Path, cloud: str, *rows: str) -> SkyPilotCatalog:
    path = folder / "vms.csv"
    path.write_text("\n".join([HEADER, *rows]))
    return SkyPilotCatalog(path, cloud=cloud, as_of="2026-05-20", source="a published list", clock=CLOCK)


def test_a_plain_row_is_a_claim() -> None:
    (claim,) = read("g6.xlarge,L4,1.0,4,16,L4,0.8048,0.35,us-east-1,use1-az1").rows
    assert (claim.instance, claim.gpu.key, claim.gpu_count) == ("g6.xlarge", "L4-24GB", 1)
    assert (claim.usd_per_hour, claim.spot_usd_per_hour) == (Decimal("0.8048"), Decimal("0.35"))
    assert (claim.region, claim.zone, claim.as_of) == ("us-east-1", "use1-az1", "2026-05-20")
    assert (claim.mode, claim.source) == (SourceMode.SNAPSHOT, "a published list")


def test_a_field_too_many_belongs_to_the_last_column() -> None:
    header = HEADER.replace("AvailabilityZone", "Generation")
    (claim,) = read("Standard_NC4as_T4_v3,T4,1,4,28,T4,0.526,0.08,eastus,V1,V2", cloud="azure", header=header).rows
    assert (claim.region, claim.usd_per_hour) == ("eastus", Decimal("0.526"))


def test_lines_may_end_as_on_windows() -> None:
    body = f"\ufeff{HEADER}\r\ng6.xlarge,L4,1,4,16,L4,0.8048,,us-east-1,use1-az1\r\n".encode()
    listing = read_catalog(raw_answer("vms.csv", body, CLOCK), cloud="aws", as_of="2026", source="x")
    assert [claim.usd_per_hour for claim in listing.rows] == [Decimal("0.8048")]


@pytest.mark.parametrize("price", ["", "nan", "soon"])
def test_a_row_without_a_price_stays_for_the_gate_to_refuse(price: str) -> None:
    (claim,) = read(f"p5e.48xlarge,H200,8,192,2048,H200,{price},,us-east-2,use2-az1").rows
    assert claim.usd_per_hour is None


def test_a_share_of_a_gpu_is_set_aside() -> None:
    listing = read("Standard_NV6ads_A10_v5,A10,0.167,6,55,A10,0.454,0.1,eastus,", cloud="azure")
    assert listing.rows == ()
    assert listing.quarantined == (("azure Standard_NV6ads_A10_v5 eastus", "a share of a GPU"),)


@pytest.mark.parametrize(
    ("name", "count", "reason"),
    [("Inferentia", "1", "unknown GPU 'Inferentia'"), ("L4", "", "not a number"), ("L4", "0", "no GPU, or a share")],
)
def test_what_is_no_gpu_of_ours_is_set_aside(name: str, count: str, reason: str) -> None:
    listing = read(f"inf1.xlarge,{name},{count},4,8,,0.228,,us-east-1,use1-az1")
    assert listing.rows == ()
    assert reason in listing.quarantined[0][1]


@pytest.mark.parametrize(
    ("cloud", "name", "count", "size", "key"),
    [
        ("lambda", "A100", 8, 40960, "A100-40GB"),  # per card
        ("vast", "A100", 2, 163840, "A100-80GB"),  # of all cards together
        ("vast", "A100", 2, 81920, "A100-40GB"),
        ("shadeform", "A100", 8, 40, "A100-40GB"),  # in GB
        ("vast", "H100", 1, 95830, "H100-94GB"),
        ("gcp", "H200", 8, 144384, "H200-141GB"),
    ],
)
def test_memory_is_read_as_each_file_means_it(cloud: str, name: str, count: int, size: int, key: str) -> None:
    info = f"\"{{'Gpus': [{{'MemoryInfo': {{'SizeInMiB': {size}}}}}]}}\""
    (claim,) = read(f"machine,{name},{count},96,900,{info},10,,somewhere,", cloud=cloud).rows
    assert claim.gpu.key == key


def test_a_machine_that_we_know_better_has_the_memory_we_know() -> None:
    info = "\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}\""
    row = f"Standard_NC40ads_H100_v5,H100,1,40,320,{info},6.98,,eastus,"
    assert [claim.gpu.key for claim in read(row, cloud="azure").rows] == ["H100-94GB"]
    assert [claim.gpu.key for claim in read(row, cloud="lambda").rows] == ["H100-80GB"]


def test_a_gpu_of_gcp_is_priced_with_its_machine_of_the_same_zone() -> None:
    listing = read(*GCP_ROWS, cloud="gcp")
    h100, t4 = listing.rows
    assert (h100.instance, h100.usd_per_hour) == ("a3-highgpu-1g", Decimal("10.97906"))
    assert (h100.gpus_usd_per_hour, h100.spot_usd_per_hour) == (Decimal("9.79655"), Decimal("3.45"))
    assert (t4.instance, t4.gpu_count, t4.usd_per_hour) == ("n1-standard-8+2xT4", 2, Decimal("1.08"))


def test_a_gpu_of_gcp_without_its_machine_is_set_aside() -> None:
    listing = read(",H100,8,,,,33.6,2.98,us-central1,us-central1-a", cloud="gcp")
    assert listing.rows == ()
    assert listing.quarantined == (
        ("gcp 8 x H100 us-central1-a", "no row of its machine, a3-highgpu-8g, in the same zone"),
    )


def test_machines_without_gpus_show_how_dear_a_region_is() -> None:
    plain = [f"m5.large,,,2,8,,{usd},,{region},z" for region, usd in (("a", "0.08"), ("b", "0.1"), ("c", "0.12"))]
    gpus = [f"g6.xlarge,L4,1,4,16,L4,0.8,,{region},z" for region in "abc"]
    assert [claim.region_level for claim in read(*plain, *gpus).rows] == pytest.approx([0.8, 1.0, 1.2])
    assert [claim.region_level for claim in read(*gpus).rows] == [None, None, None]


@pytest.mark.parametrize("spot", ["", "0.00"])
def test_no_spot_price_is_none_and_not_a_free_machine(tmp_path: Path, spot: str) -> None:
    row = f'1x-RTX_5090-32-65536,RTX5090,1,32,64,,0.44,{spot},"Denmark, DK, EU",'
    assert [price.usd_per_hour for price in source_of(tmp_path, "vast", row).prices().rows] == [Decimal("0.44")]


@pytest.mark.parametrize(
    ("region", "read_as"), [("Texas, US, NA", "Texas, US, NA"), (", US, NA", "US, NA"), (", CA, NA", "CA, NA")]
)
def test_a_quoted_place_is_one_region_also_when_it_begins_empty(region: str, read_as: str) -> None:
    (claim,) = read(f'1x-RTX_4090,RTX4090,1,32,64,,0.31,0.00,"{region}",', cloud="vast").rows
    assert claim.region == read_as


def test_a_spot_price_that_repeats_the_on_demand_price_is_no_fault(tmp_path: Path) -> None:
    row = "Standard_ND96isr_H200_v5,H200,8,96,1850,,84.8,84.8,eastus2,"
    assert len(source_of(tmp_path, "azure", row).prices().rows) == 1


def test_zones_may_be_ids_and_local_zones_beside_their_region(tmp_path: Path) -> None:
    zones = ("use1-az1", "use1-az2", "use1-atl2-az1")
    rows = [f"p5.4xlarge,H100,1,16,256,H100,6.88,2.5,us-east-1,{zone}" for zone in zones]
    (price,) = source_of(tmp_path, "aws", *rows).prices().rows
    assert (price.region, price.usd_per_hour) == ("us-east-1", Decimal("6.88"))


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (("RTX6000-Ada", "RTX6000Ada"), "RTX6000ADA-48GB"),
        (("RTXPRO6000", "RTXPro6000"), "RTXPRO6000-96GB"),
        (("H100", "H100-SXM"), "H100-80GB"),
    ],
)
def test_one_card_under_several_names_is_one_gpu(names: tuple[str, ...], key: str) -> None:
    rows = [f"machine-{name},{name},1,32,64,,2.5,,somewhere," for name in names]
    assert [claim.gpu.key for claim in read(*rows, cloud="shadeform").rows] == [key] * len(names)


def test_gpus_at_half_their_price_are_refused_and_their_good_neighbours_kept(tmp_path: Path) -> None:
    """As upstream lists GCP's H100 in six regions (skypilot-catalog v8 @006059e0)."""
    rows = []
    for region, gpu_usd in (("us-central1", "4.20076"), ("us-east4", "9.79655"), ("europe-west4", "9.79655")):
        rows.append(f"a3-highgpu-1g,,,26,234,,1.18251,0.47,{region},{region}-a")
        rows.append(f",H100,1,,,,{gpu_usd},2.98,{region},{region}-a")
    listing = source_of(tmp_path, "gcp", *rows).prices()
    assert {row.region for row in listing.rows} == {"us-east4", "europe-west4"}
    ((what, why),) = listing.quarantined
    assert what == "skypilot:gcp a3-highgpu-1g us-central1-a"
    assert "under our reference" in why


def test_sellers_of_a_marketplace_owe_each_other_no_consistency(tmp_path: Path) -> None:
    rows = [f"1x-{n},RTX4090,1,32,64,,{usd},,{region}," for n, (usd, region) in enumerate(zip(
        ("0.2", "0.6", "0.7", "0.8"), ("DE", "FR", "NL", "US"), strict=True))]  # fmt: skip
    assert len(source_of(tmp_path, "vast", *rows).prices().rows) == 4


def test_a_file_of_another_format_is_refused() -> None:
    with pytest.raises(Unavailable, match="a SkyPilot catalogue has the columns"):
        read("1,2", header="instance,price")


def test_a_catalogue_as_a_source_passes_the_gate(tmp_path: Path) -> None:
    rows = [f"g6.xlarge,L4,1,4,16,L4,0.8,,{region},z" for region in ("us-east-1", "eu-west-1", "ap-south-1")]
    path = tmp_path / "vms.csv"
    path.write_text("\n".join([HEADER, *rows, "g6.xlarge,L4,1,4,16,L4,0.3,0.4,us-west-2,usw2-az1"]))
    listing = SkyPilotCatalog(path, cloud="aws", as_of="2026-05-20", source="a list", clock=CLOCK).prices()
    assert {row.region for row in listing.rows} == {"us-east-1", "eu-west-1", "ap-south-1"}
    ((what, why),) = listing.quarantined
    assert {(row.cloud, row.as_of, row.mode) for row in listing.rows} == {
        ("skypilot:aws", "2026-05-20", SourceMode.SNAPSHOT)
    }
    assert what == "skypilot:aws g6.xlarge usw2-az1"
    assert "spot price" in why
    assert "median" in why
    assert listing.raw[0].sha256 == listing.rows[0].raw_sha256


def test_a_missing_file_is_no_source(tmp_path: Path) -> None:
    source = SkyPilotCatalog(tmp_path / "vms.csv", cloud="aws", as_of="2026", source="a list", clock=CLOCK)
    with pytest.raises(Unavailable, match="cannot be read"):
        source.prices()


@pytest.mark.skipif(not CATALOGS.exists(), reason="the published catalogues are not on this machine")
@pytest.mark.parametrize(
    ("file", "claims", "set_aside", "refused"),
    [
        ("v5/aws", 1003, 612, 0),
        ("v8/azure", 572, 257, 0),
        ("v8/gcp", 711, 1684, 113),
        ("v8/lambda", 374, 17, 0),
        ("v8/vast", 60, 4, 0),
        ("v8/lium", 39, 1, 0),
        ("v8/shadeform", 117, 1, 0),
    ],
)
def test_whole_catalogues_are_read_and_only_wrong_rows_refused(
    file: str, claims: int, set_aside: int, refused: int
) -> None:
    cloud = file.partition("/")[2]
    answer = raw_answer(file, (CATALOGS / file / "vms.csv").read_bytes(), CLOCK)
    listing = read_catalog(answer, cloud=cloud, as_of="2022-12-02" if file.startswith("v5") else "2026", source=file)
    assert len(listing.rows) >= claims
    assert len(listing.rows) + len(listing.quarantined) == claims + set_aside
    found = judge(CLAIMS.frame(listing.rows), one_list=cloud not in MARKETPLACES)
    assert found["row"].nunique() == refused
    # 103 stand in 61 rows that another source refutes, 2 beside them; 8 are B200 at rates of reserved capacity.
    assert set(Counter(listing.rows[row].instance.rpartition("-")[0] for row in found["row"])) <= {
        "a2-highgpu", "a2-ultragpu", "a3-highgpu", "a3-megagpu", "a3-ultragpu", "a4-highgpu",
    }  # fmt: skip
