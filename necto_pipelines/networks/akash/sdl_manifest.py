"""The manifest and the group specs that the network computes from an SDL document, as JSON values.

Source: akash-network/chain-sdk go/sdl group builders and go/manifest/v2beta3, commit 55f1c6837f99. Where its Go and its
TypeScript differ (a profile shared by several services in version 2.0, an `expose` without `to`, volumes of one size,
numbers of leased IPs beside internal ports), this follows Go, which providers and the command line of the network run.
"""

from collections.abc import Sequence
from typing import Any, Final

from necto_pipelines.networks.akash.sdl_document import (
    Expose,
    HttpOptions,
    Params,
    PlacementProfile,
    Resources,
    Sdl,
    Service,
    Share,
    Volume,
)
from necto_pipelines.networks.akash.sdl_rules import shares_in

SHARED_HTTP, RANDOM_PORT, LEASED_IP = 0, 1, 2
"""kinds of endpoint: behind the provider's HTTP ingress, a port of its own, an address of its own"""
_BODY_BYTES, _TIMEOUT_MS, _TRIES = 1_048_576, 60_000, 3
_CASES: Final = ("error", "timeout")

Endpoint = tuple[int, int]
"""kind and sequence number"""


def manifest(sdl: Sdl) -> list[dict[str, Any]]:
    """Per placement the services a provider shall run, both by name."""
    numbers = _sequence_numbers(sdl)
    return [
        {
            "name": placement,
            "services": [
                _service(sdl, name, share, number, numbers)
                for number, (name, share) in _numbered(sdl, placement, shares_in(sdl, placement))
            ],
        }
        for placement in _placements(sdl)
    ]


def groups(sdl: Sdl) -> list[dict[str, Any]]:
    """Per placement what providers bid on."""
    numbers = _sequence_numbers(sdl)
    return [
        {
            "name": placement,
            "requirements": _requirements(sdl, placement),
            "resources": _units(sdl, placement, numbers),
        }
        for placement in _placements(sdl)
    ]


def in_order(volumes: Sequence[Volume]) -> list[Volume]:
    """As the network sorts volumes: by insertion, with an order in which two plain ones of a size each come first."""
    ordered: list[Volume] = []
    for volume in volumes:
        place = len(ordered)
        while place and _goes_before(volume, ordered[place - 1]):
            place -= 1
        ordered.insert(place, volume)
    return ordered


def _placements(sdl: Sdl) -> list[str]:
    return sorted({placement for shares in sdl.deployment.values() for placement in shares})


def _numbered(sdl: Sdl, placement: str, shares: Sequence[tuple[str, Share]]) -> list[tuple[int, tuple[str, Share]]]:
    """Each share with the id of its resource unit, counted from 1 in the order of the services.

    In version 2.1 services that share a profile share its unit; in 2.0 each service has a unit of its own.
    """
    ids: dict[str, int] = {}
    for name, share in shares:
        ids.setdefault(share.profile if sdl.version != "2.0" else name, len(ids) + 1)
    return [(ids[share.profile if sdl.version != "2.0" else name], (name, share)) for name, share in shares]


def _units(sdl: Sdl, placement: str, numbers: dict[str, int]) -> list[dict[str, Any]]:
    sharing: dict[int, list[tuple[str, Share]]] = {}
    for number, pair in _numbered(sdl, placement, shares_in(sdl, placement)):
        sharing.setdefault(number, []).append(pair)
    return [_unit(sdl, placement, number, pairs, numbers) for number, pairs in sharing.items()]


def _unit(
    sdl: Sdl, placement: str, number: int, pairs: list[tuple[str, Share]], numbers: dict[str, int]
) -> dict[str, Any]:
    profile = pairs[0][1].profile
    endpoints = [endpoint for name, _ in pairs for endpoint in _endpoints(sdl.services[name], numbers)]
    if len(pairs) > 1:
        endpoints.sort(key=lambda endpoint: endpoint[1])
    price = sdl.profiles.placement[placement].pricing[profile]
    return {
        "resource": _resources(sdl.profiles.compute[profile].resources, number, endpoints),
        "count": sum(share.count for _, share in pairs),
        "price": {"denom": price.denom, "amount": format(price.amount, ".18f")},
    }


def _requirements(sdl: Sdl, placement: str) -> dict[str, Any]:
    profile: PlacementProfile = sdl.profiles.placement[placement]
    pairs = {key: _text(value) for key, value in profile.attributes.items()}
    for name, _ in shares_in(sdl, placement):
        params = sdl.services[name].params
        if params and params.tee:
            pairs["tee/type"] = params.tee
    return {
        "signed_by": {
            "all_of": list(profile.signed_by.all_of) or None,
            "any_of": list(profile.signed_by.any_of) or None,
        },
        "attributes": _pairs(sorted(pairs.items())) or None,
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs]


def _resources(resources: Resources, number: int, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    arch = resources.cpu.attributes.arch
    return {
        "id": number,
        "cpu": _valued("units", resources.cpu.units, [("arch", arch)] if arch else []),
        "memory": _valued("size", resources.memory.size, []),
        "storage": [
            {"name": volume.name} | _valued("size", volume.size, volume.attributes.pairs if volume.attributes else [])
            for volume in in_order(resources.storage)
        ],
        "gpu": _valued("units", resources.gpu.units, [(key, "true") for key in resources.gpu.attribute_keys]),
        "endpoints": [({"kind": kind} if kind else {}) | {"sequence_number": sequence} for kind, sequence in endpoints],
    }


def _valued(field: str, value: int, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {field: {"val": str(value)}} | ({"attributes": _pairs(pairs)} if pairs else {})


def _goes_before(one: Volume, other: Volume) -> bool:
    """Smaller first; at equal size one without attributes, then one that is not persistent, then by name."""
    if one.size != other.size:
        return one.size < other.size
    ranks = [0 if volume.attributes is None else 1 + volume.persistent for volume in (one, other)]
    if ranks[0] != ranks[1]:
        return ranks[0] < ranks[1]
    return not one.persistent or one.name < other.name


def _sequence_numbers(sdl: Sdl) -> dict[str, int]:
    """The number of each leased IP: its last place among all uses, sorted; ports open to services count as uses."""
    uses = sorted(
        to.ip or ""
        for name in sdl.deployment
        for expose in sdl.services[name].expose or ()
        for to in expose.to
        if to.ip or not to.everyone
    )
    return {name: number for number, name in enumerate(uses, start=1)}


def _endpoints(service: Service, numbers: dict[str, int]) -> list[Endpoint]:
    """The endpoints of each port open to everyone, in the order of the ports."""
    found: list[Endpoint] = []
    for row in _exposed(service.expose or (), numbers):
        if row["global"]:
            outside = row["externalPort"] or row["port"]
            found.append((SHARED_HTTP if row["proto"] == "TCP" and outside == 80 else RANDOM_PORT, 0))
            if row["ip"]:
                found.append((LEASED_IP, row["endpointSequenceNumber"]))
    return found


def _service(sdl: Sdl, name: str, share: Share, number: int, numbers: dict[str, int]) -> dict[str, Any]:
    service = sdl.services[name]
    resources = sdl.profiles.compute[share.profile].resources
    made = {
        "name": name,
        "image": service.image,
        "command": list(service.command or ()) or None,
        "args": list(service.args or ()) or None,
        "env": list(service.env or ()) or None,
        "resources": _resources(resources, number, _endpoints(service, numbers)),
        "count": share.count,
        "expose": _exposed(service.expose or (), numbers),
        "credentials": _credentials(sdl, service),
    }
    return made if service.params is None else made | {"params": _params(service.params)}


def _params(params: Params) -> dict[str, Any]:
    mounts = [
        {"name": name, "mount": mount.mount, "readOnly": mount.read_only}
        for name, mount in sorted(params.storage.items())
    ]
    made: dict[str, Any] = {"storage": mounts or None}
    if params.permissions is not None:
        made["permissions"] = {"read": list(params.permissions.read) or None}
    if params.tee is not None:
        made["tee"] = {"type": params.tee, "attestation": True}
    return made


def _credentials(sdl: Sdl, service: Service) -> dict[str, str] | None:
    """Version 2.0 leaves the mail address out; 2.1 takes spaces off."""
    given = service.credentials
    if given is None:
        return None
    if sdl.version == "2.0":
        return {"host": given.host, "email": "", "username": given.username, "password": given.password}
    fields = {"host": given.host, "email": given.email or "", "username": given.username, "password": given.password}
    return {name: text.strip() for name, text in fields.items()}


def _exposed(exposes: Sequence[Expose], numbers: dict[str, int]) -> list[dict[str, Any]]:
    rows = [
        {
            "port": expose.port,
            "externalPort": expose.outside or 0,
            "proto": expose.proto.upper(),
            "service": to.service if to else "",
            "global": bool(to and to.everyone),
            "hosts": list(expose.accept) or None,
            "httpOptions": _http_options(expose.http_options),
            "ip": (to.ip if to else None) or "",
            "endpointSequenceNumber": numbers.get(to.ip, 0) if to and to.ip else 0,
        }
        for expose in exposes
        for to in expose.to or (None,)
    ]
    return sorted(rows, key=lambda row: (row["service"], row["port"], row["proto"], not row["global"]))


def _http_options(options: HttpOptions) -> dict[str, Any]:
    made = {
        "maxBodySize": options.max_body_size or _BODY_BYTES,
        "readTimeout": options.read_timeout or _TIMEOUT_MS,
        "sendTimeout": options.send_timeout or _TIMEOUT_MS,
        "nextTries": options.next_tries or _TRIES,
        "nextTimeout": options.next_timeout or 0,
        "nextCases": list(options.next_cases or _CASES),
    }
    # A default here would change the hash that providers older than the field compute.
    return made | ({"proxyBufferSize": options.proxy_buffer_size} if options.proxy_buffer_size else {})
