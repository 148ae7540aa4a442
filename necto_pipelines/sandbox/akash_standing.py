"""How a deployment, its bids, its leases and its escrow account look in the Console API's answers.

Heights and amounts are text there; amounts have 18 decimal places, prices are uact per block for the whole group.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from necto_pipelines.sandbox.matching import asks_for, gpus_of
from necto_pipelines.sandbox.records import Bid, Deployment, Lease, ServiceShape
from necto_pipelines.sandbox.seeded import digest, whole
from necto_pipelines.sandbox.world import World

BID_DEPOSIT_UACT = 500_000
_ENDPOINT_KINDS = {0: "SHARED_HTTP", 1: "RANDOM_PORT", 2: "LEASED_IP"}


def full(world: World, deployment: Deployment, now: datetime) -> dict[str, Any]:
    """A deployment with the live status that each provider reports for its lease."""
    leases = [
        _lease(world, deployment, lease) | {"status": _status(world, deployment, lease, now)}
        for lease in deployment.leases
    ]
    return listed(world, deployment) | {"leases": leases}


def listed(world: World, deployment: Deployment) -> dict[str, Any]:
    """A deployment as it stands in the list: no provider is asked."""
    return {
        "deployment": {
            "id": {"owner": world.owner, "dseq": deployment.dseq},
            "state": deployment.state,
            "hash": deployment.hash,
            "created_at": str(deployment.height),
        },
        "leases": [_lease(world, deployment, lease) for lease in deployment.leases],
        "escrow_account": {
            "id": {"scope": "deployment", "xid": f"{world.owner}/{deployment.dseq}"},
            "state": {
                "owner": world.owner,
                "state": deployment.escrow_state,
                "transferred": [_uact(deployment.transferred)],
                "settled_at": str(deployment.settled_height),
                "funds": [_uact(deployment.funds)],
                "deposits": [_deposit(world.owner, deployment.height, deployment.funds)],
            },
        },
    }


def bids(world: World, dseq: str) -> list[dict[str, Any]]:
    """The bids on a deployment that the managed API shows; none for a deployment that does not exist."""
    shown = world.chain.visible_bids(dseq)
    return [_bid(world, world.chain.find(dseq), bid) for bid in shown]


def _bid(world: World, deployment: Deployment, bid: Bid) -> dict[str, Any]:
    group = deployment.group(bid.gseq)
    state = "open" if bid.state in ("open", "active") else "closed"
    return {
        "bid": {
            "id": _id(world, deployment, bid),
            "state": bid.state,
            "price": _coin(bid.price),
            "created_at": str(bid.height),
            "resources_offer": [_offered(item, list(bid.gpus)) for item in group["resources"]],
            "reclamation_window": "86400s",
        },
        "escrow_account": {
            "id": {"scope": "bid", "xid": f"{world.owner}/{deployment.dseq}/{bid.gseq}/1/{bid.provider}"},
            "state": {
                "owner": bid.provider,
                "state": state,
                "transferred": [],
                "settled_at": str(bid.height),
                "funds": [_uact(BID_DEPOSIT_UACT if state == "open" else 0)],
                "deposits": [_deposit(bid.provider, bid.height, BID_DEPOSIT_UACT)],
            },
        },
        "isCertificateRequired": False,
    }


def _offered(item: Mapping[str, Any], gpu_keys: list[str]) -> dict[str, Any]:
    """A unit of the group as a bid repeats it: `quantity` where the manifest says `size`, and the chosen GPU."""
    unit = item["resource"]
    gpus = gpus_of(unit)
    asked = (unit.get("gpu") or {}).get("attributes") or ()
    chosen = [{"key": key, "value": "true"} for key in gpu_keys if gpus and asks_for(asked, key)]
    return {
        "count": item["count"],
        "resources": {
            "cpu": {"units": {"val": unit["cpu"]["units"]["val"]}, "attributes": []},
            "gpu": {"units": {"val": str(gpus)}, "attributes": chosen},
            "memory": {"quantity": {"val": unit["memory"]["size"]["val"]}, "attributes": []},
            "storage": [
                {
                    "name": disk["name"],
                    "quantity": {"val": disk["size"]["val"]},
                    "attributes": disk.get("attributes") or [],
                }
                for disk in unit["storage"]
            ],
            "endpoints": [
                {
                    "kind": _ENDPOINT_KINDS[endpoint.get("kind", 0)],
                    "sequence_number": endpoint.get("sequence_number", 0),
                }
                for endpoint in unit.get("endpoints") or ()
            ],
        },
    }


def _lease(world: World, deployment: Deployment, lease: Lease) -> dict[str, Any]:
    return {
        "id": _id(world, deployment, lease),
        "state": lease.state,
        "price": _coin(lease.price),
        "created_at": str(lease.height),
        "closed_on": str(lease.closed_height),
        "reason": lease.reason or "lease_closed_invalid",
    }


def _status(world: World, deployment: Deployment, lease: Lease, now: datetime) -> dict[str, Any] | None:
    """What the provider says of the lease; None when it is gone, offline, or has no manifest to run."""
    provider, ready_at = world.fleet.get(lease.provider), world.chain.ready_at(deployment, lease)
    if lease.state != "active" or ready_at is None or provider is None or not world.fleet.online(provider):
        return None
    ready = now >= ready_at
    services = [service for service in deployment.services if service.group == lease.gseq]
    return {
        "services": {service.name: _service(deployment, service, provider.host, ready=ready) for service in services},
        "forwarded_ports": {
            service.name: ports for service in services if (ports := _ports(deployment, service, provider.host))
        },
        "ips": {},
    }


def _service(deployment: Deployment, service: ServiceShape, host: str, *, ready: bool) -> dict[str, Any]:
    name = digest(deployment.dseq, service.name, "host name").hex()[:26]
    up = service.count if ready else 0
    return {
        "name": service.name,
        "available": up,
        "total": service.count,
        "uris": [f"{name}.ingress.{host}"] if any(port.is_web for port in service.ports) else [],
        "observed_generation": 1,
        "replicas": service.count,
        "updated_replicas": service.count,
        "ready_replicas": up,
        "available_replicas": up,
    }


def _ports(deployment: Deployment, service: ServiceShape, host: str) -> list[dict[str, Any]]:
    return [
        {
            "host": f"provider.{host}",
            "port": port.external_port or port.port,
            "externalPort": whole(30_000, 32_767, deployment.dseq, service.name, port.port),
            "proto": port.proto,
            "name": service.name,
        }
        for port in service.ports
        if not port.is_web
    ]


def _id(world: World, deployment: Deployment, part: Bid | Lease) -> dict[str, Any]:
    return {
        "owner": world.owner,
        "dseq": deployment.dseq,
        "gseq": part.gseq,
        "oseq": 1,
        "provider": part.provider,
        "bseq": 0,
    }


def _coin(amount: Decimal) -> dict[str, str]:
    return {"denom": "uact", "amount": format(amount, ".18f")}


def _uact(units: int) -> dict[str, str]:
    return _coin(Decimal(units))


def _deposit(owner: str, height: int, units: int) -> dict[str, Any]:
    return {"owner": owner, "height": str(height), "source": "balance", "balance": _uact(units)}
