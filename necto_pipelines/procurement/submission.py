"""From a file a person wrote to an order in the books: everything wrong is said at once, and nothing half is stored."""

import re
from typing import Any

import yaml
from pydantic import ValidationError

from necto_pipelines.books.books import Actor, Books
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import OrderState

_ALLOWED = {
    "missing": "this field is needed",
    "extra_forbidden": "no such field; look for a misspelling",
}


class _Yaml12(yaml.SafeLoader):
    """YAML 1.2's booleans, true and false: 1.1 also takes NO for one, and Norway would be no country."""


_Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$", re.IGNORECASE), list("tTfF"))


def read_order(text: str) -> OrderRequest:
    """Parse and check an order document (YAML, or JSON, which is YAML).

    Raises InvalidInput with one Problem for each fault, in the order of the document's fields.
    """
    try:
        document = yaml.load(text, _Yaml12)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        found = getattr(error, "problem", None) or "not YAML"
        raise InvalidInput([Problem(where, found, "write valid YAML, for example `cost_centre: research`")]) from error
    if not isinstance(document, dict):
        raise InvalidInput([Problem("file", document, "an order is a mapping of fields; see docs/how-to/order.md")])
    try:
        return OrderRequest.model_validate(document)
    except ValidationError as error:
        raise InvalidInput([_problem(fault) for fault in error.errors()]) from error


def submit(books: Books, request: OrderRequest, actor: Actor) -> Order:
    """Put the order into the books. InvalidInput when the cost centre is unknown or its budget does not cover it."""
    with books.change(actor) as change:
        return change.submit(request)


def _problem(fault: Any) -> Problem:
    field = ".".join(str(part) for part in fault["loc"]) or "file"
    value = None if fault["type"] == "missing" else fault["input"]
    message = str(fault["msg"]).removeprefix("Value error, ")
    return Problem(field, value, _ALLOWED.get(fault["type"], message[:1].lower() + message[1:]))


def cancel(books: Books, order_id: str, actor: Actor) -> Order:
    """Cancel an order that is not placed yet, and give its held money back. IllegalTransition once it is placed."""
    hold = books.hold(order_id)
    with books.change(actor) as change:
        order = change.move_order(order_id, OrderState.CANCELLED, reason="cancelled by its requester")
        if hold and hold.state == "held":
            change.release_hold(order_id)
    return order
