"""How a comparison is printed for a person: 120 columns, every figure with its place and date, every liberty marked."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from necto_pipelines.cli.output import stdout
from necto_pipelines.market.comparison import CHEAPEST, CHEAPEST_COMPLIANT, bar
from necto_pipelines.market.elsewhere import CostBasis, Elsewhere
from necto_pipelines.market.twins import PROXY
from necto_pipelines.model.money import plain
from necto_pipelines.model.order import Order

BAR_WIDTH: Final = 7
NOTES: Final = {
    "▸": "asks least",
    "*": "proxy: this cloud does not rent out that GPU; the nearest better one stands in",
    "†": "in another part of the world: nothing as good is nearer",
    "‡": "rented whole: more GPUs than the order needs, and the order pays for all of them",
    "§": "its provider may take it back, which no cloud does on demand",
}
"""mark -> what it means; printed below a table that has it"""
_CLOUD: Final = (("cloud", 6, "left"), ("machine", 20, "left"), ("GPUs", 20, "left"), ("region", 18, "left"))
_FIGURES: Final = (("as of", 10, "left"), ("$/GPU-h", 7, "right"))
_SAVED: Final = ("saved %", 7, "right")
_BAR: Final = ("", BAR_WIDTH, "left")
_ORDER: Final = ("order $", 9, "right")
COMPARED: Final = (*_CLOUD, *_FIGURES, _SAVED, _BAR, _ORDER, _SAVED)
ELSEWHERE: Final = (*_CLOUD, *_FIGURES, _ORDER, ("saved $", 9, "right"), _SAVED, _BAR)


def print_comparison(rows: Sequence[Mapping[str, Any]], hours: Decimal, not_compared: Mapping[str, str]) -> None:
    """Records of PRICE_COMPARISON: a block for each GPU, the most saved first, with a line for each cloud."""
    blocks: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        blocks.setdefault(row["gpu_key"], {}).setdefault(row["choice"], []).append(row)
    offered, clouds = _modes(rows, "mode"), _modes(rows, "cloud_mode")
    stdout.print(Text("The cheapest compliant offer against each cloud's on-demand machine", style="bold"))
    label = f"offers: {offered or 'none'}; cloud prices: {clouds or 'none'}; US dollars; orders of {plain(hours)} h\n"
    stdout.print(Text(label, style="yellow"))
    stdout.print(_table(COMPARED))
    marks: set[str] = set()
    for gpu_key, choices in sorted(blocks.items(), key=lambda block: (-_headline(block[1]), block[0])):
        lines = choices.get(CHEAPEST_COMPLIANT) or choices[CHEAPEST]
        stdout.print(_offer_lines(gpu_key, choices, hours, marks))
        table = _table(COMPARED, header=False)
        for row in lines:
            found = _marks(row, row["gpu_count"])
            marks |= {*found, "▸"}
            table.add_row(
                *_cloud_cells(row, row["cheapest_per_gpu_hour"], found),
                _saved(row["savings_pct"]),
                _bar(row["savings_pct"]),
                f"{row['cloud_usd_per_hour'] * hours:,.2f}",
                _saved(row["order_savings_pct"]),
            )
        stdout.print(table)
    _print_notes(marks)
    for reason in sorted(set(not_compared.values())):
        names = ", ".join(gpu for gpu, why in not_compared.items() if why == reason)
        stdout.print(Text(f"Not compared: {names}: {reason}", style="dim"))


def print_elsewhere(order: Order, found: Elsewhere, modes: Iterable[str], prices: str) -> None:
    """One order: what it cost here, and a line for each cloud."""
    here = found.here
    hours = plain(round(here.hours, 4))
    stdout.print(Text.assemble((order.request.name, "bold"), f"  {order.id}  {order.state}  {order.reason}"))
    place = ", ".join(sorted(here.region_groups)) or "anywhere"
    metered = "ran" if here.basis in {CostBasis.INVOICED, CostBasis.CHARGED} else "ordered"
    stdout.print(f"{here.gpu_count} × {escape(here.gpu)}, {hours} h {metered}, {place}")
    cost = {
        CostBasis.INVOICED: "invoiced, conversion costs included",
        CostBasis.CHARGED: "charged, not yet all invoiced, conversion costs included",
        CostBasis.EXPECTED: "expected by the decision; nothing is finally charged",
        CostBasis.NONE: "no offer was chosen: there is nothing to compare with",
    }[here.basis]
    label = f"  [yellow]{', '.join(modes)}[/yellow]" if modes else ""
    stdout.print(f"here  [bold]{'–' if here.usd is None else f'${here.usd:,.2f}'}[/bold]  {cost}{label}")
    stdout.print(f"cloud prices: {prices}\n", style="yellow")
    table, marks = _table(ELSEWHERE), set[str]()
    for each in found.alternatives:
        machine = each.twin.machine
        row = vars(machine) | {
            "twin": each.twin.kind,
            "same_region_group": each.twin.same_region_group,
            "cloud_gpu_key": machine.gpu_key,
            "cloud_gpu_count": machine.gpu_count,
            "cloud_instance": machine.instance,
            "cloud_region": machine.region,
            "cloud_as_of": machine.as_of,
            "cloud_usd_per_gpu_hour": machine.usd_per_gpu_hour,
        }
        signs = _marks(row, here.gpu_count)
        marks |= {*signs, "▸"}
        table.add_row(
            *_cloud_cells(row, each.cheapest, signs),
            f"{each.usd:,.2f}",
            "–" if each.saved_usd is None else f"{each.saved_usd:,.2f}",
            _saved(each.savings_pct),
            _bar(each.savings_pct),
        )
    stdout.print(table)
    if not found.alternatives:
        stdout.print("no cloud has a machine as good", style="dim")
    _print_notes(marks)


def _offer_lines(
    gpu_key: str, choices: Mapping[str, Sequence[Mapping[str, Any]]], hours: Decimal, marks: set[str]
) -> Text:
    """What is offered here: the compliant offer first, then the cheapest of anyone if that is another."""
    anyone, compliant = choices[CHEAPEST][0], choices.get(CHEAPEST_COMPLIANT, [None])[0]
    shown = compliant or anyone
    price, order = shown["depin_usd_per_gpu_hour"], shown["depin_usd_per_hour"] * hours
    line = Text.assemble((f"{shown['gpu_count']} × {gpu_key}", "bold"), "  here ", (f"${price:.2f}", "bold"))
    line.append(f" per GPU-hour, ${order:,.2f} for the order: {_offer(shown, marks)}")
    if compliant is None:
        line.append(" (not compliant: may not be bought)", style="red")
    elif anyone["offer_id"] != compliant["offer_id"]:
        cheaper = f"${anyone['depin_usd_per_gpu_hour']:.2f}, {_offer(anyone, marks)}"
        line.append(f"\n  cheapest of anyone: {cheaper}; not compliant, may not be bought", style="dim")
    return line


def _offer(row: Mapping[str, Any], marks: set[str]) -> str:
    sign = "§" if row["interruptible"] else ""
    marks.update(sign)
    return (
        f"{row['network']} {row['country'] or '?'}{sign}, {row['price_basis']} of {row['observed_at']:%Y-%m-%d %H:%M}"
    )


def _cloud_cells(row: Mapping[str, Any], cheapest: bool, marks: str) -> tuple[str, ...]:
    return (
        f"{'▸' if cheapest else ' '}{row['cloud']}",
        escape(row["cloud_instance"].removeprefix("Standard_")),
        f"{row['cloud_gpu_count']} × {row['cloud_gpu_key']}{marks}",
        escape(row["cloud_region"]),
        row["cloud_as_of"],
        f"{row['cloud_usd_per_gpu_hour']:.2f}",
    )


def _marks(row: Mapping[str, Any], count: int) -> str:
    proxy = "*" if row["twin"] == PROXY else ""
    far = "†" if row["same_region_group"] is False else ""
    return proxy + far + ("‡" if row["cloud_gpu_count"] > count else "")


def _table(columns: Sequence[tuple[str, int, Any]], *, header: bool = True) -> Table:
    """Fixed widths, so that the blocks of a comparison stand under one heading."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, show_header=header, padding=0)
    for name, width, side in columns:
        table.add_column(name, width=width, justify=side, overflow="fold")
    return table


def _headline(choices: Mapping[str, Sequence[Mapping[str, Any]]]) -> Decimal:
    rows = choices.get(CHEAPEST_COMPLIANT) or choices[CHEAPEST]
    return Decimal(next(row["savings_pct"] for row in rows if row["cheapest_per_gpu_hour"]))


def _saved(pct: Decimal | None) -> str:
    return "–" if pct is None else f"[{'green' if pct > 0 else 'red'}]{pct:.1f}[/]"


def _bar(pct: Decimal | None) -> str:
    return "" if pct is None else f"[green]{bar(pct, BAR_WIDTH)}[/green]"


def _modes(rows: Iterable[Mapping[str, Any]], column: str) -> str:
    label = {"sandbox": "sandbox (simulated)", "snapshot": "snapshot (dated reference)"}
    return ", ".join(label.get(mode, mode) for mode in sorted({row[column] for row in rows}))


def _print_notes(marks: set[str]) -> None:
    for mark, meaning in NOTES.items():
        if mark in marks:
            stdout.print(f"{mark} {meaning}", style="dim")
