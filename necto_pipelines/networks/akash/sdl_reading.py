"""From the text of an SDL document to its parts, with everything wrong with it said at once."""

from typing import Any

import yaml
from pydantic import ValidationError

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.networks.akash.sdl_document import Sdl
from necto_pipelines.networks.akash.sdl_rules import broken_rules
from necto_pipelines.strict_yaml import CoreYaml


class InvalidSdl(InvalidInput):
    """The text is not an SDL document that the network takes; every problem names its field."""


def read(sdl_text: str) -> tuple[dict[str, Any], Sdl]:
    """The document as plain values and as its parts, once its structure and its rules hold. Raises `InvalidSdl`."""
    try:
        plain_values = yaml.load(sdl_text, CoreYaml)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidSdl([Problem("sdl", sdl_text[:80], f"YAML is needed ({' '.join(str(error).split())})")]) from error
    if not isinstance(plain_values, dict):
        raise InvalidSdl([Problem("sdl", plain_values, "a mapping with version, services, profiles and deployment")])
    try:
        sdl = Sdl.model_validate(plain_values)
    except ValidationError as error:
        raise InvalidSdl([_problem(dict(fault)) for fault in error.errors()]) from error
    if problems := list(broken_rules(sdl)):
        raise InvalidSdl(problems)
    return plain_values, sdl


def _problem(fault: dict[str, Any]) -> Problem:
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return Problem(field, None, "this field is needed")
    value = "(not shown)" if "credentials" in fault["loc"] or "env" in fault["loc"] else fault["input"]
    if fault["type"] == "extra_forbidden":
        return Problem(field, value, "the network knows no such field here")
    return Problem(field, value, fault["msg"].removeprefix("Value error, ").replace("Input should", "it must"))
