"""What an outside source answered, kept beside the rows that were read from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class RawAnswer:
    """The bytes a source gave us, kept so that a disputed figure can be shown as it was. `url` holds no secret."""

    url: str
    body: bytes
    sha256: str
    received_at: datetime
    revalidated: bool = False
    """the bytes are older: at `received_at` the source said that they still hold, and did not send them again"""


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """Rows, the raw answers they were read from, and what was set aside, each as (what, reason): never silently."""

    rows: tuple[Row, ...]
    raw: tuple[RawAnswer, ...]
    quarantined: tuple[tuple[str, str], ...] = ()
