"""The IO manager of every asset: content-addressed Parquet, and a manifest of the bytes that each step read.

On write the frame must fit its asset's table (`model/tables.py`); the digest of its bytes becomes Dagster's data
version, and a leaf of the audit log names bytes and inputs before Dagster hears of them. On read the newest usable
materialization is looked up, its bytes are verified, and its event id, digest and leaf are noted for what the step then
writes.
"""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import dagster as dg
import pandas as pd
import pyarrow as pa

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model import tables
from necto_pipelines.model.tables import Table, records
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import (
    INPUTS,
    LEAF_HASH,
    LEAF_INDEX,
    MODE,
    SHA256,
    Materialization,
    newest,
    newest_usable,
    pin_name,
)
from necto_pipelines.warehouse.warehouse import Blob

PARQUET_IO: Final = "parquet_io"
"""the key under which assets ask for this IO manager; values between ops use Dagster's default"""
TABLE: Final = "necto/table"
"""definition metadata of an asset: the name of its table"""
TABLES: Final = {table.name: table for table in vars(tables).values() if isinstance(table, Table)}
PREVIEW_ROWS: Final = 5
_OBSERVED: Final = ("observed_at", "evidence_observed_at")
"""columns that tell when the source answered"""
_INPUTS_PER_LEAF: Final = 16
"""an input takes about 160 bytes in a leaf, and a leaf holds 4 KiB"""


class ParquetIOManager(dg.IOManager):
    """Every materialization names its bytes, and the bytes of each input it was made from."""

    def __init__(self, resource: RuntimeResource) -> None:
        self._resource = resource
        self._read: dict[tuple[str, str], dict[str, Materialization]] = defaultdict(dict)

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Keep the frame, and record digest, row count, schema, preview, mode, age of its sources and its inputs."""
        runtime = self._resource.get()
        table = TABLES[context.definition_metadata[TABLE]]
        blob = runtime.warehouse.write_frame(_fitted(table, obj, context.asset_key.to_user_string()))
        inputs = self._read.get((context.run_id, context.step_key), {})
        metadata: dict[str, Any] = {
            SHA256: blob.sha256,
            "necto/path": dg.MetadataValue.path(blob.path),
            "necto/bytes": blob.size,
            "dagster/row_count": blob.rows,
            "dagster/column_schema": column_schema(table),
            "necto/preview": preview(obj),
            INPUTS: dg.MetadataValue.json(
                {
                    name: {"storage_id": read.storage_id, "run_id": read.run_id, "sha256": read.sha256}
                    for name, read in sorted(inputs.items())
                }
            ),
        }
        metadata |= _mode(obj, inputs) | _age(obj, runtime.clock.now())
        metadata |= _logged(runtime, context, blob, inputs.values(), metadata.get(MODE))
        context.add_output_metadata(metadata)
        # The documented ways to give a data version need the digest before the IO manager has written the bytes.
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(blob.sha256))

    def load_input(self, context: dg.InputContext) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The frame; for several partitions, partition -> frame. Verified, or `AuditBroken`.

        A check judges the newest materialization. Everything else reads the newest usable one (see `GUARDS`), so a
        refused catalog never replaces the good one that stands.
        """
        if not context.has_asset_partitions:
            return self._load(context, None)
        frames = {partition: self._load(context, partition) for partition in context.asset_partition_keys}
        return next(iter(frames.values())) if len(frames) == 1 else frames

    def _load(self, context: dg.InputContext, partition: str | None) -> pd.DataFrame:
        runtime: Runtime = self._resource.get()
        find = newest_usable if context.step_context.get_output_asset_keys() else newest
        found = find(context.instance, context.asset_key.to_user_string(), partition)
        frame = runtime.warehouse.read_frame(found.sha256)
        frame.attrs[SHA256] = found.sha256
        self._read[context.step_context.run_id, context.step_context.step.key][found.name] = found
        return frame


@dg.io_manager(required_resource_keys={"runtime"})
def parquet_io_manager(context: dg.InitResourceContext) -> ParquetIOManager:
    """Parquet files named by their SHA-256, in the runtime's warehouse."""
    return ParquetIOManager(context.resources.runtime)


def table_metadata(table: Table) -> dict[str, Any]:
    """What an asset's definition says about its table: its name for the IO manager, its columns for people."""
    return {TABLE: table.name, "dagster/column_schema": column_schema(table)}


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns with type and meaning, as the UI shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=name, type=str(kind), description=meaning)
            for name, (kind, meaning) in table.columns.items()
        ]
    )


def preview(frame: pd.DataFrame, rows: int = PREVIEW_ROWS) -> dg.TableMetadataValue:
    """The first rows as a table for the UI; everything but numbers and flags as text."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value) for name, value in row.items()}) for row in records(frame.head(rows))],
        schema=dg.TableSchema(columns=[dg.TableColumn(name=str(name)) for name in frame.columns]),
    )


def _logged(
    runtime: Runtime, context: dg.OutputContext, blob: Blob, inputs: Collection[Materialization], mode: str | None
) -> dict[str, Any]:
    """Write the leaf `asset.materialized`; the metadata that leads to it. Very many inputs take further leaves."""
    step, asset = context.step_context, context.asset_key.to_user_string()
    partitions = ",".join(context.asset_partition_keys) if context.has_asset_partitions else None
    name = pin_name(asset, partitions)[:300]
    read = sorted((made.pin.as_input for made in inputs), key=lambda each: each["asset"])
    parts = [read[start : start + _INPUTS_PER_LEAF] for start in range(0, len(read), _INPUTS_PER_LEAF)] or [[]]
    body = {"rows": blob.rows} | ({"mode": mode} if mode else {})
    actor = service("assets", run_id=step.run_id, job=step.job_name, step=step.step.key)
    with runtime.books.change(actor) as change:
        change.start_run(planned_steps(step.instance, step.dagster_run))
        indexes = [
            change.note(
                "asset.materialized",
                body if len(parts) == 1 else body | {"part": number, "parts": len(parts)},
                {"asset": name},
                inputs=part,
                blobs=[{"name": name, "sha256": blob.sha256, "size": blob.size}],
            )
            for number, part in enumerate(parts, start=1)
        ]
    (leaf,) = runtime.books.leaves(indexes[0], indexes[0] + 1)
    return {LEAF_INDEX: leaf.index, LEAF_HASH: b64encode(leaf.leaf_hash).decode()}


def _fitted(table: Table, frame: pd.DataFrame, asset: str) -> pa.Table:
    columns = [str(name) for name in frame.columns]
    if sorted(columns) != sorted(table.schema.names):
        lacking = sorted(set(table.schema.names) - set(columns))
        beyond = sorted(set(columns) - set(table.schema.names))
        raise PermanentFailure(f"{asset} is not a table of {table.name}: lacks {lacking}, has beyond it {beyond}")
    try:
        return table.arrow(frame)
    except pa.ArrowException as error:
        raise PermanentFailure(f"{asset} is not a table of {table.name}: {error}") from error


def _mode(frame: pd.DataFrame, inputs: dict[str, Materialization]) -> dict[str, str]:
    """Live, sandbox or snapshot: what the rows say, and what all that they were made from said."""
    modes = {mode for read in inputs.values() for mode in read.mode.split(",") if mode}
    if "mode" in frame.columns:
        modes |= set(frame["mode"].dropna().astype(str))
    return {MODE: ",".join(sorted(modes))} if modes else {}


def _age(frame: pd.DataFrame, now: datetime) -> dict[str, Any]:
    """How old the oldest answer is that the rows rest on."""
    column = next((name for name in _OBSERVED if name in frame.columns), None)
    seen = [row[column] for row in records(frame[[column]]) if row[column] is not None] if column else []
    if not seen:
        return {}
    oldest: datetime = min(seen)
    return {
        "necto/oldest_source": dg.MetadataValue.timestamp(oldest),
        "necto/source_age_s": round((now - oldest).total_seconds(), 3),
    }


def _shown(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
