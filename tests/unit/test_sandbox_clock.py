"""The shared sandbox clock: one time for every process of a home, never going back. And RFC 3339 texts."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.clock import SandboxClock
from necto_pipelines.model.clock import FrozenClock, SystemClock, parse_rfc3339, rfc3339

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class TickingClock:
    """A machine whose clock moves on at every look, as a real one does."""

    at: datetime = field(default_factory=lambda: NOON)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def real() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def clock(tmp_path: Path, real: FrozenClock) -> SandboxClock:
    return SandboxClock(tmp_path / "sandbox" / "clock.json", real=real)


def test_a_clock_nobody_has_set_shows_real_time(clock: SandboxClock, real: FrozenClock) -> None:
    assert clock.now() == NOON
    real.advance(5)
    assert clock.now() == NOON + timedelta(seconds=5)
    assert not clock.path.exists()


def test_processes_of_one_home_agree_on_the_time(clock: SandboxClock, real: FrozenClock) -> None:
    other = SandboxClock(clock.path, real=real)
    clock.start_at(NOON + timedelta(days=30))
    clock.advance(90)
    real.advance(10)
    assert other.now() == clock.now() == NOON + timedelta(days=30, seconds=100)


def test_starting_twice_keeps_the_first_time(clock: SandboxClock, real: FrozenClock) -> None:
    clock.start_at(NOON)
    real.advance(60)
    assert clock.start_at(NOON + timedelta(days=1)) == NOON + timedelta(seconds=60)


def test_a_fast_clock_runs_faster(clock: SandboxClock, real: FrozenClock) -> None:
    clock.set_speed(60)
    real.advance(2)
    assert clock.now() == NOON + timedelta(seconds=120)


def test_a_frozen_clock_stands_still_until_it_is_moved(clock: SandboxClock, real: FrozenClock) -> None:
    clock.set_speed(0)
    real.advance(3600)
    assert clock.now() == NOON
    assert clock.advance(7) == NOON + timedelta(seconds=7)
    assert clock.now() == NOON + timedelta(seconds=7)


def test_sleeping_takes_less_real_time_on_a_fast_clock(clock: SandboxClock, real: FrozenClock) -> None:
    clock.set_speed(10)
    clock.sleep(30)
    assert real.now() == NOON + timedelta(seconds=3)
    assert clock.now() == NOON + timedelta(seconds=30)


def test_nobody_waits_for_a_frozen_clock(clock: SandboxClock, real: FrozenClock) -> None:
    clock.set_speed(0)
    clock.sleep(3600)
    assert real.now() == NOON


@pytest.mark.parametrize("seconds", [-1, -0.001])
def test_time_cannot_be_moved_back(clock: SandboxClock, seconds: float) -> None:
    with pytest.raises(ValueError, match="only goes forward"):
        clock.advance(seconds)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_time_cannot_run_backwards(clock: SandboxClock, speed: float) -> None:
    with pytest.raises(ValueError, match="only goes forward"):
        clock.set_speed(speed)
    assert not clock.path.exists()


@pytest.mark.parametrize("speed", [1, 60])
def test_moving_the_clock_loses_no_moment_to_a_reader_beside_it(tmp_path: Path, speed: float) -> None:
    """Another process may read between the mover's look at the time and the new file: it must not see time go back."""
    real = TickingClock()
    clock = SandboxClock(tmp_path / "clock.json", real=real)
    clock.set_speed(speed)
    before = json.loads(clock.path.read_text())
    clock.advance(0)
    after = json.loads(clock.path.read_text())
    moved = parse_rfc3339(after["simulated"]) - parse_rfc3339(before["simulated"])
    passed = parse_rfc3339(after["real"]) - parse_rfc3339(before["real"])
    assert moved == passed * speed


@given(st.lists(st.tuples(st.sampled_from(["advance", "speed", "wait"]), st.floats(0, 1e6)), max_size=12))
def test_time_never_goes_back_whatever_is_done(tmp_path_factory: pytest.TempPathFactory, acts: list) -> None:
    real = FrozenClock(NOON)
    clock = SandboxClock(tmp_path_factory.mktemp("clock") / "clock.json", real=real)
    seen = clock.now()
    for act, amount in acts:
        if act == "advance":
            clock.advance(amount)
        elif act == "speed":
            clock.set_speed(amount / 1e4)
        else:
            real.advance(amount)
        assert clock.now() >= seen
        seen = clock.now()


def test_moving_the_clock_leaves_no_other_file_behind(clock: SandboxClock) -> None:
    for _ in range(3):
        clock.advance(1)
    assert [path.name for path in clock.path.parent.iterdir()] == ["clock.json"]


def test_the_machines_clock_is_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_survives_the_way_through_text(moment: datetime) -> None:
    assert parse_rfc3339(rfc3339(moment)) == moment


def test_texts_are_utc_with_microseconds() -> None:
    there = datetime(2026, 11, 22, 13, 30, tzinfo=timezone(timedelta(hours=1)))
    assert rfc3339(there) == "2026-11-22T12:30:00.000000Z"


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no offset"):
        parse_rfc3339("2026-11-22T12:00:00")
