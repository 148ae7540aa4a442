"""`necto refresh`: materialize every source and what follows from it, in this process."""

import dagster as dg
from rich.console import Console

from necto_pipelines.journey.drivers import InProcess
from necto_pipelines.journey.home import prepare_home
from necto_pipelines.journey.steps import Steps
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.settings import Settings


def run_refresh(settings: Settings, console: Console) -> None:
    """Run `refresh_all` against the home's Dagster storage."""
    settings = settings.model_copy(update={"home": prepare_home(settings)})
    with dg.DagsterInstance.get() as instance:
        runtime = Runtime.open(settings)
        try:
            with Steps(console).step("Refresh every asset") as note:
                InProcess(instance, runtime).run("refresh_all")
                note(f"{len(latest_snapshot(instance, runtime.warehouse, 'provider_catalog').frame)} offers")
        finally:
            runtime.close()
