"""What sealing and reconciling see of Dagster: rows of its event log as they are stored, never as objects.

How the rows are read from which database stands in `resources/dagster_events.py`; nothing here knows Dagster.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from necto_pipelines.audit.merkle import leaf_hash

RUNLESS: Final = ""
"""the run id under which Dagster keeps events that belong to no run"""
REPORTABLE: Final = frozenset({"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"})
"""kinds of events that Necto's own runs write and that anybody can report to Dagster without a run"""
EVIDENCE: Final = REPORTABLE | {
    "ASSET_OBSERVATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_CHECK_EVALUATION_PLANNED",
    "STEP_OUTPUT",
    "STEP_SUCCESS",
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
}
"""kinds that say what a run did: none of them may come after its end"""


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One row of an event table. `text` are the very bytes of its `event` column."""

    storage_id: int
    run_id: str
    """the `run_id` column, under which Dagster looks for it"""
    text: bytes
    kind: str
    """Dagster's event type; empty for a line of a log"""
    asset: str
    """the `asset_key` column, JSON of the key's parts; empty when there is none"""
    partition: str
    at: datetime

    @property
    def leaf_hash(self) -> bytes:
        """RFC 6962 leaf hash of the bytes."""
        return leaf_hash(self.text)


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that Dagster says has ended."""

    run_id: str
    job: str
    status: str
    """SUCCESS, FAILURE or CANCELED"""
    updated_at: datetime
    """when its row was last written, by the machine's clock"""

    @property
    def place(self) -> tuple[datetime, str]:
        """Where it stands among all: ended runs are looked through by time, then id."""
        return self.updated_at, self.run_id


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place where Dagster repeats an event instead of looking it up: an asset's newest, a check's result."""

    what: str
    storage_id: int | None
    """the event that is repeated; None when none is named"""
    stands: bool
    """whether that event's own row is there"""
    agrees: bool
    """whether the two say the same"""


def asset_name(key: str) -> str:
    """`RawEvent.asset` for people: the parts joined by a slash, or the text itself when it is none of Dagster's."""
    try:
        return "/".join(json.loads(key))
    except (ValueError, TypeError):
        return key


class EventRows(Protocol):
    """Dagster's tables, read and never written.

    Any read may raise `Unavailable`, and those of one run `AuditBroken` when what is stored of it is damaged.
    """

    def ended_runs(self, after: tuple[datetime, str] | None, limit: int) -> list[EndedRun]:
        """Ended runs after a place, by place."""

    def statuses(self, run_ids: Collection[str]) -> Mapping[str, str]:
        """The status of each of these runs that Dagster has."""

    def events(self, run_id: str) -> list[RawEvent]:
        """The run's rows, by storage id; of the empty id those of no run. Empty when there are none."""

    def extents(self, run_ids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """How many rows each of these runs has, and the largest storage id; runs without any are left out."""

    def copies(self, run_id: str) -> Sequence[RawEvent] | None:
        """What the table that is read across runs holds of this run; None where there is but one table."""

    def is_copied(self, event: RawEvent) -> bool:
        """Whether an event of this kind has a copy in that table."""

    def runs_with_events(self) -> Iterator[str]:
        """Every run id of which there is any row."""

    def misfiled(self, event: RawEvent) -> str:
        """Which columns beside the text say something else than it; empty when they agree."""

    def pointers(self) -> Iterator[Pointer]:
        """Every place where an event is repeated."""

    def wiped(self) -> Mapping[str, datetime]:
        """Assets whose history was hidden, by `RawEvent.asset`, and up to when."""
