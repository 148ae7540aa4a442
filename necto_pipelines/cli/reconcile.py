"""`necto audit reconcile`: hold Dagster's rows against the seals."""

import typer

from necto_pipelines.cli.output import AsJson, Home, print_json, print_table, settings_of, stdout
from necto_pipelines.model.clock import SystemClock
from necto_pipelines.procurement.reconciling import Reconciled
from necto_pipelines.procurement.reconciling import reconcile as compare
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.settings import Settings


def reconcile(home: Home = None, json: AsJson = False) -> None:
    """Compare Dagster's history with what was sealed of it. Exit 1 names what was edited, removed or invented."""
    settings = settings_of(home)
    found = _compared(settings)
    if json:
        print_json(
            {
                "ok": not found.findings,
                "runs": found.runs,
                "events": found.events,
                "findings": [
                    {"kind": each.kind, "run": each.run_id, "event": each.storage_id, "what": each.what}
                    for each in found.findings
                ],
            }
        )
    elif not found.findings:
        stdout.print(f"[green]as sealed[/green] {found.events} events of {found.runs} runs")
    else:
        print_table(
            f"{len(found.findings)} rows of Dagster are not as they were sealed",
            ("kind", "event", "what"),
            [(each.kind, each.storage_id, each.what) for each in found.findings],
            right=("event",),
        )
    raise typer.Exit(1 if found.findings else 0)


def _compared(settings: Settings) -> Reconciled:
    import dagster as dg  # noqa: PLC0415 - takes seconds to import

    from necto_pipelines.journey.home import prepare_home  # noqa: PLC0415
    from necto_pipelines.resources.dagster_events import event_rows  # noqa: PLC0415

    prepare_home(settings)
    books = open_books(settings, settings.clock())
    try:
        with dg.DagsterInstance.get() as instance:
            return compare(event_rows(instance), books, now=SystemClock().now())
    finally:
        books.close()
