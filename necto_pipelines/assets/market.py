"""What the clouds ask, what tokens are worth, and what a buyer saves."""

from datetime import timedelta

import dagster as dg
import pandas as pd

from necto_pipelines.assets.evidence import keep_answers, markdown_table
from necto_pipelines.assets.sources import FRAME, answered, answered_spec, ask
from necto_pipelines.market.comparison import bar, compare, headlines
from necto_pipelines.market.oracles import COINGECKO_IDS
from necto_pipelines.model.tables import CLOUD_PRICES, PRICE_COMPARISON, TOKEN_PRICES, records
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import MODE
from necto_pipelines.sensors.automation import when_inputs_change

SHOWN = 15
"""rows of the comparison that a person is shown; the table holds them all"""


@dg.asset(
    description="On-demand GPU prices of AWS, Azure and Google Cloud, live or from the dated reference of the package.",
    group_name="market",
    owners=["team:procurement"],
    kinds={"csv", "parquet"},
    tags={"necto/layer": "source"},
    metadata=table_metadata(CLOUD_PRICES),
    code_version="1",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(days=2)),
    dagster_type=FRAME,
    check_specs=[answered_spec("cloud_prices")],
    io_manager_key=PARQUET_IO,
)
def cloud_prices(runtime: RuntimeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster: no type beside checks
    """The freshness policy watches the refresh; how old the figures themselves are is `necto/oldest_figure`."""
    handle = runtime.get()
    listings, silent = ask({source.name: source.prices for source in handle.clouds})
    rows = [row for listing in listings for row in listing.rows]
    dates = sorted(row.as_of for row in rows)
    return dg.MaterializeResult(
        value=CLOUD_PRICES.frame(rows),
        metadata=keep_answers(handle.warehouse, listings)
        | {MODE: ",".join(sorted({source.mode.value for source in handle.clouds}))}
        | ({"necto/oldest_figure": dates[0], "necto/newest_figure": dates[-1]} if dates else {}),
        check_results=[answered("cloud_prices", silent)],
    )


@dg.asset(
    description="US dollar prices of the tokens Necto pays in, each with the time its source published it.",
    group_name="market",
    owners=["team:finance"],
    kinds={"coingecko", "parquet"},
    tags={"necto/layer": "source"},
    metadata=table_metadata(TOKEN_PRICES),
    code_version="1",
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=20), warn_window=timedelta(minutes=11)
    ),
    dagster_type=FRAME,
    check_specs=[answered_spec("token_prices")],
    io_manager_key=PARQUET_IO,
)
def token_prices(runtime: RuntimeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster: no type beside checks
    """A token without a usable price is set aside; payments ask the oracle again and never read this table."""
    handle = runtime.get()
    listings, silent = ask({"oracle": lambda: handle.oracle.prices(tuple(COINGECKO_IDS))})
    rows = [row for listing in listings for row in listing.rows]
    return dg.MaterializeResult(
        value=TOKEN_PRICES.frame(rows),
        metadata=keep_answers(handle.warehouse, listings)
        | {
            MODE: handle.oracle.mode.value,
            "necto/prices": markdown_table(
                ("token", "USD", "published", "source", "counts", "why not"),
                [(row.token, row.usd, row.published_at, row.source, row.used, row.reason) for row in rows],
            ),
        },
        check_results=[answered("token_prices", silent)],
    )


@dg.asset(
    description="The cheapest and the cheapest compliant offer of each GPU against the on-demand machine of each cloud"
    " that would do the same: same model or a named better one, same number of GPUs, nearest part of the world.",
    group_name="market",
    owners=["team:procurement", "team:finance"],
    kinds={"pandas", "parquet"},
    tags={"necto/layer": "derived"},
    metadata=table_metadata(PRICE_COMPARISON),
    code_version="2",
    automation_condition=when_inputs_change(),
    io_manager_key=PARQUET_IO,
)
def price_comparison(
    provider_catalog: pd.DataFrame,
    cloud_prices: pd.DataFrame,
    token_prices: pd.DataFrame,
    compliance_scores: pd.DataFrame,
) -> dg.MaterializeResult[pd.DataFrame]:
    """The comparison, and for a person what each GPU saves against the cloud that asks least."""
    comparison = compare(provider_catalog, cloud_prices, token_prices, compliance_scores)
    rows = headlines(comparison)
    dates = sorted(row["cloud_as_of"] for row in records(comparison))
    return dg.MaterializeResult(
        value=comparison,
        metadata={
            "necto/savings": markdown_table(
                (
                    "GPU",
                    "GPUs",
                    "offer",
                    "network",
                    "USD/GPU-hour",
                    "cheapest cloud",
                    "machine",
                    "region",
                    "as of",
                    "cloud USD/GPU-hour",
                    "saved %",
                    "",
                ),
                [
                    (
                        row["gpu_key"],
                        row["gpu_count"],
                        row["choice"].replace("_", " "),
                        row["network"],
                        f"{row['depin_usd_per_gpu_hour']:.4f}",
                        row["cloud"],
                        row["cloud_instance"] + (f" (proxy: {row['proxy_gpu']})" if row["proxy_gpu"] else ""),
                        row["cloud_region"],
                        row["cloud_as_of"],
                        f"{row['cloud_usd_per_gpu_hour']:.4f}",
                        f"{row['savings_pct']:.1f}",
                        bar(row["savings_pct"]),
                    )
                    for row in rows[:SHOWN]
                ],
            ),
            **({"necto/oldest_cloud_figure": dates[0], "necto/newest_cloud_figure": dates[-1]} if dates else {}),
        },
    )
