"""Everything that somebody can do to the trail, by SQL on the database and by editing the files of an export.

A log is held here as plain values. Tampering makes another one of it, which is then put into a database and into an
export in place of the honest one, so that the same deed is judged in both.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from support.books_backends import ORIGIN
from support.leaf_log import START, event
from support.time_authority import TimeAuthority

from necto_pipelines.audit.checkpoint import Checkpoint, sign_checkpoint
from necto_pipelines.audit.leaf import leaf_bytes
from necto_pipelines.audit.merkle import leaf_hash, root_of
from necto_pipelines.audit.note import Signer
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.policy import TimeAuthority as TrustedAuthority
from necto_pipelines.model.clock import rfc3339

SIGNED: Final = (256, 512, 600, 620)
SIZE: Final = SIGNED[-1]
SAVED: Final = 512
"""the size of the checkpoint that somebody kept elsewhere"""
STAMPS: Final = {256: START + timedelta(seconds=300), SIZE: START + timedelta(seconds=1_500)}
"""when an authority stamped which checkpoint"""
PLACE: Final = 300
"""the entry that is tampered with"""


@dataclass(frozen=True)
class Log:
    """A log as somebody would have it: entries, the hashes stored for them, checkpoints, and time stamps over them."""

    leaves: list[bytes]
    hashes: list[bytes]
    notes: dict[int, str]
    stamps: dict[int, bytes]

    def with_leaves(self, leaves: list[bytes]) -> "Log":
        """Other entries, and all hashes made to fit."""
        return replace(self, leaves=leaves, hashes=[leaf_hash(leaf) for leaf in leaves])


@dataclass
class Operator:
    """Holds the log's key, and reaches the database and the export. The time authority is somebody else."""

    signer: Signer
    authority: TimeAuthority = field(default_factory=TimeAuthority)

    def written(self, size: int = SIZE, other: int | None = None) -> Log:
        """The log as it is written, up to `size` entries: two runs with their manifests, the second one at the end.

        With `other`, the entry with this index says something else, and everything after it follows from that.
        """
        leaves: list[bytes] = []
        stamped = ""
        runs: dict[str, list[bytes]] = {"run-1": [], "run-2": []}
        for number in range(size):
            run = "run-1" if 100 <= number < 200 else "run-2" if 590 <= number < 611 else None
            facts: dict[str, Any] = {"run": {"dagster_run_id": run, "job": "test", "step": "a"}} if run else {}
            if number == other:
                facts |= {"body": {"number": -number}}
            if number in {100, 590}:
                facts |= {"type": "run.started", "body": {"planned": "a,b"}}
            if number in {199, 610} and run:
                digest = sha256(b"".join(runs[run])).hexdigest()
                facts |= {"type": "run.finished", "body": {"count": len(runs[run]), "digest": digest}}
            if number > PLACE:  # by then the checkpoint of 256 entries was stamped
                stamped = stamped or b64encode(root_of([leaf_hash(leaf) for leaf in leaves[:256]])).decode()
                facts |= {"after": {"size": 256, "root": stamped}}
            leaves.append(leaf_bytes(event(number, **facts)))
            if run:
                runs[run].append(leaf_hash(leaves[-1]))
        return self.signed(Log(leaves, [leaf_hash(leaf) for leaf in leaves], {}, {}))

    def signed(self, log: Log, sizes: tuple[int, ...] = SIGNED) -> Log:
        """The log with checkpoints of these sizes signed anew."""
        notes = dict(log.notes)
        for size in sizes:
            if size <= len(log.hashes):
                notes[size] = sign_checkpoint(Checkpoint(ORIGIN, size, root_of(log.hashes[:size])), self.signer)
        return replace(log, notes=notes)

    def stamped(self, log: Log) -> Log:
        """The log with the authority's time stamps over its checkpoints."""
        stamps = {
            size: self.authority.timestamp(log.notes[size].encode(), at)
            for size, at in STAMPS.items()
            if size in log.notes
        }
        return replace(log, stamps=stamps)

    @property
    def policy(self) -> Policy:
        """What the auditor trusts."""
        root = TrustedAuthority("test-tsa", self.authority.root.pem.decode())
        return replace(Policy.of(self.signer.verifier), time_authorities=(root,))


@dataclass(frozen=True)
class Deed:
    """Something done to the log, and what each judge should find: one of its kinds of faults, or None for nothing.

    `entry` is the entry that must be named. `complete`: whether run manifests, time stamps and a saved checkpoint
    together vouch for all of it. `signs`: whether the log goes on signing what the database holds then, its checkpoint
    files being untouched; `by_the_log` says that the log itself wrote this, so its files say the same.
    """

    what: str
    do: Callable[[Operator, Log], Log]
    database: str | None = None
    database_saved: str | None = None
    export: str | None = None
    export_saved: str | None = None
    stamped: str | None = None
    complete: bool = False
    signs: bool = False
    entry: int | None = None
    by_the_log: bool = False


def _edited(log: Log, index: int, **changes: Any) -> list[bytes]:
    leaf = leaf_bytes(json.loads(log.leaves[index]) | changes)
    return [*log.leaves[:index], leaf, *log.leaves[index + 1 :]]


def _edit(operator: Operator, log: Log) -> Log:
    return replace(log, leaves=_edited(log, PLACE, body={"number": 7}))


def _edit_and_rebuild(operator: Operator, log: Log) -> Log:
    return log.with_leaves(_edited(log, PLACE, body={"number": 7}))


def _delete(operator: Operator, log: Log) -> Log:
    return log.with_leaves([*log.leaves[:PLACE], *log.leaves[PLACE + 1 :]])


def _reorder(operator: Operator, log: Log) -> Log:
    one, other = log.leaves[PLACE - 1 : PLACE + 1]
    return log.with_leaves([*log.leaves[: PLACE - 1], other, one, *log.leaves[PLACE + 1 :]])


def _insert(operator: Operator, log: Log) -> Log:
    return log.with_leaves([*log.leaves[:PLACE], leaf_bytes(event(99_999)), *log.leaves[PLACE:]])


def _edit_checkpoint(operator: Operator, log: Log) -> Log:
    note = log.notes[SIZE].replace(b64encode(root_of(log.hashes)).decode(), b64encode(bytes(32)).decode())
    return replace(log, notes=log.notes | {SIZE: note})


def _strip_signature(operator: Operator, log: Log) -> Log:
    return replace(log, notes=log.notes | {SIZE: log.notes[SIZE].partition("\n\n")[0] + "\n\n"})


def _swap_signature(operator: Operator, log: Log) -> Log:
    note = sign_checkpoint(Checkpoint(ORIGIN, SIZE, root_of(log.hashes)), Signer.generate(ORIGIN))
    return replace(log, notes=log.notes | {SIZE: note})


def _truncate(operator: Operator, log: Log) -> Log:
    return replace(
        log, leaves=log.leaves[:256], hashes=log.hashes[:256], notes={256: log.notes[256]}, stamps=log.stamps
    )


def _fork(operator: Operator, log: Log) -> Log:
    return replace(operator.written(other=50), stamps=log.stamps)


def _backdate(operator: Operator, log: Log) -> Log:
    leaves = _edited(log, 550, ts=rfc3339(START - timedelta(days=1)))
    return operator.stamped(operator.signed(log.with_leaves(leaves), (600, SIZE)))


def _lose_tail(operator: Operator, log: Log) -> Log:
    short = operator.written(600)
    return replace(short, stamps={256: log.stamps[256]})


JUDGES: Final = ("database", "database_saved", "export", "export_saved", "stamped")


def _found_by_all(what: str, do: Callable[[Operator, Log], Log], kind: str, **further: Any) -> Deed:
    return Deed(what, do, **dict.fromkeys(JUDGES, kind), **further)


DEEDS: Final = (
    Deed("nothing", lambda operator, log: log, complete=True, signs=True),
    _found_by_all("edit an entry", _edit, "leaf_hash", entry=PLACE, signs=True),
    _found_by_all("edit an entry and rebuild the tiles", _edit_and_rebuild, "root"),
    _found_by_all("delete an entry", _delete, "root"),
    _found_by_all("swap two entries", _reorder, "root"),
    _found_by_all("insert an entry", _insert, "root"),
    _found_by_all("edit a checkpoint", _edit_checkpoint, "checkpoint"),
    _found_by_all("strip a checkpoint's signature", _strip_signature, "checkpoint"),
    _found_by_all("swap a checkpoint's signature", _swap_signature, "checkpoint"),
    Deed(
        "cut back to an older checkpoint",
        _truncate,
        database_saved="truncated",
        export_saved="truncated",
        stamped="anchor",
    ),
    Deed(
        "rewrite and sign anew with the log's key",
        _fork,
        database_saved="fork",
        export_saved="fork",
        stamped="anchor",
    ),
    Deed("write a false time into a new entry", _backdate, stamped="time", by_the_log=True, signs=True),
    Deed("lose the tail before it was signed", _lose_tail, by_the_log=True, signs=True),
)
"""audit.md E.6, in its order"""
