"""Materializations as evidence: which bytes an asset held, what it was made from, and the newest that may be used.

Dagster's own provenance tags name the newest event of any partition at the start of a step, not what was read
(reference: dagster issue #21436). The record of lineage is therefore what our IO manager writes and this module reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
import pandas as pd

from necto_pipelines.failures import AuditBroken, Unavailable
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import InputPin
from necto_pipelines.warehouse.warehouse import Warehouse

SHA256: Final = "necto/sha256"
"""metadata of a materialization: the digest of its bytes; of a check: the digest of the bytes it judged"""
INPUTS: Final = "necto/inputs"
"""metadata of a materialization: what was read, `asset` or `asset[partition]` -> storage_id, run_id, sha256"""
MODE: Final = "necto/mode"
"""metadata of a materialization: live, sandbox or snapshot, comma-separated"""
ROWS: Final = "dagster/row_count"
LEAF_INDEX: Final = "audit/leaf_index"
"""metadata of a materialization: the place of its leaf in the audit log; `necto audit prove INDEX` proves it"""
LEAF_HASH: Final = "audit/leaf_hash"
"""metadata of a materialization: base64 hash of that leaf, by which leaves about what was made from it name it"""

GUARDS: Final[Mapping[str, str]] = {
    "provider_catalog": "catalog_expectations",
    "compliance_scores": "compliance_fails_closed",
}
"""assets that nobody reads before the named check has passed on those very bytes; until then the last good one stays"""

_LOOK_BACK: Final = 20
"""how many newest materializations are looked through for one that passed its guard"""


@dataclass(frozen=True)
class Materialization:
    """One materialization of an asset, read back from Dagster's event log."""

    asset: str
    partition: str | None
    storage_id: int
    run_id: str
    sha256: str
    rows: int
    mode: str
    code_version: str | None
    at: datetime
    inputs: Mapping[str, Mapping[str, Any]]
    leaf: str | None = None
    """base64 hash of its leaf; None when it was written before there was one"""

    @property
    def name(self) -> str:
        """`asset` or `asset[partition]`, as in an input manifest."""
        return pin_name(self.asset, self.partition)

    @property
    def pin(self) -> InputPin:
        """What a decision writes down about having read this."""
        return InputPin(
            asset=self.name,
            sha256=self.sha256,
            storage_id=self.storage_id,
            run_id=self.run_id,
            observed_at=rfc3339(self.at),
            leaf=self.leaf,
        )


@dataclass(frozen=True)
class Snapshot:
    """An asset as it was read: the pin that names the bytes, and the frame they hold."""

    pin: InputPin
    frame: pd.DataFrame


def latest_snapshot(
    instance: dg.DagsterInstance, warehouse: Warehouse, asset: str, partition: str | None = None
) -> Snapshot:
    """The newest usable content of `asset`, with its bytes verified.

    Raises `Unavailable` when there is none yet, and `AuditBroken` when the stored bytes are not the recorded ones.
    """
    found = newest_usable(instance, asset, partition)
    return Snapshot(pin=found.pin, frame=warehouse.read_frame(found.sha256))


def newest_usable(instance: dg.DagsterInstance, asset: str, partition: str | None = None) -> Materialization:
    """The newest materialization; of a guarded asset, the newest whose bytes passed. `Unavailable` if none."""
    guard = GUARDS.get(asset)
    verdicts = _verdicts(instance, asset, guard) if guard else {}
    reason = "it has not been materialized yet"
    for found in materializations(instance, asset, partition, limit=_LOOK_BACK if guard else 1):
        if guard is None or verdicts.get(found.sha256):
            return found
        reason = f"nothing has passed its check {guard} lately"
    raise Unavailable(f"{pin_name(asset, partition)} cannot be read: {reason}")


def newest(instance: dg.DagsterInstance, asset: str, partition: str | None = None) -> Materialization:
    """The newest materialization, whatever its checks say: for the checks themselves. `Unavailable` if none."""
    for found in materializations(instance, asset, partition, limit=1):
        return found
    raise Unavailable(f"{pin_name(asset, partition)} cannot be read: it has not been materialized yet")


def materializations(
    instance: dg.DagsterInstance,
    asset: str,
    partition: str | None = None,
    *,
    storage_id: int | None = None,
    limit: int = 100,
) -> Iterator[Materialization]:
    """Materializations that our IO manager wrote, newest first. `AuditBroken` for one that it cannot have written."""
    wanted = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey.from_user_string(asset),
        asset_partitions=[partition] if partition is not None else None,
        storage_ids=[storage_id] if storage_id is not None else None,
    )
    for record in instance.fetch_materializations(wanted, limit=limit).records:
        yield _read(asset, record)


def pin_name(asset: str, partition: str | None) -> str:
    """How an input manifest names what was read."""
    return asset if partition is None else f"{asset}[{partition}]"


def split_pin_name(name: str) -> tuple[str, str | None]:
    """The inverse of `pin_name`."""
    asset, bracket, rest = name.partition("[")
    return asset, rest.removesuffix("]") if bracket else None


def _read(asset: str, record: dg.EventLogRecord) -> Materialization:
    event = record.asset_materialization
    metadata: dict[str, Any] = {key: value.value for key, value in event.metadata.items()} if event else {}
    if event is None or SHA256 not in metadata:
        raise AuditBroken(
            f"event {record.storage_id} claims a materialization of {asset} in run {record.run_id or '(none)'}"
            " but names no bytes: it was not written by Necto"
        )
    return Materialization(
        asset=asset,
        partition=event.partition,
        storage_id=record.storage_id,
        run_id=record.run_id,
        sha256=str(metadata[SHA256]),
        rows=int(metadata.get(ROWS, 0)),
        mode=str(metadata.get(MODE, "")),
        code_version=(event.tags or {}).get("dagster/code_version"),
        at=datetime.fromtimestamp(record.timestamp, UTC),
        inputs=metadata.get(INPUTS, {}),
        leaf=str(metadata[LEAF_HASH]) if LEAF_HASH in metadata else None,
    )


def _verdicts(instance: dg.DagsterInstance, asset: str, guard: str) -> dict[str, bool]:
    """For each digest that `guard` judged lately: whether it passed the last time."""
    key = dg.AssetCheckKey(dg.AssetKey.from_user_string(asset), guard)
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=2 * _LOOK_BACK)
    verdicts: dict[str, bool] = {}
    for execution in history:  # newest first
        evaluation = execution.evaluation
        if isinstance(evaluation, dg.AssetCheckEvaluation) and SHA256 in evaluation.metadata:
            verdicts.setdefault(str(evaluation.metadata[SHA256].value), evaluation.passed)
    return verdicts
