"""`necto audit`: verify the trail, prove an entry, walk an invoice back to its sources."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.tree import Tree

from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.proof import rekor_json, tlog_proof
from necto_pipelines.cli.output import NEGATIVE, AsJson, Home, opened_books, print_json, settings_of, stdout
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.tracing import Hop, trace_invoice

app = typer.Typer(help="The audit trail: check it, prove from it, walk it.", no_args_is_help=True)


@app.command()
def verify(home: Home = None, json: AsJson = False) -> None:
    """Check the whole trail: every entry, every checkpoint, every row of the books. Exit 1 names what is wrong."""
    with opened_books(home) as books:
        verdict = books.verify()
    if json:
        print_json(
            {
                "ok": verdict.ok,
                "size": verdict.size,
                "root": verdict.root.hex(),
                "checkpoints": verdict.checkpoints,
                "faults": [{"kind": fault.kind, "index": fault.index, "what": fault.what} for fault in verdict.faults],
            }
        )
    elif verdict.ok:
        stdout.print(
            f"[green]verified[/green] {verdict.size} entries against {verdict.checkpoints} signed checkpoints\n"
            f"root {verdict.root.hex()}\n"
            "[dim]to rule out a rewritten log keep checkpoints elsewhere: docs/concepts/audit.md[/dim]"
        )
    else:
        stdout.print(f"[red]BROKEN[/red] {len(verdict.faults)} faults in {verdict.size} entries")
        for fault in verdict.faults:
            where = "" if fault.index is None else f"entry {fault.index}: "
            stdout.print(f"  {fault.kind}: {where}{fault.what}", markup=False)
    raise typer.Exit(0 if verdict.ok else 1)


@app.command(context_settings=NEGATIVE)
def prove(
    index: Annotated[int, typer.Argument(min=0, help="Index of the entry, from 0.")],
    home: Home = None,
    as_tlog: Annotated[bool, typer.Option("--tlog-proof", help="Print the portable C2SP tlog-proof text.")] = False,
) -> None:
    """Print an entry with its inclusion proof and the signed checkpoint it leads to."""
    with opened_books(home) as books:
        books.sign()
        leaf, hashes, note = books.proof(index)
        verifier = Verifier.from_vkey(books.vkey)
    if as_tlog:
        typer.echo(tlog_proof(index, hashes, note), nl=False)
    else:
        print_json(rekor_json(index, leaf, hashes, note, verifier))


@app.command()
def trace(
    invoice: Annotated[str, typer.Argument(help="Invoice number.")], home: Home = None, json: AsJson = False
) -> None:
    """Walk an invoice back through charge, lease and decision to the raw answers; exit 1 if a hop is unproved."""
    runtime = Runtime.open(settings_of(home))
    try:
        walk = trace_invoice(runtime, invoice)
    finally:
        runtime.close()
    if json:
        print_json(walk.as_json())
    else:
        stdout.print(_tree(walk))
    raise typer.Exit(0 if walk.all_proved() else 1)


def _tree(hop: Hop, parent: Tree | None = None) -> Tree:
    mark = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[dim]·[/dim]"}[hop.proved]
    leaf = f"  [dim]leaf {hop.leaf_index}[/dim]" if hop.leaf_index is not None else ""
    facts = "  ".join(f"[dim]{name}[/dim] {escape(value)}" for name, value in hop.facts.items() if value)
    label = f"{mark} [bold]{hop.kind}[/bold] {hop.key}{leaf}  {facts}"
    node = parent.add(label) if parent else Tree(label)
    for below in hop.hops:
        _tree(below, node)
    return node
