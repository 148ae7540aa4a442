"""`necto order`: submit, list, show, cancel."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.panel import Panel

from necto_pipelines.books.books import Books
from necto_pipelines.cli.output import OPERATOR, AsJson, Home, opened_books, print_json, print_table, stdout
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.money import plain
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.order_document import MAX_BYTES, read_order
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
    request = read_order(_document(file))
    with opened_books(home) as books:
        order = submit_order(books, request, OPERATOR)
    if json:
        print_json(order.model_dump(mode="json"))
    else:
        typer.echo(
            f"{order.id} {order.state}: {request.name}, at most ${request.budget_usd} from {request.cost_centre}"
        )


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


def _document(file: Path) -> bytes:
    """The file's bytes, or those of standard input: one more than an order may have, so that no giant is read whole."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        allowed = f"name a file that can be read, or - for standard input ({error.strerror})"
        raise InvalidInput([Problem("file", str(file), allowed)]) from error


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
    print_table(
        f"Decision {decision.id}: {len(ranked)} compliant, {len(decision.candidates) - len(ranked)} refused",
        ("rank", "provider", "GPU", "country", "$/GPU-h", "order $", "score", "refused because"),
        (
            (
                c.rank,
                c.provider_name,
                c.gpu_key,
                c.country,
                f"{c.usd_per_gpu_hour:.4f}",
                c.expected_usd,
                c.score,
                "" if c in ranked else f"{', '.join(c.refusals)}: {c.details}",
            )
            for c in shown
        ),
        right=("rank", "$/GPU-h", "order $", "score"),
    )
