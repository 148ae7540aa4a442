"""Orders made of a user's SDL: what they need, what is placed for them, and what an order cannot carry."""

from decimal import Decimal
from typing import Any

import pytest
import yaml

from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.akash.sdl_order import ceiling_usd_per_hour, placed_sdl, requirement_of
from necto_pipelines.networks.port import Placement

USERS = """
version: "2.0"
services:
  train:
    image: ghcr.io/acme/train:1
    env: [MODEL=llama]
    expose:
      - {port: 8080, as: 80, http_options: {max_body_size: 0, next_tries: 2}, to: [{global: true}]}
      - {port: 9999}
    params: {storage: {data: {mount: /data}}}
  cache: {image: redis, expose: [{port: 6379, to: [{service: train}]}]}
profiles:
  compute:
    gpu:
      resources:
        cpu: {units: 8}
        memory: {size: 64Gi}
        storage:
          - {name: data, size: 100Gi, attributes: {persistent: true, class: beta3}}
          - {size: 10G}
        gpu: {units: 2, attributes: {vendor: {nvidia: [{model: h100, ram: 80Gi}]}}}
    small: {resources: {cpu: {units: 500m}, memory: {size: 512Mi}, storage: {size: 1Gi}}}
  placement:
    eu:
      attributes: {region: eu-west}
      signedBy: {anyOf: [akash1other]}
      pricing:
        gpu: {denom: uact, amount: 9000}
        small: {denom: uact, amount: 1000}
deployment:
  train: {eu: {profile: gpu, count: 2}}
  cache: {eu: {profile: small, count: 1}}
reclamation: {min_window: 24h}
"""


def placed(text: str = USERS, ceiling: str = "100000") -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(
        placed_sdl(text, token={"NECTO_TOKEN": "ord_1-1"}, auditor="akash1auditor", ceiling_uact=Decimal(ceiling))
    )
    return made


def test_the_requirement_is_the_sum_of_all_replicas() -> None:
    need = requirement_of(USERS, hours=Decimal(3))
    assert (need.gpu.model, need.gpu.count) == ("H100-80GB", 4)
    assert (need.cpu_cores, need.memory_gib) == (Decimal("16.5"), Decimal("128.500"))
    assert need.disk_gib == Decimal("219.627")  # 2 x (100 GiB + 10 GB) + 1 GiB, rounded up
    assert (need.hours, need.sdl) == (Decimal(3), USERS)


def test_a_model_without_memory_takes_any_size_of_its_family() -> None:
    assert requirement_of(USERS.replace(", ram: 80Gi", ""), hours=Decimal(1)).gpu.model == "H100"


def test_the_documents_ceiling_counts_when_it_is_in_dollars() -> None:
    assert ceiling_usd_per_hour(USERS, Decimal(6)) == Decimal("11.4")  # (2 x 9000 + 1000) uact x 600 blocks
    assert ceiling_usd_per_hour(USERS.replace("uact", "uakt"), Decimal(6)) is None


def test_what_is_placed_carries_the_token_the_auditor_and_the_users_own_demands() -> None:
    document = placed()
    assert document["services"]["train"]["env"] == ["MODEL=llama", "NECTO_TOKEN=ord_1-1"]
    assert document["services"]["cache"]["env"] == ["NECTO_TOKEN=ord_1-1"]
    assert document["profiles"]["placement"]["eu"]["signedBy"] == {"allOf": ["akash1auditor"], "anyOf": ["akash1other"]}
    assert document["profiles"]["placement"]["eu"]["attributes"] == {"region": "eu-west"}
    assert document["reclamation"] == {"min_window": "24h"}


def test_what_is_placed_leaves_no_room_between_the_networks_implementations() -> None:
    document = placed()
    assert document["version"] == "2.1"
    assert document["deployment"]["train"]["eu"] == {"profile": "train", "count": 2}
    train = document["profiles"]["compute"]["train"]["resources"]
    assert [(volume["name"], volume["size"]) for volume in train["storage"]] == [
        ("default", "9765625Ki"),
        ("data", "100Gi"),
    ]
    [expose] = document["services"]["train"]["expose"]
    assert expose["http_options"] == {"next_tries": 2}


@pytest.mark.parametrize(
    ("coin", "ceiling", "train", "cache"),
    [
        ("uact", "100000", "9000", "1000"),  # the user's own prices are lower
        ("uact", "9500", "4500", "500"),  # ours is: shared out as the user's are
        ("uakt", "38000", "18000", "2000"),  # another coin says only the shares
    ],
)
def test_prices_stay_below_both_ceilings(coin: str, ceiling: str, train: str, cache: str) -> None:
    pricing = placed(USERS.replace("uact", coin), ceiling)["profiles"]["placement"]["eu"]["pricing"]
    assert {name: price["amount"] for name, price in pricing.items()} == {"cache": cache, "train": train}
    assert {price["denom"] for price in pricing.values()} == {"uact"}


def test_a_ceiling_of_zero_is_shared_equally() -> None:
    text = USERS.replace("amount: 9000", "amount: 0").replace("amount: 1000", "amount: 0")
    pricing = placed(text, "300")["profiles"]["placement"]["eu"]["pricing"]
    assert [price["amount"] for price in pricing.values()] == ["100", "100"]


def test_the_placed_document_has_the_manifest_of_the_brought_one_plus_the_token() -> None:
    brought = sdl.manifest_of(USERS.replace('"2.0"', '"2.1"').replace("\n      - {port: 9999}", ""))
    made = sdl.manifest_of(yaml.safe_dump(placed()))
    for service in made[0]["services"]:
        service["env"] = [line for line in service["env"] if not line.startswith("NECTO_TOKEN")] or None
    assert made == brought


def test_sdl_of_places_the_document_of_the_order() -> None:
    need = requirement_of(USERS, hours=Decimal(3))
    placement = Placement("ord_1-1", need, "H100", 80, Decimal(12), Decimal(5))
    text = sdl.sdl_of(placement, auditor="akash1auditor")
    assert sorted(yaml.safe_load(text)["services"]) == ["cache", "train"]
    assert "NECTO_TOKEN=ord_1-1" in text


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("model: h100, ram: 80Gi", "model: h900", "name a GPU that Necto knows"),
        ("nvidia: [{model: h100, ram: 80Gi}]", "nvidia: ", "name the GPU model"),
        ("[{model: h100, ram: 80Gi}]", "[{model: h100, ram: 80Gi}, {model: t4}]", "one kind of GPU"),
        ("image: redis,", "image: redis, credentials: {host: h, username: u, password: secret1},", "passwords"),
        ("{size: 10G}", "{size: 10G}\n          - {name: more, size: 10G}", "different sizes"),
        ("\nreclamation", "\nendpoints: {addr: {kind: ip}}\nreclamation", "endpoints.addr"),
    ],
)  # fmt: skip
def test_what_an_order_cannot_carry_is_refused_by_field(old: str, new: str, named: str) -> None:
    assert old in USERS
    with pytest.raises(sdl.InvalidSdl) as caught:
        requirement_of(USERS.replace(old, new), hours=Decimal(1))
    assert named in str(caught.value)
    assert "secret1" not in str(caught.value)


def test_a_document_without_gpus_is_no_order() -> None:
    text = USERS.replace("        gpu: {units: 2, attributes: {vendor: {nvidia: [{model: h100, ram: 80Gi}]}}}\n", "")
    with pytest.raises(sdl.InvalidSdl, match="at least one GPU"):
        requirement_of(text, hours=Decimal(1))


def test_two_placements_are_two_orders() -> None:
    text = USERS.replace("  placement:\n", "  placement:\n    us: {pricing: {small: {denom: uact, amount: 1}}}\n")
    with pytest.raises(sdl.InvalidSdl, match="one placement"):
        requirement_of(text, hours=Decimal(1))
