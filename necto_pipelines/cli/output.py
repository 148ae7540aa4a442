"""How commands speak: tables for people, one JSON document for programs, one line for each fault."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.settings import Settings


def _console(*, stderr: bool = False) -> Console:
    """Into a pipe or a file there is no terminal to fit: tables get room instead of being folded to 80 columns."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=200)


stdout = _console()
stderr = _console(stderr=True)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder with the books and everything else; default: NECTO_HOME, else .necto here."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]

NEGATIVE = {"ignore_unknown_options": True}
"""context settings of a command that takes a figure: `-5` is then a figure out of range, and not an unknown option"""

OPERATOR = Actor(kind="human", name="operator")
"""who acts when a person types a command; a name would be personal data, and the trail keeps none"""


def settings_of(home: Path | None) -> Settings:
    """The settings, with the home folder of the command line when one was given.

    InvalidInput naming each environment variable with a value that is not allowed, or a home that is no folder.
    """
    try:
        settings = Settings(home=home) if home else Settings()
    except ValidationError as error:
        raise InvalidInput([_variable(fault) for fault in error.errors()]) from error
    if settings.home.exists() and not settings.home.is_dir():
        raise InvalidInput([Problem("home", str(settings.home), "name a folder; it is made when it does not exist")])
    return settings


@contextmanager
def opened_books(home: Path | None) -> Iterator[Books]:
    """The books of a home, closed at the end."""
    settings = settings_of(home)
    books = open_books(settings, settings.clock())
    try:
        yield books
    finally:
        books.close()


def print_json(document: Any) -> None:
    """One JSON document on standard output: sorted keys, two spaces, nothing lost."""
    typer.echo(json.dumps(document, indent=2, sort_keys=True, default=str, ensure_ascii=False))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """A table for people; `right` names the columns of figures. Cells are shown as they are: none is markup."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=side, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    stdout.print(table)


def _variable(fault: Any) -> Problem:
    return Problem(f"NECTO_{fault['loc'][0]}".upper(), fault["input"], fault["msg"])
