"""Rate cards: the file in which a customer writes down what Aethir or a reseller quoted. Pure: bytes in, quotes out.

YAML: a mapping with the list `quotes`; every other field at its top is what a quote has that does not say otherwise.
CSV: a line of field names, then one quote a line. The fields are those of `quote.Quote`. Each wrong field is told with
file, row, field, value and what is allowed; the other rows count. How to write one: docs/how-to/aethir-rate-cards.md.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import ValidationError

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.networks.aethir.quote import Quote, RentalMode
from necto_pipelines.strict_yaml import PlainYaml

MAX_BYTES: Final = 1_048_576
FIELDS: Final = tuple(Quote.model_fields)
_NUMBER: Final = "write a number such as 1.85"
_WHOLE: Final = "write a whole number"
_NAME: Final = "letters, digits, ., _ and -, 63 at most, beginning with a letter or digit"
_ALLOWED: Final = {
    "missing": "this field is needed",
    "string_type": "write text",
    "string_pattern_mismatch": _NAME,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "enum": " or ".join(RentalMode),
}
"""what to write instead, by pydantic's kind of fault; of other kinds its own words are shown, which name the limit"""


@dataclass(frozen=True)
class RateCard:
    """The quotes that can be read, and everything that is wrong with the others."""

    quotes: tuple[Quote, ...]
    problems: tuple[Problem, ...]


def read_rate_card(body: bytes, file: str) -> RateCard:
    """The card in `body`; `file` is its name, whose ending tells the format (.yaml, .yml, .csv).

    InvalidInput when it cannot be read as a whole.
    """
    rows = _rows(body, file)
    quotes: dict[str, Quote] = {}
    problems: list[Problem] = []
    for label, fields in rows:
        where = f"{file}, {label}"
        try:
            quote = Quote.model_validate({name: value for name, value in fields.items() if value != ""})
        except ValidationError as error:
            problems += [_problem(where, fault) for fault in error.errors()]
            continue
        if quote.key in quotes:
            allowed = "spec, region and mode together stand once in a card; the first row counts"
            problems.append(Problem(f"{where}: spec", quote.key, allowed))
        else:
            quotes[quote.key] = quote
    return RateCard(tuple(quotes.values()), tuple(problems))


def _rows(body: bytes, file: str) -> list[tuple[str, Mapping[str, object]]]:
    ending = file.rpartition(".")[2].lower()
    if ending not in ("yaml", "yml", "csv"):
        raise _unreadable(file, ending, "a rate card is a .yaml, .yml or .csv file")
    if len(body) > MAX_BYTES:
        raise _unreadable(file, f"{len(body)} bytes", f"a rate card has at most {MAX_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"byte {error.start}", "write it as text in UTF-8") from error
    rows = _csv_rows(text, file) if ending == "csv" else _yaml_rows(text, file)
    if not rows:
        raise _unreadable(file, "no quotes", "write at least one quote")
    return rows


def _yaml_rows(text: str, file: str) -> list[tuple[str, Mapping[str, object]]]:
    try:
        card = yaml.load(text, PlainYaml)  # noqa: S506 - it makes nothing but text, lists and mappings
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{file}, line {mark.line + 1}" if mark else file
        raise _unreadable(place, error.problem, "write valid YAML") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _unreadable(file, str(error).partition("\n")[0], "write valid YAML") from error
    quotes = card.get("quotes") if isinstance(card, dict) else None
    if not isinstance(quotes, list):
        raise _unreadable(file, quotes, "a rate card is a mapping with a list called `quotes`")
    shared = {name: value for name, value in card.items() if name != "quotes"}
    rows: list[tuple[str, Mapping[str, object]]] = []
    for number, row in enumerate(quotes, start=1):
        if not isinstance(row, dict):
            raise _unreadable(f"{file}, quote {number}", row, "write its fields as a mapping")
        rows.append((f"quote {number}", shared | row))
    return rows


def _csv_rows(text: str, file: str) -> list[tuple[str, Mapping[str, object]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str, Mapping[str, object]]] = []
    names: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {reader.line_num}"
            if not names:
                names = _column_names(cells, f"{file}, {where}")
            elif len(cells) != len(names):
                raise _unreadable(f"{file}, {where}", f"{len(cells)} cells", f"write {len(names)}, as above")
            else:
                rows.append((where, {name: cell.strip() for name, cell in zip(names, cells, strict=True)}))
    except csv.Error as error:
        raise _unreadable(f"{file}, line {reader.line_num}", str(error), "write valid CSV, with commas") from error
    return rows


def _column_names(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    wrong = [name for name in names if name not in FIELDS or names.count(name) > 1]
    if wrong:
        raise _unreadable(where, wrong[0], f"name each column once, with commas between: {', '.join(FIELDS)}")
    return names


def _problem(where: str, fault: Any) -> Problem:
    field = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return Problem(f"{where}: {field}", fault["input"], f"no such field; there are {', '.join(FIELDS)}")
    words = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    value = None if fault["type"] == "missing" else fault["input"]
    return Problem(f"{where}: {field}", value, _ALLOWED.get(fault["type"], words))


def _unreadable(where: str, value: object, allowed: str) -> InvalidInput:
    return InvalidInput([Problem(where, value, allowed)])
