"""What a leaf says: its time, its type and its run, read from the exact bytes.

A leaf is canonical JSON (RFC 8785) of a restricted object, so its members stand in one order and its last ones are
`run`, `subject`, `ts`, `type`, `v`. `bundles.py` reads those from the end without parsing the whole, a quarter of the
cost; here is the full reading, for every leaf that does not look so or of which more is asked.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

MAX_INTEGER: Final = 2**53 - 1
_KEY: Final = re.compile(r"[a-z0-9_.]+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")


class LeafRefused(ValueError):
    """An entry that is not a leaf of Necto; the message says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks need of every leaf. `time` sorts as text: UTC, six digits of fraction, Z."""

    time: bytes
    kind: bytes
    run: bytes | None
    version: int


def parse(entry: bytes) -> dict[str, Any]:
    """The leaf as an object; raises LeafRefused when it is none."""
    try:
        event = json.loads(entry.decode())
    except (ValueError, RecursionError):
        raise LeafRefused("its bytes are not JSON") from None
    if not isinstance(event, dict):
        raise LeafRefused("its bytes are not a JSON object")
    return event


def facts_of(event: Mapping[str, Any]) -> Facts:
    """Time, type, run and version of a parsed leaf; raises LeafRefused when one of them cannot be read."""
    kind, version = event.get("type"), event.get("v")
    if not isinstance(kind, str):
        raise LeafRefused("its type is no text")
    if not isinstance(version, int) or isinstance(version, bool):
        raise LeafRefused("its v is no number")
    run = event.get("run", {})
    name = run.get("dagster_run_id") if isinstance(run, dict) else run
    if name is not None and not isinstance(name, str):
        raise LeafRefused("its run is not named by a text")
    return Facts(sortable(moment(event.get("ts"))), _utf8(kind), None if name is None else _utf8(name), version)


def moment(text: object) -> datetime:
    """An RFC 3339 time; raises LeafRefused."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise LeafRefused(f"its time {str(text)[:40]!r} is not RFC 3339")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise LeafRefused(f"its time {text!r} is not RFC 3339") from None


def sortable(time: datetime) -> bytes:
    """A time as leaves write it: text that sorts as times do."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0").encode()


def member(event: Mapping[str, Any], *names: str) -> Any:
    """The value below these names, one after the other; None where there is none."""
    value: Any = event
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def canonical_fault(entry: bytes) -> str | None:
    """Why these bytes are not the canonical form of a restricted object; None when they are."""
    try:
        event = parse(entry)
        facts_of(event)
        _check_restricted(event)
    except LeafRefused as refused:
        return str(refused)
    except RecursionError:
        return "it is nested too deeply"
    # Keys are ASCII and no number has a fraction: here Python's writer and RFC 8785 agree.
    again = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return None if again.encode() == entry else "its bytes are not canonical JSON (RFC 8785)"
    except UnicodeEncodeError:
        return "it holds a lone surrogate"


def _check_restricted(value: object) -> None:
    match value:
        case dict():
            for key, item in value.items():
                if not _KEY.fullmatch(key):
                    raise LeafRefused(f"the key {key[:40]!r} is not of a-z, 0-9, _ and .")
                _check_restricted(item)
        case list():
            for item in value:
                _check_restricted(item)
        case float():
            raise LeafRefused(f"{value!r} is a number with a fraction; amounts are text")
        case int() if abs(value) > MAX_INTEGER:
            raise LeafRefused(f"an integer lies outside ±{MAX_INTEGER}")
        case _:
            pass


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")
