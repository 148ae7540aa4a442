"""`necto audit rotate-key`, `continue`, `incidents`, `resolve`: the log's signing key, its beginning, its troubles."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from necto_pipelines.cli.output import OPERATOR, AsJson, Home, opened_books, print_json, print_table, stdout
from necto_pipelines.failures import InvalidInput, Problem


def rotate_key(home: Home = None, json: AsJson = False) -> None:
    """Give the log a new signing key. One checkpoint carries both signatures, then the old private key is destroyed."""
    with opened_books(home) as books:
        old, new = books.rotate_key(OPERATOR)
    if json:
        print_json({"old": old, "new": new})
        return
    stdout.print(f"old key {old}\nnew key {new}", markup=False, soft_wrap=True)
    stdout.print("[dim]tell whoever verifies this log; how: docs/operations/keys.md[/dim]")


def continue_log(
    checkpoint: Annotated[Path, typer.Argument(help="The last checkpoint of the log that ended, as a file.")],
    home: Home = None,
) -> None:
    """Begin this new log where another one ended: the first thing it says is that one's last checkpoint."""
    note = read_note(checkpoint)
    with opened_books(home) as books:
        ended = books.continue_log(OPERATOR, note)
        origin = books.origin
    stdout.print(f"{origin} continues {ended.origin}, which ended at {ended.size} entries", markup=False)


def incidents(home: Home = None, json: AsJson = False) -> None:
    """List when signing was refused and why; exit code 1 while one is open. What to do: docs/operations/keys.md."""
    with opened_books(home) as books:
        found = books.incidents()
        still = {incident.id for incident in books.incidents(unresolved=True)}
    if json:
        print_json([{"id": each.id, "open": each.id in still, **asdict(each)} for each in found])
    elif found:
        rows = [(each.id, "open" if each.id in still else "resolved", each.what) for each in found]
        print_table("Incidents", ["id", "state", "what"], rows)
    else:
        stdout.print("no incidents")
    raise typer.Exit(1 if still else 0)


def resolve(
    incident: Annotated[str, typer.Argument(help="Its id, as `necto audit incidents` says.")],
    what: Annotated[str, typer.Option(help="What it was and what was done about it; it is logged for ever.")],
    home: Home = None,
) -> None:
    """Log what an incident was, so that it is open no longer. Name nobody: entries cannot be erased."""
    if not 0 < len(what) <= 1_000:
        raise InvalidInput([Problem("what", f"{len(what)} characters", "1 to 1,000 characters")])
    with opened_books(home) as books:
        books.resolve_incident(OPERATOR, incident, what)
    stdout.print(f"resolved {incident}", markup=False)


def read_note(file: Path) -> str:
    """The text of a checkpoint file. InvalidInput when it cannot be read."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Problem("checkpoint", str(file), f"name a readable checkpoint file: {error}")]) from error
