"""Akash's SDL: written from a placement, read and checked, and turned into the manifest and groups the network makes.

Pure: text and JSON values only. The shape itself stands in `sdl_document.py`. Source of the mapping:
akash-network/chain-sdk go/sdl and ts/src/sdl (commit 55f1c6837f99) with their fixtures.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import yaml
from pydantic import ValidationError

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.gpu import FAMILIES
from necto_pipelines.model.money import plain
from necto_pipelines.networks.akash.pricing import CONSOLE_BLOCK_SECONDS, highest_uact_per_block
from necto_pipelines.networks.akash.sdl_document import Expose, PlacementProfile, Resources, Sdl, Service, Share
from necto_pipelines.networks.port import Placement

TOKEN_VARIABLE: Final = "NECTO_TOKEN"  # noqa: S105  the name of a variable; its value is no secret
AKASH_MODELS: Final[dict[str, tuple[str, ...]]] = {
    "H200": ("h200", "h200nvl"),
    "RTX2000ADA": ("rtx2000ada", "rtx2000eada"),
    "RTX4000ADA": ("rtx4000ada", "rtx4000sada"),
    "RTXA5000": ("a5000", "rtxa5000"),
    "RTXPRO6000": ("pro6000mq", "pro6000se", "pro6000we"),
}
"""families that Akash does not list under their own name alone (provider-configs devices/pcie/gpus.json, 2026-11-22)"""
SHARED_HTTP, RANDOM_PORT = 0, 1
"""kinds of endpoint: behind the provider's HTTP ingress, or a port of its own"""
_HTTP_OPTIONS: Final = {
    "maxBodySize": 1_048_576,
    "readTimeout": 60_000,
    "sendTimeout": 60_000,
    "nextTries": 3,
    "nextTimeout": 0,
    "nextCases": ["error", "timeout"],
}
_ESCAPES: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
"""Go's JSON encoder writes these escaped, so the hash covers them escaped"""


class InvalidSdl(InvalidInput):
    """The text is not an SDL document that Necto understands; every problem names its field."""


def sdl_of(placement: Placement, *, auditor: str, block_seconds: Decimal = CONSOLE_BLOCK_SECONDS) -> str:
    """SDL 2.1 for one container with all GPUs of the placement, at providers whose attributes `auditor` signed.

    `block_seconds` turns the price cap into the ceiling per block. The ceiling is no part of the manifest, so the
    manifest and its hash depend on the placement alone. `InvalidSdl` for a GPU that SDL cannot ask for.
    """
    need = placement.requirement
    ceiling = highest_uact_per_block(placement.max_usd_per_hour, block_seconds)
    resources = {
        "cpu": {"units": f"{_whole(need.cpu_cores * 1000)}m"},
        "memory": {"size": f"{_whole(need.memory_gib * 1024)}Mi"},
        "storage": [{"size": f"{_whole(need.disk_gib * 1024)}Mi"}],
        "gpu": {"units": need.gpu.count, "attributes": {"vendor": {"nvidia": _models(placement)}}},
    }
    document = {
        "version": "2.1",
        "services": {
            "job": {
                "image": need.image,
                "env": [f"{TOKEN_VARIABLE}={placement.token}"],
                "expose": [{"port": need.port, "as": 80, "to": [{"global": True}]}],
            }
        },
        "profiles": {
            "compute": {"job": {"resources": resources}},
            "placement": {
                "necto": {
                    "signedBy": {"anyOf": [auditor]},
                    "pricing": {"job": {"denom": "uact", "amount": plain(ceiling)}},
                }
            },
        },
        "deployment": {"job": {"necto": {"profile": "job", "count": 1}}},
    }
    return yaml.safe_dump(document, sort_keys=False)


def parse(sdl_text: str) -> dict[str, Any]:
    """The document as plain values, once its structure and its cross references hold. Raises `InvalidSdl`."""
    return _read(sdl_text)[0]


def manifest_of(sdl_text: str) -> list[dict[str, Any]]:
    """The manifest: per placement the services a provider shall run. Raises `InvalidSdl`."""
    sdl = _read(sdl_text)[1]
    groups = []
    for placement in _placements(sdl):
        ids = {profile: number for number, profile in enumerate(_profiles(sdl, placement), start=1)}
        services = [
            _manifest_service(name, sdl.services[name], share, sdl.profiles.compute[share.profile].resources, ids)
            for name, share in _shares(sdl, placement)
        ]
        groups.append({"name": placement, "services": services})
    return groups


def groups_of(sdl_text: str) -> list[dict[str, Any]]:
    """The group specs: per placement what providers bid on. Raises `InvalidSdl`."""
    sdl = _read(sdl_text)[1]
    return [
        {
            "name": placement,
            "requirements": _requirements(sdl.profiles.placement[placement]),
            "resources": [
                _resource_unit(sdl, placement, profile, number)
                for number, profile in enumerate(_profiles(sdl, placement), start=1)
            ],
        }
        for placement in _placements(sdl)
    ]


def manifest_text(manifest: list[dict[str, Any]]) -> str:
    """The manifest as compact JSON with sorted keys: what is sent with a lease, and what the hash is taken of."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)


def manifest_hash(manifest: list[dict[str, Any]]) -> str:
    """Base64 of the SHA-256 of `manifest_text`: the `hash` under which the network lists the deployment."""
    return base64.b64encode(hashlib.sha256(manifest_text(manifest).encode()).digest()).decode()


def _whole(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_CEILING))


def _models(placement: Placement) -> list[dict[str, str]]:
    """The memory is named only where a family comes in several sizes: providers state single sizes unevenly."""
    family = placement.gpu_family
    if family not in FAMILIES or family.startswith("MI"):
        raise InvalidSdl([Problem("gpu_family", family, "an NVIDIA family of the vocabulary is needed")])
    ram = {"ram": f"{placement.vram_gib}Gi"} if len(FAMILIES[family]) > 1 else {}
    return [{"model": name} | ram for name in AKASH_MODELS.get(family, (family.lower(),))]


def _read(sdl_text: str) -> tuple[dict[str, Any], Sdl]:
    try:
        plain_values = yaml.safe_load(sdl_text)
    except yaml.YAMLError as error:
        raise InvalidSdl([Problem("sdl", sdl_text[:80], f"YAML is needed ({error})")]) from error
    if not isinstance(plain_values, dict):
        raise InvalidSdl([Problem("sdl", plain_values, "a mapping with version, services, profiles and deployment")])
    try:
        sdl = Sdl.model_validate(plain_values)
    except ValidationError as error:
        raise InvalidSdl([_problem(dict(fault)) for fault in error.errors()]) from error
    if problems := list(_broken_references(sdl)):
        raise InvalidSdl(problems)
    return plain_values, sdl


def _problem(fault: dict[str, Any]) -> Problem:
    field = ".".join(str(part) for part in fault["loc"])
    value = None if fault["type"] == "missing" else fault["input"]
    return Problem(field, value, fault["msg"].removeprefix("Value error, "))


def _broken_references(sdl: Sdl) -> Iterator[Problem]:
    for service in sorted(sdl.services.keys() - sdl.deployment.keys()):
        yield Problem(f"deployment.{service}", None, "every service must be deployed")
    for service, shares in sdl.deployment.items():
        if service not in sdl.services:
            yield Problem(f"deployment.{service}", service, f"one of the services is needed: {sorted(sdl.services)}")
        for placement, share in shares.items():
            where = f"deployment.{service}.{placement}"
            if share.profile not in sdl.profiles.compute:
                yield Problem(f"{where}.profile", share.profile, f"one of {sorted(sdl.profiles.compute)} is needed")
            if placement not in sdl.profiles.placement:
                yield Problem(where, placement, f"one of the placements is needed: {sorted(sdl.profiles.placement)}")
            elif share.profile not in sdl.profiles.placement[placement].pricing:
                field = f"profiles.placement.{placement}.pricing.{share.profile}"
                yield Problem(field, None, "a price is needed for every profile deployed there")


def _placements(sdl: Sdl) -> list[str]:
    return sorted({placement for shares in sdl.deployment.values() for placement in shares})


def _shares(sdl: Sdl, placement: str) -> list[tuple[str, Share]]:
    """(service, share) of a placement, by service name."""
    return [(name, shares[placement]) for name, shares in sorted(sdl.deployment.items()) if placement in shares]


def _profiles(sdl: Sdl, placement: str) -> list[str]:
    """Compute profiles used in a placement, in the order that numbers them: first used, first counted."""
    return list(dict.fromkeys(share.profile for _, share in _shares(sdl, placement)))


def _requirements(profile: PlacementProfile) -> dict[str, Any]:
    attributes = [{"key": key, "value": str(value)} for key, value in sorted(profile.attributes.items())]
    return {
        "signed_by": {
            "all_of": list(profile.signed_by.all_of) or None,
            "any_of": list(profile.signed_by.any_of) or None,
        },
        "attributes": attributes or None,
    }


def _resource_unit(sdl: Sdl, placement: str, profile: str, number: int) -> dict[str, Any]:
    sharing = [(name, share) for name, share in _shares(sdl, placement) if share.profile == profile]
    endpoints = [endpoint for name, _ in sharing for endpoint in _endpoints(sdl.services[name])]
    price = sdl.profiles.placement[placement].pricing[profile]
    return {
        "resource": _resources(sdl.profiles.compute[profile].resources, number, sorted(endpoints)),
        "count": sum(share.count for _, share in sharing),
        "price": {"denom": price.denom, "amount": format(price.amount, ".18f")},
    }


def _resources(resources: Resources, number: int, endpoints: list[int]) -> dict[str, Any]:
    gpu: dict[str, Any] = {"units": {"val": str(resources.gpu.units)}}
    if keys := resources.gpu.attribute_keys:
        gpu["attributes"] = [{"key": key, "value": "true"} for key in keys]
    return {
        "id": number,
        "cpu": {"units": {"val": str(resources.cpu.units)}},
        "memory": {"size": {"val": str(resources.memory.size)}},
        "storage": [{"name": volume.name, "size": {"val": str(volume.size)}} for volume in resources.storage],
        "gpu": gpu,
        "endpoints": [({"kind": kind} if kind else {}) | {"sequence_number": 0} for kind in endpoints],
    }


def _endpoints(service: Service) -> list[int]:
    """The kind of each port open to everyone."""
    return sorted(
        SHARED_HTTP if expose.proto.upper() == "TCP" and (expose.outside or expose.port) == 80 else RANDOM_PORT
        for expose in service.expose or ()
        for to in expose.to
        if to.everyone
    )


def _manifest_service(
    name: str, service: Service, share: Share, resources: Resources, ids: dict[str, int]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": service.image,
        "command": list(service.command or ()) or None,
        "args": list(service.args or ()) or None,
        "env": list(service.env or ()) or None,
        "resources": _resources(resources, ids[share.profile], _endpoints(service)),
        "count": share.count,
        "expose": _exposed(service.expose or ()),
        "credentials": None,
    }


def _exposed(exposes: tuple[Expose, ...]) -> list[dict[str, Any]]:
    rows = [
        {
            "port": expose.port,
            "externalPort": expose.outside or 0,
            "proto": expose.proto.upper(),
            "service": to.service,
            "global": to.everyone,
            "hosts": list(expose.accept) or None,
            "httpOptions": dict(_HTTP_OPTIONS),
            "ip": "",
            "endpointSequenceNumber": 0,
        }
        for expose in exposes
        for to in expose.to
    ]
    return sorted(rows, key=lambda row: (row["service"], row["port"], row["proto"], not row["global"]))
