"""Answers held against the shape their network documents, for every adapter.

A whole answer of another shape is no usable answer. In a list, one odd row is set aside with its reason and the others
are used: a network's single mistake must not take its market away. What rows mean belongs to each network's folder.
"""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from necto_pipelines.fetching import read_json, wrong_shape
from necto_pipelines.model.answer import RawAnswer

Shape = TypeVar("Shape", bound=BaseModel)


def read_as(answer: RawAnswer, shape: type[Shape]) -> Shape:
    """The answer in this shape. `Unavailable` when it is not JSON or not of the shape."""
    try:
        return shape.model_validate(read_json(answer))
    except ValidationError as error:
        raise wrong_shape(answer, ValueError(first_fault(error))) from error


def read_rows(
    answer: RawAnswer, items: Sequence[object], shape: type[Shape], *, named_by: Sequence[str]
) -> tuple[list[Shape], list[tuple[str, str]]]:
    """The items of this shape, and what had to be set aside as (what, reason); `named_by` are fields that name a row.

    When no row fits, the format has moved and `Unavailable` is raised.
    """
    rows: list[Shape] = []
    faulty: list[tuple[str, str]] = []
    for number, item in enumerate(items):
        try:
            rows.append(shape.model_validate(item))
        except ValidationError as error:
            faulty.append((_label(item, number, named_by), f"unexpected shape: {first_fault(error)}"))
    if faulty and not rows:
        raise wrong_shape(answer, ValueError(f"none of {len(faulty)} rows fits; {': '.join(faulty[0])}"))
    return rows, faulty


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, on one line and without the values."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc']) or 'answer'}: {fault['msg']}"


def _label(item: object, number: int, named_by: Sequence[str]) -> str:
    """A name for a row that could not be read."""
    names = [item.get(field) for field in named_by] if isinstance(item, dict) else []
    return next((name for name in names if isinstance(name, str)), f"row {number}")
