"""Completeness: whether each run logged as many entries, with the same hashes, as its closing manifest counted.

A run is what `run.dagster_run_id` names. `run.finished` says how many leaves of the run came before it and the SHA-256
over their concatenated leaf hashes; none may follow. Runs that only leaves of version 1 speak of had no manifests.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from necto_verify.bundles import Bundle
from necto_verify.faults import Fault, Faults, Kind
from necto_verify.merkle import HASH_BYTES

MAX_OPEN: Final = 20_000
"""Runs open at once beyond this many are not followed, so that memory stays bounded: completeness is then unknown."""
MAX_LISTED: Final = 20


@dataclass(slots=True)
class _Open:
    """A run of which no manifest was seen yet."""

    digest: Any = field(default_factory=sha256)
    count: int = 0
    started: bool = False
    recent: bool = False


class Runs:
    """Takes the bundles in order and follows every run."""

    def __init__(self, faults: Faults) -> None:
        self.agreed = 0
        """runs that started, finished, and whose entries are those counted"""
        self.given_up = False
        self._faults = faults
        self._open: dict[bytes, _Open] = {}
        self._finished: set[int] = set()
        self._unstarted: list[bytes] = []

    def take(self, bundle: Bundle) -> None:
        """Add the leaves of a bundle to their runs."""
        for run, start, stop, recent in bundle.spans:
            if run is None or self.given_up:
                continue
            state = self._state(run, bundle.first + start)
            if state is None:
                continue
            state.recent |= recent
            manifest = recent and start in bundle.manifests
            if manifest and (said := bundle.manifests[start]):
                self._finish(run, bundle.first + start, said, state)
                continue
            state.started |= manifest
            state.digest.update(bundle.hashes[start * HASH_BYTES : stop * HASH_BYTES])
            state.count += stop - start

    def unfinished(self) -> list[str]:
        """The runs without a start or an end, those without an end first."""
        runs = [run for run, state in self._open.items() if state.recent] + self._unstarted
        return [run.decode(errors="replace") for run in runs]

    def _state(self, run: bytes, index: int) -> _Open | None:
        """What is known of a run that may still log; None when it is closed, or there are too many."""
        state = self._open.get(run)
        if state is not None:
            return state
        if self._finished and _short(run) in self._finished:
            self._faults.add(check_closed(run, index))
            return None
        if len(self._open) >= MAX_OPEN:
            self.given_up = True
            self._open.clear()
            return None
        state = self._open[run] = _Open()
        return state

    def _finish(self, run: bytes, index: int, said: tuple[object, object], state: _Open) -> None:
        wrong = check_manifest(run, index, said, state.count, state.digest.hexdigest())
        self._faults.add(wrong)
        del self._open[run]
        self._finished.add(_short(run))
        if not wrong and state.started:
            self.agreed += 1
        elif not wrong:
            self._unstarted.append(run)


def check_manifest(run: bytes, index: int, said: tuple[object, object], count: int, digest: str) -> list[Fault]:
    """A closing manifest has the count and the digest of the run's entries before it."""
    said_count, said_digest = said
    what = f"entry {index} closes run {_shown(run)}"
    if said_count != count or isinstance(said_count, bool):
        return [Fault(Kind.RUN, index, f"{what} and counts {str(said_count)[:20]} entries; the log has {count} of it")]
    if said_digest != digest:
        return [Fault(Kind.RUN, index, f"{what} over the digest {str(said_digest)[:64]}; its entries have {digest}")]
    return []


def check_closed(run: bytes, index: int) -> list[Fault]:
    """No entry of a run follows its closing manifest."""
    return [Fault(Kind.RUN, index, f"entry {index} belongs to run {_shown(run)}, which was closed before it")]


def _short(run: bytes) -> int:
    """The run's name in eight bytes: closed runs are remembered to the end."""
    return int.from_bytes(sha256(run).digest()[:8])


def _shown(run: bytes) -> str:
    return run[:64].decode(errors="replace")
