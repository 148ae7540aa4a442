"""Jobs that refresh assets. Which asset is refreshed when is `schedules.py`; buying is `procure.py` and `settle.py`."""

import dagster as dg

from necto_pipelines.sensors.automation import COMPLETE_REFRESH

REFRESH = {"necto/kind": "refresh"}
_SOURCES_OF_CATALOG = dg.AssetSelection.groups("discovery") & dg.AssetSelection.tag("necto/layer", "source")
_AUDIT = dg.AssetSelection.groups("audit")
_PARTITIONED = dg.AssetSelection.assets("usage_charges", "invoices")

refresh_catalog = dg.define_asset_job(
    "refresh_catalog",
    selection=_SOURCES_OF_CATALOG,
    description="Ask every network for offers and evidence; catalog and scores follow when the answers have changed.",
    tags=REFRESH,
)
refresh_market = dg.define_asset_job(
    "refresh_market",
    selection=dg.AssetSelection.assets("token_prices"),
    description="Ask for token prices; the comparison follows when they have changed.",
    tags=REFRESH,
)
refresh_clouds = dg.define_asset_job(
    "refresh_clouds",
    selection=dg.AssetSelection.assets("cloud_prices"),
    description="Read the clouds' reference prices.",
    tags=REFRESH,
)
refresh_telemetry = dg.define_asset_job(
    "refresh_telemetry",
    selection=dg.AssetSelection.assets("lease_telemetry"),
    description="Take what the watch has seen of running leases out of the books.",
    tags=REFRESH,
)
refresh_all = dg.define_asset_job(
    "refresh_all",
    selection=dg.AssetSelection.all() - _PARTITIONED - _AUDIT,
    description="Everything that can be refreshed at once, sources and what is derived from them, in order.",
    tags=REFRESH | COMPLETE_REFRESH,
)
bill_month = dg.define_asset_job(
    "bill_month",
    selection=dg.AssetSelection.groups("billing"),
    description="Read a month's charges from the books and issue its invoices.",
    tags={"necto/kind": "billing"},
)
pack_month = dg.define_asset_job(
    "pack_month",
    selection=dg.AssetSelection.assets("evidence_packs"),
    description="Pack a month's evidence for an auditor.",
    tags={"necto/kind": "audit"},
)

jobs = [refresh_catalog, refresh_market, refresh_clouds, refresh_telemetry, refresh_all, bill_month, pack_month]
