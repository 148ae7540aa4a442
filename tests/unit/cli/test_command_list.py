"""The root command: it lists what there is without importing it, and every line leads to a command."""

import subprocess
import sys

import pytest
from support.necto_command import necto

from necto_pipelines.cli.main import COMMANDS

HEAVY = (
    "alembic",
    "cryptography",
    "dagster",
    "great_expectations",
    "httpx",
    "pandas",
    "pyarrow",
    "sqlalchemy",
    "starlette",
)


def test_listing_the_commands_imports_none_of_what_they_need() -> None:
    listing = (
        "import sys; from necto_pipelines.cli import main\n"
        "sys.argv[1:] = ['--help']\n"
        "try: main()\n"
        f"except SystemExit: print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert all(f" {name} " in ended.stdout for name in COMMANDS)
    assert ended.stderr.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_line_of_the_list_leads_to_a_command(name: str) -> None:
    said = necto(name, "--help")
    assert said.code == 0
    assert f"Usage: necto {name}" in said.out


def test_a_misspelt_command_is_answered_with_the_nearest_one() -> None:
    said = necto("ordr")
    assert said.code == 2
    assert "'order'" in said.err
