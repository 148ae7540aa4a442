"""`necto audit`: verify the trail, prove an entry. Files for others stand in `audit_export.py`, the log's keys and
incidents in `audit_keys.py`, walking back to the sources in `trace.py`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.proof import rekor_json, tlog_proof
from necto_pipelines.audit.verify import Verdict
from necto_pipelines.books.books import Books
from necto_pipelines.cli.audit_export import export, serve
from necto_pipelines.cli.audit_keys import continue_log, incidents, read_note, resolve, rotate_key
from necto_pipelines.cli.evidence import pack
from necto_pipelines.cli.output import NEGATIVE, AsJson, Home, opened_books, print_json, stdout
from necto_pipelines.cli.privacy import events
from necto_pipelines.cli.reconcile import reconcile
from necto_pipelines.cli.trace import trace

app = typer.Typer(help="The audit trail: check it, prove from it, export it, walk it.", no_args_is_help=True)


@app.command()
def verify(
    home: Home = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that was kept elsewhere, as a file; may be repeated."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Check the whole trail: every entry, every checkpoint, every row of the books.

    Exit code 0 when nothing is wrong, 1 names what is wrong, 2 for a checkpoint file that cannot be read.
    """
    saved = [read_note(file) for file in checkpoint or ()]
    with opened_books(home) as books:
        verdict = books.verify(saved)
        raised = len(books.incidents(unresolved=True))
    if json:
        print_json(_document(verdict, raised))
    else:
        stdout.print(_text(verdict, raised), soft_wrap=True)
        for fault in verdict.faults:
            where = "" if fault.index is None else f"entry {fault.index}: "
            stdout.print(f"  {fault.kind}: {where}{fault.what}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if verdict.ok else 1)


@app.command(context_settings=NEGATIVE)
def prove(
    entry: Annotated[str, typer.Argument(help="Index of the entry, from 0, or the id in its leaf.")],
    home: Home = None,
    as_tlog: Annotated[bool, typer.Option("--tlog-proof", help="Print the portable C2SP tlog-proof text.")] = False,
) -> None:
    """Print an entry with its inclusion proof and the signed checkpoint it leads to."""
    with opened_books(home) as books:
        books.sign()
        index = _index(books, entry)
        leaf, hashes, note = books.proof(index)
        verifier = Verifier.from_vkey(books.vkey)
    if as_tlog:
        typer.echo(tlog_proof(index, hashes, note), nl=False)
    else:
        print_json(rekor_json(index, leaf, hashes, note, verifier))


app.command()(export)
app.command()(serve)
app.command()(trace)
app.command()(pack)
app.command()(reconcile)
app.command()(events)
app.command()(rotate_key)
app.command("continue")(continue_log)
app.command()(incidents)
app.command()(resolve)


def _index(books: Books, entry: str) -> int:
    try:
        return int(entry)
    except ValueError:
        return books.leaf_index(entry)


def _document(verdict: Verdict, raised: int) -> dict[str, Any]:
    return {
        "ok": verdict.ok,
        "assurance": verdict.assurance,
        "size": verdict.size,
        "root": verdict.root.hex(),
        "covered": verdict.covered,
        "checkpoints": verdict.checkpoints,
        "saved_sizes": verdict.saved_sizes,
        "incidents": raised,
        "faults": [{"kind": fault.kind, "index": fault.index, "what": fault.what} for fault in verdict.faults],
    }


def _text(verdict: Verdict, raised: int) -> str:
    """What was found and how far it can be relied on, for people."""
    lines = []
    if verdict.ok:
        lines.append(f"[green]verified[/green] {verdict.size} entries against {verdict.checkpoints} signed checkpoints")
        lines.append(f"root {verdict.root.hex()}")
        if uncovered := verdict.size - verdict.covered:
            lines.append(f"[yellow]not signed yet[/yellow]: the last {uncovered} entries")
        if verdict.saved_sizes:
            sizes = ", ".join(map(str, verdict.saved_sizes))
            lines.append(
                f"assurance {verdict.assurance}: it continues the checkpoints kept elsewhere, of sizes {sizes}"
            )
        else:
            lines.append(f"assurance {verdict.assurance}: whoever holds the key could have rewritten all of it")
            lines.append("[dim]name checkpoints kept elsewhere with --checkpoint: docs/concepts/audit.md[/dim]")
    else:
        lines.append(f"[red]BROKEN[/red] {len(verdict.faults)} faults in {verdict.size} entries")
    if raised:
        lines.append(f"[yellow]{raised} open incidents[/yellow]: signing was refused; see `necto audit incidents`")
    return "\n".join(lines)
