"""Print who finds what when the trail is tampered with, on SQLite and PostgreSQL and on exports."""

import sys
from pathlib import Path

import pytest

TEST = Path(__file__).parent.parent / "tests" / "integration" / "test_tamper_matrix.py"

if __name__ == "__main__":
    sys.exit(pytest.main(["-n0", "-q", "-s", str(TEST)]))
