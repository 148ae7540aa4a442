"""Machines on offer as offers and evidence, and everything that keeps one from being an offer."""

import json
from decimal import Decimal
from typing import Any

import pytest
from dispersed_answers import CARD, NOON, offer, page, placement

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import PriceBasis, SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.render.catalog import country_of, evidence_of, offers_of, shapes_of
from necto_pipelines.networks.render.request import cheapest, content_hash, content_of, is_ours, job_of, split_image
from necto_pipelines.networks.render.signing import canonical_json

CLOCK = FrozenClock(NOON)


def answer(body: object, url: str = "https://dispersed.example/v1/compute/offers") -> RawAnswer:
    return raw_answer(url, json.dumps(body).encode(), CLOCK)


REGISTRY = [answer(page({"uuid": CARD, "name": "NVIDIA RTX 4090"}), "https://dispersed.example/v1/gpu-registry")]


def reasons(*rows: object) -> dict[str, str]:
    return dict(offers_of([answer(page(offer("of_good"), *rows))], REGISTRY, mode=SourceMode.LIVE).quarantined)


def test_the_documented_offer_is_read_whole() -> None:
    listed = answer(page(offer()))
    listing = offers_of([listed], REGISTRY, mode=SourceMode.LIVE)
    [row] = listing.rows
    assert (row.offer_id, row.network, row.provider) == ("render/of_1", "render", "dispersed-us-east-1")
    assert (row.gpu.key, row.units_available, row.max_gpus_per_order) == ("RTX4090-24GB", 1, 1)
    assert (row.cpu_cores, row.memory_gib, row.disk_gib) == (16, 64, 500)
    assert (row.country, row.region) == ("US", "us-east-1")
    assert (row.usd_per_gpu_hour, row.native_amount, row.native_unit) == (Decimal("0.35"), Decimal("0.35"), "USD/hour")
    assert (row.price_basis, row.block_seconds, row.interruptible) == (PriceBasis.LIST, None, True)
    assert (row.observed_at, row.raw_sha256, row.mode) == (NOON, listed.sha256, SourceMode.LIVE)
    assert listing.raw == (listed, *REGISTRY)
    assert listing.quarantined == ()


def test_the_price_of_a_machine_is_for_all_its_gpus() -> None:
    [row] = offers_of([answer(page(offer(usd=4.14, count=6)))], REGISTRY, mode=SourceMode.LIVE).rows
    assert (row.usd_per_gpu_hour, row.native_amount, row.max_gpus_per_order) == (Decimal("0.69"), Decimal("4.14"), 6)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (offer("of_x", name="NVIDIA RTX A6000", vram=48, card="unknown-card"), "not in the GPU registry"),
        (offer("of_x", card=None), "not in the GPU registry"),
        (offer("of_x", usd=0), "no price"),
        (offer("of_x", usd=-1), "unexpected shape: pricing.hourly_rate_usd"),
        (offer("of_x", usd=None), "unexpected shape: pricing.hourly_rate_usd"),
        (offer("of_x", name="NVIDIA RTX 9999"), "not in the vocabulary"),
        (offer("of_x", vram=80), "not in the vocabulary"),
        (offer("of_x") | {"hardware_summary": {}}, "unexpected shape: hardware_summary.gpu_count"),
        (offer("of_good"), "listed on two pages"),
    ],
)
def test_what_cannot_be_bought_is_set_aside_with_its_reason(row: dict[str, Any], reason: str) -> None:
    found = reasons(row)
    assert list(found) == [row["offer_id"]]
    assert reason in found[row["offer_id"]]


def test_a_machine_with_two_models_is_set_aside() -> None:
    mixed = offer("of_x", count=2)
    mixed["hardware_summary"]["gpu_models"] = [
        {"name": name, "count": 1, "gpu_registry_uuid": CARD} for name in ("NVIDIA RTX 4090", "NVIDIA RTX 3090")
    ]
    assert "2 models" in reasons(mixed)["of_x"]
    half = offer("of_x", count=2)
    half["hardware_summary"]["gpu_models"][0]["count"] = 1
    assert "2 GPUs of 1 models" in reasons(half)["of_x"]


def test_without_a_registry_nothing_is_on_offer() -> None:
    listing = offers_of([answer(page(offer()))], [answer(page())], mode=SourceMode.LIVE)
    assert listing.rows == ()
    assert len(listing.quarantined) == 1


@pytest.mark.parametrize("body", [page({"id": 1}), {"offers": []}, [], {"data": {}, "total": 1}])
def test_a_list_of_another_shape_is_no_answer(body: object) -> None:
    with pytest.raises(Unavailable, match="unexpected shape"):
        offers_of([answer(body)], REGISTRY, mode=SourceMode.LIVE)


@pytest.mark.parametrize(
    ("region", "country"),
    [
        ("us-east-1", "US"),
        ("US-WEST-2", "US"),
        ("ca-central-1", "CA"),
        ("jp-east-1", "JP"),
        ("gb-1", "GB"),
        ("eu-west-1", None),
        ("ap-southeast-1", None),
        ("af-south-1", None),  # Africa, not Afghanistan
        ("sa-east-1", None),  # South America, not Saudi Arabia
        ("me-central-1", None),  # the Middle East, not Montenegro
        ("na-1", None),  # North America, not Namibia
        ("xx-1", None),
        ("useast", None),
        ("", None),
    ],
)
def test_a_country_is_told_only_where_the_region_names_one(region: str, country: str | None) -> None:
    assert country_of(region) == country


def test_evidence_says_which_regions_sell_and_nothing_that_is_not_published() -> None:
    listing = evidence_of([answer(page(offer("of_1"), offer("of_2", region="eu-west-1"), offer("of_3")))])
    assert [row.provider for row in listing.rows] == ["dispersed-us-east-1", "dispersed-eu-west-1"]
    for row in listing.rows:
        assert row.is_online is True
        assert (row.is_valid_version, row.audited_by, row.audited_attributes, row.uptime_7d) == (None, (), (), None)
    assert [row.country for row in listing.rows] == ["US", None]


# --- what is posted -------------------------------------------------------------------------------------------------


def shapes(*rows: dict[str, Any]) -> list[Any]:
    return shapes_of([answer(page(*rows))], REGISTRY)[0]


def test_the_job_is_the_documented_one() -> None:
    [shape] = shapes(offer())
    job = job_of(placement(), shape)
    head = content_hash(placement())[:32]
    assert job == {
        "task": "PERSISTENT",
        "title": f"necto ord_1-1 {head}",
        "gpu_count": 1,
        "gpu_name": "NVIDIA RTX 4090",
        "cpu_count": 8,
        "min_vram_gb": 24,
        "min_ram_gb": 32,
        "min_storage_gb": 100,
        "allowed_region_codes": ["us-east-1"],
        "max_node_count": 1,
        "max_retry_count": 0,
        "max_timeout_assign_ms": 300_000,
        "max_timeout_start_ms": 1_800_000,
        "max_timeout_run_ms": None,
        "parameters": {
            "type": "docker",
            "parameters": {
                "image": "ghcr.io/acme/vllm",
                "tag": "1.4",
                "ports": [8080],
                "env": {"NECTO_TOKEN": "ord_1-1"},
                "allowed_ips": ["0.0.0.0/0"],
            },
        },
    }
    assert canonical_json(job)


def test_the_content_hash_depends_on_the_token_and_the_need_and_not_on_price_or_place() -> None:
    same = content_hash(placement(max_usd_per_hour=Decimal(9), deposit_usd=Decimal(9)))
    assert same == content_hash(placement())
    assert content_hash(placement(token="ord_1-2")) != same
    assert content_hash(placement(vram_gib=48)) != same


def test_sizes_are_whole_and_never_too_small() -> None:
    need = Requirement(gpu=GpuNeed(model="RTX4090"), hours=Decimal(1), cpu_cores="1.5", memory_gib="32.1", disk_gib="9")
    content = content_of(placement(requirement=need))
    assert (content["cpu_count"], content["min_ram_gb"], content["min_storage_gb"]) == (2, 33, 9)


@pytest.mark.parametrize(
    ("title", "ours"),
    [
        ("necto ord_1-1 {head}", True),
        ("necto ord_1-1 other", False),
        ("necto {head}", False),
        ("somebody's {head} {head}", False),
        ("", False),
        (None, False),
    ],
)
def test_a_job_is_recognised_by_its_title(title: str | None, ours: bool) -> None:
    wanted = content_hash(placement())
    assert is_ours(title.format(head=wanted[:32]) if title else title, wanted) is ours


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("ghcr.io/acme/vllm:1.4", ("ghcr.io/acme/vllm", "1.4")),
        ("ghcr.io/acme/vllm", ("ghcr.io/acme/vllm", "latest")),
        ("registry.example:5000/acme/job", ("registry.example:5000/acme/job", "latest")),
        ("registry.example:5000/acme/job:2", ("registry.example:5000/acme/job", "2")),
        ("python", ("python", "latest")),
        ("acme/job@sha256:" + "ab" * 32, ("acme/job@sha256", "ab" * 32)),
    ],
)
def test_image_and_tag_are_taken_apart_so_that_image_colon_tag_is_the_image(image: str, parts: tuple[str, str]) -> None:
    assert split_image(image) == parts
    assert ":".join(parts) in (image, f"{image}:latest")


def test_the_cheapest_machine_that_fits_exactly_is_asked_for() -> None:
    rows = [
        offer("of_dear", usd=0.40),
        offer("of_b", region="us-west-2"),
        offer("of_a"),
        offer("of_rig", usd=0.10, count=6),
        offer("of_other", usd=0.10, name="NVIDIA RTX 3090"),
    ]
    chosen = cheapest(shapes(*rows), placement())
    assert chosen is not None
    assert chosen.offer_id == "of_a"


@pytest.mark.parametrize(
    "changes",
    [
        {"max_usd_per_hour": Decimal("0.34")},
        {"vram_gib": 48},
        {"requirement": Requirement(gpu=GpuNeed(model="RTX4090", count=2), hours=Decimal(1))},
        {"requirement": Requirement(gpu=GpuNeed(model="RTX4090"), hours=Decimal(1), memory_gib=Decimal("64.5"))},
        {"requirement": Requirement(gpu=GpuNeed(model="RTX4090"), hours=Decimal(1), cpu_cores=Decimal(17))},
        {"requirement": Requirement(gpu=GpuNeed(model="RTX4090"), hours=Decimal(1), disk_gib=Decimal(501))},
        {"requirement": Requirement(gpu=GpuNeed(model="RTX4090"), hours=Decimal(1), countries=("DE",))},
    ],
)
def test_a_machine_that_does_not_fit_is_not_asked_for(changes: dict[str, Any]) -> None:
    assert cheapest(shapes(offer()), placement(**changes)) is None
    assert cheapest(shapes(offer()), placement(max_usd_per_hour=Decimal("0.35"))) is not None


@pytest.mark.parametrize("changes", [{"region_code": "N/A"}, {"region_code": "unknown"}, {"offer_id": "N/A"}])
def test_a_placeholder_is_no_place_and_no_offer(changes: dict[str, str]) -> None:
    found = offers_of([answer(page(offer("of_good"), offer("of_x") | changes))], REGISTRY, mode=SourceMode.LIVE)
    assert [row.offer_id for row in found.rows] == ["render/of_good"]
    assert f"unexpected shape: {next(iter(changes))}" in found.quarantined[0][1]
    assert len(evidence_of([answer(page(offer("of_good"), offer("of_x") | changes))]).rows) == 1
