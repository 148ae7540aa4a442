"""Writing down that a checkpoint was put out of the operator's reach, and looking it up.

Putting it there belongs to `anchors` and `procurement/anchoring.py`; what a leaf repeats of it, to `anchors.py`.
"""

import hashlib
from base64 import b64encode
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, select

from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.books.ids import new_id
from necto_pipelines.books.reads import Reads
from necto_pipelines.books.recording import Recording
from necto_pipelines.books.tables import audit_anchors, audit_checkpoints
from necto_pipelines.model.anchor import Anchored, AnchorKind
from necto_pipelines.model.clock import rfc3339


class AnchorReads(Reads):
    """Look-ups of anchors and of the checkpoint that they are made of."""

    def anchors(self) -> list[Anchored]:
        """All anchors in the order they were made."""
        return self._all(select(audit_anchors).order_by(audit_anchors.c.id), _anchored)

    def last_anchored(self, kind: AnchorKind, place: str) -> Anchored | None:
        """The largest checkpoint that stands at a place; None while there is none."""
        anchors = audit_anchors.c
        query = select(audit_anchors).where(anchors.kind == kind, anchors.place == place)
        found = self._all(query.order_by(anchors.size.desc()).limit(1), _anchored)
        return found[0] if found else None

    def newest_checkpoint(self) -> str | None:
        """The signed note of the largest checkpoint; None while nothing is signed."""
        checkpoints = audit_checkpoints.c
        with self._connect() as connection:
            query = select(checkpoints.note).order_by(checkpoints.size.desc()).limit(1)
            return connection.execute(query).scalar_one_or_none()


class AnchorChanges(Recording):
    """What may be written down of anchors."""

    def record_anchor(
        self,
        kind: AnchorKind,
        place: str,
        checkpoint: Checkpoint,
        *,
        at: datetime | None = None,
        token: bytes | None = None,
    ) -> None:
        """Write down that a checkpoint stands at `place`; the leaf `log.anchored` says so.

        `at` is the proved time, and `token` the authority's answer. Recorded already: nothing changes.
        """
        anchors = audit_anchors.c
        same = (anchors.kind == kind, anchors.place == place, anchors.size == checkpoint.size)
        if self._connection.execute(select(anchors.id).where(*same)).first():
            return
        root = b64encode(checkpoint.root).decode()
        anchor_id = new_id("anc", self._clock)
        values = {
            "id": anchor_id,
            "size": checkpoint.size,
            "root": root,
            "kind": kind,
            "place": place,
            "at": at,
            "token": b64encode(token).decode() if token else None,
        }
        body: dict[str, Any] = {"kind": kind, "size": checkpoint.size, "root": root, "place": place}
        if at:
            body["at"] = rfc3339(at)
        if token:
            body["sha256"] = hashlib.sha256(token).hexdigest()
        self._leaf("log.anchored", {"anchor": anchor_id}, body, rows=[self._insert(audit_anchors, values)])


def _anchored(row: RowMapping) -> Anchored:
    return Anchored.model_validate(dict(row))
