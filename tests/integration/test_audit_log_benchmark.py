"""`benchmarks/audit_log.py` runs and says what it should, here on SQLite. How fast anything is, is never tested."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "audit_log.py"
KINDS = {
    "one_producer",
    "many_producers",
    "batch_100",
    "batch_1000",
    "first_append",
    "first_proof",
    "paths_warm",
    "paths_cold",
    "proofs",
}


def test_a_quick_run_measures_everything_and_leaves_nothing_behind():
    with tempfile.TemporaryDirectory(prefix="necto-bench-") as folder:
        command = [sys.executable, str(BENCHMARK), "--quick", "--json", "--database", "sqlite", "--folder", folder]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert ended.returncode == 0, ended.stderr
        assert list(Path(folder).iterdir()) == []
    found = json.loads(ended.stdout)
    assert {each["name"] for each in found["measurements"]} == {f"{kind}_sqlite" for kind in KINDS}
    assert all(each["figure"] > 0 and each["ratio"] > 0 for each in found["measurements"])
    assert {"one_producer_sqlite", "many_producers_sqlite", "first_append_sqlite"} <= set(found["goals"])
