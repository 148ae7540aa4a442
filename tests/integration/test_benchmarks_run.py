"""`make bench` runs and says what it should. How fast anything is depends on the machine and is never tested."""

import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
SPINE = Path(__file__).parents[2] / "benchmarks" / "spine.py"
MEASURED = {
    "catalog_normalisation",
    "procure_run",
    "appends_sqlite_1",
    "appends_sqlite_4",
    "appends_postgresql_1",
    "appends_postgresql_4",
    "proofs",
    "verify",
    "start_up",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own folder: a PostgreSQL that root starts opens every folder above its files to others."""
    made = Path(tempfile.mkdtemp(prefix="necto-bench-"))
    yield made
    shutil.rmtree(made)


def test_a_quick_run_measures_everything_and_leaves_nothing_behind(folder: Path) -> None:
    command = [sys.executable, str(SPINE), "--quick", "--json", "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["quick"] is True
    assert {"cores", "python", "pyarrow"} <= set(found["machine"])
    measured = {each["name"]: each for each in found["measurements"]}
    assert set(measured) == MEASURED
    for each in measured.values():
        assert each["unit"] in ("s", "per s")
        assert each["what"]
        assert each["yardstick_what"]
        assert math.isclose(each["ratio"], each["figure"] / each["yardstick"])
    assert list(folder.iterdir()) == []
