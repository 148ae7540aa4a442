"""A fresh sandbox with a clock that stands at noon."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.model.clock import FrozenClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def sandbox(clock: FrozenClock, tmp_path: Path) -> SandboxCaller:
    return SandboxCaller(clock, tmp_path / "state.json")
