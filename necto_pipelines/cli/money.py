"""`necto budget` and `necto invoice`."""

import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, TypeAdapter, ValidationError

from necto_pipelines.cli.output import (
    NEGATIVE,
    OPERATOR,
    AsJson,
    Home,
    opened_books,
    print_json,
    print_table,
    settings_of,
    stdout,
)
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.procurement.invoicing import issue_month, write_files
from necto_pipelines.procurement.runtime import Runtime

budgets = typer.Typer(help="Budgets of cost centres.", no_args_is_help=True)
invoices = typer.Typer(help="Invoices and their files.", no_args_is_help=True)
Number = Annotated[str, typer.Argument(help="Invoice number.")]
_LIMIT: TypeAdapter[Decimal] = TypeAdapter(Annotated[ExactDecimal, Field(ge=0, le=10**12, decimal_places=2)])


@budgets.command("set", context_settings=NEGATIVE)
def set_budget(
    cost_centre: Annotated[str, typer.Argument(help="Cost centre: lower-case letters, digits, - and _.")],
    usd: Annotated[str, typer.Argument(help="Limit in US dollars.")],
    home: Home = None,
) -> None:
    """Set the limit of a cost centre; a new one is made."""
    try:
        limit = _LIMIT.validate_python(usd)
    except ValidationError:
        allowed = "write an amount from 0 to 1,000,000,000,000 with at most 2 decimals, such as 500 or 499.50"
        raise InvalidInput([Problem("usd", usd, allowed)]) from None
    with opened_books(home) as books, books.change(OPERATOR) as change:
        budget = change.set_budget(cost_centre, limit)
    stdout.print(f"{budget.cost_centre}: limit ${budget.limit_usd}, available ${budget.available_usd}")


@budgets.command("list")
def list_budgets(home: Home = None, json: AsJson = False) -> None:
    """List cost centres with what is held, spent and left."""
    with opened_books(home) as books:
        rows = books.budgets()
    if json:
        print_json([row.model_dump(mode="json") | {"available_usd": str(row.available_usd)} for row in rows])
        return
    figures = ("limit $", "held $", "spent $", "available $")
    print_table(
        f"{len(rows)} cost centres",
        ("cost centre", *figures),
        ((row.cost_centre, row.limit_usd, row.held_usd, row.spent_usd, row.available_usd) for row in rows),
        right=figures,
    )


@invoices.command("list")
def list_invoices(
    home: Home = None,
    month: Annotated[str | None, typer.Option(help="Only this month, YYYY-MM.")] = None,
    json: AsJson = False,
) -> None:
    """List issued invoices."""
    with opened_books(home) as books:
        rows = books.invoices(month=_month(month) if month else None)
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    print_table(
        f"{len(rows)} invoices",
        ("number", "tenant", "month", "lines", "total $", "due", "source"),
        (
            (i.number, i.tenant, i.month, len(i.lines), i.total_usd, i.due_on, "sandbox" if i.simulated else "live")
            for i in rows
        ),
        right=("lines", "total $"),
    )


@invoices.command()
def issue(
    month: Annotated[str, typer.Argument(help="Billing month, YYYY-MM.")], home: Home = None, json: AsJson = False
) -> None:
    """Invoice the month's settled charges that stand on no invoice yet."""
    month = _month(month)
    runtime = Runtime.open(settings_of(home))
    try:
        issued = issue_month(runtime, month, OPERATOR)
    finally:
        runtime.close()
    if json:
        print_json([invoice.model_dump(mode="json") for invoice in issued])
    else:
        stdout.print("\n".join(f"{i.number}  {i.tenant}  ${i.total_usd}" for i in issued) or "nothing to invoice")


@invoices.command()
def export(
    number: Number,
    home: Home = None,
    to: Annotated[Path | None, typer.Option(help="Folder to copy the files to.")] = None,
) -> None:
    """Write an invoice's JSON, CSV and PDF and print their paths."""
    runtime = Runtime.open(settings_of(home))
    try:
        files = write_files(runtime, runtime.books.invoice(number))
    finally:
        runtime.close()
    for path in (files.json, files.csv, files.pdf):
        typer.echo(_copied(path, to) if to else path)


def _month(text: str) -> str:
    if re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        return text
    raise InvalidInput([Problem("month", text, "write a month as YYYY-MM, for example 2026-11")])


def _copied(path: Path, folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InvalidInput([Problem("to", str(folder), "name a folder; it is made when it does not exist")]) from None
    return Path(shutil.copy2(path, folder))
