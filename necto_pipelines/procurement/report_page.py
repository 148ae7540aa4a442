"""What every report for people has in common: one HTML file, its look, tables, lists. No network, no script."""

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Final

_STYLE: Final = files("necto_pipelines.procurement") / "templates" / "report.css"
_CONTENT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: str) -> str:
    """A whole document around `body`, which is HTML already. Dark on screens, white on paper."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE.read_text()}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are HTML already; a # behind a column's name puts its figures to the right."""
    sides = [' class="right mono"' if name.endswith("#") else "" for name in columns]
    head = "".join(
        f'<th{side} scope="col"><span class="label">{name.rstrip("#")}</span></th>'
        for name, side in zip(columns, sides, strict=True)
    )
    lines = (
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row, sides, strict=True)) + "</tr>"
        for row in rows
    )
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="panel scroll">{whole}</div>'


def items(texts: Iterable[str]) -> str:
    """List items of plain texts."""
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
