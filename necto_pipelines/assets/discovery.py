"""What can be bought and from whom: offers of each network, the catalog made of them, and evidence on providers."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from necto_pipelines.assets.evidence import keep_answers
from necto_pipelines.assets.sources import FRAME, answered, answered_spec, ask
from necto_pipelines.model.tables import EVIDENCE, OFFERS, to_frame
from necto_pipelines.networks.plausibility import believable
from necto_pipelines.resources.parquet_io import PARQUET_IO, table_metadata
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import MODE
from necto_pipelines.sensors.automation import when_inputs_change

FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=60), warn_window=timedelta(minutes=35))
"""asked every 15 minutes; older than `catalog_max_age_s` is not routed to"""


def discovery_assets(networks: Sequence[str]) -> list[dg.AssetsDefinition]:
    """The group `discovery` for these networks; a new network brings one more offers asset and changes nothing else."""
    return [*(offers_asset(network) for network in networks), catalog_asset(networks), provider_evidence]


def offers_asset(network: str) -> dg.AssetsDefinition:
    """`<network>_offers`: everything purchasable there now."""

    @dg.asset(
        name=f"{network}_offers",
        description=f"Every offer on {network.title()} at this moment, as the network answered; unreadable rows are set"
        " aside with the reason.",
        group_name="discovery",
        owners=["team:procurement"],
        kinds={network, "parquet"},
        tags={"necto/layer": "source"},
        metadata=table_metadata(OFFERS),
        code_version="1",
        freshness_policy=FRESH,
        dagster_type=FRAME,
        check_specs=[answered_spec(f"{network}_offers")],
        io_manager_key=PARQUET_IO,
    )
    def offers(runtime: RuntimeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster: no type beside checks
        handle = runtime.get()
        source = handle.networks[network]
        listings, silent = ask({network: lambda: believable(source.offers())})
        return dg.MaterializeResult(
            value=OFFERS.frame(row for listing in listings for row in listing.rows),
            metadata=keep_answers(handle.warehouse, listings) | {MODE: source.mode.value},
            check_results=[answered(f"{network}_offers", silent)],
        )

    return offers


def catalog_asset(networks: Sequence[str]) -> dg.AssetsDefinition:
    """`provider_catalog`: the offers of `networks` in one table."""

    @dg.asset(
        name="provider_catalog",
        ins={f"{network}_offers": dg.AssetIn() for network in networks},
        description="All offers of all networks: one row for each network, provider and GPU, ordered by offer.",
        group_name="discovery",
        owners=["team:procurement"],
        kinds={"pandas", "parquet"},
        tags={"necto/layer": "derived"},
        metadata=table_metadata(OFFERS),
        code_version="1",
        freshness_policy=FRESH,
        automation_condition=when_inputs_change(),
        io_manager_key=PARQUET_IO,
    )
    def provider_catalog(**offers: pd.DataFrame) -> dg.MaterializeResult[pd.DataFrame]:
        catalog = union_of_offers(list(offers.values()))
        return dg.MaterializeResult(
            value=catalog,
            metadata={
                "necto/offers_seen": sum(len(frame) for frame in offers.values()),
                "necto/providers": int(catalog["provider"].nunique()),
                "necto/gpu_models": int(catalog["gpu_key"].nunique()),
                "necto/gpus_available": int(catalog["units_available"].sum()),
            },
        )

    return provider_catalog


@dg.asset(
    description="What networks and their auditors say of every provider: online, version, signed attributes, country.",
    group_name="discovery",
    owners=["team:compliance"],
    kinds={"http", "parquet"},
    tags={"necto/layer": "source"},
    metadata=table_metadata(EVIDENCE),
    code_version="1",
    freshness_policy=FRESH,
    dagster_type=FRAME,
    check_specs=[answered_spec("provider_evidence")],
    io_manager_key=PARQUET_IO,
)
def provider_evidence(runtime: RuntimeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster: no type beside checks
    """Providers of a network that does not answer have no evidence, and so nobody may buy from them meanwhile."""
    handle = runtime.get()
    networks = handle.networks.values()
    listings, silent = ask({network.name: network.evidence for network in networks})
    rows = sorted((row for listing in listings for row in listing.rows), key=lambda row: (row.network, row.provider))
    return dg.MaterializeResult(
        value=EVIDENCE.frame(rows),
        metadata=keep_answers(handle.warehouse, listings)
        | {MODE: ",".join(sorted({network.mode for network in networks}))},
        check_results=[answered("provider_evidence", silent)],
    )


def union_of_offers(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row for each offer id, the newest seen; ordered by offer id, so equal offers give equal bytes.

    Among rows of one offer and one moment the last counts.
    """
    rows = pa.concat_tables([OFFERS.schema.empty_table(), *(OFFERS.arrow(frame) for frame in frames)])
    # Arrow's sort is stable: what was seen last stays last.
    rows = rows.take(pc.sort_indices(rows, [("offer_id", "ascending"), ("observed_at", "ascending")]))
    ids = rows["offer_id"].combine_chunks()
    last = pc.not_equal(ids[:-1], ids[1:]).to_pylist() + [True] * (len(ids) > 0)
    return to_frame(rows.filter(pa.array(last, pa.bool_())).combine_chunks())
