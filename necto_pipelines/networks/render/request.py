"""What is posted to Dispersed for a placement, and how it is recognised again. Pure.

Creating a job is not idempotent, so a job must be recognisable in a list. What depends on the placement alone is hashed
before anything is sent; the title carries our token and the head of that hash. The card's name, the region and the
title are added on sending: they depend on what is on offer at that moment, or on the hash itself.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any, Final

from necto_pipelines.networks.port import Placement
from necto_pipelines.networks.render.catalog import Shape, country_of
from necto_pipelines.networks.render.signing import canonical_json

ASSIGN_TIMEOUT_MS: Final = 300_000
"""the least that the network takes: nobody waits longer for a machine here"""
START_TIMEOUT_MS: Final = 1_800_000
"""large images need this long on slow nodes (operators' notes, 2026-08)"""
_HEAD: Final = 32
_MARK: Final = "necto"


def content_of(placement: Placement) -> dict[str, Any]:
    """The part of the job that the placement alone decides. Sizes are whole GiB, rounded up."""
    need = placement.requirement
    image, tag = split_image(need.image)
    return {
        "task": "PERSISTENT",
        "gpu_count": need.gpu.count,
        "cpu_count": math.ceil(need.cpu_cores),
        "min_vram_gb": placement.vram_gib,
        "min_ram_gb": math.ceil(need.memory_gib),
        "min_storage_gb": math.ceil(need.disk_gib),
        "max_node_count": 1,
        # A second machine would be another price and another place: whoever pays decides anew.
        "max_retry_count": 0,
        "max_timeout_assign_ms": ASSIGN_TIMEOUT_MS,
        "max_timeout_start_ms": START_TIMEOUT_MS,
        "max_timeout_run_ms": None,
        "parameters": {
            "type": "docker",
            "parameters": {
                "image": image,
                "tag": tag,
                "ports": [need.port],
                "env": {"NECTO_TOKEN": placement.token},
                # Open to everyone, as a port published on any other network is: the service guards itself.
                "allowed_ips": ["0.0.0.0/0"],
            },
        },
    }


def content_hash(placement: Placement) -> str:
    """SHA-256 of `content_of` in its canonical form, in hex."""
    return hashlib.sha256(canonical_json(content_of(placement))).hexdigest()


def job_of(placement: Placement, shape: Shape) -> dict[str, Any]:
    """The whole job: the content on the card and in the region of `shape`, under our title."""
    title = f"{_MARK} {placement.token} {content_hash(placement)[:_HEAD]}"
    return content_of(placement) | {
        "title": title,
        "gpu_name": shape.gpu_name,
        "allowed_region_codes": [shape.region],
    }


def is_ours(title: str | None, content_hash: str) -> bool:
    """True for the title of a job with this content."""
    words = (title or "").split(" ")
    return len(words) == 3 and words[0] == _MARK and words[2] == content_hash[:_HEAD]


def cheapest(shapes: Iterable[Shape], placement: Placement) -> Shape | None:
    """The machine on offer that fits and costs least, not above the cap; None when there is none.

    A machine is let whole: one with more GPUs than asked for would be paid in full, so the count must be equal.
    """
    fit = [shape for shape in shapes if fits(shape, placement) and shape.usd_per_hour <= placement.max_usd_per_hour]
    return min(fit, key=lambda shape: (shape.usd_per_hour, shape.offer_id), default=None)


def fits(shape: Shape, placement: Placement) -> bool:
    """True when the job runs on this machine, whatever it costs."""
    need = placement.requirement
    return (
        (shape.gpu.family, shape.gpu.vram_gib) == (placement.gpu_family, placement.vram_gib)
        and shape.gpu_count == need.gpu.count
        and shape.cpu_cores >= math.ceil(need.cpu_cores)
        and shape.memory_gib >= math.ceil(need.memory_gib)
        and shape.disk_gib >= math.ceil(need.disk_gib)
        and (not need.countries or country_of(shape.region) in need.countries)
    )


def split_image(image: str) -> tuple[str, str]:
    """Image and tag, which the network takes apart: `ghcr.io/acme/job:1.0`; without a tag, `latest`.

    >>> split_image("registry.example:5000/acme/job")
    ('registry.example:5000/acme/job', 'latest')
    """
    head, colon, tag = image.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (image, "latest")
