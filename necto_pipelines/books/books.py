"""The way into the books: open them, change them, read them, sign and verify their trail.

Each concern has its own module beside this one; here they meet the database.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine

from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.registry import Registry
from necto_pipelines.audit.verify import StoredLeaf
from necto_pipelines.books import audit_log, inbox, tiles
from necto_pipelines.books.anchor_changes import AnchorReads
from necto_pipelines.books.cadence import Cadence
from necto_pipelines.books.changes import Change
from necto_pipelines.books.engine import migrate, open_engine, transaction
from necto_pipelines.books.ids import new_id
from necto_pipelines.books.incidents import Incidents
from necto_pipelines.books.keys import KeyFolder
from necto_pipelines.books.openings import Openings
from necto_pipelines.books.people import People
from necto_pipelines.books.recording import Actor
from necto_pipelines.books.scrubbing import scrub
from necto_pipelines.books.sequencing import Sequencer
from necto_pipelines.books.signing import CheckpointFiles
from necto_pipelines.books.snapshot import Proofs, Snapshot, proofs
from necto_pipelines.books.subject_keys import SubjectKeyFolder, SubjectKeys
from necto_pipelines.books.upkeep import Upkeep
from necto_pipelines.failures import NectoError
from necto_pipelines.model.clock import Clock

__all__ = ["Actor", "Books", "Change", "new_id"]


class Books(AnchorReads, Upkeep):
    """The books of one Necto. Safe from any thread; several processes may have the same books open."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        keys: KeyFolder,
        files: CheckpointFiles,
        incidents: Incidents,
        cadence: Cadence | None,
        people: SubjectKeys,
        publish: Registry | None,
    ) -> None:
        super().__init__(lambda: transaction(engine, write=False))
        self._engine = engine
        self._clock = clock
        self._keys = keys
        self._files = files
        self._incidents = incidents
        self._cadence = cadence
        self._people = people
        self._publish = publish
        self._sequencer = Sequencer(engine)
        self._tiles = tiles.TileCache()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock,
        keys: Path,
        checkpoints: Path,
        origin: str,
        sign_every_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        publish: Registry | None = None,
    ) -> Self:
        """Open the books at `sqlite:///path` or `postgresql://…`, created or brought to the newest version if needed.

        `keys` holds the log's signing key and people's keys, made on first use; `checkpoints` takes the signed
        checkpoints and should not share the database's backups, and incidents are written beside it; `origin` names the
        log, for ever. `sign_every_s` has a change followed by a signature when the last one is at least so old by
        `monotonic`; without it only `sign` signs. `publish` is a registry that the log names before the first leaf that
        is written from here, unless it does already. Raises InvalidInput for another kind of URL, `Unavailable` when
        the database does not answer, PermanentFailure when a newer Necto made it.
        """
        engine = open_engine(url)
        migrate(engine)
        audit_log.complete_tiles(engine)
        return cls(
            engine,
            clock=clock,
            keys=KeyFolder(keys, origin),
            files=CheckpointFiles(checkpoints),
            incidents=Incidents(checkpoints.parent / "incidents"),
            cadence=None if sign_every_s is None else Cadence(sign_every_s, monotonic),
            people=SubjectKeyFolder(keys),
            publish=publish,
        )

    def close(self) -> None:
        """Store what still waits, and give back the connections."""
        self._sequencer.close()
        self._engine.dispose()

    @contextmanager
    def change(self, actor: Actor) -> Iterator[Change]:
        """One transaction: what is done to the yielded `Change` is stored at the end, or not at all on an exception.

        Raises `Unavailable` when other changes take too long, and `Unknown` when the database goes away in the commit.
        """
        with transaction(self._engine, write=True) as connection:
            change = Change(connection, actor, self._clock, keys=self._people, publish=self._publish)
            yield change
            change.finish()
            published = change.published
        if published:
            self._publish = None
        if self._cadence and self._cadence.take():
            # What was changed is stored: a signature that cannot be made now is an incident, not the change's fault.
            with suppress(NectoError, OSError):
                self.sign()

    def append(self, event: Mapping[str, Any]) -> int:
        """Add a leaf that changes no row and return its index; it is on the disk then.

        `event` is the whole leaf, with `v`, `id`, `ts` and `type`. An id that stands already with the same bytes gives
        its first index, so an append may be repeated after `Unknown`. Raises `InvalidLeaf` for what cannot be a leaf,
        PermanentFailure when the id stands for another one, and as `change` does. Threads that append at the same time
        share a transaction.
        """
        return self.append_all([event])[0]

    def append_all(self, events: Iterable[Mapping[str, Any]]) -> list[int]:
        """Add leaves in one transaction, all or none; their indexes. Otherwise as `append`."""
        return self._sequencer.append([audit_log.Entry.of(event) for event in events])

    def post(self, event: Mapping[str, Any]) -> None:
        """Keep a leaf that may wait for its index: it is on the disk, and `sequence` gives it its place in the log.

        Nobody waits for the lock on the log here; a change of rows posts by `Change.post`. Raises as `append` does.
        """
        entry = audit_log.Entry.of(event)
        with transaction(self._engine, write=True) as connection:
            inbox.post(connection, entry)

    def sequence(self) -> int:
        """Give the leaves that were posted their places in the log; how many there were. See `inbox.drain`."""
        return inbox.drain(self._engine)

    def proof(self, index: int) -> tuple[bytes, list[bytes], str]:
        """The leaf's bytes, its audit path, and the newest signed checkpoint, to which the path leads.

        Raises InvalidInput for an index beyond the log, and `Unavailable` while no checkpoint covers the leaf.
        """
        with transaction(self._engine, write=False) as connection:
            return audit_log.prove(connection, index, self._tiles)

    @contextmanager
    def people(self) -> Iterator[People]:
        """Whom the books hold data about, at one moment. Seeing the data themselves is a change, for it is logged."""
        with transaction(self._engine, write=False) as connection:
            yield People(connection, Openings(connection, self._people))

    def scrub(self, *, whole_file: bool = False) -> None:
        """Clear what was erased from the database's files too; see `scrubbing.py`. Raises `Unavailable`."""
        scrub(self._engine, whole_file=whole_file)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The books at one moment: what is read from the yielded `Snapshot` fits together."""
        with transaction(self._engine, write=False) as connection:
            yield Snapshot(connection)

    def proofs(self, indexes: Collection[int], policy: Policy) -> Proofs:
        """The leaves at `indexes` with their audit paths, all to the newest signed checkpoint; see `snapshot.py`."""
        with transaction(self._engine, write=False) as connection:
            return proofs(connection, indexes, policy, self._tiles)

    def leaf_of(self, noun: str, key: str) -> list[tuple[int, bytes]]:
        """(index, leaf) of every leaf about a thing, oldest first.

        `noun` is a table (`orders`) for the changes of one row, or a kind of subject (`order`) for all about it.
        """
        with transaction(self._engine, write=False) as connection:
            return audit_log.leaves_naming(connection, noun, key)

    def leaf_index(self, leaf_id: str) -> int:
        """Where the leaf with this id stands in the log. InvalidInput when there is none."""
        with transaction(self._engine, write=False) as connection:
            return audit_log.index_of(connection, leaf_id)

    def audit_size(self) -> int:
        """How many leaves the log has."""
        with transaction(self._engine, write=False) as connection:
            return audit_log.edge(connection).size

    def leaves(self, start: int = 0, stop: int | None = None) -> list[StoredLeaf]:
        """The entries from index `start` up to `stop`, or to the end."""
        with transaction(self._engine, write=False) as connection:
            return list(audit_log.read_leaves(connection, start, stop))
