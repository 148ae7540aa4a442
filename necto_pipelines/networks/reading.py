"""Answers held against the shape their network documents, for every adapter.

A whole answer of another shape is no usable answer. In a list, one odd row is set aside with its reason and the others
are used: a network's single mistake must not take its market away. What rows mean belongs to each network's folder.
"""

import gc
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import read_json, wrong_shape
from necto_pipelines.model.answer import RawAnswer

Shape = TypeVar("Shape", bound=BaseModel)
_BLANKS = re.compile(r"[ \t\n\r]*")


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


@contextmanager
def collector_paused() -> Iterator[None]:
    """Read long lists without Python's collector of cycles, also as a decorator.

    Rows hold no cycles, so there is nothing for it to find, and it walks whatever is kept over and over: half of the
    time of 50,000 rows. Of threads that pause it at once, the first switches it on again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def each_item(answer: RawAnswer) -> Iterator[object]:
    """The items of an answer that is a bare array, one at a time, with the numbers of `read_json`.

    `Unavailable` when it is not JSON or no array, which may show only after its first items: use none before the last.
    A long list decoded at once takes three times as long and many times the memory: Python's collector walks whatever
    is kept.
    """
    try:
        text = answer.body.decode(json.detect_encoding(answer.body), "surrogatepass")
        at = _past_blanks(text, 0)
        if not text.startswith("[", at):
            raise wrong_shape(answer, ValueError(f"the answer is no list but {type(read_json(answer)).__name__}"))
        yield from _each_decoded(text, at)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise Unavailable(f"{answer.url}: the answer is not JSON ({error})") from error


def _each_decoded(text: str, at: int) -> Iterator[object]:
    """The items of the array that opens at `at` and ends the text."""
    closed = text.startswith("]", _past_blanks(text, at + 1))
    while not closed:
        item, at = _DECODER.raw_decode(text, _past_blanks(text, at + 1))
        yield item
        at = _past_blanks(text, at)
        closed = text.startswith("]", at)
        if not closed and not text.startswith(",", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    end = _past_blanks(text, text.index("]", at) + 1)
    if end < len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, on one line and without the values."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc']) or 'answer'}: {fault['msg']}"


def _label(item: object, number: int, named_by: Sequence[str]) -> str:
    """A name for a row that could not be read."""
    names = [item.get(field) for field in named_by] if isinstance(item, dict) else []
    return next((name for name in names if isinstance(name, str)), f"row {number}")
