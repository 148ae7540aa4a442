"""`necto order`: submit, list, show, cancel."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.panel import Panel

from necto_pipelines.books.books import Books
from necto_pipelines.cli.documents import read_document
from necto_pipelines.cli.output import NEGATIVE, OPERATOR, AsJson, Home, opened_books, print_json, print_table, stdout
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.money import plain
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.order_document import decoded, read_order
from necto_pipelines.procurement.sdl_orders import order_from_sdl
from necto_pipelines.procurement.submission import cancel
from necto_pipelines.procurement.submission import submit as submit_order

app = typer.Typer(help="Orders: what is wanted, where it stands, and why.", no_args_is_help=True)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="Order document (YAML); - reads standard input.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Check an order document and put the order into the books. The orders sensor takes it from there."""
    request = read_order(read_document(file))
    with opened_books(home) as books:
        order = submit_order(books, request, OPERATOR)
    _print_submitted(order, json)


@app.command("from-sdl", context_settings=NEGATIVE)
def from_sdl(
    file: Annotated[Path, typer.Argument(help="Akash SDL document (YAML); - reads standard input.")],
    hours: Annotated[str, typer.Option(help="How long the deployment shall run.")],
    budget_usd: Annotated[str, typer.Option("--budget", help="The most the whole order may cost, USD.")],
    cost_centre: Annotated[str, typer.Option(help="Cost centre whose budget pays.")],
    name: Annotated[str | None, typer.Option(help="Name of the order; the file's name if not given.")] = None,
    max_usd_per_gpu_hour: Annotated[
        str | None, typer.Option(help="The most per GPU-hour, USD; else the document's own ceiling, if in uact.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Only providers here: ISO codes, comma-separated.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the order that would be made; submit nothing.")] = False,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Order what an Akash SDL document deploys: same checks, same audit trail, placed at Akash as it stands."""
    text = decoded(read_document(file))
    fields: dict[str, object] = {
        "name": name or ("sdl" if str(file) == "-" else file.stem),
        "budget_usd": budget_usd,
        "cost_centre": cost_centre,
        "max_usd_per_gpu_hour": max_usd_per_gpu_hour,
    }
    countries = [code.strip() for code in (country or "").split(",") if code.strip()]
    request = order_from_sdl(text, fields, hours=hours, countries=countries)
    if show:
        print_json(request.model_dump(mode="json"))
        return
    with opened_books(home) as books:
        order = submit_order(books, request, OPERATOR)
    _print_submitted(order, json)


@app.command("list")
def list_orders(
    home: Home = None,
    state: Annotated[list[OrderState] | None, typer.Option(help="Only orders in this state; may be repeated.")] = None,
    json: AsJson = False,
) -> None:
    """List orders, newest last."""
    with opened_books(home) as books:
        orders = books.orders(states=state or None)
    if json:
        print_json([order.model_dump(mode="json") for order in orders])
        return
    print_table(
        f"{len(orders)} orders",
        ("id", "name", "GPU", "hours", "budget $", "state", "reason"),
        (
            (o.id, o.request.name, _gpu(o), o.request.requirement.hours, o.request.budget_usd, o.state, o.reason)
            for o in orders
        ),
        right=("hours", "budget $"),
    )


@app.command()
def show(
    order_id: Annotated[str, typer.Argument(help="Order id.")],
    home: Home = None,
    refused: Annotated[bool, typer.Option("--refused", help="Also list every refused offer with its reasons.")] = False,
    json: AsJson = False,
) -> None:
    """Show an order: state, decisions with the reason of every refusal, money and leases."""
    with opened_books(home) as books:
        order = books.order(order_id)
        decisions = books.decisions(order_id)
        if json:
            print_json(
                {
                    "order": order.model_dump(mode="json"),
                    "decisions": [decision.model_dump(mode="json") for decision in decisions],
                    "hold": hold.model_dump(mode="json") if (hold := books.hold(order_id)) else None,
                    "conversions": [c.model_dump(mode="json") for c in books.conversions(order_id)],
                    "leases": [lease.model_dump(mode="json") for lease in books.leases(order_id=order_id)],
                    "charges": [charge.model_dump(mode="json") for charge in books.charges(order_id=order_id)],
                }
            )
            return
        stdout.print(_order_panel(books, order))
        if decisions:
            _print_decision(decisions[-1], refused)


@app.command("cancel")
def cancel_order(order_id: Annotated[str, typer.Argument(help="Order id.")], home: Home = None) -> None:
    """Cancel an order that is not placed yet and give its held money back."""
    with opened_books(home) as books:
        order = cancel(books, order_id, OPERATOR)
    stdout.print(f"{order.id} {order.state}")


def _print_submitted(order: Order, json: bool) -> None:
    if json:
        print_json(order.model_dump(mode="json"))
        return
    request = order.request
    typer.echo(f"{order.id} {order.state}: {request.name}, at most ${request.budget_usd} from {request.cost_centre}")


def _gpu(order: Order) -> str:
    gpu = order.request.requirement.gpu
    return f"{gpu.count} × {gpu.model or f'≥ {gpu.min_vram_gib} GiB'}"


def _tokens(units: int, decimals: int) -> str:
    return plain(Decimal(units).scaleb(-decimals))


def _order_panel(books: Books, order: Order) -> Panel:
    request, hold = order.request, books.hold(order.id)
    hours, budget = request.requirement.hours, request.budget_usd
    lines = [
        f"state      [bold]{order.state}[/bold]  {escape(order.reason)}",
        f"wanted     {_gpu(order)} for {hours} h, budget ${budget} from {request.cost_centre}",
    ]
    if hold:
        lines.append(f"hold       ${hold.usd} {hold.state}, settled ${hold.settled_usd}")
    lines += [
        f"swap       {_tokens(c.from_units, c.from_decimals)} {c.from_asset} → "
        f"{_tokens(c.to_units, c.to_decimals)} {c.to_asset}"
        f"  fee ${c.fee_usd:.6f}, slippage ${c.slippage_usd:.6f}  [dim]{c.mode}[/dim]"
        for c in books.conversions(order.id)
    ]
    lines += [
        f"lease      {lease.state} at {escape(lease.provider_name)} ({lease.country}), "
        f"${lease.usd_per_hour:.4f}/h  [dim]{lease.id}[/dim]"
        for lease in books.leases(order_id=order.id)
    ]
    return Panel(Group(*lines), title=f"{escape(request.name)}  {order.id}", title_align="left")


def _print_decision(decision: Decision, refused: bool) -> None:
    ranked = set(decision.ranked)
    shown = [c for c in decision.candidates if refused or c in ranked]
    counts = f"{len(ranked)} compliant, {len(decision.candidates) - len(ranked)} refused"
    figures = ("$/GPU-h", "conversion $", "risk $", "order $", "ranked by $", "lasts", "score")
    print_table(
        f"Decision {decision.id} by {decision.strategy}: {counts}",
        ("rank", "provider", "GPU", "country", *figures, "refused because"),
        (
            (
                c.rank,
                c.provider_name,
                c.gpu_key,
                c.country,
                f"{c.usd_per_gpu_hour:.4f}",
                f"{c.cost.conversion_usd:.2f}" if c.cost else None,
                f"{c.cost.risk_usd:.2f}" if c.cost else None,
                c.expected_usd,
                c.weighed_usd,
                None if c.survival is None else f"{100 * c.survival:.1f} %",
                c.score,
                "" if c in ranked else f"{', '.join(c.refusals)}: {c.details}",
            )
            for c in shown
        ),
        right=("rank", *figures),
    )
    if decision.fallback:
        fallback = decision.fallback
        name = f"{fallback.network} {fallback.provider_name}"
        stdout.print(escape(f"Fall-back when no bid comes below it: {name}, ${fallback.expected_usd}"))
