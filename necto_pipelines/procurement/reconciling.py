"""Hold Dagster's rows against the seals: whoever edits, removes or invents history there is told on, row by row.

What a seal is, and when it is made, stands in `sealing.py`. Reads everything and changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final

from necto_pipelines.audit.merkle import root_of
from necto_pipelines.books.books import Books
from necto_pipelines.books.seals import RunSeal, SealedEvent
from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.procurement.event_rows import (
    EVIDENCE,
    REPORTABLE,
    RUNLESS,
    EventRows,
    RawEvent,
    asset_name,
)
from necto_pipelines.procurement.sealing import LATE_S

_AT_ONCE: Final = 500
"""runs looked at in one query"""
_RECENTLY: Final = timedelta(days=2)


class FindingKind(StrEnum):
    """What can be wrong with Dagster's rows."""

    EDITED = "edited"
    """says something else than when it was sealed"""
    MISSING = "missing"
    """was sealed, or is named by the trail, and is gone"""
    FORGED = "forged"
    """stands there and no seal covers it, though it claims to be part of what was sealed"""
    UNLOGGED = "unlogged"
    """was never sealed, though there was time enough"""
    WIPED = "wiped"
    """an asset's history was hidden by Dagster's own wipe"""
    REPORTED = "reported"
    """claims that an asset was made or checked, and no run did it"""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    kind: FindingKind
    run_id: str
    """empty where no run is concerned"""
    what: str
    storage_id: int | None = None


@dataclass(frozen=True)
class Reconciled:
    """What came of one comparison."""

    runs: int
    events: int
    findings: tuple[Finding, ...]


def reconcile(rows: EventRows, books: Books, *, now: datetime, newest: int | None = None) -> Reconciled:
    """Compare every sealed run with Dagster's rows, or the `newest` ones to be sealed. Findings are never cut short.

    1. A seal's list of hashes leads to its root (else EDITED).
    2. Each sealed row is there (else MISSING), its bytes have the sealed hash, and its columns say what its text says
       (else EDITED); the run's row is there with the sealed status.
    3. A row beyond the seal is FORGED when it tells of the run's work or claims to be older than the seal; other rows
       that came late are UNLOGGED once the sealing has had `LATE_S` for them.
    4. Where copies are kept for reading across runs, they are the sealed events and all of them.
    5. Events of no run likewise; one that claims an asset was made or checked is REPORTED even when sealed.
    6. Each run that ended before `LATE_S` is sealed (else UNLOGGED), each run of which there are rows is known to
       Dagster (else FORGED), and each run that the trail names is sealed or known to Dagster (else MISSING).
    7. What Dagster calls an asset's last materialization, or a check's result, says what that event's row says (else
       EDITED, or MISSING when the row is gone); an asset that was wiped is WIPED.

    `now` is the machine's time. With `newest`, step 6 looks only at runs that ended within two days, and leaves out the
    rest.
    """
    comparison = _Comparison(rows, books, now)
    findings = list(comparison.findings(newest))
    return Reconciled(comparison.runs, comparison.events, tuple(findings))


class _Comparison:
    """One comparison under way, and what it has counted."""

    def __init__(self, rows: EventRows, books: Books, now: datetime) -> None:
        self.runs = self.events = 0
        self._rows, self._books, self._now = rows, books, now
        self._wiped = rows.wiped()
        self._hidden: Counter[str] = Counter()

    def findings(self, newest: int | None) -> Iterator[Finding]:
        seals = self._books.seals(newest=newest)
        by_run = {run_id: list(parts) for run_id, parts in groupby(seals, key=lambda seal: seal.run_id)}
        by_run.setdefault(RUNLESS, self._books.seals([RUNLESS]))
        ids = list(by_run)
        for start in range(0, len(ids), _AT_ONCE):
            statuses = self._rows.statuses(ids[start : start + _AT_ONCE])
            for run_id in ids[start : start + _AT_ONCE]:
                try:
                    yield from self._run(run_id, by_run[run_id], statuses.get(run_id))
                except AuditBroken as error:
                    yield Finding(FindingKind.EDITED, run_id, f"{_name(run_id)}: {error}")
        yield from self._unsealed(None if newest is None else self._now - _RECENTLY)
        if newest is None:
            yield from self._unknown(by_run)
        yield from self._pointers()

    def _run(self, run_id: str, seals: Sequence[RunSeal], status: str | None) -> Iterator[Finding]:
        sealed, stored = self._books.sealed_events(run_id), self._rows.events(run_id)
        self.runs += bool(run_id)
        self.events += len(sealed)
        name = _name(run_id)
        for seal in seals:
            hashes = [event.leaf_hash for event in sealed if event.part == seal.part]
            if (len(hashes), root_of(hashes).hex()) != (seal.events, seal.root):
                yield Finding(FindingKind.EDITED, run_id, f"the list of hashes behind seal {seal.part} of {name}")
        if run_id and status is None:
            yield Finding(FindingKind.MISSING, run_id, f"{name} ({seals[-1].job}) is gone from Dagster's runs")
        elif run_id and status != seals[-1].status:
            yield Finding(FindingKind.EDITED, run_id, f"{name} was {seals[-1].status}, Dagster says {status}")
        present = {event.storage_id: event for event in stored}
        gone = [event for event in sealed if event.storage_id not in present]
        if sealed and len(gone) == len(sealed):
            yield Finding(FindingKind.MISSING, run_id, f"all {len(gone)} events of {name} are gone")
        else:
            for event in gone:
                yield Finding(FindingKind.MISSING, run_id, f"an event of {name} is gone", event.storage_id)
        yield from self._rows_of(run_id, seals, sealed, stored)
        if (copies := self._rows.copies(run_id)) is not None:
            yield from self._copies(run_id, sealed, stored, copies)

    def _rows_of(
        self, run_id: str, seals: Sequence[RunSeal], sealed: Sequence[SealedEvent], stored: Sequence[RawEvent]
    ) -> Iterator[Finding]:
        """Rows that are there: as sealed, and none beyond."""
        expected = {event.storage_id: event.leaf_hash for event in sealed}
        name = _name(run_id)
        ended = max((event.at for event in stored if event.storage_id in expected), default=None)
        for event in stored:
            what = f"{_title(event)} of {name}"
            if event.storage_id not in expected:
                kind = self._kind_of_extra(event, ended)
                if kind is not None:
                    yield Finding(kind, run_id, f"{what} is in no seal", event.storage_id)
                continue
            if self._is_hidden(event):
                self._hidden[event.asset] += 1
            if event.leaf_hash != expected[event.storage_id]:
                yield Finding(FindingKind.EDITED, run_id, f"{what} is not as it was sealed", event.storage_id)
            elif fault := self._rows.misfiled(event):
                yield Finding(FindingKind.EDITED, run_id, f"{what} is filed otherwise: {fault}", event.storage_id)
            elif not run_id and event.kind in REPORTABLE:
                what = f"{_title(event)} was reported to Dagster; no run did it"
                yield Finding(FindingKind.REPORTED, run_id, what, event.storage_id)

    def _kind_of_extra(self, event: RawEvent, ended: datetime | None) -> FindingKind | None:
        """What a row is that no seal covers; None while the sealing may still come to it."""
        if event.run_id and event.kind in EVIDENCE:
            return FindingKind.FORGED
        if self._now - event.at < timedelta(seconds=LATE_S):
            return None
        return FindingKind.FORGED if ended is not None and event.at <= ended else FindingKind.UNLOGGED

    def _copies(
        self, run_id: str, sealed: Sequence[SealedEvent], stored: Sequence[RawEvent], copies: Sequence[RawEvent]
    ) -> Iterator[Finding]:
        """The table that is read across runs: what was sealed, filed as its text says, and all of it."""
        covered = {event.storage_id for event in sealed}
        left = Counter(event.leaf_hash for event in sealed)
        # Rows beyond the seal are told on where they stand.
        beyond = Counter(event.leaf_hash for event in stored if event.storage_id not in covered)
        strange, name = [], _name(run_id)
        for copy in copies:
            expected = left if left[copy.leaf_hash] else beyond
            if not expected[copy.leaf_hash]:
                strange.append(copy)
                continue
            expected[copy.leaf_hash] -= 1
            if fault := self._rows.misfiled(copy):
                what = f"the copy of {_title(copy)} of {name} is filed otherwise: {fault}"
                yield Finding(FindingKind.EDITED, run_id, what, copy.storage_id)
        absent = []
        for event in stored:
            if event.storage_id in covered and self._rows.is_copied(event) and left[event.leaf_hash]:
                left[event.leaf_hash] -= 1
                if not self._is_hidden(event):
                    absent.append(event)
        for copy in strange[: len(absent)]:
            what = f"the copy of {_title(copy)} of {name} is not as it was sealed"
            yield Finding(FindingKind.EDITED, run_id, what, copy.storage_id)
        for copy in strange[len(absent) :]:
            what = f"{_title(copy)} of {name} stands in the index only"
            yield Finding(FindingKind.FORGED, run_id, what, copy.storage_id)
        for event in absent[len(strange) :]:
            what = f"the copy of {_title(event)} of {name} is gone from the index"
            yield Finding(FindingKind.MISSING, run_id, what, event.storage_id)

    def _unsealed(self, since: datetime | None) -> Iterator[Finding]:
        """Runs that ended long enough ago and that nothing seals."""
        place = (since, "") if since else None
        while runs := self._rows.ended_runs(place, _AT_ONCE):
            sealed = {seal.run_id for seal in self._books.seals([run.run_id for run in runs])}
            for run in runs:
                if run.run_id not in sealed and self._now - run.updated_at >= timedelta(seconds=LATE_S):
                    what = f"{_name(run.run_id)} ({run.job}, {run.status}) is not sealed: does the sensor run?"
                    yield Finding(FindingKind.UNLOGGED, run.run_id, what)
            place = runs[-1].place

    def _unknown(self, sealed: Collection[str]) -> Iterator[Finding]:
        """Rows of runs that Dagster does not have, and runs of the trail that neither it nor a seal has."""
        strays = [run_id for run_id in self._rows.runs_with_events() if run_id not in sealed]
        named = self._books.runs_in_trail().difference(sealed)
        known = self._rows.statuses([*strays, *named])
        for run_id in strays:
            if run_id in known:
                continue
            try:
                count = len(self._rows.events(run_id)) + len(self._rows.copies(run_id) or ())
            except AuditBroken as error:
                yield Finding(FindingKind.FORGED, run_id, f"{_name(run_id)}, which Dagster does not know: {error}")
                continue
            if count:
                what = f"{count} events of {_name(run_id)}, which Dagster does not know and nothing seals"
                yield Finding(FindingKind.FORGED, run_id, what)
        for run_id in sorted(named.difference(known)):
            what = f"{_name(run_id)} stands in the trail, is not sealed and is gone from Dagster"
            yield Finding(FindingKind.MISSING, run_id, what)

    def _pointers(self) -> Iterator[Finding]:
        """What Dagster repeats instead of looking it up, and what it hides."""
        for pointer in self._rows.pointers():
            if not pointer.stands:
                what = f"{pointer.what} is said to be event {pointer.storage_id}, which is gone"
                yield Finding(FindingKind.MISSING, RUNLESS, what, pointer.storage_id)
            elif not pointer.agrees:
                what = f"{pointer.what} is not what event {pointer.storage_id} says"
                yield Finding(FindingKind.EDITED, RUNLESS, what, pointer.storage_id)
        for asset, at in self._wiped.items():
            hidden = self._hidden[asset]
            what = f"the history of {asset_name(asset)} was wiped at {rfc3339(at)}; it hides {hidden} sealed events"
            yield Finding(FindingKind.WIPED, RUNLESS, what)

    def _is_hidden(self, event: RawEvent) -> bool:
        wiped_at = self._wiped.get(event.asset)
        return wiped_at is not None and event.at <= wiped_at


def _name(run_id: str) -> str:
    return f"run {run_id}" if run_id else "no run"


def _title(event: RawEvent) -> str:
    about = f" of {asset_name(event.asset)}" if event.asset else ""
    return f"event {event.storage_id} ({event.kind or 'log line'}{about})"
