"""The way into the books: open them, change them, read them, sign and verify their trail.

Each concern has its own module beside this one; here they meet the database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Engine

from necto_pipelines.audit.note import Signer
from necto_pipelines.audit.verify import StoredLeaf, Verdict
from necto_pipelines.books import audit_log
from necto_pipelines.books.changes import Change
from necto_pipelines.books.engine import migrate, open_engine, transaction
from necto_pipelines.books.ids import new_id
from necto_pipelines.books.reads import Reads
from necto_pipelines.books.recording import Actor
from necto_pipelines.books.signing import CheckpointFiles, log_signer, sign_head, stored_notes
from necto_pipelines.books.verification import stands_as_logged, verify_books
from necto_pipelines.model.clock import Clock

__all__ = ["Actor", "Books", "Change", "new_id"]


class Books(Reads):
    """The books of one Necto. Safe from any thread; several processes may have the same books open."""

    def __init__(self, engine: Engine, *, clock: Clock, signer: Signer, files: CheckpointFiles) -> None:
        super().__init__(lambda: transaction(engine, write=False))
        self._engine = engine
        self._clock = clock
        self._signer = signer
        self._files = files

    @classmethod
    def open(cls, url: str, *, clock: Clock, keys: Path, checkpoints: Path, origin: str) -> Self:
        """Open the books at `sqlite:///path` or `postgresql://…`, created or brought to the newest version if needed.

        `keys` holds the log's signing key, made on first use; `checkpoints` takes the signed checkpoints and should
        not share the database's backups; `origin` names the log, for ever. Raises InvalidInput for another kind of
        URL, `Unavailable` when the database does not answer, PermanentFailure when a newer Necto made it.
        """
        engine = open_engine(url)
        migrate(engine)
        return cls(engine, clock=clock, signer=log_signer(keys, origin), files=CheckpointFiles(checkpoints))

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    @contextmanager
    def change(self, actor: Actor) -> Iterator[Change]:
        """One transaction: what is done to the yielded `Change` is stored at the end, or not at all on an exception.

        Raises `Unavailable` when other changes take too long, and `Unknown` when the database goes away in the commit.
        """
        with transaction(self._engine, write=True) as connection:
            change = Change(connection, actor, self._clock)
            yield change
            change.finish()

    def sign(self) -> str | None:
        """Sign the log's head and return the checkpoint; None when nothing was added since the last one.

        Raises AuditBroken when the database is behind the newest checkpoint, or is another history than was signed.
        """
        with transaction(self._engine, write=True) as connection:
            return sign_head(connection, self._signer, self._files, self._clock)

    def verify(self) -> Verdict:
        """Check the whole trail, and every row against it; see `verification.py` for the steps."""
        # Read before the snapshot begins: a checkpoint signed meanwhile would speak of leaves it does not show.
        kept = self._files.notes()
        with transaction(self._engine, write=False) as connection:
            notes = [*stored_notes(connection), *kept]
            return verify_books(connection, notes, self._signer.verifier, self._signer.name)

    def proof(self, index: int) -> tuple[bytes, list[bytes], str]:
        """The leaf's bytes, its audit path, and the newest signed checkpoint, to which the path leads.

        Raises InvalidInput for an index beyond the log, and `Unavailable` while no checkpoint covers the leaf.
        """
        with transaction(self._engine, write=False) as connection:
            return audit_log.prove(connection, index)

    def stands_as_logged(self, table: str, key: str) -> bool:
        """Whether a row of an audited table is as the newest leaf about it left it; false when either is gone."""
        with transaction(self._engine, write=False) as connection:
            return stands_as_logged(connection, table, key)

    def leaf_of(self, noun: str, key: str) -> list[tuple[int, bytes]]:
        """(index, leaf) of every leaf about a thing, oldest first.

        `noun` is a table (`orders`) for the changes of one row, or a kind of subject (`order`) for all about it.
        """
        with transaction(self._engine, write=False) as connection:
            return audit_log.leaves_naming(connection, noun, key)

    def audit_size(self) -> int:
        """How many leaves the log has."""
        with transaction(self._engine, write=False) as connection:
            return audit_log.edge(connection).size

    def leaves(self, start: int = 0, stop: int | None = None) -> list[StoredLeaf]:
        """The entries from index `start` up to `stop`, or to the end."""
        with transaction(self._engine, write=False) as connection:
            return list(audit_log.read_leaves(connection, start, stop))

    @property
    def vkey(self) -> str:
        """The log's public key in text form, to hand to whoever verifies."""
        return self._signer.vkey

    @property
    def origin(self) -> str:
        """The log's name in its checkpoints."""
        return self._signer.name
