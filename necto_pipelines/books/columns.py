"""Column types that give back exactly what was put in, on SQLite and PostgreSQL alike, and the text of a stored row.

Which tables have which columns stands in `tables.py`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from sqlalchemy import Dialect, Numeric, Text
from sqlalchemy.types import TIMESTAMP, TypeDecorator, TypeEngine

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.clock import parse_rfc3339, rfc3339


class ExactNumber(TypeDecorator[Decimal]):
    """A Decimal with every digit: NUMERIC on PostgreSQL, text on SQLite, which only has binary floats."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class WholeNumber(TypeDecorator[int]):
    """An integer of any size: amounts of tokens with 18 decimals do not fit into 64 bits."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric(scale=0, precision=78) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC with microseconds: TIMESTAMPTZ on PostgreSQL, RFC 3339 text of fixed length on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise PermanentFailure(f"time {value.isoformat()} has no offset; times in the books are in UTC")
        return value if dialect.name == "postgresql" else rfc3339(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else parse_rfc3339(value)


KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by its bytes everywhere, whatever language a PostgreSQL database was made for."""


def canonical(value: object) -> str:
    """One text for one JSON value: keys sorted, no spaces, and no floats, whose text differs between writers."""
    _refuse_floats(value, "document")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def as_bytes(value: Any) -> bytes:
    """What a driver gives for a binary column, or what somebody wrote into the cell by hand."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode("utf-8", "replace")


def legible(text: str) -> str:
    """Text from outside without what a text column cannot hold: NUL (PostgreSQL) and lone surrogates (both)."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def row_digest(row: Mapping[str, object]) -> str:
    """SHA-256 (hex) of `row_text`: what stands in an audit leaf for the row."""
    return sha256(row_text(row)).hexdigest()


def row_text(row: Mapping[str, object]) -> bytes:
    """The canonical JSON of a row as it is stored.

    `row` holds driver values, not our types: numbers and times of PostgreSQL become the texts that SQLite stores, and
    nothing that somebody wrote into a cell by hand makes this fail.
    """
    plain = {name: _stored(value) for name, value in row.items()}
    return canonical(plain).encode("utf-8", "surrogatepass")


def _stored(value: object) -> object:
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return rfc3339(value)
    return repr(value)


def _refuse_floats(value: object, path: str) -> None:
    match value:
        case float():
            raise PermanentFailure(f"{path}: the float {value!r} is not allowed; write quantities as decimal text")
        case Mapping():
            for name, item in value.items():
                _refuse_floats(item, f"{path}.{name}")
        case list() | tuple():
            for place, item in enumerate(value):
                _refuse_floats(item, f"{path}[{place}]")
        case _:
            pass
