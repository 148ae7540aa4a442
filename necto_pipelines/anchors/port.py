"""What every anchor does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from necto_pipelines.model.anchor import AnchorKind


@dataclass(frozen=True)
class Receipt:
    """What came back: for a timestamp the proved time, to the second, and the authority's answer as it came."""

    at: datetime | None = None
    token: bytes | None = None


class Anchor(Protocol):
    """A place for checkpoints. Placing the same checkpoint again does no harm."""

    kind: AnchorKind
    name: str
    """names the place in the books and in messages, without any secret of its address"""

    def place(self, note: str, size: int) -> Receipt:
        """Put the signed note of the checkpoint of this size there; it stands when this returns.

        Raises `Unavailable` or `Refused` when it does not, and `AuditBroken` when another history stands there.
        """
