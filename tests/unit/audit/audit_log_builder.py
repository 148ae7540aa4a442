"""Small logs for the tests of the audit room: leaves, signed checkpoints, stored entries."""

from collections.abc import Sequence

from necto_pipelines.audit.checkpoint import Checkpoint, sign_checkpoint
from necto_pipelines.audit.leaf import leaf_bytes
from necto_pipelines.audit.merkle import leaf_hash, root_of
from necto_pipelines.audit.note import Signer
from necto_pipelines.audit.verify import StoredLeaf

ORIGIN = "necto.example/log"
SIGNER = Signer.from_private_bytes(ORIGIN, bytes(range(32)))


def leaves(size: int, *, word: str = "first") -> list[bytes]:
    """`size` distinct leaves; another `word` makes another history."""
    return [leaf_bytes({"v": 1, "id": f"id-{n}", "type": "order.moved", "body": {"word": word}}) for n in range(size)]


def hashes(log: Sequence[bytes]) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in log]


def stored(log: Sequence[bytes]) -> list[StoredLeaf]:
    return [StoredLeaf(index, leaf, leaf_hash(leaf)) for index, leaf in enumerate(log)]


def signed(log: Sequence[bytes], size: int, *, signer: Signer = SIGNER, origin: str = ORIGIN) -> str:
    """The checkpoint over the first `size` leaves."""
    return sign_checkpoint(Checkpoint(origin, size, root_of(hashes(log[:size]))), signer)
