"""The inbox: leaves that are committed without the lock on the log, and get their place in it later.

A leaf in here is durable, but stands in no tree and is covered by no checkpoint until `drain` has put it there. Leaves
that must have their index at once go through `sequencing.py` or stand in the change itself (`recording.py`).
"""

import json
from typing import Final

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from necto_pipelines.audit.merkle import leaf_hash
from necto_pipelines.books.audit_log import Entry, LeafLog, names_in
from necto_pipelines.books.columns import as_bytes
from necto_pipelines.books.engine import transaction
from necto_pipelines.books.sequencing import Places, standing
from necto_pipelines.books.tables import audit_inbox
from necto_pipelines.failures import AuditBroken, PermanentFailure

DRAINED_AT_ONCE: Final = 1000
_SEQUENCING_LOCK: Final = 0x6E65637471
"""the advisory lock of the one who drains: the others have nothing to wait for"""


def post(connection: Connection, entry: Entry) -> None:
    """Put a leaf into the inbox, in the caller's transaction. Once is enough: the same leaf again changes nothing.

    Raises PermanentFailure when its id stands for another leaf, in the inbox or in the log.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"id": entry.id, "leaf": entry.leaf}
    connection.execute(insert(audit_inbox).values(values).on_conflict_do_nothing())
    waiting = connection.execute(select(audit_inbox.c.leaf).where(audit_inbox.c.id == entry.id)).scalar_one_or_none()
    placed = standing(connection, [entry.id])
    leaves = [as_bytes(waiting)] if waiting is not None else []
    if any(leaf != entry.leaf for leaf in [*leaves, *(leaf for _, leaf in placed.values())]):
        raise PermanentFailure(f"id: {entry.id!r} is not allowed; another leaf has it already")


def drain(engine: Engine) -> int:
    """Give the leaves of the inbox their places in the log, in the order in which they came; how many there were.

    Each batch moves in one transaction, so a crash loses nothing and repeats nothing. 0 also when another process is at
    it already. A leaf whose id has meanwhile been given to another one is left where it is, and PermanentFailure names
    it when all the others have their places.
    """
    drained = 0
    refused: dict[int, str] = {}
    with transaction(engine, write=False) as connection:
        waits = connection.execute(select(audit_inbox.c.position).limit(1)).one_or_none() is not None
    while waits:
        with transaction(engine, write=True) as connection:
            if not _is_ours(connection):
                break
            rows = _waiting(connection, after=max(refused, default=0))
            moved, bad = _move(connection, rows)
        drained += moved
        refused.update(bad)
        waits = len(rows) == DRAINED_AT_ONCE
    if refused:
        raise PermanentFailure(f"left in the inbox, for their ids have other leaves: {', '.join(refused.values())}")
    return drained


def _is_ours(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        return True  # the lock on the whole database
    return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_SEQUENCING_LOCK})").scalar_one())


def _waiting(connection: Connection, after: int) -> list[tuple[int, Entry]]:
    inbox = audit_inbox.c
    query = select(inbox.position, inbox.id, inbox.leaf).where(inbox.position > after)
    rows = connection.execute(query.order_by(inbox.position).limit(DRAINED_AT_ONCE))
    return [(position, _entry(leaf_id, as_bytes(leaf))) for position, leaf_id, leaf in rows]


def _entry(leaf_id: str, leaf: bytes) -> Entry:
    try:
        names = names_in(json.loads(leaf))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AuditBroken(f"the leaf {leaf_id!r} in the inbox was changed by hand: its bytes are no event") from error
    return Entry(leaf_id, leaf, leaf_hash(leaf), tuple(sorted(names)))


def _move(connection: Connection, rows: list[tuple[int, Entry]]) -> tuple[int, dict[int, str]]:
    """Move leaves into the log; how many, and the ids of those that stay, by position."""
    log = LeafLog(connection)
    places = Places(connection, log, [entry for _, entry in rows])
    moved, refused = [], {}
    for position, entry in rows:
        try:
            places.of([entry])
        except PermanentFailure:
            refused[position] = entry.id
        else:
            moved.append(position)
    log.store()
    connection.execute(delete(audit_inbox).where(audit_inbox.c.position.in_(moved)))
    return len(moved), refused
