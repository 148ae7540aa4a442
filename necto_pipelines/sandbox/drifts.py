"""Answers in which something runs off: list prices that move between reads, and clocks that go wrong.

The answers stay well formed and believable, which is what makes these two hard to notice.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Final

from necto_pipelines.sandbox.seeded import share

LIST_PRICES: Final[dict[str, frozenset[str]]] = {
    "/akash/v1/gpu-prices": frozenset({"min", "max", "avg", "weightedAverage", "med", "hourlyPrice"}),
    "/dispersed/v1/compute/offers": frozenset({"hourly_rate_usd"}),
}
"""where networks list prices before anybody bids, by path; what binds (bids, runs) stands elsewhere and stays"""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)")
_UNIX_SECONDS: Final = frozenset({"publish_time", "last_updated_at"})
_YEARS: Final = (1, 9999)


def with_moved_prices(document: Any, path: str, reach: Decimal, *drawn_from: object) -> Any:
    """The document with each list price moved by up to `reach` either way, to four decimals; others are left alone."""
    names = next((names for place, names in LIST_PRICES.items() if path.startswith(place)), None)
    if names is None:
        return document

    def moved(name: str, value: Any, place: str) -> Any:
        if name not in names or isinstance(value, bool) or not isinstance(value, int | float):
            return value
        factor = 1 + float(reach) * (2 * share(*drawn_from, place) - 1)
        return round(value * factor, 4) or value

    return _each_figure(document, moved)


def with_skewed_times(document: Any, seconds: Decimal) -> Any:
    """The document with all its times moved by `seconds`, in the form in which they stood."""
    by = timedelta(seconds=float(seconds))

    def skewed(name: str, value: Any, _: str) -> Any:
        if isinstance(value, str):
            return _moved_text(value, by)
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        if name in _UNIX_SECONDS:
            return value + int(seconds)
        return value + int(seconds * 1000) if name.endswith("_at_ms") else value

    return _each_figure(document, skewed)


def date_header(moment: datetime) -> bytes:
    """The time as HTTP states it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode()


def _moved_text(text: str, by: timedelta) -> str:
    read = _TIME.fullmatch(text)
    if read is None or not _YEARS[0] < int(text[:4]) < _YEARS[1]:
        return text
    digits = len(read["fraction"] or "")
    moment = datetime.fromisoformat(text) + by
    fraction = f".{moment.microsecond:06d}"[: digits + 1].ljust(digits + 1, "0") if digits else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{read['zone']}"


def _each_figure(node: Any, change: Callable[[str, Any, str], Any], name: str = "", place: str = "") -> Any:
    """A copy of the document with every scalar replaced by `change(its field's name, it, where it stands)`."""
    if isinstance(node, dict):
        return {key: _each_figure(value, change, key, f"{place}.{key}") for key, value in node.items()}
    if isinstance(node, list):
        return [_each_figure(value, change, name, f"{place}.{number}") for number, value in enumerate(node)]
    return change(name, node, place)
