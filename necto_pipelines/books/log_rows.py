"""The statements that write leaves, names, tiles and the head: the same rows on both databases, each its fastest way.

These are the rows that every change writes, and that bulk events write by the thousand, so nothing stands between them
and the driver. Which rows they are is decided in `audit_log.py`.
"""

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from necto_pipelines.books.tiles import FullTile
from necto_pipelines.failures import PermanentFailure, Unavailable

_COPY_FROM: Final = 48
"""leaves from which COPY is faster than one statement with all values in it"""
_COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END: Final = b"\xff\xff"
_LENGTH: Final = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class _Table:
    """How rows get into one table: the beginning of its statement, one row's places, and its integers' formats."""

    name: str
    columns: str
    integers: dict[int, str]
    """by place; what is no integer is text or bytes"""

    def insert(self, mark: str, rows: int = 1) -> str:
        """The statement for so many rows, with the driver's mark for a value."""
        row = f"({', '.join([mark] * (self.columns.count(',') + 1))})"
        return f"INSERT INTO {self.name} ({self.columns}) VALUES {', '.join([row] * rows)}"  # noqa: S608  no input


_LEAVES: Final = _Table("audit_leaves", "leaf_index, id, leaf, leaf_hash", {0: ">iq"})
_NAMES: Final = _Table("audit_names", "noun, key, leaf_index", {2: ">iq"})
_TILES: Final = _Table("audit_tiles", "level, number, root, hashes", {0: ">ii", 1: ">iq"})


@dataclass(frozen=True, slots=True)
class Rows:
    """What one transaction adds to the log, each row in the order of its table's columns."""

    leaves: list[tuple[int, str, bytes, bytes]]
    names: list[tuple[str, str, int]]
    tiles: list[FullTile]

    def by_table(self) -> Iterator[tuple[_Table, list[Any]]]:
        """The rows of each table that gets any, in an order that its foreign keys allow."""
        added: list[tuple[_Table, list[Any]]] = [(_LEAVES, self.leaves), (_NAMES, self.names), (_TILES, self.tiles)]
        return ((table, rows) for table, rows in added if rows)


def write(connection: Connection, rows: Rows, edge: bytes) -> None:
    """Write the rows and the log's new head."""
    if connection.dialect.name == "sqlite":
        for table, added in rows.by_table():
            connection.exec_driver_sql(table.insert("?"), added)
        connection.exec_driver_sql("UPDATE audit_head SET edge = ?", (edge,))
    elif len(rows.leaves) < _COPY_FROM:
        _write_at_once(connection, rows, edge)
    else:
        _copy(connection, rows)
        connection.exec_driver_sql("UPDATE audit_head SET edge = %s", (edge,))


def _write_at_once(connection: Connection, rows: Rows, edge: bytes) -> None:
    """Everything in one message to PostgreSQL: a way there and back takes longer than writing a row."""
    statements, values = [], []
    for table, added in rows.by_table():
        statements.append(table.insert("%s", len(added)))
        values += [value for row in added for value in row]
    statements.append("UPDATE audit_head SET edge = %s")
    connection.exec_driver_sql("; ".join(statements), (*values, edge))


def _copy(connection: Connection, rows: Rows) -> None:
    """COPY in PostgreSQL's binary format (its manual, "COPY", section "Binary Format")."""
    driver = connection.dialect.loaded_dbapi
    cursor: Any = connection.connection.cursor()
    try:
        for table, added in rows.by_table():
            data = io.BytesIO(_COPY_HEAD + b"".join(_binary(table, added)) + _COPY_END)
            cursor.copy_expert(f"COPY {table.name} ({table.columns}) FROM STDIN WITH (FORMAT binary)", data)
    except (driver.OperationalError, driver.InterfaceError) as error:
        raise Unavailable(f"the books do not answer: {error}") from error
    except driver.Error as error:
        raise PermanentFailure(f"the books refuse this: {error}") from error
    finally:
        cursor.close()


def _binary(table: _Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    integers = [struct.Struct(layout) if (layout := table.integers.get(place)) else None for place in range(4)]
    for row in rows:
        yield len(row).to_bytes(2)
        for value, integer in zip(row, integers, strict=False):
            if integer:
                yield integer.pack(integer.size - _LENGTH.size, value)
            else:
                data = value if isinstance(value, bytes) else value.encode()
                yield _LENGTH.pack(len(data))
                yield data
