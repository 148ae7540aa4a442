"""What a refresh may show while the sources fail: less than there is, but nothing that is not so.

The truth is what a refresh without failures showed, and what the sandbox lists as the price of each model. A row is
wrong when it says something else: another GPU, another price, another country, more capacity than there is, a provider
that is dead, a time that makes it look fresher than it is. Not wrong, because it claims nothing: a value that is empty
where the truth has one, and a row that does not count (`used` is false) and says so.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Final

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""rows by table: `offers`, `evidence`, `clouds`, `tokens`"""

CLOCKS_APART: Final = timedelta(seconds=60)
"""how far ahead of ours a source's time is believed (market/oracles/port.py)"""
ROUNDING: Final = Decimal("0.001")
"""list prices are served with four decimals"""
_SAME: Final = ("network", "provider", "gpu_key", "mode", "interruptible", "native_unit")
_SAME_OR_EMPTY: Final = ("country", "gpu_interface")
_NO_MORE: Final = ("units_available", "max_gpus_per_order", "cpu_cores", "memory_gib", "disk_gib")
_VERBATIM: Final = ("akash", "render")
"""networks whose prices stand in their answers as we show them; others state discounts apart"""
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Circumstances:
    """What was made to happen, as far as it changes what is true."""

    now: datetime
    dead: frozenset[str] = frozenset()
    """providers and offers of `provider_death`"""
    drift: Decimal = Decimal(0)
    """share by which list prices were moved at most"""


@dataclass(frozen=True)
class Truth:
    """The rows of a refresh without failures at `at`, and the listed prices of Akash's models."""

    at: datetime
    rows: Rows
    model_usd: Mapping[tuple[str, str, str], Decimal]
    """model, memory and interface in lower case: what a provider's offer costs that has no price of its own"""

    @cached_property
    def _offers(self) -> Mapping[str, Row]:
        return {row["offer_id"]: row for row in self.rows["offers"]}

    @cached_property
    def _evidence(self) -> Mapping[tuple[str, str], Row]:
        return {(row["network"], row["provider"]): row for row in self.rows["evidence"]}

    @cached_property
    def _clouds(self) -> Mapping[tuple[str, str, str], Row]:
        return {(row["cloud"], row["instance"], row["region"]): row for row in self.rows["clouds"]}

    @cached_property
    def _signed_anywhere(self) -> set[tuple[str, ...]]:
        """Signatures that a policy could ask for: garbage that nobody ever signed vouches for nothing."""
        return {signature for row in self.rows["evidence"] for signature in _signatures(row)}

    def wrong_rows(self, shown: Rows, what: Circumstances, served: Mapping[str, bytes]) -> list[str]:
        """Every wrong row, with what is wrong about it. `served` are the kept answers by SHA-256."""
        judged = (
            ("offer", "offers", lambda row: self._offer(row, what, served)),
            ("evidence", "evidence", lambda row: self._provider(row, what)),
            ("cloud price", "clouds", self._cloud),
            ("token price", "tokens", lambda row: self._token(row, what)),
        )
        return [
            f"{kind} {_name(row)}: {fault}"
            for kind, table, faults_of in judged
            for row in shown.get(table, ())
            for fault in faults_of(row)
        ]

    def _offer(self, row: Row, what: Circumstances, served: Mapping[str, bytes]) -> Iterator[str]:
        true = self._offers.get(row["offer_id"])
        if true is None:
            yield "no such offer"
            return
        if {row["provider"], row["offer_id"], row["offer_id"].partition("/")[2]} & what.dead:
            yield "its provider is dead"
        yield from _differences(row, true, _SAME, _SAME_OR_EMPTY)
        yield from (f"{name} is {row[name]}, more than {true[name]}" for name in _NO_MORE if _more(row, true, name))
        yield from (f"{name} is {row[name]}" for name in _NO_MORE if row[name] < 0)
        yield from self._observed(row, true, what)
        prices = [true["usd_per_gpu_hour"]]
        if row["price_basis"] != true["price_basis"]:
            prices = []
        if row["price_basis"] == "list" and row["network"] == "akash":
            prices += [usd for key, usd in self.model_usd.items() if key == _model_of(row["offer_id"])]
        if not any(abs(row["usd_per_gpu_hour"] / usd - 1) <= what.drift + (what.drift and ROUNDING) for usd in prices):
            yield f"{row['usd_per_gpu_hour']} USD/GPU-hour ({row['price_basis']}), true is {prices or 'no such price'}"
        elif row["network"] in _VERBATIM and row["native_amount"] not in _numbers(served[row["raw_sha256"]]):
            yield f"{row['native_amount']} {row['native_unit']} was never served"

    def _provider(self, row: Row, what: Circumstances) -> Iterator[str]:
        true = self._evidence.get((row["network"], row["provider"]))
        if true is None:
            yield "no such provider"
            return
        if row["provider"] in what.dead:
            if row["is_online"]:
                yield "online, but dead"
        elif row["is_online"] not in (None, true["is_online"]):
            yield f"is_online is {row['is_online']}"
        yield from _differences(row, true, (), ("is_valid_version", "country"))
        if more := (_signatures(row) - _signatures(true)) & self._signed_anywhere:
            yield f"signed more than it is: {sorted(more)}"
        if strangers := _auditors(row) - _auditors(true):
            yield f"audited by {sorted(strangers)} too"
        yield from self._observed(row, true, what)

    def _cloud(self, row: Row) -> Iterator[str]:
        true = self._clouds.get((row["cloud"], row["instance"], row["region"]))
        if true is None:
            yield "no such machine there"
            return
        same = ("gpu_key", "gpu_count", "usd_per_hour", "usd_per_gpu_hour", "mode", "as_of")
        yield from _differences(row, true, same, ())

    def _token(self, row: Row, what: Circumstances) -> Iterator[str]:
        if not row["used"]:
            return
        said = [true for true in self.rows["tokens"] if true["token"] == row["token"] and not true["consensus"]]
        if not row["consensus"]:
            said = [true for true in said if true["source"] == row["source"]]
        if not said:
            yield "no such price"
            return
        if not min(true["usd"] for true in said) <= row["usd"] <= max(true["usd"] for true in said):
            yield f"{row['usd']} USD, the sources say {[true['usd'] for true in said]}"
        newest = max(true["published_at"] for true in said) + (what.now - self.at) + CLOCKS_APART
        if row["published_at"] > newest:
            yield f"published at {row['published_at']}, true is {newest} at the latest"
        if row["observed_at"] != what.now:
            yield f"observed at {row['observed_at']}, read at {what.now}"

    def _observed(self, row: Row, true: Row, what: Circumstances) -> Iterator[str]:
        """A row is as old as its answer, by our clock, and may say that it is older; some have a date of their own."""
        newest = what.now if true["observed_at"] == self.at else true["observed_at"]
        if row["observed_at"] > newest:
            yield f"observed at {row['observed_at']}, true is {newest} at the latest"


def _differences(row: Row, true: Row, same: Sequence[str], same_or_empty: Sequence[str]) -> Iterator[str]:
    for name in (*same, *same_or_empty):
        if row[name] != true[name] and not (name in same_or_empty and row[name] is None):
            yield f"{name} is {row[name]!r}, true is {true[name]!r}"


def _more(row: Row, true: Row, name: str) -> bool:
    return bool(row[name] > true[name] * (1 + 1e-9))


def _model_of(offer_id: str) -> tuple[str, ...]:
    return tuple(offer_id.lower().split("/")[2:])


def _signatures(row: Row) -> set[tuple[str, ...]]:
    return {tuple(signature) for signature in json.loads(row["audited_attributes"] or "[]")}


def _auditors(row: Row) -> set[str]:
    return set(filter(None, (row["audited_by"] or "").split(",")))


@lru_cache(maxsize=256)
def _numbers(body: bytes) -> set[Decimal]:
    """Every number that stands somewhere in the answer, whatever the answer is."""
    return {Decimal(text.decode()) for text in _NUMBER.findall(body)}


def _name(row: Row) -> str:
    names = ("offer_id", "provider", "instance", "token")
    return " ".join(str(row[name]) for name in (*names, "source") if name in row)
