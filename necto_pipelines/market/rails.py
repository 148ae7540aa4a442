"""Payment rails: change one asset for another at a venue, once.

A rail moves money, so its calls end in one of four ways: a `Swap`, `Refused` (nothing happened), `Unavailable`
(nothing happened) or `Unknown` (it may have happened: `find` it by its client id). Rates and limits are judged by the
caller. Only a simulated rail exists; every swap it makes says so by the rail's `mode`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import httpx

from necto_pipelines.failures import AuditBroken, Refused, TransientFailure, Unknown
from necto_pipelines.fetching import Fetcher, read_json, wrong_shape
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock, parse_rfc3339
from necto_pipelines.model.offer import SourceMode

SWAPS: Final = "/rail/v1/swaps"
DUPLICATE: Final = "duplicate_client_id"


@dataclass(frozen=True)
class Swap:
    """An executed change of `from_units` into `to_units`, in the smallest units of each asset.

    `fee_units` is the venue's fee in units of `from_asset`, contained in `from_units`. `ref` is the venue's own id,
    `client_id` ours.
    """

    ref: str
    client_id: str
    from_asset: str
    from_units: int
    to_asset: str
    to_units: int
    fee_units: int
    executed_at: datetime
    raw: RawAnswer


class Rail(Protocol):
    """A venue that changes assets. Calls are safe from any thread."""

    name: str
    """the venue, as it stands in a conversion"""
    mode: SourceMode

    def swap(self, client_id: str, from_asset: str, to_asset: str, from_units: int) -> Swap:
        """Change `from_units` of one asset into another, at most once for each `client_id`.

        A client id that was executed before gives that swap again. Raises `Refused` (its code is the venue's word),
        `Unavailable` when nothing happened, `Unknown` when it may have happened.
        """

    def find(self, client_id: str) -> Swap | None:
        """The swap made under `client_id`, None when there is none. Raises `Unavailable` or `Refused`."""


class SandboxRail:
    """The simulated rail of Necto's own sandbox, `/rail/v1`. No real money moves."""

    name = "sandbox-rail"
    mode = SourceMode.SANDBOX

    def __init__(
        self, base_url: str, clock: Clock, timeout_s: float = 30.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._fetcher = Fetcher(base_url, clock=clock, timeout_s=timeout_s, transport=transport)

    def swap(self, client_id: str, from_asset: str, to_asset: str, from_units: int) -> Swap:
        """As `Rail.swap`."""
        wanted = {"client_id": client_id, "from_asset": from_asset, "to_asset": to_asset, "from_units": from_units}
        try:
            answer = self._fetcher.change_once("POST", SWAPS, wanted)
        except Refused as refusal:
            if refusal.code != DUPLICATE:
                raise
            swap = self._made_before(client_id)
        else:
            # The rail said yes: whatever we cannot read now has still happened.
            try:
                swap = _swap(read_json(answer), answer)
            except TransientFailure as error:
                raise Unknown(f"swap {client_id} was accepted, but its answer is unreadable: {error}") from error
        if (swap.client_id, swap.from_asset, swap.to_asset, swap.from_units) != tuple(wanted.values()):
            raise AuditBroken(
                f"swap {client_id} at {self.name} is {swap.from_units} {swap.from_asset} -> {swap.to_asset} for "
                f"{swap.client_id}, not the {from_units} {from_asset} -> {to_asset} that was asked for"
            )
        return swap

    def find(self, client_id: str) -> Swap | None:
        """As `Rail.find`. Raises `AuditBroken` when the venue executed one client id more than once."""
        answer = self._fetcher.get(SWAPS, {"client_id": client_id})
        body = read_json(answer)
        try:
            entries = [entry for entry in body["swaps"] if entry["client_id"] == client_id]
        except (TypeError, KeyError) as error:
            raise wrong_shape(answer, error) from error
        if len(entries) > 1:
            raise AuditBroken(f"{self.name} lists {len(entries)} swaps for client id {client_id}; one is allowed")
        return _swap(entries[0], answer) if entries else None

    def _made_before(self, client_id: str) -> Swap:
        """The swap that a refused duplicate speaks of."""
        try:
            swap = self.find(client_id)
        except TransientFailure as error:
            raise Unknown(f"swap {client_id} was made before, but cannot be read now: {error}") from error
        if swap is None:
            raise Unknown(f"{self.name} calls {client_id} a duplicate, but does not list it")
        return swap


def _swap(entry: Any, answer: RawAnswer) -> Swap:
    """One swap of an answer; `Unavailable` when it is not what the rail documents."""
    try:
        _executed(entry["state"])
        return Swap(
            ref=_text(entry["id"]),
            client_id=_text(entry["client_id"]),
            from_asset=_text(entry["from_asset"]),
            from_units=_units(entry["from_units"]),
            to_asset=_text(entry["to_asset"]),
            to_units=_units(entry["to_units"]),
            fee_units=_units(entry["fee_units"]),
            executed_at=parse_rfc3339(_text(entry["executed_at"])),
            raw=answer,
        )
    except (TypeError, KeyError, ValueError) as error:
        raise wrong_shape(answer, error) from error


def _executed(state: Any) -> None:
    if state != "executed":
        raise ValueError(f"state is {state!r}, not 'executed'")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"text is needed, not {value!r}")
    return value


def _units(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"a whole number of units is needed, not {value!r}")
    return value
