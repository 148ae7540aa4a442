"""Seal what Dagster has logged of a run once the run has ended: from then on a changed row can be named.

A run's last events come after the one that says how it ended (a worker's exit, an executor's last word), so a run is
sealed when nothing has been written for a while, by asking what has ended; no event is waited for, so runs that ended
while nobody looked are found as well. What Dagster adds later is sealed in further parts. Comparing stands in
`reconciling.py`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from necto_pipelines.books.books import Books
from necto_pipelines.failures import AuditBroken
from necto_pipelines.procurement.event_rows import EVIDENCE, RUNLESS, EndedRun, EventRows, RawEvent
from necto_pipelines.procurement.runtime import service

SETTLE_S: Final = 10.0
"""a run is sealed when its row and its last event are at least this old"""
LATE_S: Final = 600.0
"""how long after a run's end its rows are counted again: for events, and for ends of runs, that come late"""
NO_STATUS: Final = "NONE"
"""what stands for a status in the seals of events that belong to no run"""
_AT_ONCE: Final = 200
"""runs looked at in one query"""
_PAGES: Final = 100
"""queries in one look, which a sensor's tick of 60 seconds must have room for; the next look goes on from there"""

Place = tuple[datetime, str]
Extent = tuple[int, int]
"""how many rows, and the largest storage id"""


@dataclass
class Sealed:
    """What one look has sealed."""

    runs: int = 0
    late_parts: int = 0
    """further parts, of runs that were sealed before"""
    runless: int = 0
    """events of no run"""
    waiting: int = 0
    """runs whose last event is too young"""
    damaged: int = 0
    """runs whose rows cannot be read: they stay unsealed, which the comparison names"""
    place: Place | None = None
    """every run that ended up to here is sealed: where the next look begins, less `LATE_S`"""


def seal_ended(
    rows: EventRows, books: Books, *, now: datetime, after: Place | None = None, at_most: int = 50
) -> Sealed:
    """Seal up to `at_most` runs that ended after `after`, and what belongs to no run.

    `now` is the time of the machine, as Dagster writes it beside events, whatever time the market has. Nothing depends
    on the order of event ids, which PostgreSQL gives out before it commits.
    """
    done = Sealed(place=after)
    place = (after[0] - timedelta(seconds=LATE_S), "") if after else None
    for _ in range(_PAGES):
        runs = rows.ended_runs(place, _AT_ONCE)
        if not runs:
            break
        known = books.sealed_extents([run.run_id for run in runs])
        stored = rows.extents(known)
        for run in runs:
            if done.runs + done.late_parts >= at_most:
                return done
            try:
                if run.run_id not in known:
                    _seal_settled(rows, books, run, now, done)
                elif _has_more(stored.get(run.run_id), known[run.run_id]):
                    done.late_parts += _seal_late(rows, books, run)
            except AuditBroken:
                done.damaged += 1
            if not done.waiting and (done.place is None or run.place > done.place):
                done.place = run.place
        place = runs[-1].place
    done.runless = seal_runless(rows, books, now=now)
    return done


def seal_runless(rows: EventRows, books: Books, *, now: datetime) -> int:
    """Seal the settled events of no run that no part covers yet; returns how many."""
    if not _has_more(rows.extents([RUNLESS]).get(RUNLESS), books.sealed_extents([RUNLESS]).get(RUNLESS, (0, 0))):
        return 0
    covered, stored = {event.storage_id for event in books.sealed_events(RUNLESS)}, rows.events(RUNLESS)
    # A row that claims to be much older than what was sealed would have been sealed with it: it is left to be named.
    oldest = max((event.at for event in stored if event.storage_id in covered), default=None)
    fresh = [
        event
        for event in stored
        if event.storage_id not in covered
        and _settled(event.at, now)
        and (oldest is None or event.at >= oldest - timedelta(seconds=LATE_S))
    ]
    if fresh:
        _seal(books, EndedRun(RUNLESS, "", NO_STATUS, now), fresh)
    return len(fresh)


def _seal_settled(rows: EventRows, books: Books, run: EndedRun, now: datetime, done: Sealed) -> None:
    events = rows.events(run.run_id)
    if all(_settled(moment, now) for moment in (run.updated_at, *(event.at for event in events[-1:]))):
        done.runs += _seal(books, run, events)
    else:
        done.waiting += 1


def _seal_late(rows: EventRows, books: Books, run: EndedRun) -> bool:
    """Seal what Dagster itself adds after a run's end. What would change the run's story is left to be named."""
    covered = {event.storage_id for event in books.sealed_events(run.run_id)}
    fresh = [event for event in rows.events(run.run_id) if event.storage_id not in covered]
    late = [event for event in fresh if event.kind not in EVIDENCE]
    return bool(late) and _seal(books, run, late)


def _has_more(stored: Extent | None, sealed: Extent) -> bool:
    """Whether rows came since; also when others went at the same time."""
    return stored is not None and (stored[0] > sealed[0] or stored[1] > sealed[1])


def _seal(books: Books, run: EndedRun, events: list[RawEvent]) -> bool:
    """One transaction for a run: a look that is interrupted has sealed the runs before it."""
    hashes = [(event.storage_id, event.leaf_hash) for event in events]
    with books.change(service("sealing")) as change:
        return change.seal_run(run.run_id, run.job, run.status, hashes) is not None


def _settled(moment: datetime, now: datetime) -> bool:
    return now - moment >= timedelta(seconds=SETTLE_S)
