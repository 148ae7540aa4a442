"""What materializations of several assets record alike: kept answers, rows set aside, small tables for people."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.warehouse.warehouse import Warehouse


def keep_answers(warehouse: Warehouse, listings: Iterable[Listing[Any]]) -> dict[str, Any]:
    """Keep every raw answer byte for byte; returns the metadata that names them and what was set aside.

    `AuditBroken` when a row names an answer that is not among them: its figure could never be shown as it was given.
    """
    listings = list(listings)
    answers = {answer.sha256: answer for listing in listings for answer in listing.raw}
    for answer in answers.values():
        if warehouse.write_raw(answer.body) != answer.sha256:
            raise AuditBroken(f"the answer of {answer.url} does not hash to {answer.sha256}")
    if unkept := {row.raw_sha256 for listing in listings for row in listing.rows} - answers.keys():
        raise AuditBroken(f"rows were read from answers that were not handed over: {', '.join(sorted(unkept))}")
    aside = [pair for listing in listings for pair in listing.quarantined]
    return {
        "necto/raw": dg.MetadataValue.json(
            [
                {
                    "url": a.url,
                    "sha256": a.sha256,
                    "bytes": len(a.body),
                    "received_at": rfc3339(a.received_at),
                    **({"revalidated": True} if a.revalidated else {}),
                }
                for a in answers.values()
            ]
        ),
        "necto/quarantined_rows": len(aside),
        **({"necto/quarantined": markdown_table(("what", "why it was set aside"), aside)} if aside else {}),
    }


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A table for a person reading the UI; missing values stay empty."""
    lines = [columns, ["---"] * len(columns), *rows]
    return dg.MetadataValue.md("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
