"""What every walk reads with: rows and the leaves about them, kept bytes, and the hops that were made of them.

What belongs together is found through the leaves and not through the tables, so that a row which was deleted is walked
to and shown as gone. Nothing here stops at damage: what cannot be read has no facts and rests on nothing.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from necto_pipelines.books.snapshot import Snapshot
from necto_pipelines.failures import AuditBroken, InvalidInput
from necto_pipelines.model.money import plain
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.tracing_hops import Blob, Hop, Kept, Row, read_object
from necto_pipelines.warehouse.warehouse import Warehouse

SANDBOX: Final = "sandbox"


class Reading:
    """Hops as they are read, each once."""

    def __init__(self, books: Snapshot, warehouse: Warehouse) -> None:
        self.hops: dict[str, Hop] = {}
        self.books = books
        self.warehouse = warehouse
        self._rows_of: dict[str, dict[str, list[str]]] = {}
        self._frames: dict[str, list[dict[str, Any]]] = {}

    def knows(self, noun: str, key: str) -> bool:
        """Whether a leaf names this row or subject."""
        return bool(self.books.leaves(noun, key))

    def raw(self, what: str, sha256: str, below: tuple[str, ...] = ()) -> str:
        """A raw answer, called `what`."""
        blob = self.blob(sha256)
        facts = {"sha256": sha256, "bytes": text(blob.size)}
        return self.put(Hop("raw answer", sha256, what, stated(facts), None, blob, (), below))

    def blob(self, sha256: str) -> Blob:
        """What is kept under a digest; reading it is what checks it."""
        try:
            if not self.warehouse.has(sha256):
                return Blob(sha256, Kept.MISSING, None)
            return Blob(sha256, Kept.WHOLE, len(self.warehouse.read_bytes(sha256)))
        except AuditBroken:
            return Blob(sha256, Kept.DIFFERS, None)
        except InvalidInput:  # no digest at all: the row that says so was edited
            return Blob(sha256, Kept.MISSING, None)

    def frame(self, sha256: str) -> list[dict[str, Any]]:
        """The rows of a kept table; none when its bytes are gone or changed."""
        if sha256 not in self._frames:
            try:
                self._frames[sha256] = records(self.warehouse.read_frame(sha256))
            except (AuditBroken, InvalidInput):
                self._frames[sha256] = []
        return self._frames[sha256]

    def rows_about(self, noun: str, key: str) -> dict[str, list[str]]:
        """Table -> keys of every row that leaves about a subject name, in the order they were first named."""
        if key not in self._rows_of:
            found: dict[str, dict[str, None]] = {}
            for _, leaf in self.books.leaves(noun, key) if key else ():
                for row in dicts(read_object(leaf).get("rows")):
                    found.setdefault(text(row.get("table")), {})[text(row.get("key"))] = None
            self._rows_of[key] = {table: list(keys) for table, keys in found.items()}
        return self._rows_of[key]

    def row(self, table: str, key: str) -> Row:
        """A row of the books as it stands."""
        return Row(table, key, self.books.row(table, key))

    def add(
        self,
        kind: str,
        row: Row,
        title: str,
        facts: Mapping[str, str],
        below: Iterable[str] = (),
        mode: object = "",
        consulted: tuple[int, ...] = (),
    ) -> str:
        """Keep the hop of a row, with the leaves about it; `mode` says where its figures come from."""
        leaves = tuple(index for index, _ in self.books.leaves(row.table, row.key))
        if kind == "budget":  # shared by all orders of a cost centre: its history is not this walk's
            leaves = leaves[-1:]
        shown = title or ("gone" if row.text is None else "cannot be read")
        hop = Hop(
            kind, row.key, shown, stated(facts), row, None, leaves, tuple(dict.fromkeys(below)),
            simulated=mode == SANDBOX, consulted=consulted,
        )  # fmt: skip
        return self.put(hop)

    def put(self, hop: Hop) -> str:
        """Keep a hop. One that is reached again keeps its first form, unless it now rests on more."""
        known = self.hops.get(hop.id)
        if known is None or len(hop.rests_on) > len(known.rests_on):
            self.hops[hop.id] = hop
        return hop.id


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects in a list; whatever else stands there is passed over."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def stated(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts that say something."""
    return {name: value for name, value in facts.items() if value}


def text(value: object) -> str:
    """A value for people; empty when there is none."""
    return "" if value is None else str(value)


def number(value: object, decimals: object = 0) -> str:
    """A figure without the zeros that a column keeps behind it; `decimals` when it counts smallest units of a token."""
    try:
        return plain(Decimal(text(value)).scaleb(-int(text(decimals))))
    except (ArithmeticError, ValueError):
        return text(value)


def joined(*parts: object) -> str:
    """The parts with spaces between them; empty when one is missing."""
    return " ".join(str(part) for part in parts) if all(part not in (None, "") for part in parts) else ""


def usd(of: Mapping[str, Any], name: str) -> str:
    """An amount of a row or document, with its currency."""
    return f"{number(of[name])} USD" if of.get(name) not in (None, "") else ""


def has_raw(of: Mapping[str, Any]) -> bool:
    """Whether it names a kept answer."""
    return isinstance(of.get("raw_sha256"), str) and bool(of["raw_sha256"])
