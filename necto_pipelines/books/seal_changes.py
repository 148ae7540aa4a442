"""Changes that end a run's story in the trail: its manifest, and the seal over what Dagster had logged of it.

When a run is sealed, and which of its events, is decided in `procurement/sealing.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from sqlalchemy import func, insert, select

from necto_pipelines.audit.merkle import CompactRange, leaf_hash
from necto_pipelines.books import tables
from necto_pipelines.books.audit_log import leaves_naming
from necto_pipelines.books.recording import Recording

STARTED, FINISHED = "run.started", "run.finished"


class SealChanges(Recording):
    """What may be written about Dagster's runs."""

    def start_run(self, planned: Sequence[str], inputs: Sequence[dict[str, Any]] = ()) -> int | None:
        """Open the manifest of the run that acts, before its first leaf: the steps it means to take.

        None when it is open already, as when a step is repeated, or when nobody's run acts.
        """
        run_id = self._actor.run_id
        if run_id is None or any(event.get("type") == STARTED for event, _ in self._leaves_of(run_id)):
            return None
        return self.note(STARTED, {"planned": _list_of(planned), "steps": len(planned)}, inputs=inputs)

    def seal_run(self, run_id: str, job: str, status: str, events: Sequence[tuple[int, bytes]]) -> int | None:
        """Seal `events`, (storage id, leaf hash) of each, by storage id; returns the index of the leaf `run.sealed`.

        Those that an earlier part covers are passed over. With the first part the run's manifest is closed: how many
        leaves it wrote, and the digest over their hashes. None when there is nothing new, as when two processes seal
        the same run: the second finds it done.
        """
        seals, sealed = tables.run_seals.c, tables.sealed_events.c
        part = self._connection.execute(select(func.max(seals.part)).where(seals.run_id == run_id)).scalar() or 0
        covered = set(self._connection.execute(select(sealed.storage_id).where(sealed.run_id == run_id)).scalars())
        fresh = sorted(event for event in events if event[0] not in covered)
        if not fresh and (part or not run_id):
            return None
        part += 1
        tree = CompactRange()
        for _, digest in fresh:
            tree.append(digest)
        if part == 1 and run_id:
            self._finish_run(run_id, job, status)
        body = {"job": job, "status": status, "part": part, "events": len(fresh), "root": tree.root().hex()}
        row = self._insert(tables.run_seals, {**body, "run_id": run_id, "sealed_at": self._clock.now()})
        if fresh:
            rows = [
                {"run_id": run_id, "part": part, "position": place, "storage_id": storage_id, "leaf_hash": digest}
                for place, (storage_id, digest) in enumerate(fresh)
            ]
            self._connection.execute(insert(tables.sealed_events), rows)
        return self._leaf("run.sealed", {"run": run_id}, body, rows=[row])

    def _finish_run(self, run_id: str, job: str, status: str) -> None:
        """Close the manifest of a run that wrote leaves, and has none that is closed."""
        leaves = self._leaves_of(run_id)
        if not leaves or any(event.get("type") == FINISHED for event, _ in leaves):
            return
        digest = sha256(b"".join(leaf_hash(leaf) for _, leaf in leaves)).hexdigest()
        self._publish_registry()
        body = {"count": len(leaves), "digest": digest, "status": status}
        facts = {"subject": {}, "rows": [], "inputs": [], "body": body}
        # The run says so itself: this is its last leaf.
        self._append(replace(self._actor, run_id=run_id, job=job), FINISHED, facts)

    def _leaves_of(self, run_id: str) -> list[tuple[dict[str, Any], bytes]]:
        """The leaves that a run wrote, in the log's order; not those that others wrote about it."""
        leaves = ((_event_in(leaf), leaf) for _, leaf in leaves_naming(self._connection, "run", run_id))
        return [(event, leaf) for event, leaf in leaves if event.get("run", {}).get("dagster_run_id") == run_id]


def _event_in(leaf: bytes) -> dict[str, Any]:
    """What a leaf says; nothing when its bytes are damaged, which verifying names and sealing must outlive."""
    try:
        event = json.loads(leaf)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _list_of(planned: Sequence[str]) -> str:
    """The steps as one text; of very many the first ones, so that the leaf keeps its size: `steps` tells how many."""
    text = ",".join(planned)
    return text if len(text) <= 2000 else f"{text[:2000].rpartition(',')[0]},…"
