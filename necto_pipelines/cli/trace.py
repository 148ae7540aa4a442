"""`necto audit trace`: everything behind an invoice, an order, a lease, a charge or a run, and the proof of it."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.tree import Tree

from necto_pipelines.cli.output import AsJson, Home, print_json, settings_of, stdout
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.procurement.bundle_files import write_bundle
from necto_pipelines.procurement.proof_bundle import trace as bundle_of
from necto_pipelines.procurement.proof_records import FAILED, Bundle, BundleHop, Verdict
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.trace_report import report_html

_MARKS: Final = {
    Verdict.PROVED: "[green]✓[/green]",
    Verdict.PART: "[dim]·[/dim]",
    Verdict.PENDING: "[yellow]…[/yellow]",
}
_SHORT: Final = 16
_SHOWN_IN_TITLE: Final = ("sha256",)


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="An invoice, NUMBER/POSITION of a line, an order, lease, charge or Dagster run."
        ),
    ],
    home: Home = None,
    json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a report that needs no network to this file.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write leaves, proofs, raw answers and a check script to this new folder.")
    ] = None,
) -> None:
    """Show everything that something rests on, back to the raw answers, each step proved; exit 1 if one is not."""
    if bundle is not None and bundle.exists() and (not bundle.is_dir() or any(bundle.iterdir())):
        raise InvalidInput([Problem("bundle", str(bundle), "name a new or empty folder")])
    runtime = Runtime.open(settings_of(home))
    try:
        found = bundle_of(runtime, what)
        if bundle is not None:
            write_bundle(found, runtime.warehouse, bundle)
    finally:
        runtime.close()
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(report_html(found), encoding="utf-8")
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        stdout.print(_tree(found))
        stdout.print(_summary(found, [path for path in (html, bundle) if path is not None]))
    raise typer.Exit(0 if found.ok else 1)


def _tree(bundle: Bundle) -> Tree:
    """The walk as a tree; what was shown once is named again, and its part of the tree is not repeated."""
    hops, shown = {hop.id: hop for hop in bundle.hops}, set()

    def grow(hop: BundleHop, parent: Tree | None) -> Tree:
        again = hop.id in shown and bool(hop.rests_on or hop.facts)
        shown.add(hop.id)
        label = _label(hop, again=again)
        node = parent.add(label) if parent else Tree(label, guide_style="dim")
        for below in () if again else hop.rests_on:
            grow(hops[below], node)
        return node

    return grow(bundle.root, None)


def _label(hop: BundleHop, *, again: bool) -> str:
    mark = _MARKS.get(hop.verdict, "[red]✗[/red]")
    leaf = f" [cyan]leaf {hop.leaf}[/cyan]" if hop.leaf is not None else ""
    head = f"{mark} {hop.kind} [bold]{escape(hop.title)}[/bold]{leaf}"
    if again:
        return f"{head} [dim]shown above[/dim]"
    lines = [head]
    if hop.verdict in FAILED or hop.verdict is Verdict.PENDING:
        colour = "red" if hop.verdict in FAILED else "yellow"
        lines.append(f"[{colour}]{hop.verdict}: {escape(hop.why)}[/{colour}]")
    key = "" if hop.blob or hop.key in (hop.title, f"leaf {hop.leaf}") else hop.key
    facts = [f"{name} {_short(name, value)}" for name, value in hop.facts.items()]
    if told := " · ".join(filter(None, [key, *facts])):
        lines.append(f"[dim]{escape(told)}[/dim]")
    return "\n".join(lines)


def _short(name: str, value: str) -> str:
    return f"{value[:_SHORT]}…" if name == "sha256" else value


def _summary(bundle: Bundle, written: list[Path]) -> Panel:
    counts = {verdict: sum(hop.verdict is verdict for hop in bundle.hops) for verdict in Verdict}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count and verdict is not Verdict.PART)
    colour, word = ("green", "PROVED") if bundle.ok else ("red", "NOT PROVED")
    lines = [
        f"[{colour}]{word}[/{colour}]  {told}",
        f"Log       {escape(bundle.log.origin)}, {bundle.log.size} entries, {len(bundle.leaves)} of them proved here",
        f"Root      {bundle.log.root}",
        f"Assurance [bold]{bundle.assurance.level}[/bold]: {escape(bundle.assurance.says)}",
    ]
    if bundle.simulated:
        lines.append("[yellow]Simulated[/yellow] networks or payments are among what this rests on")
    lines += [f"[red]{escape(fault)}[/red]" for fault in bundle.faults]
    lines += [f"Written   {escape(str(path))}" for path in written]
    return Panel(Group(*lines), title=escape(f"{bundle.root.kind} {bundle.root.key}"), title_align="left")
