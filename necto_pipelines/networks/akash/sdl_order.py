"""Orders made of an SDL document that a user brings: what it asks for, and the document that is placed for it.

The network has two implementations that compute manifests, and after a lost reply a deployment is recognised by its
manifest's hash. What is placed is therefore written so that both compute the same: one profile for each service, sizes
that divide, volumes in the network's own order. What cannot be written so, or cannot be kept in an order, is refused.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from typing import Any, Final

import yaml

from necto_pipelines.failures import Problem
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.money import plain
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.akash.sdl_document import Expose, GpuModel, Resources, Sdl, Service, Share
from necto_pipelines.networks.akash.sdl_manifest import in_order
from necto_pipelines.networks.akash.sdl_reading import InvalidSdl, read
from necto_pipelines.networks.akash.sdl_rules import shares_in

_GIB: Final = Decimal(1024**3)
_SUFFIXES: Final = (
    ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024), ("G", 10**9), ("M", 10**6), ("k", 10**3), ("", 1),
)  # fmt: skip
_AMOUNT_STEP: Final = Decimal("1E-18")


def requirement_of(sdl_text: str, *, hours: Decimal) -> Requirement:
    """What all services of the document need together, for `hours`; the document itself stands in `sdl`.

    Raises `InvalidSdl` for a document that the network does not take, or that an order cannot carry.
    """
    sdl = _orderable(sdl_text)
    [placement] = sdl.profiles.placement
    shares = [(sdl.profiles.compute[share.profile].resources, share.count) for _, share in shares_in(sdl, placement)]
    gpu = _gpus(sdl)[0]
    named = all(model.ram for resources, _ in shares for model in _models(resources))
    return Requirement(
        gpu=GpuNeed(
            model=gpu.key if named else gpu.family,
            count=sum(resources.gpu.units * count for resources, count in shares),
        ),
        cpu_cores=Decimal(sum(resources.cpu.units * count for resources, count in shares)) / 1000,
        memory_gib=_gib(sum(resources.memory.size * count for resources, count in shares)),
        disk_gib=_gib(sum(volume.size * count for resources, count in shares for volume in resources.storage)),
        hours=hours,
        image=next(sdl.services[name].image for name, _ in shares_in(sdl, placement)),
        sdl=sdl_text,
    )


def ceiling_usd_per_hour(sdl_text: str, block_seconds: Decimal) -> Decimal | None:
    """The document's own price ceiling for everything it deploys; None when it is not in `uact`, which is a dollar."""
    sdl = _orderable(sdl_text)
    [(placement, profile)] = sdl.profiles.placement.items()
    prices = [(profile.pricing[share.profile], share.count) for _, share in shares_in(sdl, placement)]
    if any(price.denom != "uact" for price, _ in prices):
        return None
    return sum((price.amount * count for price, count in prices), Decimal(0)) / 10**6 * 3600 / block_seconds


def placed_sdl(sdl_text: str, *, token: Mapping[str, str], auditor: str, ceiling_uact: Decimal) -> str:
    """The document as it is sent: `token` in every environment, signed by `auditor`, at most `ceiling_uact` per block.

    The ceiling is shared out over the services as the document's own prices are, and never above them where these are
    in `uact`. It is no part of the manifest.
    """
    sdl = _orderable(sdl_text)
    [(placement, profile)] = sdl.profiles.placement.items()
    shares = shares_in(sdl, placement)
    signed = profile.signed_by
    document = {
        "version": "2.1",
        "services": {name: _service(sdl.services[name], token) for name, _ in shares},
        "profiles": {
            "compute": {name: {"resources": _resources(_of(sdl, share))} for name, share in shares},
            "placement": {
                placement: {
                    "attributes": profile.attributes,
                    "signedBy": {
                        "allOf": sorted({*signed.all_of, auditor}),
                        **({"anyOf": list(signed.any_of)} if signed.any_of else {}),
                    },
                    "pricing": {
                        name: {"denom": "uact", "amount": plain(amount)}
                        for name, amount in _amounts(sdl, shares, ceiling_uact).items()
                    },
                }
            },
        },
        "deployment": {name: {placement: {"profile": name, "count": share.count}} for name, share in shares},
    }
    if sdl.reclamation:
        document["reclamation"] = {"min_window": sdl.reclamation.min_window}
    return yaml.safe_dump(document, sort_keys=False)


def _orderable(sdl_text: str) -> Sdl:
    sdl = read(sdl_text)[1]
    if problems := list(_not_orderable(sdl)):
        raise InvalidSdl(problems)
    return sdl


def _not_orderable(sdl: Sdl) -> Iterator[Problem]:
    used = sorted({placement for shares in sdl.deployment.values() for placement in shares})
    if len(used) != 1 or len(sdl.profiles.placement) != 1:
        yield Problem(
            "profiles.placement", sorted(sdl.profiles.placement), "an order has one placement: write one order each"
        )
        return
    if sdl.endpoints:
        yield Problem(
            "endpoints", sorted(sdl.endpoints), "an order cannot lease addresses: open ports with global: true"
        )
    for name, service in sorted(sdl.services.items()):
        if service.credentials:
            allowed = "orders are kept, and passwords must not be: use an image that needs none"
            yield Problem(f"services.{name}.credentials", "(not shown)", allowed)
    for name, share in shares_in(sdl, used[0]):
        sizes = [volume.size for volume in _of(sdl, share).storage if not volume.persistent]
        if len(set(sizes)) < len(sizes):
            where = f"profiles.compute.{share.profile}.resources.storage"
            yield Problem(
                where, sorted(sizes), "give scratch volumes different sizes: the network does not order equal ones"
            )
        if _of(sdl, share).gpu.units and not _models(_of(sdl, share)):
            where = f"profiles.compute.{share.profile}.resources.gpu.attributes.vendor.nvidia"
            yield Problem(where, None, f"name the GPU model that service {name} needs")
    yield from _gpu_problems(sdl)


def _gpu_problems(sdl: Sdl) -> Iterator[Problem]:
    known: list[Gpu] = []
    for name, compute in sorted(sdl.profiles.compute.items()):
        for model in _models(compute.resources):
            gpu = _gpu(model)
            if gpu is None:
                where = f"profiles.compute.{name}.resources.gpu.attributes.vendor.nvidia"
                yield Problem(where, model.model, "name a GPU that Necto knows (`necto offers` lists them)")
            else:
                known.append(gpu)
    if len({gpu.family for gpu in known}) > 1 or len({gpu.key for gpu in known}) > 1:
        yield Problem("profiles.compute", sorted({gpu.key for gpu in known}), "an order has one kind of GPU")
    if not any(compute.resources.gpu.units for compute in sdl.profiles.compute.values()):
        yield Problem("profiles.compute", sorted(sdl.profiles.compute), "an order needs at least one GPU")


def _gpus(sdl: Sdl) -> list[Gpu]:
    models = [model for compute in sdl.profiles.compute.values() for model in _models(compute.resources)]
    return [gpu for model in models if (gpu := _gpu(model))]


def _gpu(model: GpuModel) -> Gpu | None:
    memory_gib = float(model.ram.removesuffix("Gi")) if model.ram else None
    return normalise_gpu(model.model, memory_gib=memory_gib, interface=model.interface)


def _models(resources: Resources) -> tuple[GpuModel, ...]:
    return (resources.gpu.attributes.vendor.nvidia or ()) if resources.gpu.attributes else ()


def _of(sdl: Sdl, share: Share) -> Resources:
    return sdl.profiles.compute[share.profile].resources


def _gib(size_bytes: int) -> Decimal:
    return (Decimal(size_bytes) / _GIB).quantize(Decimal("0.001"), rounding=ROUND_CEILING)


def _amounts(sdl: Sdl, shares: list[tuple[str, Share]], ceiling_uact: Decimal) -> dict[str, Decimal]:
    """The most per replica and block of each service; together, with their counts, no more than the ceiling."""
    [profile] = sdl.profiles.placement.values()
    own = {name: profile.pricing[share.profile].amount for name, share in shares}
    total = sum((own[name] * share.count for name, share in shares), Decimal(0))
    in_uact = all(profile.pricing[share.profile].denom == "uact" for _, share in shares)
    if total == 0:
        replicas = sum(share.count for _, share in shares)
        return {name: (ceiling_uact / replicas).quantize(_AMOUNT_STEP, rounding=ROUND_DOWN) for name, _ in shares}
    factor = min(Decimal(1), ceiling_uact / total) if in_uact else ceiling_uact / total
    return {name: (amount * factor).quantize(_AMOUNT_STEP, rounding=ROUND_DOWN) for name, amount in own.items()}


def _service(service: Service, token: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"image": service.image}
    made |= {name: list(words) for name in ("command", "args") if (words := getattr(service, name))}
    made["env"] = [*(service.env or ()), *(f"{name}={value}" for name, value in token.items())]
    made["expose"] = [_expose(expose) for expose in service.expose or () if expose.to]
    if service.params and (params := _plain(service.params)):
        made["params"] = params
    return made


def _expose(expose: Expose) -> dict[str, Any]:
    """Options of zero are left out: they mean the default to one implementation, and zero to the other."""
    made = _plain(expose)
    options = {name: value for name, value in made.pop("http_options", {}).items() if value}
    return made | ({"http_options": options} if options else {})


def _plain(part: Any) -> dict[str, Any]:
    plain_values: dict[str, Any] = part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return plain_values


def _resources(resources: Resources) -> dict[str, Any]:
    made: dict[str, Any] = {
        "cpu": {"units": f"{resources.cpu.units}m"},
        "memory": {"size": _size(resources.memory.size)},
        "storage": [
            {"name": volume.name, "size": _size(volume.size)}
            | ({"attributes": dict(volume.attributes.pairs)} if volume.attributes else {})
            for volume in in_order(resources.storage)
        ],
    }
    if resources.cpu.attributes.arch:
        made["cpu"]["attributes"] = {"arch": resources.cpu.attributes.arch}
    if resources.gpu.units:
        models = [_plain(model) for model in _models(resources)]
        made["gpu"] = {"units": resources.gpu.units, "attributes": {"vendor": {"nvidia": models}}}
    return made


def _size(size_bytes: int) -> str:
    """The size in the largest unit that divides it."""
    suffix, unit = next((suffix, unit) for suffix, unit in _SUFFIXES if size_bytes % unit == 0)
    return f"{size_bytes // unit}{suffix}"
