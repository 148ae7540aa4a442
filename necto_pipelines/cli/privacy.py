"""`necto privacy`: whose data are held, showing and erasing them, and the record of processing.

`necto audit events` stands here too, for the registry of event types says what is personal and why it is kept.
"""

from typing import Annotated, Final

import typer

from necto_pipelines.audit.erasure import ERASURE_BASES
from necto_pipelines.audit.processing import events_page, record_of_processing
from necto_pipelines.audit.registry import REGISTRY
from necto_pipelines.cli.output import (
    NEGATIVE,
    OPERATOR,
    AsJson,
    Home,
    opened_books,
    print_json,
    print_table,
    stderr,
    stdout,
)
from necto_pipelines.procurement import privacy

app = typer.Typer(help="Personal data: whose, what for, showing and erasing it.", no_args_is_help=True)
Who = Annotated[str, typer.Argument(help="A name or address as it was given, or a pseudonym (sub_…).")]
_GROUNDS: Final = "\n\n".join(f"{name}: {says}" for name, says in ERASURE_BASES.items())


@app.command("list")
def list_people(home: Home = None, json: AsJson = False) -> None:
    """List the people whose data are held, by pseudonym. Nobody's name is shown, and nothing is logged."""
    with opened_books(home) as books:
        people = privacy.people(books)
    if json:
        print_json([vars(person) for person in people])
        return
    rows = [(each.subject, each.alias, each.openings, each.plain_rows, each.claim) for each in people]
    columns = ("pseudonym", "in the log", "values", "in plain text", "held for claim")
    print_table("People", columns, rows, right=("values", "in plain text"))


@app.command(context_settings=NEGATIVE)
def show(
    entry: Annotated[int, typer.Argument(min=0, help="Index of the entry, from 0.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Show the personal data that an entry commits to. That you did is logged."""
    with opened_books(home) as books:
        values = privacy.show_entry(books, entry, OPERATOR)
    if json:
        print_json({"entry": entry, "values": values})
        return
    for label, value in values.items():
        stdout.print(f"{label}: {'erased' if value is None else value}", markup=False, soft_wrap=True)


@app.command()
def export(who: Who, home: Home = None) -> None:
    """Print everything that is held about somebody as JSON (GDPR articles 15 and 20). That you did is logged."""
    with opened_books(home) as books:
        print_json(privacy.subject_access(books, who, OPERATOR))


@app.command(epilog=_GROUNDS)
def erase(
    who: Who,
    basis: Annotated[str, typer.Option(help="Ground of GDPR article 17(1), art17.1a to art17.1f; see below.")],
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase what is held about somebody, for ever. Exit 1 when article 17(3) has it kept, naming why.

    Entries of the log stay, and every proof stays valid. Backups of the folder `keys` bring the data back: see
    docs/concepts/privacy.md.
    """
    if not yes:
        typer.confirm("Erase all that is held about this person? It cannot be undone", abort=True, err=True)
    with opened_books(home) as books:
        erasure = privacy.erase(books, who, basis, OPERATOR)
    done = erasure.erased
    if done.entries:
        where = ", ".join(str(index) for index in done.entries)
        plain = f" and {done.plain_rows} plain texts" if done.plain_rows else ""
        stdout.print(f"erased the openings of {done.leaves} entries{plain}; logged as entry {where}")
    else:
        stdout.print("nothing is held about this person")
    if erasure.left:
        stderr.print(erasure.left, markup=False, soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def hold(
    who: Who,
    claim: Annotated[str, typer.Option(help="Reference of the legal claim: lower-case letters, digits, - and _.")],
    home: Home = None,
) -> None:
    """Forbid that somebody's data are erased while a legal claim needs them (GDPR article 17(3)(e))."""
    with opened_books(home) as books:
        privacy.hold(books, who, claim, OPERATOR)
    stdout.print(f"held for {claim}", markup=False)


@app.command()
def free(who: Who, home: Home = None) -> None:
    """Allow it again: the claim is over."""
    with opened_books(home) as books:
        privacy.free(books, who, OPERATOR)
    stdout.print("no claim holds these data any more")


@app.command()
def record(json: AsJson = False) -> None:
    """Print the record of processing activities (GDPR article 30), as far as Necto knows it."""
    found = record_of_processing()
    if json:
        print_json(found)
        return
    stdout.print(f"Controller: {found['controller']}", soft_wrap=True)
    for activity in found["activities"]:
        stdout.print(f"\n[bold]{activity['name']}[/bold]: {activity['purpose']}", soft_wrap=True)
        for data in activity["personal_data"]:
            line = f"  {data['label']}: {data['says']}; ground {data['basis']}, kept {data['kept']}"
            stdout.print(line, markup=False, soft_wrap=True)
        for title in ("people", "recipients", "third_countries"):
            told = activity[title] if isinstance(activity[title], str) else "; ".join(activity[title]) or "none"
            stdout.print(f"  {title.replace('_', ' ')}: {told}", markup=False, soft_wrap=True)
        for name, kept in activity["kept"].items():
            stdout.print(f"  kept {name}: {kept}", markup=False, soft_wrap=True)
    stdout.print("\nMeasures")
    for measure in found["safeguards"]:
        stdout.print(f"  {measure}", markup=False, soft_wrap=True)


def events(
    json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/reference/events.md.")] = False,
) -> None:
    """List the types of events that the trail may hold."""
    if markdown:
        typer.echo(events_page())
    elif json:
        print_json(REGISTRY.as_json() | {"sha256": REGISTRY.sha256})
    else:
        rows = [(kind.name, kind.says, kind.retention, kind.basis) for kind in REGISTRY.types.values()]
        print_table(f"Events, registry {REGISTRY.version}", ("type", "says", "kept", "ground"), rows)
