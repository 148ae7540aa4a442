"""What must hold between the parts of an SDL document before a network or a provider takes it.

Source: akash-network/chain-sdk go/sdl (validate, group builders), go/manifest/v2beta3 (names, hosts) and go/node
deployment groups, commit 55f1c6837f99. What one part alone must hold stands in `sdl_document.py`.
"""

import re
from collections.abc import Iterator
from typing import Final

from necto_pipelines.failures import Problem
from necto_pipelines.networks.akash.sdl_document import RAM_CLASS, Compute, PlacementProfile, Sdl, Service, Share

_SERVICE_NAME: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_HOST: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_MAX_HOST: Final = 255


def broken_rules(sdl: Sdl) -> Iterator[Problem]:
    """Everything that does not hold, part by part."""
    if not sdl.services:
        yield Problem("services", {}, "at least one service is needed")
    for name, service in sorted(sdl.services.items()):
        yield from _of_service(name, service)
    yield from _references(sdl)
    yield from _hosts_and_ports(sdl)
    yield from _one_denomination(sdl)
    for placement in sorted(sdl.profiles.placement):
        yield from _of_placement(sdl, placement)


def shares_in(sdl: Sdl, placement: str) -> list[tuple[str, Share]]:
    """(service, share) of a placement, by service name."""
    return [(name, shares[placement]) for name, shares in sorted(sdl.deployment.items()) if placement in shares]


def _of_service(name: str, service: Service) -> Iterator[Problem]:
    if not _SERVICE_NAME.fullmatch(name):
        yield Problem(f"services.{name}", name, "a name of small letters, digits and - is needed, a letter first")
    for number, variable in enumerate(service.env or ()):
        if not _VARIABLE.fullmatch(variable.partition("=")[0]):
            where = f"services.{name}.env.{number}"  # without the value, which may be a secret
            yield Problem(where, variable.partition("=")[0], "NAME=value is needed, NAME of letters, digits, _ - and .")


def _references(sdl: Sdl) -> Iterator[Problem]:
    for service in sorted(sdl.services.keys() - {name for name, shares in sdl.deployment.items() if shares}):
        yield Problem(f"deployment.{service}", None, "every service must be deployed")
    for service, shares in sorted(sdl.deployment.items()):
        if service not in sdl.services:
            yield Problem(f"deployment.{service}", service, f"one of the services is needed: {sorted(sdl.services)}")
        for placement, share in sorted(shares.items()):
            yield from _share_references(sdl, service, placement, share)


def _share_references(sdl: Sdl, service: str, placement: str, share: Share) -> Iterator[Problem]:
    where = f"deployment.{service}.{placement}"
    compute: Compute | None = sdl.profiles.compute.get(share.profile)
    profile: PlacementProfile | None = sdl.profiles.placement.get(placement)
    if profile is None:
        yield Problem(where, placement, f"one of the placements is needed: {sorted(sdl.profiles.placement)}")
    elif share.profile not in profile.pricing:
        field = f"profiles.placement.{placement}.pricing.{share.profile}"
        yield Problem(field, None, "a price is needed for every profile deployed there")
    if compute is None:
        yield Problem(f"{where}.profile", share.profile, f"one of {sorted(sdl.profiles.compute)} is needed")
    elif service in sdl.services:
        yield from _volumes(service, sdl.services[service], share.profile, compute)
        if _tee(sdl.services[service]) == "cpu-gpu" and compute.resources.gpu.units == 0:
            yield Problem(f"services.{service}.params.tee", "cpu-gpu", f"profile {share.profile} must have GPUs for it")


def _volumes(name: str, service: Service, profile: str, compute: Compute) -> Iterator[Problem]:
    """Every mount has a volume and a path of its own; every persistent volume has a mount."""
    volumes = {volume.name: volume for volume in compute.resources.storage}
    mounts = service.params.storage if service.params else {}
    where = f"services.{name}.params.storage"
    taken: dict[str, str] = {}
    for volume_name, mount in sorted(mounts.items()):
        volume = volumes.get(volume_name)
        if volume is None:
            yield Problem(f"{where}.{volume_name}", volume_name, f"one of the volumes of {profile}: {sorted(volumes)}")
        elif mount.mount is None:
            yield Problem(f"{where}.{volume_name}.mount", None, "an absolute path is needed")
        elif mount.mount in taken:
            field = f"{where}.{volume_name}.mount"
            yield Problem(field, mount.mount, f"a path of its own is needed; {taken[mount.mount]} has this one")
        elif mount.read_only and volume.attributes and volume.attributes.storage_class == RAM_CLASS:
            yield Problem(f"{where}.{volume_name}.readOnly", True, "storage of class ram cannot be read-only")
        if mount.mount is not None:
            taken.setdefault(mount.mount, volume_name)
    for volume in compute.resources.storage:
        if volume.persistent and volume.name not in mounts:
            yield Problem(f"{where}.{volume.name}.mount", None, "a persistent volume must be mounted somewhere")


def _hosts_and_ports(sdl: Sdl) -> Iterator[Problem]:
    """Hosts and ports of leased IPs are used once; endpoints exist and are used; something is open to everyone."""
    hosts: dict[str, str] = {}
    ports: dict[tuple[str, int, str], str] = {}
    used: set[str] = set()
    anything_global = False
    for name, service in sorted(sdl.services.items()):
        for number, expose in enumerate(service.expose or ()):
            where = f"services.{name}.expose.{number}"
            for host in expose.accept:
                if len(host) > _MAX_HOST or not _HOST.fullmatch(host):
                    yield Problem(f"{where}.accept", host, "a host name such as example.org is needed")
                elif host in hosts:
                    yield Problem(f"{where}.accept", host, f"each host name once; {hosts[host]} has it")
                hosts.setdefault(host, where)
            for place, to in enumerate(expose.to):
                anything_global = anything_global or to.everyone
                if to.ip is None:
                    continue
                used.add(to.ip)
                if to.ip not in sdl.endpoints:
                    yield Problem(f"{where}.to.{place}.ip", to.ip, f"one of the endpoints: {sorted(sdl.endpoints)}")
                key = (to.ip, expose.outside or expose.port, expose.proto.upper())
                if key in ports:
                    yield Problem(f"{where}.to.{place}.ip", to.ip, f"each port of an address once; {ports[key]} has it")
                ports.setdefault(key, where)
    for endpoint in sorted(sdl.endpoints.keys() - used):
        yield Problem(f"endpoints.{endpoint}", endpoint, "no service uses this address; use it or remove it")
    if sdl.services and not anything_global:
        yield Problem("services", sorted(sdl.services), "one port at least must be open to everyone: global: true")


def _one_denomination(sdl: Sdl) -> Iterator[Problem]:
    """All groups of a deployment are paid from one deposit."""
    deployed = {(placement, share.profile) for shares in sdl.deployment.values() for placement, share in shares.items()}
    denominations = {
        profile.pricing[compute].denom
        for name, profile in sdl.profiles.placement.items()
        for compute in profile.pricing
        if (name, compute) in deployed
    }
    if len(denominations) > 1:
        yield Problem("profiles.placement", sorted(denominations), "one denom is needed for the whole deployment")


def _of_placement(sdl: Sdl, placement: str) -> Iterator[Problem]:
    """A provider gives one kind of confidential computing per placement."""
    services = [sdl.services[name] for name, _ in shares_in(sdl, placement) if name in sdl.services]
    kinds = {tee for service in services if (tee := _tee(service))}
    if len(kinds) > 1:
        yield Problem(
            f"profiles.placement.{placement}", sorted(kinds), "one kind of params.tee per placement is needed"
        )


def _tee(service: Service) -> str | None:
    return service.params.tee if service.params else None
