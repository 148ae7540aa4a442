"""What the log needs from its keeper: signing, verifying, exporting, keys that change, incidents that are looked into.

Part of `Books`. How each of these is done stands in its module beside this one.
"""

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.audit.note import NoteRefused
from necto_pipelines.audit.policy import Policy, TimeAuthority
from necto_pipelines.audit.verify import Verdict
from necto_pipelines.books import audit_log
from necto_pipelines.books.changes import Change
from necto_pipelines.books.engine import transaction
from necto_pipelines.books.export import Export, Exported, Openings, Progress
from necto_pipelines.books.incidents import RAISED, RESOLVED, SUBJECT, Incident, Incidents, of_type
from necto_pipelines.books.keys import KEY_SUBJECT, ROTATED, KeyFolder, policy_of, rotations
from necto_pipelines.books.recording import Actor
from necto_pipelines.books.signing import CONTINUED, CheckpointFiles, sign_head, stored_notes
from necto_pipelines.books.verification import verify_books
from necto_pipelines.failures import AuditBroken, InvalidInput, NectoError, Problem, Unavailable
from necto_pipelines.model.clock import Clock

_SIGNING: Final = Actor("service", "signing")


class Upkeep(ABC):
    """The keeper's acts on the log."""

    _engine: Engine
    _clock: Clock
    _keys: KeyFolder
    _files: CheckpointFiles
    _incidents: Incidents

    @abstractmethod
    def change(self, actor: Actor) -> AbstractContextManager[Change]:
        """One transaction, as in `Books`."""

    def sign(self, *, even_empty: bool = False) -> str | None:
        """Sign the log's head and return the checkpoint; None when nothing was added since the last one.

        An empty log is signed only when `even_empty` says so. Raises AuditBroken when the database is behind the newest
        checkpoint, or is another history than was signed; that is an incident from then on, and a leaf says so as soon
        as the log can be signed again.
        """
        try:
            note = self._sign(even_empty=even_empty)
        except AuditBroken as refusal:
            resolved: set[str] = set()
            with suppress(NectoError):
                resolved = {each.id for each in self._incidents.all() if self._told(RESOLVED, each)}
            self._incidents.record(refusal, self._clock, resolved)
            raise
        if self._tell_of_incidents():
            return self._sign(even_empty=even_empty) or note
        return note

    def incidents(self, *, unresolved: bool = False) -> list[Incident]:
        """Each refusal to sign, the oldest first; only those that nobody has resolved yet, when that is asked for."""
        return [each for each in self._incidents.all() if not unresolved or not self._told(RESOLVED, each)]

    def resolve_incident(self, actor: Actor, incident_id: str, what: str) -> None:
        """Log what an incident was and what was done about it. Raises InvalidInput for one that is not open."""
        if incident_id not in {incident.id for incident in self.incidents(unresolved=True)}:
            raise InvalidInput([Problem("incident", incident_id, "the id of one that `necto audit incidents` lists")])
        with self.change(actor) as change:
            change.note(RESOLVED, {"what": what}, {SUBJECT: incident_id})

    def rotate_key(self, actor: Actor) -> tuple[str, str]:
        """Give the log a new key; returns the old one and the new one in text form.

        One checkpoint carries the signatures of both, then the old private key is destroyed. Whatever stops this half
        way, the next signature goes on with it. Raises as `sign` does.
        """
        self.sign(even_empty=True)
        with self.change(actor) as change:
            with transaction(self._engine, write=False) as connection:
                told = rotations(connection, self._keys.origin)
            old, new = self._keys.current().vkey, self._keys.prepared().vkey
            if told and told[-1].new != old:
                raise Unavailable("another rotation of the log's key is under way; try again")
            change.note(ROTATED, {"old": old, "new": new}, {KEY_SUBJECT: self._keys.origin})
        self.sign()
        self.sign()  # now that both have signed, the new key takes the old one's place
        return old, new

    def continue_log(self, actor: Actor, note: str) -> Checkpoint:
        """Say in a new log where another one ended: by that one's last checkpoint, which is returned.

        Whether the old log signed it is for verifiers to judge, who have its key. Raises InvalidInput for what is no
        checkpoint, for one of this very log, and when this log has entries already.
        """
        try:
            ended = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
        except NoteRefused as error:
            raise InvalidInput([Problem("checkpoint", note[:80], f"the old log's last checkpoint; {error}")]) from error
        if ended.origin == self._keys.origin:
            allowed = "a checkpoint of another log; the new one needs a name of its own, NECTO_LOG_ORIGIN"
            raise InvalidInput([Problem("checkpoint", ended.origin, allowed)])
        with self.change(actor) as change:
            with transaction(self._engine, write=False) as connection:
                size = audit_log.edge(connection).size
            if size:
                raise InvalidInput([Problem("log", f"{size} entries", "a new log in a new home")])
            root = b64encode(ended.root).decode()
            change.note(CONTINUED, {"origin": ended.origin, "size": ended.size, "root": root})
        self.sign()
        return ended

    def policy(self, time_authorities: Sequence[TimeAuthority] = ()) -> Policy:
        """Which keys may have signed which checkpoints: what a verifier is told to trust.

        Raises AuditBroken when the leaves about the keys do not lead to the key that signs.
        """
        kept = self._files.notes()
        with transaction(self._engine, write=False) as connection:
            notes = [*stored_notes(connection).values(), *kept.values()]
            policy, wrong = policy_of(rotations(connection, self._keys.origin), self._keys.current().verifier, notes)
        if wrong:
            raise AuditBroken("; ".join(what for _, what in wrong))
        return replace(policy, time_authorities=tuple(time_authorities))

    def export(
        self,
        folder: Path,
        *,
        proofs: int | None = None,
        time_authorities: Sequence[TimeAuthority] = (),
        openings: Openings | None = None,
        progress: Progress | None = None,
    ) -> Exported:
        """Sign, and write the log into a folder for verifiers, or bring that folder up to date; see `export.py`.

        `proofs` counts the newest entries that get a proof; None gives one to all of a small log. `openings` are those
        of committed values that the recipient may see (`procurement/privacy.py`); no others stay there.

        Raises InvalidInput when the folder holds another log, and AuditBroken when this one is damaged.
        """
        self.sign(even_empty=True)
        policy = self.policy(time_authorities)
        with transaction(self._engine, write=False) as connection:
            export = Export(folder, stored_notes(connection), openings or {})
            return export.write(connection, policy, proofs, progress)

    def verify(self, saved: Sequence[str] = ()) -> Verdict:
        """Check the whole trail, and every row against it; see `verification.py` for the steps.

        `saved` are checkpoints that somebody kept elsewhere: only they show a log that was rewritten and signed anew.
        """
        # Read before the snapshot begins: a checkpoint signed meanwhile would speak of leaves it does not show.
        kept = self._files.notes()
        with transaction(self._engine, write=False) as connection:
            notes = [*stored_notes(connection).values(), *kept.values()]
            return verify_books(connection, notes, self._keys.current().verifier, saved)

    @property
    def vkey(self) -> str:
        """The log's public key in text form, to hand to whoever verifies."""
        return self._keys.current().vkey

    @property
    def origin(self) -> str:
        """The log's name in its checkpoints."""
        return self._keys.origin

    def _sign(self, *, even_empty: bool) -> str | None:
        with transaction(self._engine, write=True) as connection:
            return sign_head(connection, self._keys, self._files, self._clock, even_empty=even_empty)

    def _tell_of_incidents(self) -> bool:
        """Log the incidents that no leaf names yet, now that the log can be signed; false when there are none."""
        untold = [incident for incident in self._incidents.all() if not self._told(RAISED, incident)]
        if untold:
            with self.change(_SIGNING) as change:
                for incident in untold:
                    change.note(RAISED, {"kind": incident.kind, "what": incident.what[:1000]}, {SUBJECT: incident.id})
        return bool(untold)

    def _told(self, kind: str, incident: Incident) -> bool:
        """Whether a leaf of this type names the incident."""
        with transaction(self._engine, write=False) as connection:
            return of_type(kind, audit_log.leaves_naming(connection, SUBJECT, incident.id))
