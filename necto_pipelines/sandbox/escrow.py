"""A deployment's escrow account: what its leases cost, paid out lazily, in whole micro-units.

After akash-network/node x/escrow (@3efe26bf3911). Nothing moves between settlements: an account that ran dry is
noticed at the next look, and whoever reads it before that sees the funds of the settlement before.
"""

from decimal import Decimal

from necto_pipelines.sandbox.records import Deployment


def rate_of(deployment: Deployment) -> Decimal:
    """What its running leases cost together, in uact per block."""
    return sum((lease.price for lease in deployment.running()), Decimal(0))


def owed(deployment: Deployment, height: int) -> int:
    """What is due for the blocks since the last settlement, each lease cut to whole micro-units."""
    blocks = height - deployment.settled_height
    return sum(int(lease.price * blocks) for lease in deployment.running())


def settle(deployment: Deployment, height: int) -> None:
    """Pay the providers what is due, as far as the funds go."""
    paid = min(owed(deployment, height), deployment.funds)
    deployment.transferred += paid
    deployment.funds -= paid
    deployment.settled_height = height


def dry_height(deployment: Deployment) -> int | None:
    """The first block at which everything left is due; None while nothing is running."""
    rate = rate_of(deployment)
    return deployment.settled_height + int(deployment.funds / rate) + 1 if rate else None
