"""The audit trail as an asset: the seals over Dagster's runs, and how the log stands."""

from contextlib import suppress
from typing import Any

import dagster as dg
import pandas as pd

from necto_pipelines.assets.evidence import markdown_table
from necto_pipelines.books.books import Books
from necto_pipelines.failures import AuditBroken, InvalidInput, Unavailable
from necto_pipelines.model.tables import RUN_SEALS
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource


@dg.asset(
    description="Every seal over what Dagster logged of a run, and how the audit log stands: size, root, coverage.",
    group_name="audit",
    owners=["team:compliance"],
    kinds={"sql", "parquet"},
    tags={"necto/layer": "books"},
    metadata=table_metadata(RUN_SEALS),
    code_version="1",
    io_manager_key=PARQUET_IO,
)
def audit_trail(runtime: RuntimeResource) -> dg.MaterializeResult[pd.DataFrame]:
    """A snapshot of the books, ordered by run and part; the log is signed first."""
    books = runtime.get().books
    return dg.MaterializeResult(value=RUN_SEALS.frame(map(_columns, books.seals())), metadata=_state_of(books))


def _state_of(books: Books) -> dict[str, Any]:
    """How the log stands. A refusal to sign is an incident and is shown as such: it must not hide what it is about."""
    with suppress(AuditBroken):
        books.sign()
    size, incidents = books.audit_size(), books.incidents()
    state: dict[str, Any] = {"audit/size": size, "audit/incidents": len(incidents)}
    with suppress(AuditBroken, InvalidInput, Unavailable):
        _, _, checkpoint = books.proof(size - 1)
        _, covered, root, *_ = checkpoint.splitlines()
        state |= {
            "audit/covered": int(covered),
            "audit/root": root,
            "audit/checkpoint": dg.MetadataValue.text(checkpoint),
        }
    if incidents:
        rows = [(each.at, each.kind, each.what) for each in incidents]
        state["audit/incident_list"] = markdown_table(("at", "kind", "what"), rows)
    return state


def _columns(seal: Any) -> dict[str, Any]:
    return {name: getattr(seal, name) for name in RUN_SEALS.columns}
