"""SDL: what we write, what we refuse, and the manifest, groups and hash that the network makes of it."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.port import Placement

AUDITOR = "akash1auditor"
REPOSITORY = Path(__file__).parents[3]
OFFICIAL = Path(os.environ.get("NECTO_SHARED", REPOSITORY.parent / "shared")) / "data" / "akash"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official fixtures are not on this machine")


def placement(**changes: Any) -> Placement:
    need = Requirement(
        gpu=GpuNeed(model="H100", count=2),
        cpu_cores=Decimal(8),
        memory_gib=Decimal(64),
        disk_gib=Decimal("0.5"),
        hours=Decimal(3),
        image="ghcr.io/acme/train:1.4",
        port=7000,
    )
    facts: dict[str, Any] = {
        "token": "ord_1/1",
        "requirement": need,
        "gpu_family": "H100",
        "vram_gib": 80,
        "max_usd_per_hour": Decimal(6),
        "deposit_usd": Decimal(5),
    }
    return Placement(**(facts | changes))


def text_of(**changes: Any) -> str:
    return sdl.sdl_of(placement(**changes), auditor=AUDITOR)


TWO_SERVICES = """
version: "2.0"
services:
  web:
    image: nginx
    expose:
      - {port: 80, accept: [example.org], to: [{global: true}]}
      - {port: 9000, proto: udp, to: [{global: true}, {service: api}]}
  api: {image: acme/api, command: [run], args: [--fast], env: [A=1]}
profiles:
  compute:
    small: {resources: {cpu: {units: 0.5}, memory: {size: 1G}, storage: {size: 10Gi}}}
  placement:
    west:
      attributes: {region: us-west, host: akash}
      signedBy: {allOf: [akash1a]}
      pricing: {small: {denom: uact, amount: 12.5}}
deployment:
  web: {west: {profile: small, count: 2}}
  api: {west: {profile: small, count: 1}}
"""


def test_the_written_sdl_carries_the_token_the_ports_and_every_size_in_the_networks_units() -> None:
    [group] = sdl.manifest_of(text_of())
    [service] = group["services"]
    assert service["env"] == ["NECTO_TOKEN=ord_1/1"]
    assert service["image"] == "ghcr.io/acme/train:1.4"
    assert [(port["port"], port["externalPort"], port["global"]) for port in service["expose"]] == [(7000, 80, True)]
    assert service["resources"] == {
        "id": 1,
        "cpu": {"units": {"val": "8000"}},
        "memory": {"size": {"val": str(64 * 1024**3)}},
        "storage": [{"name": "default", "size": {"val": str(512 * 1024**2)}}],
        "gpu": {
            "units": {"val": "2"},
            "attributes": [{"key": "vendor/nvidia/model/h100/ram/80Gi", "value": "true"}],
        },
        "endpoints": [{"sequence_number": 0}],
    }


def test_the_ceiling_is_the_price_cap_per_block_and_the_auditor_is_asked_for() -> None:
    [group] = sdl.groups_of(sdl.sdl_of(placement(), auditor=AUDITOR, block_seconds=Decimal("5.876")))
    assert group["requirements"]["signed_by"] == {"all_of": None, "any_of": [AUDITOR]}
    assert group["resources"][0]["price"] == {"denom": "uact", "amount": "9793.333333000000000000"}


def test_the_manifest_does_not_depend_on_the_price_so_the_hash_is_known_before_the_block_time() -> None:
    hashes = {
        sdl.manifest_hash(sdl.manifest_of(sdl.sdl_of(p, auditor=AUDITOR, block_seconds=Decimal(seconds))))
        for p in (placement(), placement(max_usd_per_hour=Decimal(9), deposit_usd=Decimal(1)))
        for seconds in ("5.876", "6.5")
    }
    assert len(hashes) == 1


def test_another_attempt_has_another_hash() -> None:
    first, second = (sdl.manifest_hash(sdl.manifest_of(text_of(token=token))) for token in ("ord_1/1", "ord_1/2"))
    assert first != second


@pytest.mark.parametrize(
    ("family", "vram_gib", "expected"),
    [
        ("A100", 40, ["vendor/nvidia/model/a100/ram/40Gi"]),
        ("RTX4090", 24, ["vendor/nvidia/model/rtx4090"]),
        ("H200", 141, ["vendor/nvidia/model/h200", "vendor/nvidia/model/h200nvl"]),
        (
            "RTXPRO6000",
            96,
            [f"vendor/nvidia/model/pro6000{kind}" for kind in ("mq", "se", "we")],
        ),
    ],
)
def test_gpus_are_asked_for_under_the_networks_names(family: str, vram_gib: int, expected: list[str]) -> None:
    [group] = sdl.groups_of(text_of(gpu_family=family, vram_gib=vram_gib))
    assert [a["key"] for a in group["resources"][0]["resource"]["gpu"]["attributes"]] == expected


@pytest.mark.parametrize("family", ["MI300X", "H1000"])
def test_a_gpu_that_sdl_cannot_ask_for_is_refused_by_name(family: str) -> None:
    with pytest.raises(sdl.InvalidSdl, match=f"gpu_family: '{family}'"):
        text_of(gpu_family=family, vram_gib=192)


def test_from_version_2_1_on_services_of_one_profile_share_their_resource_unit_in_the_group() -> None:
    [group] = sdl.groups_of(TWO_SERVICES.replace("2.0", "2.1"))
    assert group["requirements"] == {
        "signed_by": {"all_of": ["akash1a"], "any_of": None},
        "attributes": [{"key": "host", "value": "akash"}, {"key": "region", "value": "us-west"}],
    }
    [unit] = group["resources"]
    assert (unit["count"], unit["price"]["amount"]) == (3, "12.500000000000000000")
    assert unit["resource"]["cpu"]["units"]["val"] == "500"
    assert unit["resource"]["memory"]["size"]["val"] == "1000000000"
    assert unit["resource"]["endpoints"] == [{"sequence_number": 0}, {"kind": 1, "sequence_number": 0}]
    assert [unit["count"] for unit in sdl.groups_of(TWO_SERVICES)[0]["resources"]] == [1, 2]
    [manifest] = sdl.manifest_of(TWO_SERVICES)
    api, web = manifest["services"]
    assert (api["resources"]["id"], web["resources"]["id"]) == (1, 2)
    assert (api["name"], api["command"], api["args"], api["env"]) == ("api", ["run"], ["--fast"], ["A=1"])
    assert api["resources"]["endpoints"] == []
    assert [(e["port"], e["proto"], e["service"], e["global"], e["hosts"]) for e in web["expose"]] == [
        (80, "TCP", "", True, ["example.org"]),
        (9000, "UDP", "", True, None),
        (9000, "UDP", "api", False, None),
    ]


def test_parse_gives_back_what_was_written() -> None:
    assert sdl.parse(TWO_SERVICES) == yaml.safe_load(TWO_SERVICES)


def changed(path: str, value: object) -> str:
    """TWO_SERVICES with one field changed, or removed when `value` is None."""
    document = yaml.safe_load(TWO_SERVICES)
    *parents, last = path.split(".")
    part = document
    for parent in parents:
        part = part[int(parent)] if isinstance(part, list) else part[parent]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", "3.0", "version: '3.0' is not allowed"),
        ("version", None, "version: missing; this field is needed"),
        ("colour", "red", "colour: 'red' is not allowed"),
        ("services.web.image", "", "services.web.image"),
        ("services.web.expose.0.port", 70000, r"services.web.expose.0.port: 70000"),
        ("services.web.expose.0.proto", "sctp", r"services.web.expose.0.proto: 'sctp'"),
        ("services.web.credentials", {"host": "x"}, "services.web.credentials"),
        ("profiles.compute.small.resources.cpu.units", "-1", "resources.cpu.units: '-1'"),
        ("profiles.compute.small.resources.cpu.units", 0, "resources.cpu.units: 0"),
        ("profiles.compute.small.resources.memory.size", 512, "resources.memory.size: 512"),
        ("profiles.compute.small.resources.storage", {"size": "ten"}, "resources.storage.0.size: 'ten'"),
        ("profiles.compute.small.resources.gpu", {"units": 1}, "resources.gpu: .*attributes.vendor"),
        ("profiles.placement.west.pricing", None, "profiles.placement.west.pricing: missing"),
        ("profiles.placement.west.pricing", {}, "profiles.placement.west.pricing.small: missing"),
        ("profiles.placement.west.pricing.small.amount", -1, "pricing.small.amount: -1"),
        ("profiles.placement.west.pricing.small.amount", "NaN", "pricing.small.amount: 'NaN'"),
        ("profiles.placement.west.pricing.small.denom", "usdc", "pricing.small.denom: 'usdc'"),
        ("deployment.web.west.count", 0, "deployment.web.west.count: 0"),
        ("deployment.web.west.profile", "large", "deployment.web.west.profile: 'large'"),
        ("deployment.web", {"east": {"profile": "small", "count": 1}}, "deployment.web.east: 'east'"),
        ("deployment.api", None, "deployment.api: missing"),
        ("deployment.db", {"west": {"profile": "small", "count": 1}}, "deployment.db: 'db'"),
    ],
)
def test_a_wrong_document_is_refused_with_the_fields_name(path: str, value: object, message: str) -> None:
    with pytest.raises(sdl.InvalidSdl, match=message):
        sdl.parse(changed(path, value))


@pytest.mark.parametrize("text", ["", "just text", "- a list", "a: [unclosed"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(sdl.InvalidSdl, match="sdl: "):
        sdl.parse(text)


def test_the_hash_is_the_networks_own() -> None:
    # Known answer of chain-sdk ts/src/sdl/manifest (snapshot "Basic SDL"): the SHA-256 begins ee 52 e3 29 aa 45.
    text = """
version: "2.0"
services: {tetris: {image: bsord/tetris, expose: [{port: 80, as: 80, to: [{global: true}]}]}}
profiles:
  compute: {tetris: {resources: {cpu: {units: 1}, memory: {size: 512Mi}, storage: {size: 512Mi}}}}
  placement: {akash: {pricing: {tetris: {denom: uakt, amount: 1000}}}}
deployment: {tetris: {akash: {profile: tetris, count: 1}}}
"""
    assert sdl.manifest_hash(sdl.manifest_of(text)) == "7lLjKapFsGOMJwZdUusNyS9nBBlLxjxkNcVvtUnd7X0="


def test_signs_that_go_escapes_are_hashed_escaped() -> None:
    assert sdl.manifest_text([{"name": "a<b>&c", "é": 1}]) == '[{"name":"a\\u003cb\\u003e\\u0026c","é":1}]'


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), min_size=2))
def test_the_order_of_keys_does_not_change_the_hash(entries: dict[str, Any]) -> None:
    turned = dict(reversed(entries.items()))
    assert sdl.manifest_hash([entries]) == sdl.manifest_hash([turned])
    assert json.loads(sdl.manifest_text([entries])) == [entries]


@needs_official
@pytest.mark.parametrize("case", sorted((OFFICIAL / "sdl_fixtures" / "valid").glob("*")), ids=lambda path: path.name)
def test_official_documents_give_the_official_manifest_and_groups(case: Path) -> None:
    text = (case / "input.yaml").read_text()
    assert sdl.manifest_of(text) == json.loads((case / "manifest.json").read_text())
    assert sdl.groups_of(text) == json.loads((case / "group-specs.json").read_text())


@needs_official
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("count-zero", "deployment.web.akash.count: 0"),
        ("missing-pricing", "profiles.placement.akash.pricing"),
        ("negative-cpu", "profiles.compute.web.resources.cpu.units: '-100m'"),
        ("unknown-field", "unknown_field"),
    ],
)
def test_official_invalid_documents_are_refused(name: str, field: str) -> None:
    with pytest.raises(sdl.InvalidSdl, match=field):
        sdl.parse((OFFICIAL / "sdl_fixtures" / "invalid" / f"{name}.yaml").read_text())


@needs_official
@pytest.mark.parametrize("family", ["H100", "H200", "RTX4090", "RTXPRO6000"])
def test_what_we_write_passes_the_official_schema(family: str) -> None:
    schema = yaml.safe_load((OFFICIAL / "sdl-input.schema.yaml").read_text())
    jsonschema.validate(yaml.safe_load(text_of(gpu_family=family)), schema)
