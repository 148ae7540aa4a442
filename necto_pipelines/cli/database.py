"""`necto database`: SQL that whoever owns the database runs, and Necto does not."""

from typing import Annotated

import typer

from necto_pipelines.books.roles import role_statements

app = typer.Typer(help="The database of the books: what an application may do there.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Stands here so that the one command below keeps its name."""


@app.command()
def roles(
    role: Annotated[str, typer.Argument(help="Name of the PostgreSQL role that Necto signs in with.")],
) -> None:
    """Print the SQL that gives a role what Necto needs, and nothing that rewrites the trail; the owner runs it.

    Run it again after every upgrade. The tables belong to another role, which Necto does not know the password of.
    """
    typer.echo(";\n".join(role_statements(role)) + ";")
