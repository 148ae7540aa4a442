"""What the journey found and did, as plain facts for `--json` and as a page for a person."""

from decimal import Decimal
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from necto_pipelines.journey.journey import Carried
from necto_pipelines.market.comparison import CHEAPEST_COMPLIANT, smallest
from necto_pipelines.model.money import plain
from necto_pipelines.model.state import LeaseState
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.invoicing import invoice_files
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import Snapshot

CLOUDS = (("AWS", "aws"), ("Azure", "azure"), ("GCP", "gcp"))
SHOWN = ("H100-80GB", "H200-141GB", "A100-80GB", "L40S-48GB", "RTX4090-24GB", "T4-16GB")


def facts(runtime: Runtime, carried: Carried, catalog: Snapshot, comparison: Snapshot) -> dict[str, Any]:
    """The summary as JSON values: list prices and percentages as numbers, the invoiced total as exact decimal text.

    Every figure is read from what was stored.
    """
    offers = records(catalog.frame)
    books, invoice = runtime.books, carried.invoice
    files = invoice_files(runtime, invoice)
    verdict = books.verify()
    return {
        "simulated": runtime.settings.simulated,
        "offers": {"count": len(offers), "networks": sorted({offer["network"] for offer in offers})},
        "comparison": [_compared(row) for row in smallest(comparison.frame) if row["choice"] == CHEAPEST_COMPLIANT],
        "orders": [{"id": order.id, "state": str(order.state)} for order in books.orders()],
        "leases": [
            {
                "id": lease.id,
                "network": lease.network,
                "provider": lease.provider,
                "usd_per_hour": float(lease.usd_per_hour),
            }
            for lease in books.leases()
            if lease.state is not LeaseState.FAILED
        ],
        "invoice": {
            "number": invoice.number,
            "total_usd": f"{invoice.total_usd:.2f}",
            "lines": len(invoice.lines),
            "files": {"json": str(files.json), "csv": str(files.csv), "pdf": str(files.pdf)},
        },
        "audit": {"size": verdict.size, "root": verdict.root.hex(), "verified": verdict.ok},
    }


def show(console: Console, runtime: Runtime, carried: Carried, found: dict[str, Any]) -> None:
    """Print the summary for a person."""
    console.print()
    if found["simulated"]:
        settings = runtime.settings
        clouds = sorted({settings.aws_mode, settings.azure_mode, settings.gcp_mode})
        console.print(
            "[yellow]Simulated:[/yellow] sandbox networks and payment rail. "
            f"Cloud prices on demand: {', '.join(clouds)}; each row of the comparison carries its date."
        )
    console.print(_comparison(found))
    console.print(_choice(runtime, carried))
    invoice, audit = found["invoice"], found["audit"]
    proof = "[green]verified[/green]" if audit["verified"] else "[red]BROKEN[/red]"
    console.print(
        Panel(
            Group(
                f"Invoice   [bold]{invoice['number']}[/bold]  ${invoice['total_usd']}  {invoice['lines']} lines",
                Text(f"          {invoice['files']['pdf']}", overflow="fold", style="dim"),
                f"Proof     {audit['size']} entries, root {audit['root'][:32]}…  {proof}",
                f"          [dim]necto audit trace {invoice['number']}[/dim] walks it back to the network's answer",
            ),
            title="Booked and proved",
            title_align="left",
        )
    )


def _compared(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "gpu": row["gpu_key"],
        "gpu_count": row["gpu_count"],
        "depin_usd_gpu_hour": float(row["depin_usd_per_gpu_hour"]),
        "cloud": row["cloud"],
        "cloud_instance": row["cloud_instance"],
        "cloud_region": row["cloud_region"],
        "cloud_usd_gpu_hour": float(row["cloud_usd_per_gpu_hour"]),
        "proxy_gpu": row["proxy_gpu"],
        "savings_pct": float(row["savings_pct"]),
        "cloud_as_of": row["cloud_as_of"],
    }


def _comparison(found: dict[str, Any]) -> Table:
    count, networks = found["offers"]["count"], ", ".join(found["offers"]["networks"])
    title = (
        f"{count} offers on {networks}: the cheapest compliant in $ per GPU-hour, and what it saves against the"
        " cheapest cloud"
    )
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found["comparison"]:
        rows.setdefault(row["gpu"], {})[row["cloud"]] = row
    compared = [gpu for gpu in rows if any(cloud in rows[gpu] for _, cloud in CLOUDS)]
    shown = [gpu for gpu in SHOWN if gpu in compared] or compared[:6]
    proxies = any(row["proxy_gpu"] for gpu in shown for row in rows[gpu].values())
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = (
        "* a better GPU, for the cloud does not rent out this one (necto compare names it)" if proxies else None
    )
    table.add_column("GPU")
    for column in ("DePIN", *(name for name, _ in CLOUDS), "saved"):
        table.add_column(column, justify="right")
    for gpu in shown:
        clouds = {cloud: rows[gpu][cloud] for _, cloud in CLOUDS if cloud in rows[gpu]}
        best = min(clouds.values(), key=lambda row: float(row["cloud_usd_gpu_hour"]))
        saved = best["savings_pct"]
        prices = [_cloud_price(clouds[cloud]) if cloud in clouds else "–" for _, cloud in CLOUDS]
        colour = "green" if saved > 0 else "red"
        table.add_row(gpu, f"{best['depin_usd_gpu_hour']:.2f}", *prices, f"[{colour}]{saved:.1f} %[/{colour}]")
    return table


def _cloud_price(row: dict[str, Any]) -> str:
    return f"{row['cloud_usd_gpu_hour']:.2f}{'*' if row['proxy_gpu'] else ''}"


def _choice(runtime: Runtime, carried: Carried) -> Panel:
    order = carried.order
    lease = runtime.books.leases(order_id=order.id)[-1]
    decision = runtime.books.decision(lease.decision_id)
    refused = [c for c in decision.candidates if c.refusals and c not in decision.ranked]
    reasons: dict[str, int] = {}
    for candidate in refused:
        for reason in candidate.refusals:
            reasons[reason] = reasons.get(reason, 0) + 1
    commonest = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda kv: -kv[1])[:4])
    per_gpu = lease.usd_per_hour / lease.gpu_count
    hours = sum((u.gpu_hours for u in runtime.books.usage(lease.id)), start=Decimal(0))
    paid = sum((x.amount_usd for x in carried.invoice.lines if x.order_id == order.id), start=Decimal(0))
    clouds = ", ".join(
        f"{name} ${price * hours:.2f} ({100 * (1 - paid / (price * hours)):.1f} % less here)"
        for name, key in CLOUDS
        if (price := decision.clouds_usd_per_gpu_hour.get(key))
    )
    lines = [
        f"Order     [bold]{escape(order.request.name)}[/bold]  {order.id}  {order.state}",
        f"Lease     [bold]{escape(lease.provider_name)}[/bold] ({lease.country}) on {lease.network}: "
        f"{lease.gpu_count} × {lease.gpu_key} at ${per_gpu:.4f} per GPU-hour (binding bid)",
        f"          {lease.provider}",
        f"Why       cheapest binding bid of {len(decision.ranked)} compliant providers; {len(refused)} offers refused:",
        f"          {commonest}",
        f"Cost      ${paid:.2f} with all conversion costs for {plain(hours)} GPU-hours; at a cloud's list price:",
        f"          {clouds}",
    ]
    return Panel(Group(*lines), title="Routed", title_align="left")
