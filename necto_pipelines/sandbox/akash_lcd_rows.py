"""What the simulated chain's REST interface lists: providers, what auditors signed, and leases.

Each row comes with the key of its place in the chain's store: lists are in the order of these keys, and a page names
the key at which the next one begins. Shapes: akash-network/chain-sdk (provider v1beta4, audit v1, market v1beta5
@55f1c6837f99) and answers recorded at height 27652334.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from necto_pipelines.sandbox.fleet import AUDITOR, Provider
from necto_pipelines.sandbox.records import Deployment, Lease
from necto_pipelines.sandbox.seeded import digest
from necto_pipelines.sandbox.world import World

LEASE_STATES = ("invalid", "active", "insufficient_funds", "closed", "reclaiming")


@dataclass(frozen=True)
class Row:
    """A row and its key in the chain's store."""

    key: bytes
    body: dict[str, Any]


def provider_rows(world: World) -> list[Row]:
    """Every provider that registered, with what it claims of itself."""
    return _in_order([Row(_key(world, item.address), provider_body(item)) for item in world.fleet.providers])


def provider_body(provider: Provider) -> dict[str, Any]:
    """A provider as it stands in the list and alone."""
    return {
        "owner": provider.address,
        "host_uri": provider.host_uri,
        "attributes": [{"key": key, "value": value} for key, value in provider.attributes],
        "info": {"email": "", "website": ""},
    }


def audit_rows(world: World) -> list[Row]:
    """What each auditor signed for each provider."""
    rows = []
    for provider in world.fleet.providers:
        for auditor in (AUDITOR, world.fleet.stranger):
            signed = [
                {"key": key, "value": value}
                for key, value in provider.attributes
                if auditor in world.fleet.auditors_of(provider, key)
            ]
            if signed:
                body = {"owner": provider.address, "auditor": auditor, "attributes": signed}
                rows.append(Row(_key(world, provider.address, auditor), body))
    return _in_order(rows)


def lease_rows(world: World, height: int) -> list[Row]:
    """Leases of the one tenant that stood at `height`; later ones are left out, later ends are not undone."""
    rows = [
        Row(_key(world, item.dseq, lease.gseq, lease.provider), _lease(world, item, lease))
        for item in world.chain.deployments()
        for lease in item.leases
        if lease.height <= height
    ]
    return _in_order(rows)


def _lease(world: World, deployment: Deployment, lease: Lease) -> dict[str, Any]:
    running = lease.state == "active"
    identity = f"{lease.gseq}/1/{lease.provider}"
    return {
        "lease": {
            "id": {
                "owner": world.owner,
                "dseq": deployment.dseq,
                "gseq": lease.gseq,
                "oseq": 1,
                "provider": lease.provider,
                "bseq": 0,
            },
            "state": lease.state,
            "price": _coin(lease.price),
            "created_at": str(lease.height),
            "closed_on": str(lease.closed_height),
            "reason": lease.reason or "lease_closed_invalid",
            "reclamation": None,
        },
        "escrow_payment": {
            "id": {"aid": {"scope": "deployment", "xid": f"{world.owner}/{deployment.dseq}"}, "xid": identity},
            "state": {
                "owner": lease.provider,
                "state": "open" if running else "closed",
                "rate": _coin(lease.price),
                "balance": _coin(Decimal(0)),
                "unsettled": _coin(Decimal(0)),
                # Payments are kept per deployment here; it has one lease at a time.
                "withdrawn": {"denom": "uact", "amount": str(deployment.transferred)},
            },
        },
    }


def _key(world: World, *parts: object) -> bytes:
    """Bytes in the manner of a store key: a prefix and hashes, so that their base64 holds signs that need encoding."""
    return b"\x01\x14" + digest(world.seed, "store key", *parts)


def _in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.key)


def _coin(amount: Decimal) -> dict[str, str]:
    return {"denom": "uact", "amount": format(amount, ".18f")}
