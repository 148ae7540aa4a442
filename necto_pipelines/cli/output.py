"""How commands speak: tables for people, one JSON document for programs, one line for each fault."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.settings import Settings


def _console(*, stderr: bool = False) -> Console:
    """Into a pipe or a file there is no terminal to fit: tables get room instead of being folded to 80 columns."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=160)


stdout = _console()
stderr = _console(stderr=True)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder with the books and everything else; default: NECTO_HOME, else .necto here."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]

OPERATOR = Actor(kind="human", name="operator")
"""who acts when a person types a command; a name would be personal data, and the trail keeps none"""


def settings_of(home: Path | None) -> Settings:
    """The settings, with the home folder of the command line when one was given."""
    return Settings(home=home) if home else Settings()


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
    """A table for people; `right` names the columns of figures."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    stdout.print(table)
