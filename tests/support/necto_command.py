"""The `necto` command as a person runs it: inside the test's process, which is quick, or as a process of its own.

said = necto("order", "list", "--home", home)
assert said.code == 0
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from necto_pipelines.cli.main import main


@dataclass(frozen=True)
class Said:
    """What a command ended with and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def complaints(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


def necto(*arguments: object, stdin: bytes = b"") -> Said:
    """Run `necto` with these arguments in this process. An exception that it lets through is a failure of the test."""
    out, err, typed = io.StringIO(), io.StringIO(), io.TextIOWrapper(io.BytesIO(stdin))
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "stdin", typed),
        patch.object(sys, "argv", ["necto", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as end:
            return Said(int(end.code or 0), out.getvalue(), err.getvalue())


def necto_process(*arguments: object, env: Mapping[str, str] | None = None, timeout_s: float = 240) -> Said:
    """Run `necto` as a process of its own, outside any home that the environment names."""
    clean = clean_environment(**(env or {}))
    ended = subprocess.run(necto_argv(*arguments), env=clean, capture_output=True, timeout=timeout_s, check=False)
    return Said(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def necto_argv(*arguments: object) -> list[str]:
    """The command line of `necto` with these arguments."""
    return [sys.executable, "-m", "necto_pipelines.cli", *map(str, arguments)]


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would send Necto or Dagster to another home, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NECTO_", "DAGSTER_"))}
    return kept | more


def order_text(**changes: object) -> str:
    """A good order document as JSON, which is YAML; `changes` replace fields, and None takes one away."""
    document: dict[str, object] = {
        "name": "finetune",
        "tenant": "acme",
        "cost_centre": "research",
        "budget_usd": 20,
        "requirement": {"gpu": {"model": "H100", "count": 1}, "hours": 4, "countries": ["DE", "US"]},
    }
    return json.dumps({name: value for name, value in (document | changes).items() if value is not None})


def write_order(folder: Path, text: str | bytes) -> Path:
    """The text as a file to submit."""
    file = folder / "order.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file
