"""Files drawn from an issued invoice: JSON for machines, CSV for spreadsheets, PDF for people.

All three print the same figures, and one invoice always gives the same bytes, so a file can be named by its digest.
Nothing is computed here except sums for display; what an invoice must satisfy stands in `invoicing.check_invoice`.
"""

import csv
import io
import json
import unicodedata
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Final

import rfc8785
import typst

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.invoice import Invoice, InvoiceLine
from necto_pipelines.model.money import plain

CSV_COLUMNS: Final = (
    "invoice_number", "tenant", "month", "issued_at", "due_on", "position", "network", "resource", "description",
    "period_start", "period_end", "quantity", "unit", "unit_price_usd", "amount_usd", "currency", "lease_id",
    "order_id", "cost_centre", "charge_ids", "simulated",
)  # fmt: skip

# Cells that a spreadsheet would run as a formula begin so (OWASP, CSV Injection), full-width forms included.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")

# What the fonts inside typst 0.15 can draw, by code point: Latin, Greek, Cyrillic, punctuation, currencies, arrows.
# PDF/A forbids a missing glyph, and the fonts of the machine must not change the bytes. A test draws every one.
_DRAWABLE: Final = (
    (0x0020, 0x007E), (0x00A0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x0482), (0x048A, 0x04FF), (0x1E00, 0x1EFF),
    (0x2010, 0x2027), (0x2030, 0x203A), (0x20A0, 0x20BF), (0x2190, 0x21FF),
)  # fmt: skip
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Zl", "Zp"})


def invoice_json(invoice: Invoice) -> bytes:
    """Canonical JSON (RFC 8785): sorted keys, decimals as plain strings, times as UTC with microseconds.

    `Invoice.model_validate_json` reads it back as the same invoice.
    """
    document = invoice.model_dump(mode="json") | {
        "issued_at": rfc3339(invoice.issued_at),
        "total_usd": _dollars(invoice.total_usd),
        "lines": [line.model_dump(mode="json") | _exact_fields(line) for line in invoice.lines],
    }
    return rfc8785.dumps(document)


def invoice_csv(invoice: Invoice) -> bytes:
    """CSV (RFC 4180, UTF-8), a header and one row for each line, columns `CSV_COLUMNS`; amounts add up to the total.

    Texts are kept to one line, and one that a spreadsheet could run as a formula begins with an apostrophe instead.
    """
    buffer = io.StringIO(newline="")
    rows = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\r\n")
    rows.writeheader()
    head = {
        "invoice_number": _cell(invoice.number),
        "tenant": _cell(invoice.tenant),
        "month": _cell(invoice.month),
        "issued_at": rfc3339(invoice.issued_at),
        "due_on": invoice.due_on.isoformat(),
        "currency": _cell(invoice.currency),
        "simulated": str(invoice.simulated).lower(),
    }
    for line in invoice.lines:
        texts = ("network", "resource", "description", "unit", "lease_id", "order_id", "cost_centre")
        rows.writerow(
            head
            | _exact_fields(line)
            | {field: _cell(getattr(line, field)) for field in texts}
            | {"position": line.position, "charge_ids": _cell(" ".join(line.charge_ids))}
        )
    return buffer.getvalue().encode()


def invoice_pdf(invoice: Invoice) -> bytes:
    """PDF/A-2a and PDF/UA-1, drawn by `templates/invoice.typ` with the fonts inside typst only.

    A character those fonts cannot draw is printed as its code point, `[U+6F22]`: never left out, never a blank box.
    """
    return typst.compile(
        _template(),
        format="pdf",
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"invoice": json.dumps(_printed(invoice))},
        # Archivable, and tagged in reading order: finance keeps it for years, and a screen reader can read it.
        pdf_standards=["a-2a", "ua-1"],
        timestamp=int(invoice.issued_at.timestamp()),
    )


@cache
def _template() -> bytes:
    return (files("necto_pipelines.billing") / "templates" / "invoice.typ").read_bytes()


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)


def _exact_fields(line: InvoiceLine) -> dict[str, str]:
    """The figures and times of a line as text that does not depend on how many zeros a store padded them with."""
    return {
        "period_start": rfc3339(line.period_start),
        "period_end": rfc3339(line.period_end),
        "quantity": plain(line.quantity),
        "unit_price_usd": plain(line.unit_price_usd),
        "amount_usd": _dollars(line.amount_usd),
    }


def _dollars(amount: Decimal) -> str:
    return format(amount, ".2f")


def _cell(text: str) -> str:
    one_line = _one_line(text)
    return f"'{one_line}" if one_line.lstrip().startswith(_FORMULA_STARTS) else one_line


def _one_line(text: str) -> str:
    return "".join(" " if unicodedata.category(sign) in {"Cc", "Zl", "Zp"} else sign for sign in text)


def _printed(invoice: Invoice) -> dict[str, object]:
    """What the template prints: texts only, since typst would read a number as binary floating point."""
    issued = invoice.issued_at.astimezone(UTC)
    cost_centres = sorted({line.cost_centre for line in invoice.lines})
    return {
        "number": _drawable(invoice.number),
        "tenant": _drawable(invoice.tenant),
        "cost_centres": [_drawable(name) for name in cost_centres],
        "month": _drawable(invoice.month),
        "issued_on": issued.date().isoformat(),
        "issued_at": issued.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "due_on": invoice.due_on.isoformat(),
        "due_days": str((invoice.due_on - issued.date()).days),
        "currency": _drawable(invoice.currency),
        "rounding_policy": _drawable(invoice.rounding_policy),
        "simulated": invoice.simulated,
        "payable": invoice.total_usd > 0 and not invoice.simulated,
        "total": _grouped(_dollars(invoice.total_usd)),
        "summary": _summary(invoice),
        "lines": [_printed_line(line) for line in invoice.lines],
    }


def _printed_line(line: InvoiceLine) -> dict[str, str]:
    return {
        "position": str(line.position),
        "network": _drawable(line.network.capitalize()),
        "resource": _drawable(line.resource),
        "description": _drawable(line.description),
        "order": _drawable(line.order_id),
        "lease": _drawable(line.lease_id),
        "cost_centre": _drawable(line.cost_centre),
        "from": _to_the_second(line.period_start),
        "to": _to_the_second(line.period_end),
        "quantity": _grouped(plain(line.quantity)),
        "unit": _drawable(line.unit),
        "unit_price": _grouped(plain(line.unit_price_usd)),
        "amount": _grouped(_dollars(line.amount_usd)),
    }


def _summary(invoice: Invoice) -> list[dict[str, str]]:
    """The total by cost centre and network; its rows add up to the total because the lines do."""
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in invoice.lines:
        sums[line.cost_centre, line.network] += line.amount_usd
    return [
        {
            "cost_centre": _drawable(cost_centre),
            "network": _drawable(network.capitalize()),
            "amount": _grouped(_dollars(amount)),
        }
        for (cost_centre, network), amount in sorted(sums.items())
    ]


def _grouped(figure: str) -> str:
    """Plain decimal text with commas by thousands and a true minus sign, as print has it."""
    return format(Decimal(figure), ",f").replace("-", "−")


def _to_the_second(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _drawable(text: str) -> str:
    """Composed, on one line, and with the code point in place of each character that no font here can draw."""
    return "".join(
        sign if _can_draw(sign) else f"[U+{ord(sign):04X}]" for sign in unicodedata.normalize("NFC", _one_line(text))
    )


def _can_draw(sign: str) -> bool:
    known = any(first <= ord(sign) <= last for first, last in _DRAWABLE)
    return known and unicodedata.category(sign) not in _UNSEEN
