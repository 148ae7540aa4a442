"""Everything that can be looked up in the books, as our nouns.

The same methods read a snapshot from outside (`Books`) and inside a change (`Change`), where they see what that change
has written so far.
"""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection, RowMapping, Select, select

from necto_pipelines.books import tables
from necto_pipelines.books.seals import SealReads
from necto_pipelines.failures import AuditBroken, InvalidInput, Problem
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.health import Failover, LeaseHealth, Telemetry
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Budget, Charge, Conversion, Effect, Hold, Lease, Usage
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState

Noun = TypeVar("Noun", bound=BaseModel)


class Reads(SealReads):
    """Look-ups. A thing asked for by its id that does not exist raises `InvalidInput`, for people write ids.

    A row that cannot be read, as one edited by hand, raises `AuditBroken`.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._connect = connect

    def order(self, order_id: str) -> Order:
        """The order with this id."""
        return _the_one(self._all(_orders().where(tables.orders.c.id == order_id), _order), "order", order_id)

    def orders(self, states: Collection[OrderState] | None = None, tenant: str | None = None) -> list[Order]:
        """Orders in the order they were submitted; all of them, or those in some states or of one tenant."""
        query = _orders().order_by(tables.orders.c.submitted_at, tables.orders.c.id)
        if states is not None:
            query = query.where(tables.orders.c.state.in_(states))
        if tenant is not None:
            query = query.where(tables.orders.c.tenant == tenant)
        return self._all(query, _order)

    def decision(self, decision_id: str) -> Decision:
        """The routing decision with this id."""
        query = select(tables.decisions).where(tables.decisions.c.id == decision_id)
        return _the_one(self._all(query, _document_of(Decision)), "decision", decision_id)

    def decisions(self, order_id: str) -> list[Decision]:
        """All decisions for an order, oldest first."""
        query = select(tables.decisions).where(tables.decisions.c.order_id == order_id)
        return self._all(query.order_by(tables.decisions.c.id), _document_of(Decision))

    def lease(self, lease_id: str) -> Lease:
        """The lease with this id."""
        query = _leases().where(tables.leases.c.id == lease_id)
        return _the_one(self._all(query, _row_of(Lease)), "lease", lease_id)

    def leases(self, states: Collection[LeaseState] | None = None, order_id: str | None = None) -> list[Lease]:
        """Leases, oldest first; all of them, or those in some states or of one order."""
        query = _leases().order_by(tables.leases.c.id)
        if states is not None:
            query = query.where(tables.leases.c.state.in_(states))
        if order_id is not None:
            query = query.where(tables.leases.c.order_id == order_id)
        return self._all(query, _row_of(Lease))

    def health(self, lease_id: str) -> LeaseHealth | None:
        """How a lease fares; None while nobody has looked at it."""
        query = select(tables.lease_health).where(tables.lease_health.c.lease_id == lease_id)
        found = self._all(query, _row_of(LeaseHealth))
        return found[0] if found else None

    def last_telemetry(self, lease_id: str, *, healthy: bool = False, evidenced: bool = False) -> Telemetry | None:
        """The newest poll of a lease: of all, or of those that found it healthy or its provider in the evidence."""
        telemetry = tables.telemetry.c
        query = select(tables.telemetry).where(telemetry.lease_id == lease_id)
        if healthy:
            query = query.where(telemetry.healthy.is_(True))
        if evidenced:
            query = query.where(telemetry.evidence_at.is_not(None))
        found = self._all(query.order_by(telemetry.observed_at.desc()).limit(1), _row_of(Telemetry))
        return found[0] if found else None

    def telemetry(self, lease_id: str | None = None) -> list[Telemetry]:
        """What polls showed and is still kept, by lease and time; of all leases or of one."""
        telemetry = tables.telemetry.c
        query = select(tables.telemetry).order_by(telemetry.lease_id, telemetry.observed_at)
        if lease_id is not None:
            query = query.where(telemetry.lease_id == lease_id)
        return self._all(query, _row_of(Telemetry))

    def failover(self, lease_id: str) -> Failover | None:
        """The decision to give up a lease before its time; None when it was not given up."""
        query = select(tables.failovers).where(tables.failovers.c.lease_id == lease_id)
        found = self._all(query, _row_of(Failover))
        return found[0] if found else None

    def failovers(self, order_id: str | None = None) -> list[Failover]:
        """Decisions to give up leases, oldest first; all of them or those of one order."""
        query = select(tables.failovers).order_by(tables.failovers.c.decided_at, tables.failovers.c.lease_id)
        if order_id is not None:
            query = query.where(tables.failovers.c.order_id == order_id)
        return self._all(query, _row_of(Failover))

    def effect(self, key: str) -> Effect | None:
        """The act on the outside world under this key; None when it was never begun."""
        found = self._all(select(tables.effects).where(tables.effects.c.key == key), _effect)
        return found[0] if found else None

    def effects(self, order_id: str, attempt: int | None = None) -> list[Effect]:
        """Acts for an order in the order they were begun; of all attempts or of one."""
        effects = tables.effects
        query = select(effects).where(effects.c.order_id == order_id).order_by(effects.c.begun_at, effects.c.key)
        if attempt is not None:
            query = query.where(effects.c.attempt == attempt)
        return self._all(query, _effect)

    def conversions(self, order_id: str) -> list[Conversion]:
        """Conversions made for an order, oldest first."""
        conversions = tables.conversions
        query = select(conversions).where(conversions.c.order_id == order_id)
        return self._all(query.order_by(conversions.c.at, conversions.c.id), _row_of(Conversion))

    def hold(self, order_id: str) -> Hold | None:
        """What is or was reserved for an order; None when nothing ever was."""
        found = self._all(select(tables.holds).where(tables.holds.c.order_id == order_id), _row_of(Hold))
        return found[0] if found else None

    def usage(self, lease_id: str) -> list[Usage]:
        """What a lease used, by period."""
        query = select(tables.usage).where(tables.usage.c.lease_id == lease_id)
        return self._all(query.order_by(tables.usage.c.period_start, tables.usage.c.id), _row_of(Usage))

    def charges(
        self, month: str | None = None, order_id: str | None = None, invoiced: bool | None = None
    ) -> list[Charge]:
        """Charges by period; of one month (`YYYY-MM`), of one order, or only those on an invoice or on none yet."""
        charges = tables.charges
        query = select(charges).order_by(charges.c.period_start, charges.c.id)
        if month is not None:
            query = query.where(charges.c.month == month)
        if order_id is not None:
            query = query.where(charges.c.order_id == order_id)
        if invoiced is not None:
            number = charges.c.invoice_number
            query = query.where(number.is_not(None) if invoiced else number.is_(None))
        return self._all(query, _row_of(Charge))

    def invoice(self, number: str) -> Invoice:
        """The invoice with this number."""
        query = select(tables.invoices).where(tables.invoices.c.number == number)
        return _the_one(self._all(query, _document_of(Invoice)), "invoice", number)

    def invoices(self, month: str | None = None) -> list[Invoice]:
        """Invoices by number; all of them or of one month (`YYYY-MM`)."""
        query = select(tables.invoices).order_by(tables.invoices.c.number)
        if month is not None:
            query = query.where(tables.invoices.c.month == month)
        return self._all(query, _document_of(Invoice))

    def budget(self, cost_centre: str) -> Budget:
        """A cost centre's budget."""
        query = select(tables.budgets).where(tables.budgets.c.cost_centre == cost_centre)
        found = self._all(query, _row_of(Budget))
        if not found:
            known = ", ".join(budget.cost_centre for budget in self.budgets()) or "none yet"
            raise InvalidInput([Problem("cost_centre", cost_centre, f"cost centres with a budget are: {known}")])
        return found[0]

    def budgets(self) -> list[Budget]:
        """All budgets, by cost centre."""
        query = select(tables.budgets).order_by(tables.budgets.c.cost_centre)
        return self._all(query, _row_of(Budget))

    def _all(self, query: Select[Any], read: Callable[[RowMapping], Noun]) -> list[Noun]:
        try:
            with self._connect() as connection:
                return [read(row) for row in connection.execute(query).mappings()]
        except (ValueError, ArithmeticError) as error:
            what = str(error).partition("\n")[0]
            raise AuditBroken(
                f"the books hold a row that cannot be read ({what}); `necto audit verify` tells whether it was edited"
            ) from error


def _row_of(noun: type[Noun]) -> Callable[[RowMapping], Noun]:
    return lambda row: noun.model_validate(dict(row))


def _document_of(noun: type[Noun]) -> Callable[[RowMapping], Noun]:
    return lambda row: noun.model_validate_json(row["document"])


def _orders() -> Select[Any]:
    both = tables.orders.outerjoin(tables.requesters)
    return select(tables.orders, tables.requesters.c.requested_by).select_from(both)


def _leases() -> Select[Any]:
    both = tables.leases.outerjoin(tables.replacements, tables.replacements.c.lease_id == tables.leases.c.id)
    return select(tables.leases, tables.replacements.c.replaces).select_from(both)


def _order(row: RowMapping) -> Order:
    values = dict(row)
    request = json.loads(values.pop("request")) | {"requested_by": values.pop("requested_by") or ""}
    return Order.model_validate({**values, "request": request})


def _effect(row: RowMapping) -> Effect:
    return Effect.model_validate({**row, "request": json.loads(row["request"]), "outcome": json.loads(row["outcome"])})


def _the_one(found: Sequence[Noun], what: str, key: str) -> Noun:
    if not found:
        raise InvalidInput([Problem(what, key, f"the books hold no such {what}")])
    return found[0]
