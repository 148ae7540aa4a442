"""What the books know of Dagster's runs: the seals, and the hash of every event that they cover.

Writing a seal stands in `seal_changes.py`; comparing seals with Dagster's rows in `procurement/reconciling.py`.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from necto_pipelines.books.tables import audit_names, run_seals, sealed_events

_AT_ONCE = 500
"""ids in one query"""


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """One event as it was when sealed."""

    part: int
    storage_id: int
    """Dagster's id of the row"""
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class RunSeal:
    """One seal of a run: the first part when it had ended, a further part for what Dagster wrote later."""

    run_id: str
    """empty for events without a run"""
    part: int
    job: str
    status: str
    events: int
    root: str
    """hex of the RFC 6962 root over the events' leaf hashes, in the order of their storage ids"""
    sealed_at: datetime


class SealReads:
    """Look-ups about seals."""

    _connect: Callable[[], AbstractContextManager[Connection]]

    def seals(self, run_ids: Collection[str] | None = None, newest: int | None = None) -> list[RunSeal]:
        """Seals by run and part: of these runs, or of the `newest` runs to be sealed, or all."""
        seals = run_seals.c
        query = select(run_seals).order_by(seals.run_id, seals.part)
        if newest is not None:
            recent = select(seals.run_id).where(seals.part == 1).order_by(seals.sealed_at.desc()).limit(newest)
            query = query.where(seals.run_id.in_(recent))
        with self._connect() as connection:
            if run_ids is None:
                return [RunSeal(**row) for row in connection.execute(query).mappings()]
            return [
                RunSeal(**row)
                for some in _portions(run_ids)
                for row in connection.execute(query.where(seals.run_id.in_(some))).mappings()
            ]

    def sealed_events(self, run_id: str) -> list[SealedEvent]:
        """Every event that the seals of a run cover, by part and place in it."""
        sealed = sealed_events.c
        query = select(sealed.part, sealed.storage_id, sealed.leaf_hash).where(sealed.run_id == run_id)
        with self._connect() as connection:
            rows = connection.execute(query.order_by(sealed.part, sealed.position))
            return [SealedEvent(part, storage_id, bytes(digest)) for part, storage_id, digest in rows]

    def sealed_extents(self, run_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """Of those of these runs that are sealed: how many events are, and the largest storage id (0 when none is)."""
        seals, sealed = run_seals.c, sealed_events.c
        counted = select(seals.run_id, func.sum(seals.events)).group_by(seals.run_id)
        largest = select(sealed.run_id, func.max(sealed.storage_id).label("last")).group_by(sealed.run_id)
        found: dict[str, tuple[int, int]] = {}
        with self._connect() as connection:
            for some in _portions(run_ids):
                ids = {row.run_id: row.last for row in connection.execute(largest.where(sealed.run_id.in_(some)))}
                rows = connection.execute(counted.where(seals.run_id.in_(some)))
                found |= {run_id: (int(events), ids.get(run_id, 0)) for run_id, events in rows}
        return found

    def runs_in_trail(self) -> set[str]:
        """The Dagster runs that leaves name."""
        query = select(audit_names.c.key).where(audit_names.c.noun == "run").distinct()
        with self._connect() as connection:
            return {run_id for run_id in connection.execute(query).scalars() if run_id}


def _portions(run_ids: Collection[str]) -> list[list[str]]:
    ordered = sorted(run_ids)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
