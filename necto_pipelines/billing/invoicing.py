"""Invoices: charges of one tenant and month gathered into lines that re-add, and the check that they do.

Who takes the number and stores the invoice is `books`; files drawn from it are `documents`. Tax is not computed here.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final

from necto_pipelines.billing.charges import SETTLEMENT
from necto_pipelines.billing.metering import month_bounds
from necto_pipelines.billing.pricing import line_amount, unit_price, whole_cents
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.invoice import Invoice, InvoiceLine
from necto_pipelines.model.lease import Charge, ChargeKind
from necto_pipelines.model.money import ROUNDING_POLICY

_NUMBER: Final = re.compile(r"[A-Z][A-Z0-9]*-(?P<year>\d{4})-\d{6,}")
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_ORDER_OF_KINDS: Final = tuple(ChargeKind)


def build_invoice(
    number: str,
    tenant: str,
    month: str,
    charges: Sequence[Charge],
    *,
    issued_at: datetime,
    simulated: bool,
    due_days: int = 30,
) -> Invoice:
    """The invoice for `charges`, which must all be of this tenant and month and on no other invoice.

    One line for each network, kind, resource, order, lease, cost centre and unit, in that order, so that each line is
    walked back to one lease. The unit price of a line is chosen so that quantity x unit price rounds to the same cent
    as the exact sum of its charges (`pricing.unit_price`); the total is the sum of the rounded lines. The order of
    `charges` changes nothing.

    Raises PermanentFailure listing everything wrong with the charges or the finished invoice.
    """
    _refuse(number, list(_charge_faults(number, tenant, month, charges)))
    groups = groupby(sorted(charges, key=_walk_order), key=_line_key)
    lines = tuple(_line(position, list(group)) for position, (_, group) in enumerate(groups, start=1))
    invoice = Invoice(
        number=number,
        tenant=tenant,
        month=month,
        issued_at=issued_at,
        due_on=(issued_at.astimezone(UTC) + timedelta(days=due_days)).date(),
        lines=lines,
        total_usd=whole_cents(sum((line.amount_usd for line in lines), Decimal(0))),
        simulated=simulated,
    )
    _refuse(number, check_invoice(invoice))
    return invoice


def check_invoice(invoice: Invoice) -> list[str]:
    """Re-add an invoice from what it prints; every fault found as a sentence, none when it is sound.

    1. The head: number, month, times, currency and rounding policy are what they must be.
    2. Each line: its figures re-add, its period lies in the month, and it names what it came from.
    3. The whole: positions run from 1, no charge stands twice, the total is the sum of the lines.
    """
    faults = list(_head_faults(invoice))
    for line in invoice.lines:
        faults += [f"line {line.position}: {fault}" for fault in _line_faults(invoice, line)]
    if [line.position for line in invoice.lines] != list(range(1, len(invoice.lines) + 1)):
        faults.append("the positions of the lines do not run from 1 without a gap")
    charge_ids = [charge_id for line in invoice.lines for charge_id in line.charge_ids]
    faults += [f"charge {charge_id} stands more than once" for charge_id in _repeated(charge_ids)]
    total = sum((line.amount_usd for line in invoice.lines), Decimal(0))
    if invoice.total_usd != total:
        faults.append(f"the total is {invoice.total_usd}, the lines add up to {total}")
    return faults


def _charge_faults(number: str, tenant: str, month: str, charges: Sequence[Charge]) -> Iterator[str]:
    if not charges:
        yield "there are no charges"
    for charge_id in _repeated([charge.id for charge in charges]):
        yield f"charge {charge_id} is given more than once"
    for charge in charges:
        if charge.tenant != tenant:
            yield f"charge {charge.id} is of tenant {charge.tenant}, not of {tenant}"
        if charge.month != month:
            yield f"charge {charge.id} is of month {charge.month}, not of {month}"
        if charge.invoice_number not in {None, number}:
            yield f"charge {charge.id} stands on invoice {charge.invoice_number} already"


def _head_faults(invoice: Invoice) -> Iterator[str]:
    number = _NUMBER.fullmatch(invoice.number)
    if number is None:
        yield f"number {invoice.number!r} is not of the form SERIES-YYYY-000001"
    elif number["year"] != invoice.month[:4]:
        yield f"number {invoice.number} counts in another year than month {invoice.month}"
    if not _MONTH.fullmatch(invoice.month):
        yield f"month {invoice.month!r} is not of the form YYYY-MM"
    if not invoice.tenant:
        yield "no tenant is named"
    if not invoice.lines:
        yield "there are no lines"
    if invoice.currency != "USD":
        yield f"currency {invoice.currency!r} is not USD, in which the amounts are"
    if invoice.rounding_policy != ROUNDING_POLICY:
        yield f"rounding policy {invoice.rounding_policy!r} is unknown; known is {ROUNDING_POLICY}"
    if invoice.issued_at.tzinfo is None:
        yield f"issued_at {invoice.issued_at} has no offset"
    elif invoice.due_on < invoice.issued_at.astimezone(UTC).date():
        yield f"it is due on {invoice.due_on}, before it was issued at {invoice.issued_at}"


def _line_faults(invoice: Invoice, line: InvoiceLine) -> Iterator[str]:
    if line.quantity <= 0:
        yield f"quantity {line.quantity} is not above zero"
    if (amount := line_amount(line.quantity, line.unit_price_usd)) != line.amount_usd:
        yield f"{line.quantity} {line.unit} x {line.unit_price_usd} is {amount}, not {line.amount_usd}"
    if not line.charge_ids:
        yield "no charge is named"
    for field in ("network", "resource", "description", "unit", "lease_id", "order_id", "cost_centre"):
        if not getattr(line, field):
            yield f"{field} is empty"
    if line.period_start.tzinfo is None or line.period_end.tzinfo is None:
        yield f"period {line.period_start} to {line.period_end} has no offset"
    elif line.period_end < line.period_start:
        yield f"period ends at {line.period_end}, before its start {line.period_start}"
    elif _MONTH.fullmatch(invoice.month):
        first, after = month_bounds(invoice.month)
        if not (first <= line.period_start < after and line.period_end <= after):
            yield f"period {line.period_start} to {line.period_end} is not within {invoice.month}"


def _line_key(charge: Charge) -> tuple[str | int, ...]:
    return (
        charge.network,
        _ORDER_OF_KINDS.index(charge.kind),
        charge.resource,
        charge.order_id,
        charge.lease_id,
        charge.cost_centre,
        charge.unit,
    )


def _walk_order(charge: Charge) -> tuple[str | int | datetime, ...]:
    return (*_line_key(charge), charge.period_start, charge.id)


def _line(position: int, charges: Sequence[Charge]) -> InvoiceLine:
    """The line of charges that share a line key."""
    first = charges[0]
    quantity = sum((charge.quantity for charge in charges), Decimal(0))
    exact = sum((charge.amount_usd for charge in charges), Decimal(0))
    price = unit_price(exact, quantity)
    return InvoiceLine(
        position=position,
        network=first.network,
        resource=first.resource,
        description=_description(first, exact),
        period_start=min(charge.period_start for charge in charges),
        period_end=max(charge.period_end for charge in charges),
        quantity=quantity,
        unit=first.unit,
        unit_price_usd=price,
        amount_usd=line_amount(quantity, price),
        charge_ids=tuple(charge.id for charge in charges),
        lease_id=first.lease_id,
        order_id=first.order_id,
        cost_centre=first.cost_centre,
    )


def _description(charge: Charge, amount_usd: Decimal) -> str:
    what = f"{charge.resource} ({charge.network.capitalize()})"
    match charge.kind:
        case ChargeKind.COMPUTE if charge.unit == SETTLEMENT:
            return f"GPU compute {what}, settled without metered time"
        case ChargeKind.COMPUTE:
            return f"GPU compute {what}"
        case ChargeKind.CONVERSION_FEE:
            return f"Conversion fee {what}"
        case ChargeKind.SLIPPAGE:
            return f"Conversion {'gain (negative slippage)' if amount_usd < 0 else 'slippage'} {what}"


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def _refuse(number: str, faults: Sequence[str]) -> None:
    if faults:
        raise PermanentFailure(f"invoice {number} cannot be issued: " + "; ".join(faults))
