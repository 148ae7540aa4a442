"""Answers that are wrong: bodies that are no JSON, and JSON that is not what the service documents.

Every distortion is one that can be told from a right answer by looking hard enough: a field that is missing, a name
where a number belongs, a price a million times too high. A country swapped for another is not among them: no reader
could know.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from necto_pipelines.sandbox.seeded import share, whole

HTML: Final = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    b"<body><h1>Checking your browser before you proceed</h1></body></html>"
)
"""what stands in front of a service says this, with status 200, when it takes us for a robot"""
NO_JSON: Final[tuple[tuple[bytes, bytes], ...]] = (
    (HTML, b"text/html; charset=utf-8"),
    (b'{"data":NaN,"models":[NaN],"price":Infinity}', b"application/json"),
    (b"[NaN]", b"application/json"),
    (b'{"data":[{"owner":"akash1', b"application/json"),
    (b"", b"application/json"),
    (b"\x1f\x8b\x08\x00\xff\xfe\x00garbage\x00\x80", b"application/json"),
    (b'{"price":1e999999999}', b"application/json"),
    (b"upstream connect error or disconnect/reset before headers", b"text/plain"),
)
STRUCK_ROWS: Final = 0.5
STRUCK_TOP: Final = 0.125
"""shares of rows, and of whole documents, in which one field is wrong"""
FACTOR: Final = 1_000_000
"""how far off an absurd number is: no unit slips by more"""
PLACEHOLDER: Final = "N/A"
_FEWEST_ROWS: Final = 3
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_ANY: Final = ("missing", "renamed", "null")
_NUMBERS: Final = (*_ANY, "text", "object", "zero", "negative", "absurd", "tiny")


def no_json(*drawn_from: object) -> tuple[bytes, bytes]:
    """A body that is no JSON, and the content type it claims."""
    return NO_JSON[whole(0, len(NO_JSON) - 1, *drawn_from, "no json")]


def distorted(document: Any, *drawn_from: object) -> Any:
    """A copy of the document with one field wrong in about half of its rows, and now and then one at the top.

    Rows are the objects of its lists, or of an object that is used as one; without rows the document is its only row.
    At least one field is wrong.
    """
    document = json.loads(json.dumps(document))
    rows = list(_rows(document)) or [document]
    struck = [row for number, row in enumerate(rows) if share(*drawn_from, number) < STRUCK_ROWS]
    for number, row in enumerate(struck or rows[:1]):
        _spoil(row, *drawn_from, "row", number)
    if isinstance(document, dict) and share(*drawn_from, "top") < STRUCK_TOP:
        names = sorted(document)
        name = names[whole(0, len(names) - 1, *drawn_from, "top field")] if names else ""
        if names:
            _replace(document, name, *drawn_from, "top")
    return document


def _rows(node: Any) -> Iterator[dict[str, Any]]:
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    all_objects = all(isinstance(child, dict) for child in children)
    if children and all_objects and (isinstance(node, list) or len(children) >= _FEWEST_ROWS):
        yield from children
    else:
        for child in children:
            yield from _rows(child)


def _spoil(row: Any, *drawn_from: object) -> None:
    """Make one field of the row wrong, at any depth."""
    if places := list(_places(row)):
        holder, name = places[whole(0, len(places) - 1, *drawn_from, "field")]
        _replace(holder, name, *drawn_from)


def _places(node: Any) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield node, name
            if not _is_money(value):
                yield from _places(value)
    elif isinstance(node, list):
        for value in node:
            yield from _places(value)


def _replace(holder: dict[str, Any], name: str, *drawn_from: object) -> None:
    value = holder[name]
    kinds = _kinds(value)
    kind = kinds[whole(0, len(kinds) - 1, *drawn_from, "kind")]
    if kind in ("missing", "renamed"):
        del holder[name]
        if kind == "renamed":
            holder[f"{name}_v2"] = value
    else:
        holder[name] = _wrong(value, kind)


def _kinds(value: Any) -> tuple[str, ...]:
    if value is None:
        return ("missing", "renamed", "text")
    if isinstance(value, bool):
        return (*_ANY, "word", "object")
    if isinstance(value, int | float) or _is_money(value) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return _NUMBERS
    if isinstance(value, str):
        return (*_ANY, "number", "text", "empty", "object")
    return (*_ANY, "text", "empty")


def _wrong(value: Any, kind: str) -> Any:
    constants: dict[str, Any] = {"null": None, "text": PLACEHOLDER, "number": 17, "object": {"value": value}}
    if kind in constants:
        return constants[kind]
    if kind == "word":
        return str(value).lower()
    if kind == "empty":
        return type(value)()
    return _off(value, kind)


def _off(value: Any, kind: str) -> Any:
    """A number that is not what it was, in the form in which it stood."""
    if _is_money(value):
        figure = Decimal(value.get("units", 0)) + Decimal(value["nanos"]) / 10**9
        nanos = int(_changed(figure, kind) * 10**9)
        sign = -1 if nanos < 0 else 1
        units, rest = divmod(abs(nanos), 10**9)
        return value | {"units": str(sign * units), "nanos": sign * rest}
    figure = _changed(Decimal(str(value)), kind)
    if isinstance(value, str):
        return f"{figure:f}"
    return int(figure) if isinstance(value, int) else float(figure)


def _changed(figure: Decimal, kind: str) -> Decimal:
    factors = {"zero": Decimal(0), "negative": Decimal(-1), "absurd": Decimal(FACTOR), "tiny": 1 / Decimal(FACTOR)}
    return figure * factors[kind]


def _is_money(value: Any) -> bool:
    """An amount in two parts, whole units and billionths: half of it says nothing, so it is changed as one."""
    return isinstance(value, dict) and isinstance(value.get("nanos"), int)
