"""The block clock: heights and their times, with the jitter of a real chain and an average of 5.876 seconds.

Heights 27,652,334 and 27,761,552 lie 5.876 s per block apart; the second stood at 2026-07-17T20:07:00Z (recorded by
opencolin/n8n-nodes-akash, docs/research @98ae818c524a). Constants of providers and consoles differ: see `tariffs.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from necto_pipelines.sandbox.seeded import digest, whole

ANCHOR_HEIGHT = 27_761_552
ANCHOR_TIME = datetime(2026, 7, 17, 20, 7, tzinfo=UTC)
BLOCK = timedelta(milliseconds=5876)
_JITTER_MS = 900
"""less than half a block, so that times of blocks never cross"""


@dataclass(frozen=True)
class BlockClock:
    """Turns time into heights and back; the same seed gives the same blocks."""

    seed: int

    def time_of(self, height: int) -> datetime:
        """When the block was made, to the millisecond."""
        jitter = 0 if height == ANCHOR_HEIGHT else whole(-_JITTER_MS, _JITTER_MS, self.seed, "block", height)
        return ANCHOR_TIME + (height - ANCHOR_HEIGHT) * BLOCK + timedelta(milliseconds=jitter)

    def height_at(self, moment: datetime) -> int:
        """The newest block at `moment`."""
        guess = ANCHOR_HEIGHT + (moment - ANCHOR_TIME) // BLOCK
        return next(height for height in range(guess + 1, guess - 2, -1) if self.time_of(height) <= moment)

    def hash_of(self, height: int) -> str:
        """The block's hash as the explorers print it."""
        return digest(self.seed, "block hash", height).hex().upper()
