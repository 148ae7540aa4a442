"""`necto lease`: list, show and close."""

from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from necto_pipelines.books.books import Books
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
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.health import Telemetry
from necto_pipelines.model.lease import Lease
from necto_pipelines.model.money import plain
from necto_pipelines.model.state import LeaseState
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.settling import settle

_SEEN: Final = ("ready", "total", "gpu_use_pct", "runway_hours", "cost_usd", "order_cost_usd", "cap_usd", "latency_ms")

app = typer.Typer(help="Leases: capacity held at providers.", no_args_is_help=True)


@app.command("list")
def list_leases(home: Home = None, json: AsJson = False) -> None:
    """List leases with how they fare, newest last."""
    with opened_books(home) as books:
        rows = [(lease, _fares(books, lease)) for lease in books.leases()]
    if json:
        print_json([lease.model_dump(mode="json") | fares for lease, fares in rows])
        return
    print_table(
        f"{len(rows)} leases",
        ("id", "order", "network", "provider", "GPU", "$/h", "state", "health", "$ so far", "runway", "ends", "source"),
        (
            (
                lease.id,
                lease.order_id,
                lease.network,
                lease.provider_name,
                f"{lease.gpu_count} × {lease.gpu_key}",
                f"{lease.usd_per_hour:.4f}",
                lease.state,
                _health_text(lease, fares),
                f"{Decimal(fares['cost_usd']):.2f}" if fares["cost_usd"] else "",
                f"{Decimal(fares['runway_hours']):.1f} h" if _runs(lease) and fares["runway_hours"] else "",
                f"{lease.ends_at:%Y-%m-%d %H:%M} UTC" if lease.ends_at else "",
                lease.mode,
            )
            for lease, fares in rows
        ),
        right=("$/h", "$ so far", "runway"),
    )


@app.command()
def show(
    lease_id: Annotated[str, typer.Argument(help="Lease id.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Show a lease: its health and since when, cost so far against the order's cap, runway, and what it replaces."""
    with opened_books(home) as books:
        lease = books.lease(lease_id)
        fares = _fares(books, lease)
        failover = books.failover(lease_id)
        replaced_by = [each.id for each in books.leases(order_id=lease.order_id) if each.replaces == lease_id]
    given_up = failover.model_dump(mode="json") if failover else None
    if json:
        facts = {"replaced_by": replaced_by, "failover": given_up}
        print_json(lease.model_dump(mode="json") | fares | facts)
        return
    lines: list[tuple[str, object]] = [
        ("order", f"{lease.order_id}, attempt {lease.attempt}"),
        ("provider", f"{lease.provider_name} ({lease.network}, {lease.country or 'country unknown'})"),
        ("GPU", f"{lease.gpu_count} × {lease.gpu_key} at ${lease.usd_per_hour:.4f} per hour"),
        ("state", f"{lease.state}{': ' + lease.close_reason if lease.close_reason else ''}"),
        ("health", f"{_health_text(lease, fares)}{' since ' + fares['health_since'] if fares['health_since'] else ''}"),
        ("detail", fares["health_detail"]),
        ("last look", fares["observed_at"]),
        ("replicas", f"{fares['ready']} of {fares['total']}" if fares["total"] is not None else ""),
        ("cost so far", f"${Decimal(fares['cost_usd']):.2f}" if fares["cost_usd"] else ""),
        ("order so far", _against_cap(fares)),
        ("runway", f"{Decimal(fares['runway_hours']):.2f} h" if _runs(lease) and fares["runway_hours"] else ""),
        ("started", lease.started_at),
        ("ends", lease.ends_at),
        ("closed", lease.closed_at),
        ("replaces", lease.replaces),
        ("replaced by", ", ".join(replaced_by)),
        ("given up", f"{failover.cause}: {failover.reason}" if failover else ""),
        ("source", lease.mode),
    ]
    print_table(lease.id, ("fact", "value"), [(name, value) for name, value in lines if value not in (None, "")])


def _fares(books: Books, lease: Lease) -> dict[str, Any]:
    """How a lease fares, as JSON values: its health in the books, and what the last look showed."""
    health, look = books.health(lease.id), books.last_telemetry(lease.id)
    seen = look.model_dump(mode="json") if look else dict.fromkeys(Telemetry.model_fields)
    return {
        "health": health.health.value if health else None,
        "health_since": rfc3339(health.since) if health else None,
        "health_detail": health.detail if health else None,
        "observed_at": rfc3339(look.observed_at) if look else None,
        **{name: seen[name] for name in _SEEN},
    }


def _health_text(lease: Lease, fares: dict[str, Any]) -> str:
    """The health of a lease that runs, as it stands; of one that has ended, nothing."""
    return fares["health"] or "not looked at yet" if _runs(lease) else ""


def _against_cap(fares: dict[str, Any]) -> str:
    if not fares["order_cost_usd"]:
        return ""
    return f"${Decimal(fares['order_cost_usd']):.2f} of at most ${Decimal(fares['cap_usd']):.2f}"


def _runs(lease: Lease) -> bool:
    return lease.state in (LeaseState.ACTIVE, LeaseState.CLOSING)


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
