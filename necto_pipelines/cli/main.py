"""Assemble the commands and turn failures into lines and exit codes."""

import sys
from typing import NoReturn

import typer

from necto_pipelines import __version__
from necto_pipelines.cli import audit, leases, market, money, orders, running
from necto_pipelines.cli.output import stderr
from necto_pipelines.failures import InvalidInput, NectoError

app = typer.Typer(
    name="necto",
    help="Buy GPU compute on decentralised networks: routed to the cheapest compliant offer, invoiced, and proved.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.add_to(app)
market.add_to(app)
app.add_typer(orders.app, name="order")
app.add_typer(leases.app, name="lease")
app.add_typer(money.budgets, name="budget")
app.add_typer(money.invoices, name="invoice")
app.add_typer(audit.app, name="audit")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> NoReturn:
    """Run the command line. A failure of Necto's own kind is told in one line each, never as a traceback."""
    try:
        app()
    except InvalidInput as fault:
        for problem in fault.problems:
            stderr.print(f"[red]invalid[/red] {_escaped(problem)}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except NectoError as failure:
        stderr.print(f"[red]{type(failure).__name__}[/red] {_escaped(failure)}", highlight=False, soft_wrap=True)
        sys.exit(1)
    sys.exit(0)


def _escaped(value: object) -> str:
    return str(value).replace("[", r"\[")
