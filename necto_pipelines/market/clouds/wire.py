"""Checking what a price list answered, the same way for every cloud: extra fields pass, what is read must be right."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from necto_pipelines.fetching import read_json, wrong_shape
from necto_pipelines.model.answer import RawAnswer

Shape = TypeVar("Shape", bound=BaseModel)


class Wire(BaseModel):
    """A part of an answer, in the words of its source."""

    model_config = ConfigDict(frozen=True)


def read_as(answer: RawAnswer, shape: type[Shape]) -> Shape:
    """The answer in this shape. `Unavailable` when it is not JSON or not of the shape."""
    try:
        return shape.model_validate(read_json(answer))
    except ValidationError as error:
        raise wrong_shape(answer, ValueError(first_fault(error))) from error


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, on one line and without the values."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc']) or 'answer'}: {fault['msg']}"
