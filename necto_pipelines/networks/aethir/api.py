"""Calls of the tenant API, each read into its shape. **Simulated, not Aethir's published API**: it has none.

What is Aethir's own is how it is spoken: two headers (`token.py`), an envelope whose `code` tells success, and a budget
of one call in five seconds. What the calls are for belongs to `adapter.py`.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.fetching import Fetcher, wrong_shape
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.aethir.wire import (
    BUSY,
    OK,
    WireCreated,
    WireEnvelope,
    WireList,
    WireOrder,
)
from necto_pipelines.networks.reading import first_fault, read_as

PACE: Final = timedelta(seconds=5)
"""one call in this time for each access key: published for the one endpoint that is known, kept to for all"""
ATTEMPTS: Final = 3
Shape = TypeVar("Shape", bound=BaseModel)
_BUSY_HINT: Final = "calls with a missing or refused token are answered so too: check the key pair and the clock"


class Pace:
    """Lets one call through in each `PACE` of the clock; others wait their turn. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next: datetime | None = None

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = self._clock.now()
            turn = max(now, self._next or now)
            self._next = turn + PACE
        if turn > now:
            self._clock.sleep((turn - now).total_seconds())


class TenantApi:
    """The calls. Raises `Refused`, `Unavailable`, and `Unknown` where an order is made."""

    def __init__(self, fetcher: Fetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._pace = Pace(clock)
        self._inventory: tuple[RawAnswer, list[object]] | None = None

    def inventory(self) -> tuple[RawAnswer, list[object]]:
        """What is quoted to this tenant: rows for `WireQuote`, to be checked one by one.

        An answer younger than the pace is given again: it could not be asked for sooner.
        """
        kept = self._inventory
        if kept is None or not timedelta(0) <= self._clock.now() - kept[0].received_at < PACE:
            answer, listing = self._repeat(lambda: self._fetcher.get("/v2/tenant/inventory"), WireList)
            self._inventory = kept = answer, listing.records
        return kept

    def create(self, order: Mapping[str, Any]) -> tuple[RawAnswer, WireCreated]:
        """Make an order. NOT idempotent: whatever is not understood of the answer, the order may stand all the same."""
        self._pace.wait()
        answer = self._fetcher.change_once("POST", "/v2/tenant/orders", order)
        try:
            return answer, _data(answer, WireCreated)
        except Unavailable as error:
            raise Unknown(f"{error}; the order may stand all the same") from error

    def orders(self, client_ref: str) -> tuple[RawAnswer, list[WireOrder]]:
        """Every order made under this reference, newest first. One that cannot be read might be the one looked for."""
        answer, listing = self._repeat(
            lambda: self._fetcher.get("/v2/tenant/orders", {"clientRef": client_ref}), WireList
        )
        try:
            return answer, [WireOrder.model_validate(row) for row in listing.records]
        except ValidationError as error:
            raise wrong_shape(answer, ValueError(first_fault(error))) from error

    def order(self, order_id: str) -> tuple[RawAnswer, WireOrder]:
        """The order now."""
        return self._one(order_id, lambda: self._fetcher.get(f"/v2/tenant/orders/{order_id}"))

    def release(self, order_id: str) -> tuple[RawAnswer, WireOrder]:
        """End the order; releasing twice is releasing once."""
        path = f"/v2/tenant/orders/{order_id}/release"
        return self._one(order_id, lambda: self._fetcher.put_again("POST", path, {}))

    def close(self) -> None:
        """Give back the connections."""
        self._fetcher.close()

    def _one(self, order_id: str, call: Callable[[], RawAnswer]) -> tuple[RawAnswer, WireOrder]:
        answer, order = self._repeat(call, WireOrder)
        if order.order_id != order_id:
            raise wrong_shape(answer, ValueError(f"asked for order {order_id}, got {order.order_id}"))
        return answer, order

    def _repeat(self, call: Callable[[], RawAnswer], shape: type[Shape]) -> tuple[RawAnswer, Shape]:
        """A call that may be repeated, and is while the system is busy."""
        for attempt in range(1, ATTEMPTS + 1):
            self._pace.wait()
            answer = call()
            try:
                return answer, _data(answer, shape)
            except _Busy:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("ATTEMPTS is 1 or more")


class _Busy(Unavailable):
    """Answered with HTTP 200 and the code for a busy system."""


def _data(answer: RawAnswer, shape: type[Shape]) -> Shape:
    """What a successful answer holds, in this shape."""
    envelope = read_as(answer, WireEnvelope)
    if envelope.code == BUSY:
        raise _Busy(f"{answer.url}: code {BUSY}: {envelope.msg[:200]}; {_BUSY_HINT}")
    if envelope.code != OK:
        raise Refused(f"{answer.url}: code {envelope.code}: {envelope.msg[:200]}", code=str(envelope.code))
    try:
        return shape.model_validate(envelope.data)
    except ValidationError as error:
        raise wrong_shape(answer, ValueError(f"data.{first_fault(error)}")) from error
