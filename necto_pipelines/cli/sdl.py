"""`necto sdl`: what Akash makes of an SDL document."""

from pathlib import Path
from typing import Annotated

import typer

from necto_pipelines.cli.documents import read_document
from necto_pipelines.cli.output import print_json
from necto_pipelines.networks.akash import sdl
from necto_pipelines.procurement.order_document import decoded

app = typer.Typer(help="Akash SDL documents: what the network makes of them.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="SDL document (YAML); - reads standard input.")]


@app.command()
def manifest(
    file: File,
    digest: Annotated[bool, typer.Option("--hash", help="Print only its hash, as the network lists it.")] = False,
) -> None:
    """Print the manifest that a provider would be sent, as JSON. Exit code 2 names every fault of the document."""
    made = sdl.manifest_of(decoded(read_document(file)))
    if digest:
        typer.echo(sdl.manifest_hash(made))
    else:
        print_json(made)


@app.command()
def groups(file: File) -> None:
    """Print the group specs that providers would bid on, as JSON. Exit code 2 names every fault of the document."""
    print_json(sdl.groups_of(decoded(read_document(file))))
