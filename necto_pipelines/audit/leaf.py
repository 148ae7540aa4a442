"""The bytes of an audit leaf: one canonical form for one event.

Canonical JSON (RFC 8785) of a restricted object, so that every JSON library agrees on the bytes. The bytes are stored
and hashed as they are and never written anew to be verified. Which events exist and what they say belongs to `books`.

With ASCII keys and without floats, what is left of RFC 8785 is sorting, no spaces, and the shortest escapes. `json`
does that four times as fast as a general implementation, and a test holds the two against each other.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from necto_pipelines.failures import PermanentFailure

DEFAULT_LIMIT_BYTES = 4_096
HARD_LIMIT_BYTES = 65_535
"""An entry's length is a uint16 in C2SP tlog-tiles: a longer leaf could never be published as tiles."""

MAX_INTEGER = 2**53 - 1
"""The largest integer every JSON reader keeps exactly (RFC 8785 section 3.2.2.3, I-JSON RFC 7493 section 2.2)."""

MAX_DEPTH = 16
_KEY = re.compile(r"[a-z0-9_.]+")
_SIMPLE_KEY = re.compile(r"[a-z0-9_]+")
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)


class InvalidLeaf(PermanentFailure):
    """An event that cannot be a leaf; names the path of each value that is not allowed."""


def leaf_bytes(event: Mapping[str, Any], *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> bytes:
    """The canonical bytes of `event`, at most `limit_bytes` long and never longer than `HARD_LIMIT_BYTES`.

    Allowed are objects with keys of `[a-z0-9_.]`, arrays, strings, booleans, null and integers within ±(2^53-1).
    Floats and Decimals are refused, for their text differs between writers: money and quantities are decimal strings,
    times RFC 3339 strings. Raises `InvalidLeaf` with every path that is wrong.
    """
    if not isinstance(event, Mapping):
        raise InvalidLeaf(f"leaf: {type(event).__name__} is not allowed; a leaf is an object")
    plain = event if _is_plain(event, 0) else _checked(event)
    try:
        leaf = _CANONICAL.encode(plain).encode()
    except UnicodeEncodeError:
        _checked(event)  # names the text
        raise
    limit = min(limit_bytes, HARD_LIMIT_BYTES)
    if len(leaf) > limit:
        raise InvalidLeaf(f"leaf: {len(leaf)} bytes are not allowed; at most {limit}, keep large values as blobs")
    return leaf


def title_of(leaf: bytes) -> str:
    """'id …, type …' as far as a leaf's bytes still tell; never raises, for it names entries that may be damaged."""
    try:
        event = json.loads(leaf)
    except (ValueError, RecursionError):
        return "bytes are not JSON"
    if not isinstance(event, dict):
        return "bytes are not an object"
    return ", ".join(f"{name} {str(event.get(name, 'unknown'))[:64]!r}" for name in ("id", "type"))


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is allowed as it is, told fast; a closer look is taken at all others, and at texts later."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-MAX_INTEGER <= value <= MAX_INTEGER)
    if depth == MAX_DEPTH or kind not in (dict, list, tuple):
        return False
    items = value
    if kind is dict:
        if not all(type(key) is str and _is_key_text(key) for key in value):
            return False
        items = value.values()
    depth += 1
    return all(type(item) is str or _is_plain(item, depth) for item in items)


@lru_cache(maxsize=4096)
def _is_key_text(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def _checked(event: Mapping[str, Any]) -> Any:
    problems: list[str] = []
    plain = _plain(event, "", 0, problems)
    if problems:
        raise InvalidLeaf("; ".join(problems))
    return plain


def _plain(value: object, path: str, depth: int, problems: list[str]) -> Any:
    """A copy of plain dicts and lists; what is not allowed goes to `problems` with its path."""
    if depth > MAX_DEPTH:
        problems.append(f"{path}: not allowed; at most {MAX_DEPTH} levels deep")
        return None
    match value:
        case Mapping():
            return {
                key: _plain(item, _below(path, key), depth + 1, problems)
                for key, item in value.items()
                if _is_key(key, path, problems)
            }
        case list() | tuple():
            return [_plain(item, f"{path}[{place}]", depth + 1, problems) for place, item in enumerate(value)]
        case _:
            fault = _fault_of(value)
            if fault:
                problems.append(f"{path}: {fault}")
            return value


def _is_key(key: object, path: str, problems: list[str]) -> bool:
    if isinstance(key, str) and _KEY.fullmatch(key):
        return True
    problems.append(f"{path or 'leaf'}: key {_shown(key)} is not allowed; only a-z, 0-9, _ and . in a key")
    return False


def _below(path: str, key: str) -> str:
    if not _SIMPLE_KEY.fullmatch(key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _fault_of(value: object) -> str:
    """Why a single value cannot stand in a leaf; empty when it can."""
    match value:
        case None | bool():
            return ""
        case int():
            return "" if abs(value) <= MAX_INTEGER else f"{_shown(value)} is not allowed; integers lie within ±(2^53-1)"
        case str():
            return "" if _is_unicode(value) else f"{_shown(value)} is not allowed; text without lone surrogates"
        case _:
            kind = type(value).__name__
            return f"{kind} {_shown(value)} is not allowed; amounts and times are strings, counts integers"


def _shown(value: object) -> str:
    return ascii(value)[:80]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
