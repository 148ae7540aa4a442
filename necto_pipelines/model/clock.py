"""Time as something passed in. Implementations that touch files or the network stand elsewhere."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time in UTC with microseconds, and lets it pass."""

    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` of this clock have passed."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class FrozenClock:
    """A clock that stands still until it is moved; for tests and replays."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self.at += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """As `advance`: nobody waits for a frozen clock."""
        self.advance(seconds)


def rfc3339(moment: datetime) -> str:
    """UTC text with microseconds and a Z, the one form used in files, leaves and answers."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """The inverse of `rfc3339`, also taking other fractions and offsets; a time without an offset is refused."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write UTC as 2026-11-22T12:00:00Z")
    return moment.astimezone(UTC)
