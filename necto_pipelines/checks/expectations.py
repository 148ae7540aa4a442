"""The Great Expectations suite of the catalog: what every offer must look like before anything is routed to it.

The library costs seconds and 200 MB to import, so it is imported inside the check and nowhere else; the suite itself is
plain data.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg
import pandas as pd
import pyarrow as pa

from necto_pipelines.model.gpu import FAMILIES
from necto_pipelines.model.offer import PriceBasis, SourceMode
from necto_pipelines.model.tables import OFFERS
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import GUARDS, SHA256

GPU_KEYS: Final = sorted(f"{family}-{size}GB" for family, sizes in FAMILIES.items() for size in sizes)
DEAREST_USD_PER_GPU_HOUR: Final = 100
"""The dearest on-demand GPU of the three clouds costs 18 USD per hour (cloud reference, 2026-11-22): at five times that
a unit was misread."""
CLOCK_SKEW: Final = timedelta(minutes=2)
REQUIRED: Final = (
    *("offer_id", "network", "provider", "gpu_key", "vram_gib", "units_available", "max_gpus_per_order"),
    *("usd_per_gpu_hour", "price_basis", "interruptible", "observed_at", "mode", "raw_sha256"),
)
_SAMPLES: Final = 5

Rule = dict[str, Any]
"""one expectation: `type`, Great Expectations' own name for it, and `kwargs`"""


@dg.asset_check(
    asset="provider_catalog",
    name=GUARDS["provider_catalog"],
    blocking=True,
    description="Every offer is unique, named, priced within reason, fresh, and traceable to its raw answer.",
)
def catalog_expectations(runtime: RuntimeResource, provider_catalog: pd.DataFrame) -> dg.AssetCheckResult:
    """Blocks everything downstream, and keeps the last good catalog in use, when any expectation fails."""
    handle = runtime.get()
    max_age = timedelta(seconds=handle.settings.catalog_max_age_s)
    result = validate(provider_catalog, catalog_suite(now=handle.clock.now(), max_age=max_age))
    failed = [one_line(outcome) for outcome in result["results"] if not outcome["success"]]
    return dg.AssetCheckResult(
        passed=result["success"],
        description="; ".join(failed) or f"all {len(result['results'])} expectations are met",
        metadata={
            SHA256: provider_catalog.attrs[SHA256],
            "necto/expectations": dg.MetadataValue.table([_record(outcome) for outcome in result["results"]]),
            "necto/result": dg.MetadataValue.json(result),
        },
    )


def catalog_suite(*, now: datetime, max_age: timedelta) -> list[Rule]:
    """What a catalog read at `now` must meet; an offer older than `max_age` would not be routed to anyway."""
    return [
        _rule("expect_table_row_count_to_be_between", min_value=1),
        _rule("expect_table_columns_to_match_ordered_list", column_list=OFFERS.schema.names),
        *(_rule("expect_column_values_to_not_be_null", column=column) for column in REQUIRED),
        _rule("expect_column_values_to_be_unique", column="offer_id"),
        _rule("expect_column_values_to_be_in_set", column="gpu_key", value_set=GPU_KEYS),
        _rule("expect_column_values_to_be_in_set", column="price_basis", value_set=[str(b) for b in PriceBasis]),
        _rule(
            "expect_column_values_to_be_in_set",
            column="mode",
            value_set=[str(SourceMode.LIVE), str(SourceMode.SANDBOX)],
        ),
        _rule(
            "expect_column_values_to_be_between",
            column="usd_per_gpu_hour",
            min_value=0,
            strict_min=True,
            max_value=DEAREST_USD_PER_GPU_HOUR,
        ),
        _rule("expect_column_values_to_be_between", column="units_available", min_value=0),
        _rule("expect_column_values_to_be_between", column="max_gpus_per_order", min_value=0),
        _rule("expect_column_values_to_be_between", column="vram_gib", min_value=1),
        _rule("expect_column_values_to_match_regex", column="country", regex=r"^[A-Z]{2}\Z"),
        _rule("expect_column_values_to_match_regex", column="raw_sha256", regex=r"^[0-9a-f]{64}\Z"),
        _rule(
            "expect_column_values_to_be_between",
            column="observed_at",
            min_value=now - max_age,
            max_value=now + CLOCK_SKEW,
            # A private quote is as old as the day it was given, and good until it ends.
            row_condition=_where_basis("!="),
        ),
        _rule("expect_column_values_to_be_between", column="valid_until", min_value=now, strict_min=True),
        _rule(
            "expect_column_values_to_not_be_null",
            column="valid_until",
            row_condition=_where_basis("=="),
        ),
    ]


def validate(frame: pd.DataFrame, rules: Sequence[Rule]) -> dict[str, Any]:
    """Great Expectations' own verdict as plain JSON: `success`, and one entry of `results` for each rule."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx  # noqa: PLC0415  see the module's docstring
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("memory")
        .add_dataframe_asset("frame")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": judged_form(frame)})
    )
    suite = gx.ExpectationSuite(name="suite", expectations=list(rules))
    verdict: dict[str, Any] = batch.validate(suite, result_format="SUMMARY").to_json_dict()  # type: ignore[no-untyped-call]
    return verdict


def judged_form(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns as Great Expectations compares them: decimals as floats (to judge, never to pay), missing as None."""
    return pd.DataFrame({name: _judged(frame[name]) for name in frame.columns})


def _judged(column: "pd.Series[Any]") -> "pd.Series[Any]":
    kind = column.dtype.pyarrow_dtype if isinstance(column.dtype, pd.ArrowDtype) else pa.null()
    if pa.types.is_decimal(kind):
        return column.astype("float64[pyarrow]").astype("float64")
    if pa.types.is_timestamp(kind):
        return column.astype("datetime64[us, UTC]")
    return pd.Series([None if value is pd.NA else value for value in column], dtype=object)


def one_line(outcome: dict[str, Any]) -> str:
    """A failed expectation for a person: which column, what was expected, how many rows fail, which values."""
    config, found = outcome["expectation_config"], outcome["result"]
    column = config["kwargs"].get("column", "table")
    if raised := [info for info in _exceptions(outcome) if info.get("raised_exception")]:
        return f"{column}: {config['type']} could not be judged ({raised[0].get('exception_message')})"
    if "unexpected_count" not in found:
        return f"{column}: {config['type']} found {found.get('observed_value')}"
    return f"{column}: {found['unexpected_count']} rows fail {config['type']} ({_sample(found)})"


def _rule(kind: str, **kwargs: Any) -> Rule:
    return {"type": kind, "kwargs": kwargs}


def _where_basis(operator: str) -> Rule:
    """Only the rows that are private quotes (`==`), or only the others (`!=`); Great Expectations' own form of it."""
    basis = str(PriceBasis.PRIVATE_QUOTE)
    return {"type": "comparison", "column": {"name": "price_basis"}, "operator": operator, "parameter": basis}


def _record(outcome: dict[str, Any]) -> dg.TableRecord:
    config, found = outcome["expectation_config"], outcome["result"]
    return dg.TableRecord(
        {
            "expectation": config["type"],
            "column": config["kwargs"].get("column", ""),
            "met": bool(outcome["success"]),
            "unexpected": int(found.get("unexpected_count") or 0),
            "sample": _sample(found),
        }
    )


def _sample(found: dict[str, Any]) -> str:
    return ", ".join(str(value) for value in found.get("partial_unexpected_list", [])[:_SAMPLES])


def _exceptions(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """One expectation's failures to judge: a single record, or one for each metric, depending on where it broke."""
    info = outcome.get("exception_info") or {}
    return [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
