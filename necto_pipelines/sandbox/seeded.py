"""Chance that repeats: every random figure of the sandbox is a hash of the seed and what the figure is for."""

import hashlib


def digest(*parts: object) -> bytes:
    """32 bytes that depend on all parts."""
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()


def share(*parts: object) -> float:
    """A figure from 0 up to, not including, 1."""
    return int.from_bytes(digest(*parts)[:6]) / 2**48


def whole(low: int, high: int, *parts: object) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int.from_bytes(digest(*parts)[:8]) % (high - low + 1)
