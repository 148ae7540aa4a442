"""Akash's SDL: written from a placement, read and checked, and turned into the manifest and groups the network makes.

Pure: text and JSON values only. The shape stands in `sdl_document.py`, what holds between its parts in `sdl_rules.py`,
the mapping in `sdl_manifest.py`; an order made of a document of somebody else's in `sdl_order.py`.
"""

import base64
import hashlib
import json
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import yaml

from necto_pipelines.failures import Problem
from necto_pipelines.model.gpu import FAMILIES
from necto_pipelines.model.money import plain
from necto_pipelines.networks.akash import sdl_manifest
from necto_pipelines.networks.akash.pricing import CONSOLE_BLOCK_SECONDS, highest_uact_per_block
from necto_pipelines.networks.akash.sdl_order import placed_sdl
from necto_pipelines.networks.akash.sdl_reading import InvalidSdl, read
from necto_pipelines.networks.port import Placement

__all__ = ["InvalidSdl", "groups_of", "manifest_hash", "manifest_of", "manifest_text", "parse", "sdl_of"]

TOKEN_VARIABLE: Final = "NECTO_TOKEN"  # noqa: S105  the name of a variable; its value is no secret
AKASH_MODELS: Final[dict[str, tuple[str, ...]]] = {
    "H200": ("h200", "h200nvl"),
    "RTX2000ADA": ("rtx2000ada", "rtx2000eada"),
    "RTX4000ADA": ("rtx4000ada", "rtx4000sada"),
    "RTXA5000": ("a5000", "rtxa5000"),
    "RTXPRO6000": ("pro6000mq", "pro6000se", "pro6000we"),
}
"""families that Akash does not list under their own name alone (provider-configs devices/pcie/gpus.json, 2026-11-22)"""
_ESCAPES: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
"""Go's JSON encoder writes these escaped, so the hash covers them escaped"""


def sdl_of(placement: Placement, *, auditor: str, block_seconds: Decimal = CONSOLE_BLOCK_SECONDS) -> str:
    """SDL 2.1 for one container with all GPUs of the placement, at providers whose attributes `auditor` signed; or for
    the document that the order brought.

    `block_seconds` turns the price cap into the ceiling per block. The ceiling is no part of the manifest, so the
    manifest and its hash depend on the placement alone. `InvalidSdl` for a GPU that SDL cannot ask for.
    """
    need = placement.requirement
    ceiling = highest_uact_per_block(placement.max_usd_per_hour, block_seconds)
    if need.sdl is not None:
        return placed_sdl(need.sdl, token={TOKEN_VARIABLE: placement.token}, auditor=auditor, ceiling_uact=ceiling)
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
    return read(sdl_text)[0]


def manifest_of(sdl_text: str) -> list[dict[str, Any]]:
    """The manifest: per placement the services a provider shall run. Raises `InvalidSdl`."""
    return sdl_manifest.manifest(read(sdl_text)[1])


def groups_of(sdl_text: str) -> list[dict[str, Any]]:
    """The group specs: per placement what providers bid on. Raises `InvalidSdl`."""
    return sdl_manifest.groups(read(sdl_text)[1])


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
