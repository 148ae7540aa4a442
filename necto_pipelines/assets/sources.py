"""Sources that do not answer: an empty table that says so and a failed check, never a failed pipeline or old rows.

What is downstream then works without that source. The table puts nothing older in its place: rows that look fresh and
are not would be worse than none.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import dagster as dg
import pandas as pd

from necto_pipelines.failures import NectoError, Refused, TransientFailure
from necto_pipelines.fetching import side_by_side
from necto_pipelines.model.answer import Listing

ANSWERED = "source_answered"
"""the check that every asset read from outside carries"""
Row = TypeVar("Row")
FRAME = dg.PythonObjectDagsterType(pd.DataFrame, name="Frame")
"""given to assets with check specs: Dagster cannot read the type of the value from their annotation"""


def answered_spec(asset: str) -> dg.AssetCheckSpec:
    """The check's place in the graph. It does not block: what is downstream goes on without this source."""
    return dg.AssetCheckSpec(
        ANSWERED, asset=asset, description="Every source of this table answered; a silent one is missing, not stale."
    )


def ask(sources: Mapping[str, Callable[[], Listing[Row]]]) -> tuple[list[Listing[Row]], dict[str, str]]:
    """Ask all sources side by side: the listings that came, and for each that did not the reason; in their order."""
    listings, silent = [], {}
    for name, answer in zip(sources, side_by_side(list(sources.values())), strict=True):
        if isinstance(answer, TransientFailure | Refused):
            silent[name] = str(answer)
        elif isinstance(answer, NectoError):
            raise answer
        else:
            listings.append(answer)
    return listings, silent


def answered(asset: str, silent: Mapping[str, str]) -> dg.AssetCheckResult:
    """The check's verdict, naming each silent source and why."""
    missing = "; ".join(f"{name} is missing: {reason}" for name, reason in silent.items())
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=ANSWERED,
        passed=not silent,
        severity=dg.AssetCheckSeverity.ERROR,
        description=missing or "every source answered",
        metadata={"silent_sources": dg.MetadataValue.json(dict(silent))},
    )
