"""List the commands, run the one that is asked for, and turn failures into lines and exit codes.

What a command does stands in its module, which is imported when the command runs: the list itself comes at once.
"""

import sys
from importlib import import_module
from typing import Any, Final, NoReturn

import typer
from rich.text import Text
from typer.core import TyperGroup

from necto_pipelines import __version__
from necto_pipelines.failures import InvalidInput, NectoError

COMMANDS: Final = {
    "up": ("running.up", "Start everything, carry one order to its verified invoice, serve until Ctrl-C."),
    "demo": ("running.demo", "Carry one order from discovery to a verified invoice, once."),
    "refresh": ("running.refresh", "Read every source again and recompute what follows from it."),
    "sandbox": ("running.sandbox", "The simulated networks, clouds, prices and payment rail."),
    "offers": ("market.offers", "What can be bought now, cheapest first."),
    "compare": ("compare.compare", "What AWS, Azure and GCP ask for the same, and would ask for an order."),
    "route": ("route.route", "What routing would do with orders, and what it would cost; nothing is bought."),
    "order": ("orders.app", "Orders: what is wanted, where it stands, and why."),
    "sdl": ("sdl.app", "Akash SDL documents: what the network makes of them."),
    "lease": ("leases.app", "Leases: capacity held at providers."),
    "budget": ("money.budgets", "Budgets of cost centres."),
    "invoice": ("money.invoices", "Invoices and their files."),
    "doctor": ("doctor.doctor", "Which sources are set up, reachable and signed in, and what to do."),
    "render": ("render.app", "Rendering jobs on Render: what they would cost."),
    "audit": ("audit.app", "The audit trail: check it, prove from it, export it, walk it."),
    "privacy": ("privacy.app", "Personal data: whose, what for, showing and erasing it."),
    "database": ("database.app", "The database of the books: what an application may do there."),
}
"""command or group -> where it stands in this package, and its line in the list"""


class Commands(TyperGroup):
    """The root command, which imports no more than the command that runs."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = _loaded(args[0])
        return super().resolve_command(ctx, args)


def _loaded(name: str) -> Any:
    """The command or group called `name`, from its module."""
    module, _, attribute = COMMANDS[name][0].partition(".")
    found = getattr(import_module(f"necto_pipelines.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.callback()(_elsewhere)  # or Typer would make the holder itself the command
        holder.command(name)(found)
    group: Any = typer.main.get_command(holder)
    return group.commands[name]


def _elsewhere() -> None:
    """Stands in the list for a command that is loaded before it runs."""


app = typer.Typer(
    name="necto",
    cls=Commands,
    help="Buy GPU compute on decentralised networks: routed to the cheapest compliant offer, invoiced, and proved.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, (_, _line) in COMMANDS.items():
    app.command(_name, help=_line)(_elsewhere)


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
            _say("invalid", _one_line(str(problem)))
        sys.exit(2)
    except NectoError as failure:
        _say(type(failure).__name__, str(failure))
        sys.exit(1)
    except OSError as error:
        _say("failed", f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(1)
    sys.exit(0)


def _say(kind: str, message: str) -> None:
    from necto_pipelines.cli.output import stderr  # noqa: PLC0415 - with all that commands need; loaded by now

    stderr.print(Text.assemble((kind, "red"), " ", message), soft_wrap=True)


def _one_line(text: str) -> str:
    """What a document says may hold line breaks and terminal codes: they are shown, not obeyed."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
