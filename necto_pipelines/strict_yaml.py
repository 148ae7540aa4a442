"""YAML as people mean it: no field given twice, and no word that turns into something else.

PyYAML reads YAML 1.1, where NO (Norway) and off are booleans, 010 is 8 and 4:30 is 270, and of a field given twice the
last one wins. What the fields of a document mean belongs to whoever reads it.
"""

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, ScalarNode

_PREFIX = "tag:yaml.org,2002:"


class _Strict(yaml.SafeLoader):
    """Refuses a field that is given twice: which of them is meant is not known."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
        seen: set[str] = set()
        for key in keys:
            if not isinstance(key, ScalarNode):
                continue  # not hashable, which the loader says itself
            if key.value in seen:
                raise ConstructorError(problem=f"the field {key.value} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class PlainYaml(_Strict):
    """Scalars stay the text they were written as, but for null: each field reads that text by its own rule."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag == f"{_PREFIX}null"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class CoreYaml(_Strict):
    """Scalars by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), and merge keys."""

    yaml_implicit_resolvers: dict[Any, Any] = {  # noqa: RUF012 - PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{_PREFIX}null", f"{_PREFIX}merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


CoreYaml.add_implicit_resolver(f"{_PREFIX}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
CoreYaml.add_implicit_resolver(f"{_PREFIX}int", re.compile(r"[-+]?[0-9]+\Z"), list("-+0123456789"))
CoreYaml.add_implicit_resolver(
    f"{_PREFIX}float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"),
    list("-+.0123456789"),
)
CoreYaml.add_constructor(f"{_PREFIX}int", lambda _, node: int(node.value))
CoreYaml.add_constructor(f"{_PREFIX}float", lambda _, node: float(node.value))
