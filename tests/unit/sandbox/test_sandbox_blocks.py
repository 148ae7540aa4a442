"""Heights and times of blocks."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.sandbox.blocks import ANCHOR_HEIGHT, ANCHOR_TIME, BlockClock

HEIGHTS = st.integers(20_000_000, 40_000_000)
BLOCKS = BlockClock(7)


def test_the_recorded_block_stands_at_its_recorded_time() -> None:
    assert BLOCKS.time_of(27_761_552) == datetime(2026, 7, 17, 20, 7, tzinfo=UTC)
    assert BLOCKS.height_at(ANCHOR_TIME) == ANCHOR_HEIGHT


@given(HEIGHTS)
def test_blocks_follow_each_other(height: int) -> None:
    assert BLOCKS.time_of(height) < BLOCKS.time_of(height + 1)


@given(HEIGHTS)
def test_a_block_is_the_newest_until_the_next_one(height: int) -> None:
    made, following = BLOCKS.time_of(height), BLOCKS.time_of(height + 1)

    assert BLOCKS.height_at(made) == height
    assert BLOCKS.height_at(following - timedelta(microseconds=1)) == height


@given(HEIGHTS, st.integers(5_000, 200_000))
def test_the_measured_average_is_the_recorded_one(height: int, blocks: int) -> None:
    elapsed = BLOCKS.time_of(height + blocks) - BLOCKS.time_of(height)

    assert abs(elapsed.total_seconds() / blocks - 5.876) < 0.0005


def test_the_jitter_depends_on_the_seed() -> None:
    assert BLOCKS.time_of(30_000_000) != BlockClock(8).time_of(30_000_000)
