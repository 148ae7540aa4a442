"""Read an asset's newest usable content, for commands that show it."""

import dagster as dg

from necto_pipelines.journey.home import prepare_home
from necto_pipelines.resources.snapshots import Snapshot, latest_snapshot
from necto_pipelines.settings import Settings
from necto_pipelines.warehouse.warehouse import Warehouse


def read_asset(settings: Settings, asset: str) -> Snapshot:
    """The asset with the pin of its bytes; Unavailable when it was never materialized (`necto refresh` does that)."""
    home = prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        return latest_snapshot(instance, Warehouse(settings.warehouse_url or home / "warehouse"), asset)
