"""Changes to money: budgets, holds, conversions, usage, charges and invoices.

What a lease used and what that costs is computed in `billing`; here it is kept, reserved and numbered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Table, select

from necto_pipelines.books import tables
from necto_pipelines.books.columns import canonical
from necto_pipelines.books.recording import Recording, Written, columns_of
from necto_pipelines.failures import IllegalTransition, InvalidInput, PermanentFailure, Problem, Refused
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Budget, Charge, Conversion, Hold, Usage
from necto_pipelines.model.order import Slug

SERIES: Final = "NECTO"
"""the series of invoice numbers: `NECTO-2026-000001`"""
_SLUG: Final = TypeAdapter(Slug)


class MoneyChanges(Recording):
    """What may happen to money. Of a budget, `held` and `spent` are always the sums over its holds."""

    def set_budget(self, cost_centre: str, limit_usd: Decimal) -> Budget:
        """Give a cost centre a limit, or change it; never below what is held and spent already.

        Raises InvalidInput.
        """
        _check_cost_centre(cost_centre)
        standing = next((budget for budget in self.reads.budgets() if budget.cost_centre == cost_centre), None)
        used = standing.held_usd + standing.spent_usd if standing else Decimal(0)
        if not limit_usd.is_finite() or limit_usd < used:
            allowed = f"at least {used}, which is held and spent already"
            raise InvalidInput([Problem("limit_usd", str(limit_usd), allowed)])
        if standing is None:
            budget = Budget(cost_centre=cost_centre, limit_usd=limit_usd, held_usd=Decimal(0), spent_usd=Decimal(0))
            row = self._insert(tables.budgets, columns_of(budget))
        elif standing.limit_usd == limit_usd:
            return standing
        else:
            row = self._update(tables.budgets, cost_centre, {"limit_usd": limit_usd})
        body = {"limit_usd": f"{limit_usd:f}"} | ({"before_usd": f"{standing.limit_usd:f}"} if standing else {})
        self._leaf("budget.set", {"cost_centre": cost_centre}, body, rows=[row])
        return self.reads.budget(cost_centre)

    def hold(self, order_id: str, usd: Decimal) -> Hold:
        """Reserve `usd` for an order in its cost centre's budget; what it holds already is changed to that.

        Raises Refused (`over_budget`) when the budget would be exceeded, IllegalTransition once the hold is settled,
        and InvalidInput for an amount that is not positive.
        """
        _check_usd(usd, allowed="more than 0", good=usd.is_finite() and usd > 0)
        order = self.reads.order(order_id)
        standing, budget = self.reads.hold(order_id), self.reads.budget(order.request.cost_centre)
        if standing and standing.state == "settled":
            raise IllegalTransition(f"the hold of order {order_id} is settled; nothing more can be held for it")
        held_before = standing.usd if standing and standing.state == "held" else Decimal(0)
        available = budget.available_usd + held_before
        if usd > available:
            message = f"order {order_id} needs {usd} USD, and {available} is left in cost centre {budget.cost_centre}"
            raise Refused(message, code="over_budget")
        hold = Hold(order_id=order_id, cost_centre=budget.cost_centre, usd=usd, state="held")
        if hold == standing:
            return hold
        if standing:
            row = self._update(tables.holds, order_id, columns_of(hold))
        else:
            row = self._insert(tables.holds, columns_of(hold))
        budget_row = self._change_budget(budget, held_usd=budget.held_usd - held_before + usd)
        self._leaf("budget.held", _subject(hold), {"usd": f"{usd:f}"}, rows=[row, budget_row])
        return hold

    def release_hold(self, order_id: str) -> Hold | None:
        """Give back what an order holds; None when it never held anything. Raises IllegalTransition once settled."""
        hold = self.reads.hold(order_id)
        if hold is None or hold.state == "released":
            return hold
        if hold.state != "held":
            raise IllegalTransition(f"the hold of order {order_id} is {hold.state} and cannot be released")
        budget = self.reads.budget(hold.cost_centre)
        rows = [
            self._update(tables.holds, order_id, {"state": "released"}),
            self._change_budget(budget, held_usd=budget.held_usd - hold.usd),
        ]
        self._leaf("budget.released", _subject(hold), {"usd": f"{hold.usd:f}"}, rows=rows)
        return hold.model_copy(update={"state": "released"})

    def settle_hold(self, order_id: str, usd: Decimal) -> Hold:
        """Turn what an order holds into `usd` spent, for good; what is left over is free again.

        What was really spent is taken even where it exceeds the hold: the budget then shows it, and holds nothing
        more. Settling again with the same amount changes nothing; anything else raises IllegalTransition.
        """
        _check_usd(usd, allowed="0 or more", good=usd.is_finite() and usd >= 0)
        hold = self.reads.hold(order_id)
        if hold and hold.state == "settled" and hold.settled_usd == usd:
            return hold
        if hold is None or hold.state != "held":
            state = hold.state if hold else "missing"
            raise IllegalTransition(f"the hold of order {order_id} is {state} and cannot be settled with {usd} USD")
        budget = self.reads.budget(hold.cost_centre)
        rows = [
            self._update(tables.holds, order_id, {"state": "settled", "settled_usd": usd}),
            self._change_budget(budget, held_usd=budget.held_usd - hold.usd, spent_usd=budget.spent_usd + usd),
        ]
        self._leaf("budget.spent", _subject(hold), {"held_usd": f"{hold.usd:f}", "usd": f"{usd:f}"}, rows=rows)
        return hold.model_copy(update={"state": "settled", "settled_usd": usd})

    def record_conversion(self, conversion: Conversion) -> None:
        """Keep a conversion. Raises PermanentFailure when the venue's reference stands already for another one."""
        conversions = tables.conversions
        query = select(conversions.c.id).where(
            conversions.c.venue == conversion.venue, conversions.c.venue_ref == conversion.venue_ref
        )
        standing = self._connection.execute(query).scalar_one_or_none()
        if standing not in (None, conversion.id):
            what = f"{conversion.venue} {conversion.venue_ref}"
            raise PermanentFailure(f"conversion {conversion.id}: {what} stands already as {standing}")
        row = self._record(conversions, columns_of(conversion))
        if row is None:
            return
        body = {
            "from_asset": conversion.from_asset,
            "from_units": str(conversion.from_units),
            "to_asset": conversion.to_asset,
            "to_units": str(conversion.to_units),
            "rate_executed": f"{conversion.rate_executed:f}",
            "fee_usd": f"{conversion.fee_usd:f}",
            "slippage_usd": f"{conversion.slippage_usd:f}",
            "price_sha256": conversion.price_sha256,
            "venue": conversion.venue,
            "venue_ref": conversion.venue_ref,
            "mode": conversion.mode,
        }
        subject = {"order": conversion.order_id, "conversion": conversion.id}
        self._leaf("conversion.recorded", subject, body, rows=[row])

    def record_usage(self, rows: Iterable[Usage]) -> None:
        """Keep what a lease used. Rows that stand already are passed over; other figures for them are refused."""
        by_lease: dict[str, list[Usage]] = {}
        for row in rows:
            by_lease.setdefault(row.lease_id, []).append(row)
        for lease_id, periods in by_lease.items():
            order_id = self.reads.lease(lease_id).order_id
            self._record_all("usage.recorded", {"order": order_id, "lease": lease_id}, tables.usage, periods)

    def record_charges(self, rows: Iterable[Charge]) -> None:
        """Keep priced lines. Rows that stand already are passed over; other figures for them are refused."""
        by_lease: dict[tuple[str, str], list[Charge]] = {}
        for row in rows:
            if row.invoice_number is not None:
                raise PermanentFailure(f"charge {row.id} cannot be recorded as invoiced: only an invoice does that")
            by_lease.setdefault((row.order_id, row.lease_id), []).append(row)
        for (order_id, lease_id), charges in by_lease.items():
            self._record_all("charges.recorded", {"order": order_id, "lease": lease_id}, tables.charges, charges)

    def issue_invoice(
        self, tenant: str, month: str, build: Callable[[str, Sequence[Charge]], Invoice]
    ) -> Invoice | None:
        """Put all charges of a tenant and month that stand on no invoice yet onto one; None when there are none.

        `build` gets the next number of the month's year and the charges. The number is taken in this transaction, so
        a failure leaves no gap. Raises PermanentFailure when the invoice built is not about exactly those charges.
        """
        charges = [charge for charge in self.reads.charges(month=month, invoiced=False) if charge.tenant == tenant]
        if not charges:
            return None
        number, counter = self._next_number(int(month[:4]))
        invoice = build(number, charges)
        _check_invoice(invoice, number, tenant, month, charges)
        values = {"number": number, "tenant": tenant, "month": month, "issued_at": invoice.issued_at}
        row = self._insert(tables.invoices, {**values, "document": canonical(invoice.model_dump(mode="json"))})
        marked = [self._update(tables.charges, charge.id, {"invoice_number": number}) for charge in charges]
        body = {
            "month": month,
            "lines": len(invoice.lines),
            "charges": len(charges),
            "total_usd": f"{invoice.total_usd:f}",
            "simulated": invoice.simulated,
        }
        self._leaf("invoice.issued", {"invoice": number, "tenant": tenant}, body, rows=[row, counter, *marked])
        return invoice

    def _next_number(self, year: int) -> tuple[str, Written]:
        counters = tables.invoice_counters
        query = select(counters.c.last).where(counters.c.series == SERIES, counters.c.year == year)
        last = self._connection.execute(query).scalar_one_or_none()
        values = {"series": SERIES, "year": year, "last": (last or 0) + 1}
        number = f"{SERIES}-{year}-{values['last']:06d}"
        if last is None:
            return number, self._insert(counters, values)
        return number, self._update(counters, (SERIES, year), values)

    def _record_all(
        self, kind: str, subject: Mapping[str, str], table: Table, facts: Sequence[Usage] | Sequence[Charge]
    ) -> None:
        written = [self._record(table, columns_of(fact), may_differ="invoice_number") for fact in facts]
        rows = [row for row in written if row]
        if rows:
            self._leaf(kind, subject, {"count": len(rows)}, rows=rows)

    def _change_budget(self, budget: Budget, **amounts: Decimal) -> Written:
        return self._update(tables.budgets, budget.cost_centre, amounts)


def _subject(hold: Hold) -> dict[str, str]:
    return {"order": hold.order_id, "cost_centre": hold.cost_centre}


def _check_usd(usd: Decimal, *, allowed: str, good: bool) -> None:
    if not good:
        raise InvalidInput([Problem("usd", str(usd), allowed)])


def _check_cost_centre(name: str) -> None:
    try:
        _SLUG.validate_python(name)
    except ValidationError as error:
        allowed = "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit"
        raise InvalidInput([Problem("cost_centre", name, allowed)]) from error


def _check_invoice(invoice: Invoice, number: str, tenant: str, month: str, charges: Sequence[Charge]) -> None:
    asked = (number, tenant, month, sorted(charge.id for charge in charges))
    built = (
        invoice.number,
        invoice.tenant,
        invoice.month,
        sorted(charge_id for line in invoice.lines for charge_id in line.charge_ids),
    )
    if asked != built:
        raise PermanentFailure(f"invoice {number}: what was built is not about the charges it was built from")
