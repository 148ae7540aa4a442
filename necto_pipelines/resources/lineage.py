"""Walk from a materialization back to its sources, along the digests pinned when each step read its inputs."""

from dataclasses import dataclass

import dagster as dg

from necto_pipelines.failures import AuditBroken, NectoError
from necto_pipelines.resources.snapshots import Materialization, materializations, newest, split_pin_name
from necto_pipelines.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Node:
    """A materialization and, below it, exactly what it was made from."""

    made: Materialization
    parents: tuple["Node", ...]


def lineage(
    instance: dg.DagsterInstance, asset: str, *, partition: str | None = None, storage_id: int | None = None
) -> Node:
    """The pinned tree of one materialization: the newest, or the one that `storage_id` names.

    Raises `Unavailable` when the asset was never materialized, and `AuditBroken` when an event that was read is gone
    from Dagster's log or now names other bytes than were read.
    """
    made = (
        newest(instance, asset, partition)
        if storage_id is None
        else _pinned(instance, asset, partition, storage_id=storage_id)
    )
    return _grow(instance, made, {})


def broken_links(root: Node, warehouse: Warehouse) -> list[str]:
    """What is wrong with the stored bytes of the whole tree, one text for each; empty when every digest still holds."""
    faults: list[str] = []
    for made in {node.made.sha256: node.made for node in walk(root)}.values():
        try:
            warehouse.read_frame(made.sha256)
        except NectoError as error:
            faults.append(f"{made.name}: {error}")
    return faults


def walk(root: Node) -> list[Node]:
    """The node and everything below it, each materialization once, the nearest first."""
    found: dict[int, Node] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        if node.made.storage_id not in found:
            found[node.made.storage_id] = node
            waiting.extend(node.parents)
    return list(found.values())


def _grow(instance: dg.DagsterInstance, made: Materialization, known: dict[int, Node]) -> Node:
    """Inputs are always older than what was made from them, so this ends."""
    if made.storage_id not in known:
        parents = []
        for name, pin in made.inputs.items():
            parent = _pinned(instance, *split_pin_name(name), storage_id=int(pin["storage_id"]))
            if parent.sha256 != pin["sha256"]:
                raise AuditBroken(
                    f"{made.name} read {name} as {pin['sha256']}; event {parent.storage_id} now says {parent.sha256}"
                )
            parents.append(_grow(instance, parent, known))
        known[made.storage_id] = Node(made=made, parents=tuple(parents))
    return known[made.storage_id]


def _pinned(instance: dg.DagsterInstance, asset: str, partition: str | None, *, storage_id: int) -> Materialization:
    for found in materializations(instance, asset, partition, storage_id=storage_id, limit=1):
        return found
    raise AuditBroken(f"event {storage_id} of {asset} was read but is gone from Dagster's event log")
