"""From the text a person wrote to an order request: everything wrong with it is said at once, in that person's words.

What an order may say stands in `model/order.py`; putting it into the books in `submission.py`.
"""

import re
from typing import Any, Final

import yaml
from pydantic import ValidationError

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.order import OrderRequest
from necto_pipelines.strict_yaml import PlainYaml

MAX_BYTES: Final = 65_536
_EXAMPLE: Final = "an order is a mapping of fields, for example `cost_centre: research`"
_MOMENT: Final = "write a moment with its offset from UTC, for example 2026-11-30T18:00:00Z"
_NUMBER: Final = "write a number such as 4 or 2.5"
_ALLOWED: Final = {
    "missing": "this field is needed",
    "invalid_key": "field names are text",
    "model_type": "write its fields as a mapping",
    "tuple_type": "write a list, for example [DE, NL]",
    "string_type": "write text",
    "string_pattern_mismatch": "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit",
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a whole number of sensible size",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
}
"""what to write instead, by pydantic's kind of fault; of other kinds its own words are shown, which name the limit"""
_SHOULD: Final = re.compile(r"^(?:[A-Z][a-z]*|Decimal input) should")


def read_order(document: str | bytes) -> OrderRequest:
    """Parse and check an order document (YAML, or JSON, which is YAML; UTF-8).

    Raises InvalidInput with one Problem for each fault, in the order of the document's fields.
    """
    text = document if isinstance(document, str) else decoded(document)
    fields = _parsed(text)
    if not isinstance(fields, dict):
        raise InvalidInput([Problem("file", "nothing" if fields is None else fields, _EXAMPLE)])
    return order_of(fields)


def order_of(fields: dict[str, Any]) -> OrderRequest:
    """The order that these fields make. Raises InvalidInput with one Problem for each fault."""
    try:
        return OrderRequest.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput([_problem(fault) for fault in error.errors()]) from error


def decoded(document: bytes) -> str:
    """The text of a document in UTF-8. Raises InvalidInput when it is something else, or longer than MAX_BYTES."""
    if len(document) > MAX_BYTES:
        raise InvalidInput([Problem("file", f"more than {MAX_BYTES} bytes", "an order is a short document")])
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = document[error.start : error.start + 8]
        raise InvalidInput([Problem(f"byte {error.start}", found, "write the document as text in UTF-8")]) from error


def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, PlainYaml)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        line = text.splitlines()[mark.line : mark.line + 1] if mark else []
        raise InvalidInput([Problem(where, "".join(line), f"write valid YAML: {error.problem}")]) from error
    except yaml.reader.ReaderError as error:
        place, found = f"character {error.position}", chr(error.character)
        raise InvalidInput([Problem(place, found, "write the order as text, without control characters")]) from error
    except (RecursionError, ValueError) as error:
        raise InvalidInput([Problem("file", text, _EXAMPLE)]) from error


def _problem(fault: Any) -> Problem:
    kind, where = fault["type"], [str(part) for part in fault["loc"]]
    value = None if kind == "missing" else fault["input"]
    if kind == "extra_forbidden":
        return Problem(".".join(where), value, f"no such field; there are {', '.join(_fields_beside(where))}")
    message = _SHOULD.sub("it must", str(fault["msg"])).removeprefix("Value error, ")
    return Problem(".".join(where), value, _ALLOWED.get(kind, message))


def _fields_beside(where: list[str]) -> list[str]:
    """The fields that are allowed where a field stands that is not."""
    model: Any = OrderRequest
    for part in where[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
