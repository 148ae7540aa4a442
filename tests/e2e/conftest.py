"""One home with a finished demonstration, made once for each process of the test run."""

import shutil
from pathlib import Path

import pytest
from support.necto_command import Said, necto_process


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """The home and what `necto demo --json` said there. To read or to copy, never to write to."""
    home = tmp_path_factory.mktemp("demo") / "home"
    said = necto_process("demo", "--home", home, "--json")
    assert said.code == 0, said.err
    return home, said


@pytest.fixture
def copied_home(demonstrated: tuple[Path, Said], tmp_path: Path) -> Path:
    """A copy of that home to tamper with, below a name that is awkward in a path."""
    return Path(shutil.copytree(demonstrated[0], tmp_path / "my höme"))
