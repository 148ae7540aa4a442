"""Books for a schedule, and the model beside them: budgets, holds and orders for real, facts around them in memory.

The rules that reserve and spend money are the product's own, on a real database. What they only read (decisions,
conversions, leases, charges, failovers) is kept in memory behind the same look-ups, because writing it costs ten times
what is checked here. With `schedules.py --threads` everything is in the database.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from necto_pipelines.books.changes import Change
from necto_pipelines.books.recording import Actor
from necto_pipelines.failures import InvalidInput, NectoError, Refused
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.lease import Effect, EffectState, Hold
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import LeaseState, OrderState, check_lease_step, check_order_step


class BudgetOverrun(AssertionError):
    """The books and the model differ, or a budget is overrun."""


class Model:
    """What a budget must be, in whole cents and without any of the product's code."""

    def __init__(self) -> None:
        self.limit: dict[str, int] = {}
        self.held: dict[str, tuple[str, int]] = {}
        """order -> (cost centre, cents)"""
        self.spent: dict[str, tuple[str, int]] = {}

    def used(self, centre: str, without: str = "") -> int:
        """Cents that are held and spent in a cost centre, those held by one order left out."""
        held = sum(cents for order, (where, cents) in self.held.items() if where == centre and order != without)
        return held + sum(cents for where, cents in self.spent.values() if where == centre)

    def free(self, centre: str, without: str = "") -> int:
        """Cents that may still be held."""
        return self.limit[centre] - self.used(centre, without)


class ModelledChange(Change):
    """The product's change, in which every movement of money is foretold by the model."""

    def __init__(self, connection: Connection, clock: Clock, model: Model) -> None:
        super().__init__(connection, Actor(kind="service", name="schedules"), clock)
        self.model = model
        self._facts: dict[str, dict[str, Any]] = {"order": {}, "effect": {}, "lease": {}}
        self._rows: dict[str, dict[str, list[Any]]] = {
            name: {} for name in ("decisions", "conversions", "charges", "failovers")
        }
        for name in ("order", "lease", "effect", "effects", "leases", "failover", *self._rows):
            setattr(self.reads, name, getattr(self, f"_read_{name}"))

    def set_budget(self, cost_centre: str, limit_usd: Decimal) -> Any:
        """As the product, which must take every limit that is not below what is used, and no other."""
        allowed = whole_cents(limit_usd) >= self.model.used(cost_centre)
        budget = self._foretold(allowed, InvalidInput, super().set_budget, cost_centre, limit_usd)
        self.model.limit[cost_centre] = whole_cents(limit_usd)
        return budget

    def submit(self, request: OrderRequest) -> Order:
        """As the product, which must take every order that the budget covers, and no other."""
        allowed = whole_cents(request.budget_usd) <= self.model.free(request.cost_centre)
        order: Order = self._foretold(allowed, InvalidInput, super().submit, request)
        return order

    def hold(self, order_id: str, usd: Decimal) -> Hold:
        """As the product, which must grant what is free in the model, and refuse the rest."""
        centre = self.reads.order(order_id).request.cost_centre
        allowed = whole_cents(usd) <= self.model.free(centre, without=order_id)
        hold: Hold = self._foretold(allowed, Refused, super().hold, order_id, usd)
        self.model.held[order_id] = (centre, whole_cents(usd))
        return hold

    def release_hold(self, order_id: str) -> Hold | None:
        """As the product."""
        hold = super().release_hold(order_id)
        self.model.held.pop(order_id, None)
        return hold

    def settle_hold(self, order_id: str, usd: Decimal) -> Hold:
        """As the product; an order must not cost more than it holds."""
        centre, cents = self.model.held[order_id]
        if whole_cents(usd) > cents:
            raise BudgetOverrun(f"{order_id} holds {cents} cents and costs {usd} USD")
        hold = super().settle_hold(order_id, usd)
        del self.model.held[order_id]
        self.model.spent[order_id] = (centre, whole_cents(usd))
        return hold

    def _foretold(self, allowed: bool, refusal: type[NectoError], act: Any, *given: Any) -> Any:
        try:
            result = act(*given)
        except refusal as failure:
            if allowed:
                raise BudgetOverrun(f"refused what fits: {failure}") from failure
            raise
        if not allowed:
            raise BudgetOverrun(f"{act.__name__} granted what does not fit: {given}")
        return result

    # What follows keeps facts in memory; the steps of orders and leases are checked as the product checks them.

    def move_order(self, order_id: str, to: OrderState, **facts: Any) -> Order:
        order: Order = self.reads.order(order_id)
        check_order_step(order_id, order.state, to)
        changes = {"state": to, "reason": facts.get("reason", "")}
        changes["attempt"] = order.attempt + facts.get("new_attempt", False)
        self._facts["order"][order_id] = moved = order.model_copy(update=changes)
        return moved

    def begin_effect(self, key: str, kind: str, order_id: str, attempt: int, request: Any) -> tuple[Effect, bool]:
        if standing := self._facts["effect"].get(key):
            return standing, False
        facts = {"key": key, "kind": kind, "order_id": order_id, "attempt": attempt, "request": dict(request)}
        ends = {"state": EffectState.INTENT, "outcome": {}, "begun_at": self._clock.now(), "ended_at": None}
        effect = self._facts["effect"][key] = Effect(**facts, **ends)
        return effect, True

    def end_effect(self, key: str, state: EffectState, outcome: Any) -> Effect:
        ended: Effect = self._facts["effect"][key].model_copy(update={"state": state, "outcome": dict(outcome)})
        self._facts["effect"][key] = ended
        return ended

    def open_lease(self, lease: Any) -> None:
        self._facts["lease"][lease.id] = lease

    def move_lease(self, lease_id: str, to: LeaseState, **facts: Any) -> Any:
        lease = self._facts["lease"][lease_id]
        check_lease_step(lease_id, lease.state, to)
        self._facts["lease"][lease_id] = moved = lease.model_copy(update=facts | {"state": to})
        return moved

    def record_decision(self, decision: Any) -> None:
        self._keep("decisions", [decision])

    def record_conversion(self, conversion: Any) -> None:
        self._keep("conversions", [conversion])

    def record_failovers(self, decided: Any, inputs: Any = ()) -> None:
        self._keep("failovers", decided)

    def record_charges(self, rows: Any) -> None:
        self._keep("charges", rows)

    def record_usage(self, rows: Any) -> None:
        """Nothing that holds are reckoned with."""

    def _keep(self, what: str, facts: Any) -> None:
        for fact in facts:
            self._rows[what].setdefault(fact.order_id, []).append(fact)

    def _read_order(self, order_id: str) -> Order:
        if order_id not in self._facts["order"]:
            self._facts["order"][order_id] = type(self.reads).order(self.reads, order_id)
        order: Order = self._facts["order"][order_id]
        return order

    def _read_lease(self, lease_id: str) -> Any:
        return self._facts["lease"][lease_id]

    def _read_effect(self, key: str) -> Any:
        return self._facts["effect"].get(key)

    def _read_effects(self, order_id: str) -> list[Any]:
        return [effect for effect in self._facts["effect"].values() if effect.order_id == order_id]

    def _read_leases(self, states: Collection[LeaseState] | None = None, order_id: str | None = None) -> list[Any]:
        leases = self._facts["lease"].values()
        return [each for each in leases if each.order_id == order_id and (states is None or each.state in states)]

    def _read_failover(self, lease_id: str) -> Any:
        every = (each for rows in self._rows["failovers"].values() for each in rows)
        return next((each for each in every if each.lease_id == lease_id), None)

    def _read_decisions(self, order_id: str) -> list[Any]:
        return list(self._rows["decisions"].get(order_id, ()))

    def _read_conversions(self, order_id: str) -> list[Any]:
        return list(self._rows["conversions"].get(order_id, ()))

    def _read_charges(self, order_id: str) -> list[Any]:
        return list(self._rows["charges"].get(order_id, ()))

    def _read_failovers(self, order_id: str) -> list[Any]:
        return list(self._rows["failovers"].get(order_id, ()))


class ModelledBooks:
    """The books of one schedule: one change under way from its first step to its last."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.model = Model()
        self._connection = connection
        self._change = ModelledChange(connection, clock, self.model)

    @contextmanager
    def change(self, _actor: Actor) -> Iterator[ModelledChange]:
        """The change under way."""
        yield self._change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._change.reads, name)

    def check(self) -> None:
        """Compare the rows, read without the product's code, with the model and with the limit.

        Raises BudgetOverrun.
        """
        rows = self._connection.connection.cursor()
        model = self.model
        for centre, *amounts in rows.execute(
            "SELECT cost_centre, limit_usd, held_usd, spent_usd FROM budgets"
        ).fetchall():
            limit, held, spent = (whole_cents(Decimal(amount)) for amount in amounts)
            if held < 0 or spent < 0 or held + spent > limit:
                raise BudgetOverrun(f"{centre}: of {limit} cents {held} are held and {spent} spent")
            due = (model.limit[centre], sum(cents for where, cents in model.held.values() if where == centre))
            if (limit, held, held + spent) != (*due, model.used(centre)):
                raise BudgetOverrun(f"{centre}: {amounts} differ from the model's {due} and {model.used(centre)}")
        found = {"held": {}, "settled": {}, "released": {}}
        for order, centre, state, usd, settled in rows.execute(
            "SELECT order_id, cost_centre, state, usd, settled_usd FROM holds"
        ).fetchall():
            found[state][order] = (centre, whole_cents(Decimal(settled if state == "settled" else usd)))
        if (found["held"], found["settled"]) != (model.held, model.spent):
            raise BudgetOverrun(f"the holds {found} differ from the model's {model.held} and {model.spent}")


def whole_cents(usd: Decimal) -> int:
    """Dollars as cents. Raises BudgetOverrun for a part of a cent: the books must not hold any."""
    cents = usd * 100
    if cents != int(cents):
        raise BudgetOverrun(f"{usd} USD is no whole number of cents")
    return int(cents)
