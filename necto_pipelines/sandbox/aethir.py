"""A simulated Aethir as a tenant might see it: quotes, orders at a fixed ATH rate, machines that break, settlement.

**Simulated, not Aethir's published API**: none is published for tenants. What an order owes follows the published rules
(`aethir_rules.py`); how long a handover takes, what there is and what it costs is made up (`aethir_table.py`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.sandbox.aethir_rules import fixed_ath, owed_ath, paid_time, settled_until
from necto_pipelines.sandbox.aethir_table import Row, rows
from necto_pipelines.sandbox.feed import Feed
from necto_pipelines.sandbox.seeded import digest, whole

HANDOVER_S = (30, 180)
STARTING_DEPOSIT_ATH = Decimal(1_000_000)
BAD_REQUEST, REFUSED_TOKEN, NO_DEPOSIT, NOT_FOUND, SOLD_OUT = 135400, 135401, 135402, 135404, 135409
"""codes of ours: beside 135000 and 135500 Aethir's are not published"""


class AethirError(Exception):
    """A failure as the envelope tells it."""

    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Outage(BaseModel):
    """A time in which the machine was broken; `until` is None while it is."""

    since: datetime
    until: datetime | None = None


class AethirOrder(BaseModel):
    """An order with all that happened to it. `ath_rate` is what it was made at, and never changes."""

    id: str
    client_ref: str | None
    spec: str
    region: str
    mode: str
    hours: int
    usd_per_hour: ExactDecimal
    ath_rate: ExactDecimal
    ath_amount: ExactDecimal
    locked_at: datetime
    handover_at: datetime
    outages: list[Outage] = []
    ended_at: datetime | None = None
    end: str = ""
    """RELEASED or COMPLETED once ended"""

    @property
    def runs_out_at(self) -> datetime:
        """When its hours are used up."""
        return self.handover_at + timedelta(hours=self.hours)

    def started_at(self, now: datetime) -> datetime | None:
        """When the machine was handed over; None before, and when the order ended before."""
        return self.handover_at if self.handover_at <= (self.ended_at or now) else None

    def is_down(self) -> bool:
        """True while the machine is broken."""
        return any(outage.until is None for outage in self.outages)

    def owed_ath(self, until: datetime) -> Decimal:
        """What it owes for the time up to `until`, never more than was fixed."""
        if until <= self.handover_at:
            return Decimal(0)
        outages = [(outage.since, outage.until or until) for outage in self.outages]
        paid = paid_time(self.mode, (self.handover_at, until), outages)
        return min(self.ath_amount, owed_ath(self.usd_per_hour, paid, self.ath_rate))


class AethirState(BaseModel):
    """Every order ever made, and how many of the next calls are answered as busy: before, or after doing it."""

    orders: dict[str, AethirOrder] = {}
    busy: int = 0
    busy_after: int = 0


class Aethir:
    """Quotes, orders and the account's deposit in ATH."""

    def __init__(self, seed: int, feed: Feed, state: AethirState) -> None:
        self._seed = seed
        self._feed = feed
        self.state = state
        self.rows = {row.key: row for row in rows(seed)}

    def advance(self, now: datetime) -> bool:
        """Let orders end whose hours are used up by `now`. True when one did."""
        due = [order for order in self.state.orders.values() if order.ended_at is None and order.runs_out_at <= now]
        for order in due:
            _end(order, order.runs_out_at, "COMPLETED")
        return bool(due)

    def free(self, row: Row) -> int:
        """Units of this specification in this region that nobody rents, in either mode."""
        spec, region, _ = row.key
        open_orders = [order for order in self.state.orders.values() if order.ended_at is None]
        return row.units - sum((order.spec, order.region) == (spec, region) for order in open_orders)

    def deposit_ath(self) -> Decimal:
        """What is left of the deposit: an open order takes all that was fixed with it, one that ended what it owed."""
        taken = (
            order.ath_amount if order.ended_at is None else order.owed_ath(order.ended_at)
            for order in self.state.orders.values()
        )
        return STARTING_DEPOSIT_ATH - sum(taken, Decimal(0))

    def create(self, asked: Mapping[str, Any], client_ref: str | None, now: datetime) -> AethirOrder:
        """A new order at the ATH rate of this moment. The same reference makes another order: nothing is idempotent."""
        row = self.rows.get((asked["spec"], asked["region"], asked["mode"]))
        if row is None:
            raise AethirError(NOT_FOUND, "this spec is not quoted in this region and mode")
        if asked["hours"] < row.min_hours:
            raise AethirError(BAD_REQUEST, f"hours: {row.min_hours} or more are sold in mode {row.mode}")
        if self.free(row) < 1:
            raise AethirError(SOLD_OUT, "no unit is free")
        rate = self._feed.usd("ATH", now)
        amount = fixed_ath(row.usd_per_hour, asked["hours"], rate)
        if amount > self.deposit_ath():
            raise AethirError(NO_DEPOSIT, f"the order takes {amount} ATH, {self.deposit_ath()} ATH are left")
        order_id = f"ao_{digest(self._seed, 'aethir', 'order', len(self.state.orders)).hex()[:20]}"
        order = AethirOrder(
            id=order_id,
            client_ref=client_ref,
            spec=row.spec.name,
            region=row.region,
            mode=row.mode,
            hours=asked["hours"],
            usd_per_hour=row.usd_per_hour,
            ath_rate=rate,
            ath_amount=amount,
            locked_at=now,
            handover_at=now + timedelta(seconds=whole(*HANDOVER_S, self._seed, "handover", order_id)),
        )
        self.state.orders[order_id] = order
        return order

    def release(self, order: AethirOrder, now: datetime) -> None:
        """End an order; one that has ended is left as it is."""
        if order.ended_at is None:
            _end(order, now, "RELEASED")

    def set_down(self, order: AethirOrder, down: bool, now: datetime) -> None:
        """Break the machine of an order that has one, or mend it."""
        if order.ended_at is None and order.handover_at <= now and down != order.is_down():
            if down:
                order.outages.append(Outage(since=now))
            else:
                order.outages[-1].until = now

    def status(self, order: AethirOrder, now: datetime) -> str:
        """Where the order stands, in words of ours."""
        if order.ended_at is not None:
            return order.end
        if order.started_at(now) is None:
            return "PROVISIONING"
        return "DOWN" if order.is_down() else "RUNNING"

    def settled_ath(self, order: AethirOrder, now: datetime) -> Decimal:
        """What was taken from the deposit for good by `now`."""
        return order.owed_ath(settled_until(order.ended_at, now))

    def provider(self, order: AethirOrder) -> str:
        """Who sells it."""
        return self.rows[order.spec, order.region, order.mode].provider


def _end(order: AethirOrder, at: datetime, how: str) -> None:
    order.ended_at, order.end = at, how
    for outage in order.outages:
        outage.until = outage.until or at
