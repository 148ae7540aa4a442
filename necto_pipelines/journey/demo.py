"""`necto demo`: the whole way once, in one process, with no server left behind."""

from contextlib import ExitStack
from typing import Any

import dagster as dg
from rich.console import Console

from necto_pipelines.journey.drivers import InProcess
from necto_pipelines.journey.home import free_port, prepare_home, sole_use
from necto_pipelines.journey.journey import carry_order, demonstration_order, require_sandbox, start_clock
from necto_pipelines.journey.orphans import end_orphaned_runs
from necto_pipelines.journey.sandbox_thread import sandbox_in_thread
from necto_pipelines.journey.steps import Steps
from necto_pipelines.journey.summary import facts, show
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.settings import Settings


def run_demo(settings: Settings, console: Console, *, quiet: bool) -> dict[str, Any]:
    """Carry one order from discovery to a verified invoice in `settings.home`; returns the facts of the summary."""
    require_sandbox(settings)
    home = prepare_home(settings)
    settings = settings.model_copy(update={"home": home, "sandbox_port": free_port()})
    steps = Steps(console)
    clock = settings.sandbox_clock()
    with ExitStack() as open_things:
        open_things.enter_context(sole_use(home))
        instance = open_things.enter_context(dg.DagsterInstance.get())
        end_orphaned_runs(instance)
        # Before the sandbox: its markets begin at the time that it finds.
        start_clock(clock, demonstration_order().requirement.hours)
        with steps.step("Start the sandbox") as note:
            open_things.enter_context(sandbox_in_thread(settings))
            note(f"simulated Akash, prices and payment rail at {settings.sandbox_url}")
        runtime = Runtime.open(settings)
        try:
            driver = InProcess(instance, runtime)
            with steps.step("Refresh every asset") as note:
                driver.run("refresh_all")
                catalog = latest_snapshot(instance, runtime.warehouse, "provider_catalog")
                note(f"{len(catalog.frame)} offers, checked and scored")
            carried = carry_order(runtime, driver, clock, steps)
            comparison = latest_snapshot(instance, runtime.warehouse, "price_comparison")
            found = facts(runtime, carried, catalog, comparison)
            if not quiet:
                show(console, runtime, carried, found)
            return found
        finally:
            runtime.close()
