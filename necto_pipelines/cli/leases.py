"""`necto lease`: list and close."""

from decimal import Decimal
from typing import Annotated

import typer

from necto_pipelines.cli.output import (
    OPERATOR,
    AsJson,
    Home,
    opened_books,
    print_json,
    print_table,
    settings_of,
    stdout,
)
from necto_pipelines.model.money import plain
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.settling import settle

app = typer.Typer(help="Leases: capacity held at providers.", no_args_is_help=True)


@app.command("list")
def list_leases(home: Home = None, json: AsJson = False) -> None:
    """List leases, newest last."""
    with opened_books(home) as books:
        leases = books.leases()
    if json:
        print_json([lease.model_dump(mode="json") for lease in leases])
        return
    print_table(
        f"{len(leases)} leases",
        ("id", "order", "network", "provider", "GPU", "$/h", "state", "ends", "source"),
        (
            (
                lease.id,
                lease.order_id,
                lease.network,
                lease.provider_name,
                f"{lease.gpu_count} × {lease.gpu_key}",
                f"{lease.usd_per_hour:.4f}",
                lease.state,
                f"{lease.ends_at:%Y-%m-%d %H:%M} UTC" if lease.ends_at else "",
                lease.mode,
            )
            for lease in leases
        ),
        right=("$/h",),
    )


@app.command()
def close(lease_id: Annotated[str, typer.Argument(help="Lease id.")], home: Home = None) -> None:
    """Close a lease now, charge what it used and complete its order."""
    runtime = Runtime.open(settings_of(home))
    try:
        lease = settle(runtime, runtime.books.lease(lease_id), OPERATOR, reason="closed_by_operator")
        runtime.books.sign()
    finally:
        runtime.close()
    settled = plain(lease.settled_native or Decimal(0))
    stdout.print(f"{lease.id} {lease.state}, settled {settled} {lease.native_unit.split('/')[0]}")
