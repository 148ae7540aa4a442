"""From the text a person wrote to orders or a policy: everything wrong with it is said at once, in their words.

What an order may say stands in `model/order.py`; putting it into the books in `submission.py`.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.order import OrderRequest, Policy
from necto_pipelines.strict_yaml import PlainYaml

MAX_BYTES: Final = 65_536
MAX_BYTES_OF_MANY: Final = 4_194_304
"""of a file with many orders"""
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
_EXAMPLE_OF_MANY: Final = "write one order, or a list of orders, alone or in the field `orders`"
_EXAMPLE_OF_POLICY: Final = "a policy is a mapping of fields, for example `min_score: 80`"
_SHOULD: Final = re.compile(r"^(?:[A-Z][a-z]*|Decimal input) should")


Noun = TypeVar("Noun", bound=BaseModel)


def read_order(document: str | bytes) -> OrderRequest:
    """Parse and check an order document (YAML, or JSON, which is YAML; UTF-8).

    Raises InvalidInput with one Problem for each fault, in the order of the document's fields.
    """
    text = document if isinstance(document, str) else decoded(document)
    fields = _parsed(text)
    if not isinstance(fields, dict):
        raise InvalidInput([Problem("file", "nothing" if fields is None else fields, _EXAMPLE)])
    return order_of(fields)


def read_orders(document: bytes) -> list[OrderRequest]:
    """Parse and check a document with one order, or with several: a list, alone or in the field `orders`.

    Raises InvalidInput with one Problem for each fault of any of them.
    """
    fields = _parsed(decoded(document, MAX_BYTES_OF_MANY))
    if isinstance(fields, list) and fields:
        fields = {"orders": fields}
    if not isinstance(fields, dict):
        raise InvalidInput([Problem("file", "nothing" if fields is None else fields, _EXAMPLE_OF_MANY)])
    if "orders" not in fields:
        return [order_of(fields)]
    listed = fields["orders"]
    if not isinstance(listed, list) or not listed or len(fields) > 1:
        found = next((name for name in fields if name != "orders"), listed)
        raise InvalidInput([Problem("orders", "nothing" if found is None else found, _EXAMPLE_OF_MANY)])
    orders: list[OrderRequest] = []
    problems: list[Problem] = []
    for number, each in enumerate(listed):
        try:
            orders.append(_validated(OrderRequest, each, [f"orders.{number}"]))
        except InvalidInput as fault:
            problems += fault.problems
    if problems:
        raise InvalidInput(problems)
    return orders


def read_policy(document: bytes) -> Policy:
    """Parse and check a document with the fields of a policy; those it does not name are the house's.

    Raises InvalidInput with one Problem for each fault.
    """
    fields = _parsed(decoded(document))
    if not isinstance(fields, dict):
        raise InvalidInput([Problem("file", "nothing" if fields is None else fields, _EXAMPLE_OF_POLICY)])
    return _validated(Policy, fields)


def order_of(fields: dict[str, Any]) -> OrderRequest:
    """The order that these fields make. Raises InvalidInput with one Problem for each fault."""
    return _validated(OrderRequest, fields)


def _validated(model: type[Noun], fields: Any, where: Sequence[str] = ()) -> Noun:
    """The noun that these fields make; `where` they stand in the document is said before each field at fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput([_problem(fault, model, where) for fault in error.errors()]) from error


def decoded(document: bytes, most: int = MAX_BYTES) -> str:
    """The text of a document in UTF-8. Raises InvalidInput when it is something else, or has more than `most` bytes."""
    if len(document) > most:
        raise InvalidInput([Problem("file", f"more than {most} bytes", "an order is a short document")])
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


def _problem(fault: Any, model: type[BaseModel], prefix: Sequence[str]) -> Problem:
    kind, where = fault["type"], [str(part) for part in fault["loc"]]
    value, name = None if kind == "missing" else fault["input"], ".".join([*prefix, *where])
    if kind == "extra_forbidden":
        return Problem(name, value, f"no such field; there are {', '.join(_fields_beside(where, model))}")
    message = _SHOULD.sub("it must", str(fault["msg"])).removeprefix("Value error, ")
    return Problem(name, value, _ALLOWED.get(kind, message))


def _fields_beside(where: list[str], model: Any) -> list[str]:
    """The fields that are allowed where a field stands that is not."""
    for part in where[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
