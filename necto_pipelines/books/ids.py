"""Identifiers that sort by the time they were made."""

import secrets
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from necto_pipelines.model.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAIL_BITS = 62
"""random bits below the time in a version 7 UUID, after its 48 bits of milliseconds and 12 bits of what lies below"""


def new_id(prefix: str, clock: Clock) -> str:
    """`ord_` and 32 hex digits of a UUIDv7 for the prefix `ord`. Later ids sort after earlier ones."""
    return f"{prefix}_{new_uuid(clock.now()).hex}"


def new_uuid(moment: datetime) -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7) of `moment`, with microseconds in `rand_a` (section 6.2, method 3).

    Ids that one process makes in the same microsecond still sort in the order they were made (method 2): a clock that
    stands still, as in tests and replays, must not shuffle orders.
    """
    return _maker.make(moment)


class _Maker:
    """Remembers the last value, so that the next one of the same microsecond is larger."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def make(self, moment: datetime) -> UUID:
        milliseconds, below = divmod((moment - _EPOCH) // timedelta(microseconds=1), 1000)
        head = milliseconds << 12 | below * 4096 // 1000
        with self._lock:
            value = head << _TAIL_BITS | secrets.randbits(_TAIL_BITS - 1)
            if self._last >> _TAIL_BITS == head:
                value = self._last + 1 + secrets.randbits(40)
            self._last = value
        head, tail = value >> _TAIL_BITS, value & ((1 << _TAIL_BITS) - 1)
        return UUID(int=(head >> 12) << 80 | 7 << 76 | (head & 0xFFF) << 64 | 2 << 62 | tail)


_maker = _Maker()
