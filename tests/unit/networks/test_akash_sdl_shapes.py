"""Every shape of SDL: leased IPs, volumes, confidential computing, credentials, options, and what is refused."""

import copy
from typing import Any

import pytest
import yaml

from necto_pipelines.networks.akash import sdl

PLAIN: dict[str, Any] = {
    "version": "2.1",
    "services": {"web": {"image": "nginx", "expose": [{"port": 80, "to": [{"global": True}]}]}},
    "profiles": {
        "compute": {
            "web": {
                "resources": {"cpu": {"units": "0.01"}, "memory": {"size": "128Mi"}, "storage": {"size": "512Mi"}},
            }
        },
        "placement": {"west": {"pricing": {"web": {"denom": "uact", "amount": 10}}}},
    },
    "deployment": {"web": {"west": {"profile": "web", "count": 1}}},
}
WEB = "services.web"
RESOURCES = "profiles.compute.web.resources"
NVIDIA = {"units": 1, "attributes": {"vendor": {"nvidia": [{"model": "h100", "ram": "81920Mi", "interface": "sxm"}]}}}


def document(**changes: object) -> str:
    """PLAIN with fields set; `__` stands for the dot of a path, None removes."""
    made = copy.deepcopy(PLAIN)
    for path, value in changes.items():
        *parents, last = path.replace("__", ".").split(".")
        part: Any = made
        for parent in parents:
            part = part[int(parent)] if isinstance(part, list) else part.setdefault(parent, {})
        if value is None:
            part.pop(last)
        else:
            part[int(last) if isinstance(part, list) else last] = value
    return yaml.safe_dump(made)


def set_at(path: str, value: object) -> str:
    return document(**{path.replace(".", "__"): value})


def service_of(text: str) -> dict[str, Any]:
    [group] = sdl.manifest_of(text)
    [service] = group["services"]
    return service


def volumes_of(storage: object, **changes: object) -> list[dict[str, Any]]:
    text = document(**{f"{RESOURCES}.storage".replace(".", "__"): storage, **changes})
    volumes: list[dict[str, Any]] = service_of(text)["resources"]["storage"]
    return volumes


TWO_ON_ONE_IP = """
version: "2.1"
services:
  web:
    image: app
    expose: [{port: 80, to: [{global: true, ip: meow}], accept: [test.localhost]}]
  anotherweb:
    image: app
    expose: [{port: 80, as: 81, to: [{global: true, ip: meow}]}]
profiles:
  compute: {web: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}}
  placement: {everywhere: {pricing: {web: {denom: uact, amount: 10}}}}
deployment:
  web: {everywhere: {profile: web, count: 1}}
  anotherweb: {everywhere: {profile: web, count: 3}}
endpoints: {meow: {kind: ip}}
"""


def test_a_leased_ip_has_the_number_of_its_last_use_and_an_endpoint_beside_the_ports() -> None:
    [group] = sdl.manifest_of(TWO_ON_ONE_IP)
    another, web = group["services"]
    assert [(row["ip"], row["endpointSequenceNumber"]) for row in another["expose"]] == [("meow", 2)]
    assert another["resources"]["endpoints"] == [
        {"kind": 1, "sequence_number": 0},
        {"kind": 2, "sequence_number": 2},
    ]
    assert web["resources"]["endpoints"] == [{"sequence_number": 0}, {"kind": 2, "sequence_number": 2}]
    [unit] = sdl.groups_of(TWO_ON_ONE_IP)[0]["resources"]
    assert unit["count"] == 4
    assert unit["resource"]["endpoints"] == [
        {"kind": 1, "sequence_number": 0},
        {"sequence_number": 0},
        {"kind": 2, "sequence_number": 2},
        {"kind": 2, "sequence_number": 2},
    ]


def test_endpoints_of_one_service_stand_in_the_order_of_its_ports() -> None:
    expose = [
        {"port": 443, "to": [{"global": True, "ip": "second"}]},
        {"port": 80, "to": [{"global": True, "ip": "first"}]},
    ]
    service = service_of(
        document(services__web__expose=expose, endpoints={"first": {"kind": "ip"}, "second": {"kind": "ip"}})
    )
    assert service["resources"]["endpoints"] == [
        {"sequence_number": 0},
        {"kind": 2, "sequence_number": 1},
        {"kind": 1, "sequence_number": 0},
        {"kind": 2, "sequence_number": 2},
    ]


def test_a_port_that_nobody_is_named_for_is_open_to_nobody() -> None:
    expose = [{"port": 80, "to": [{"global": True}]}, {"port": 9000}]
    service = service_of(document(services__web__expose=expose))
    assert [(row["port"], row["global"], row["service"]) for row in service["expose"]] == [
        (80, True, ""),
        (9000, False, ""),
    ]
    assert service["resources"]["endpoints"] == [{"sequence_number": 0}]


def test_volumes_are_sorted_by_size_and_carry_class_and_persistence() -> None:
    storage = [
        {"name": "data", "size": "20Gi", "attributes": {"class": "beta3", "persistent": True}},
        {"name": "logs", "size": "5Gi"},
        {"name": "cache", "size": "1Gi", "attributes": {"persistent": False}},
        {"name": "shm", "size": "2Gi", "attributes": {"class": "ram"}},
        {"name": "kept", "size": "30Gi", "attributes": {"persistent": "true"}},
    ]
    mounts = {"data": {"mount": "/data"}, "kept": {"mount": "/kept", "readOnly": True}, "shm": {"mount": "/shared"}}
    text = document(profiles__compute__web__resources__storage=storage, services__web__params={"storage": mounts})
    service = service_of(text)
    found = [
        (volume["name"], [(pair["key"], pair["value"]) for pair in volume.get("attributes", [])])
        for volume in service["resources"]["storage"]
    ]
    assert found == [
        ("cache", [("persistent", "false")]),
        ("shm", [("class", "ram"), ("persistent", "false")]),
        ("logs", []),
        ("data", [("class", "beta3"), ("persistent", "true")]),
        ("kept", [("class", "default"), ("persistent", "true")]),
    ]
    assert service["params"] == {
        "storage": [
            {"name": "data", "mount": "/data", "readOnly": False},
            {"name": "kept", "mount": "/kept", "readOnly": True},
            {"name": "shm", "mount": "/shared", "readOnly": False},
        ]
    }


def test_plain_volumes_of_one_size_are_turned_round_as_the_network_does() -> None:
    names = [volume["name"] for volume in volumes_of([{"name": "a", "size": "1Gi"}, {"name": "b", "size": "1Gi"}])]
    assert names == ["b", "a"]


def test_one_volume_without_its_list_is_called_default() -> None:
    assert volumes_of({"size": "1G"}) == [{"name": "default", "size": {"val": "1000000000"}}]


def test_confidential_computing_stands_in_the_manifest_and_is_asked_of_providers() -> None:
    text = document(
        services__web__params={"tee": "cpu-gpu", "permissions": {"read": ["logs", "events"]}},
        profiles__compute__web__resources__gpu=NVIDIA,
        profiles__placement__west__attributes={"zone": 1, "tier": True},
    )
    service = service_of(text)
    assert service["params"] == {
        "storage": None,
        "permissions": {"read": ["logs", "events"]},
        "tee": {"type": "cpu-gpu", "attestation": True},
    }
    assert service["resources"]["gpu"]["attributes"] == [
        {"key": "vendor/nvidia/model/h100/ram/80Gi/interface/sxm", "value": "true"}
    ]
    assert sdl.groups_of(text)[0]["requirements"]["attributes"] == [
        {"key": "tee/type", "value": "cpu-gpu"},
        {"key": "tier", "value": "true"},
        {"key": "zone", "value": "1"},
    ]


@pytest.mark.parametrize("nvidia", [None, []])
def test_no_model_named_takes_any(nvidia: object) -> None:
    text = document(profiles__compute__web__resources__gpu={"units": "2", "attributes": {"vendor": {"nvidia": nvidia}}})
    assert service_of(text)["resources"]["gpu"]["attributes"][0]["key"] == "vendor/nvidia/model/*"


def test_the_processor_can_be_named() -> None:
    cpu = {"units": 2, "attributes": {"arch": "arm64"}}
    text = document(profiles__compute__web__resources__cpu=cpu)
    assert service_of(text)["resources"]["cpu"] == {
        "units": {"val": "2000"},
        "attributes": [{"key": "arch", "value": "arm64"}],
    }


SIGN_IN = {"host": "registry.example", "username": "me ", "password": "secret1", "email": "me@example.org"}


@pytest.mark.parametrize(("version", "username", "email"), [("2.0", "me ", ""), ("2.1", "me", "me@example.org")])
def test_credentials_are_kept_as_each_version_keeps_them(version: str, username: str, email: str) -> None:
    service = service_of(document(version=version, services__web__credentials=SIGN_IN))
    expected = {"host": "registry.example", "email": email, "username": username, "password": "secret1"}
    assert service["credentials"] == expected


def test_http_options_of_zero_are_the_networks_defaults_and_the_buffer_stands_only_when_set() -> None:
    options = {"max_body_size": 0, "read_timeout": 30000, "next_tries": 5, "next_cases": ["500", "off"][:1]}
    plain = service_of(document())["expose"][0]["httpOptions"]
    expose = [{"port": 80, "to": [{"global": True}], "http_options": options | {"proxy_buffer_size": 16384}}]
    given = service_of(document(services__web__expose=expose))["expose"][0]["httpOptions"]
    assert "proxyBufferSize" not in plain
    assert given == plain | {"readTimeout": 30000, "nextTries": 5, "nextCases": ["500"], "proxyBufferSize": 16384}


def test_off_is_a_word_and_no_boolean() -> None:
    text = document().replace("- port: 80", "- http_options: {next_cases: [off]}\n      port: 80")
    assert service_of(text)["expose"][0]["httpOptions"]["nextCases"] == ["off"]


def test_reclamation_and_dependencies_are_taken_and_change_no_manifest() -> None:
    more = document(
        reclamation={"min_window": "24h"}, services__web__dependencies=[{"service": "db"}], include=["a.yaml"]
    )
    assert sdl.manifest_of(more) == sdl.manifest_of(document())


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("version", "2.2", "version"),
        ("version", 2.0, "version"),
        ("services.web.image", "", "services.web.image"),
        ("services.web.image", None, "services.web.image: missing"),
        ("services.web.expose.0.port", 0, "services.web.expose.0.port"),
        ("services.web.expose.0.port", 65536, "services.web.expose.0.port"),
        ("services.web.expose.0.port", "80", "services.web.expose.0.port"),
        ("services.web.expose.0.proto", "icmp", "services.web.expose.0.proto"),
        ("services.web.expose.0.to.0", {"ip": "meow"}, "services.web.expose.0.to.0"),
        ("services.web.expose.0.to.0", {"ip": "meow", "global": True}, "services.web.expose.0.to.0.ip"),
        ("services.web.expose.0.to.0", {"service": "web"}, "open to everyone"),
        ("services.web.expose.0.accept", ["*.example.org"], "services.web.expose.0.accept"),
        ("services.web.expose.0.http_options", {"read_timeout": 60001}, "read_timeout"),
        ("services.web.expose.0.http_options", {"max_body_size": 104857601}, "max_body_size"),
        ("services.web.expose.0.http_options", {"proxy_buffer_size": 1048577}, "proxy_buffer_size"),
        ("services.web.expose.0.http_options", {"next_cases": ["off", "500"]}, "off"),
        ("services.web.env", ["1A=x"], "services.web.env.0"),
        ("services.web.credentials", {**SIGN_IN, "password": "short"}, "credentials.password"),
        ("services.web.credentials", {**SIGN_IN, "email": "a@b"}, "credentials.email"),
        ("services.web.credentials", {"username": "me", "password": "secret1"}, "credentials.host: missing"),
        ("services.web.params", {"tee": "sgx"}, "services.web.params.tee"),
        ("services.web.params", {"tee": "cpu-gpu"}, "services.web.params.tee"),
        ("services.web.params", {"permissions": {"read": ["secrets"]}}, "permissions.read.0"),
        ("services.web.params", {"storage": {"data": {"mount": "/data"}}}, "services.web.params.storage.data"),
        ("services.web.params", {"storage": {"default": {"mount": "data"}}}, "storage.default.mount"),
        ("profiles.compute.web.resources.cpu.units", "-100m", "cpu.units"),
        ("profiles.compute.web.resources.cpu.units", "0m", "cpu.units"),
        ("profiles.compute.web.resources.cpu.attributes", {"arch": "mips"}, "cpu.attributes.arch"),
        ("profiles.compute.web.resources.cpu.attributes", {"sockets": 2}, "sockets"),
        ("profiles.compute.web.resources.memory.size", None, "memory.size: missing"),
        ("profiles.compute.web.resources.memory.size", 5, "memory.size"),
        ("profiles.compute.web.resources.storage", [{"size": "1Gi"}, {"size": "2Gi"}], "name of its own"),
        ("profiles.compute.web.resources.storage.attributes", {"class": "ram", "persistent": True}, "ram"),
        ("profiles.compute.web.resources.storage.attributes", {"class": "beta1", "persistent": False}, "beta1"),
        ("profiles.compute.web.resources.storage.attributes", {"class": "gold", "persistent": True}, "class"),
        ("profiles.compute.web.resources.storage.attributes", {"persistent": True}, "mounted"),
        ("profiles.compute.web.resources.gpu", {"units": 1}, "attributes.vendor"),
        ("profiles.compute.web.resources.gpu", {**NVIDIA, "units": 0}, "attributes.vendor"),
        ("profiles.compute.web.resources.gpu", {"units": 1, "attributes": {"vendor": {"amd": None}}}, "vendor"),
        ("profiles.placement.west.pricing.web.denom", "uusdc", "denom"),
        ("profiles.placement.west.pricing.web.amount", -1, "amount"),
        ("profiles.placement.west.pricing", {}, "pricing.web: missing"),
        ("deployment.web.west.count", 0, "deployment.web.west.count"),
        ("deployment.web.west.profile", "big", "deployment.web.west.profile"),
        ("deployment", None, "deployment: missing"),
        ("deployment", {}, "deployment.web: missing"),
        ("endpoints", {"meow": {"kind": "ip"}}, "endpoints.meow"),
        ("endpoints", {"Meow!": {"kind": "ip"}}, "endpoints"),
        ("reclamation", {"min_window": "1h30m"}, "reclamation.min_window"),
        ("reclamation", {"min_window": "0h"}, "reclamation.min_window"),
        ("unknown", 1, "unknown"),
        ("services.Web", {"image": "x"}, "services.Web"),
    ],
)  # fmt: skip
def test_what_the_network_refuses_is_refused_with_the_field(path: str, value: object, named: str) -> None:
    with pytest.raises(sdl.InvalidSdl) as caught:
        sdl.manifest_of(set_at(path, value))
    assert named in str(caught.value)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(sdl.InvalidSdl) as caught:
        sdl.manifest_of(document(services__web__credentials={**SIGN_IN, "password": "pw123"}))
    assert "pw123" not in str(caught.value)


def test_groups_in_different_coins_are_refused() -> None:
    changed = yaml.safe_load(document())
    changed["profiles"]["placement"]["east"] = {"pricing": {"web": {"denom": "uakt", "amount": 1}}}
    changed["deployment"]["web"]["east"] = {"profile": "web", "count": 1}
    with pytest.raises(sdl.InvalidSdl, match="one denom"):
        sdl.groups_of(yaml.safe_dump(changed))


@pytest.mark.parametrize("text", ["version: '2.0'\nversion: '2.1'", "a: *nobody", "&a [*a]"])
def test_yaml_that_means_nothing_certain_is_refused(text: str) -> None:
    with pytest.raises(sdl.InvalidSdl):
        sdl.parse(text)
