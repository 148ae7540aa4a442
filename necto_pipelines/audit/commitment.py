"""Commitments: what a leaf holds in place of personal data, so that the data can be erased and the leaf stays.

HMAC-SHA256 under 32 random bytes of its own for each value: equal values do not look alike, and without the salt nobody
can try names until one fits. Where salts and values are kept belongs to `books/openings.py`.
"""

import hmac
from base64 import b64encode
from hashlib import sha256
from typing import Final

SALT_BYTES: Final = 32


def commitment(salt: bytes, label: str, value: str) -> str:
    """Base64 of HMAC-SHA256 with the salt as key over the label, a zero byte and the value, both in UTF-8."""
    return b64encode(hmac.new(salt, label.encode() + b"\0" + value.encode(), sha256).digest()).decode()


def opens(committed: str, salt: bytes, label: str, value: str) -> bool:
    """Whether salt and value are what a leaf commits to under this label."""
    return len(salt) == SALT_BYTES and hmac.compare_digest(committed, commitment(salt, label, value))
