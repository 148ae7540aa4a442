"""Putting the newest checkpoint out of the operator's reach, and writing down where it stands.

The places themselves belong to `anchors`; what each of them proves, to docs/operations/anchors.md.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from necto_pipelines.anchors.port import Anchor, Receipt
from necto_pipelines.anchors.registry import open_anchors
from necto_pipelines.audit.checkpoint import Checkpoint
from necto_pipelines.books.books import Actor, Books
from necto_pipelines.failures import NectoError, PermanentFailure
from necto_pipelines.model.anchor import AnchorKind
from necto_pipelines.model.clock import parse_rfc3339, rfc3339
from necto_pipelines.procurement.runtime import Runtime

JOB: Final = "anchor"
"""the job that does this; what it logs of itself is no reason to do it again"""
CLOCKS_APART_S: Final = 300
"""a proved time further from our clock than this is not written down: one of the two is wrong"""
_LOOKED_AT: Final = 64
"""leaves that are looked at for something to anchor besides anchors; more than so many hold something else"""


@dataclass(frozen=True)
class Attempt:
    """One anchor's turn. `failure` is empty when the checkpoint stands there now."""

    kind: AnchorKind
    place: str
    size: int
    at: datetime | None = None
    failure: str = ""


def anchor_checkpoint(runtime: Runtime, actor: Actor) -> list[Attempt]:
    """Sign the log, and give each anchor whose turn it is the newest checkpoint; a failure does not stop the others.

    It is an anchor's turn when its interval is over and the log has grown by something else than anchors. Each success
    is a row and a leaf of its own. Raises AuditBroken when the log cannot be signed, InvalidInput for settings.
    """
    due = due_anchors(runtime)
    if not due:
        return []
    runtime.books.sign()
    note = runtime.books.newest_checkpoint()
    if note is None:
        return []
    checkpoint = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    return [_placed(runtime, anchor, note, checkpoint, actor) for anchor in due]


def due_anchors(runtime: Runtime) -> list[Anchor]:
    """The anchors whose turn it is."""
    interval = timedelta(seconds=runtime.settings.anchor_interval_s)
    anchors = open_anchors(runtime.settings, runtime.clock)
    size = runtime.books.audit_size() if anchors else 0
    now = runtime.clock.now()
    return [anchor for anchor in anchors if size > 0 and _is_due(runtime.books, anchor, size, now - interval)]


def _is_due(books: Books, anchor: Anchor, size: int, before: datetime) -> bool:
    last = books.last_anchored(anchor.kind, anchor.name)
    if last is None:
        return True
    ((_, leaf),) = books.leaf_of("audit_anchors", last.id)
    return parse_rfc3339(json.loads(leaf)["ts"]) <= before and _has_news(books, last.size, size)


def _has_news(books: Books, since: int, size: int) -> bool:
    """Whether more was logged than anchoring itself: an idle log would else be anchored for its anchors for ever."""
    if size - since > _LOOKED_AT:
        return True
    return not all(_is_own(json.loads(entry.leaf)) for entry in books.leaves(since, size))


def _is_own(event: dict[str, Any]) -> bool:
    """Whether a leaf was written by anchoring: by its job, or about a run of it that has ended."""
    sealed = event["body"].get("job") if event["type"] == "run.sealed" else None
    return event["type"] == "log.anchored" or JOB in (sealed, event.get("run", {}).get("job"))


def _placed(runtime: Runtime, anchor: Anchor, note: str, checkpoint: Checkpoint, actor: Actor) -> Attempt:
    attempt = Attempt(anchor.kind, anchor.name, checkpoint.size)
    try:
        receipt = anchor.place(note, checkpoint.size)
        _check_time(receipt, anchor, runtime.clock.now())
        with runtime.books.change(actor) as change:
            change.record_anchor(anchor.kind, anchor.name, checkpoint, at=receipt.at, token=receipt.token)
    except NectoError as failure:
        return replace(attempt, failure=str(failure))
    return replace(attempt, at=receipt.at)


def _check_time(receipt: Receipt, anchor: Anchor, now: datetime) -> None:
    if receipt.at and abs((receipt.at - now).total_seconds()) > CLOCKS_APART_S:
        raise PermanentFailure(
            f"{anchor.name}: proves {rfc3339(receipt.at)} and the clock here says {rfc3339(now)}; nothing was written "
            "down. Set the clock right; simulated time cannot be proved by an authority of the real world"
        )
