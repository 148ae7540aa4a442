"""Charges: usage and conversions as priced lines, unrounded, each with the tenant and cost centre that bear it.

Ids derive from the usage or conversion charged, so charging the same fact twice gives the same charge, not a second.
Rounding to cents happens on the invoice line (`invoicing`).
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from necto_pipelines.billing.metering import month_of
from necto_pipelines.billing.pricing import unit_price
from necto_pipelines.failures import PermanentFailure
from necto_pipelines.model.lease import Charge, ChargeKind, Conversion, Lease, Usage
from necto_pipelines.model.order import Order

GPU_HOURS: Final = "GPU-hours"
SETTLEMENT: Final = "settlement"
CONVERSION: Final = "conversion"


def compute_charges(order: Order, lease: Lease, usage: Iterable[Usage]) -> list[Charge]:
    """One compute charge for each piece of usage, in GPU-hours, at the price that the settled amount comes to.

    `amount_usd` is what the network settled, exactly. A piece too short to show in its nine decimals of GPU-hours but
    with money settled is charged as one settlement; a piece with neither time nor money is no charge.

    Raises PermanentFailure when lease or usage belong to something else.
    """
    _check_lease(order, lease)
    charges = []
    for piece in usage:
        if piece.lease_id != lease.id:
            raise PermanentFailure(f"usage {piece.id} belongs to lease {piece.lease_id}, not to {lease.id}")
        quantity, unit = (piece.gpu_hours, GPU_HOURS) if piece.gpu_hours else (Decimal(1), SETTLEMENT)
        if unit == SETTLEMENT and not piece.usd:
            continue
        charges.append(
            _charge(
                order,
                lease,
                charge_id=f"chg_{piece.id}",
                kind=ChargeKind.COMPUTE,
                resource=lease.gpu_key,
                period=(piece.period_start, piece.period_end),
                quantity=quantity,
                unit=unit,
                amount_usd=piece.usd,
            )
        )
    return charges


def conversion_charges(order: Order, lease: Lease, conversions: Iterable[Conversion]) -> list[Charge]:
    """Fee and slippage of each conversion made for the lease, in the month of the conversion; zeros are left out.

    Slippage keeps its sign: above zero the conversion gave less than the reference price promised, below zero it gave
    more and the gain is the tenant's, as a credit line.

    Raises PermanentFailure when lease or conversion belong to another order.
    """
    _check_lease(order, lease)
    charges = []
    for conversion in conversions:
        if conversion.order_id != order.id:
            raise PermanentFailure(f"conversion {conversion.id} belongs to {conversion.order_id}, not to {order.id}")
        for kind, usd in (
            (ChargeKind.CONVERSION_FEE, conversion.fee_usd),
            (ChargeKind.SLIPPAGE, conversion.slippage_usd),
        ):
            if usd:
                charges.append(
                    _charge(
                        order,
                        lease,
                        charge_id=f"chg_{conversion.id}_{kind}",
                        kind=kind,
                        resource=f"{conversion.from_asset} to {conversion.to_asset}",
                        period=(conversion.at, conversion.at),
                        quantity=Decimal(1),
                        unit=CONVERSION,
                        amount_usd=usd,
                    )
                )
    return charges


def _charge(
    order: Order,
    lease: Lease,
    *,
    charge_id: str,
    kind: ChargeKind,
    resource: str,
    period: tuple[datetime, datetime],
    quantity: Decimal,
    unit: str,
    amount_usd: Decimal,
) -> Charge:
    return Charge(
        id=charge_id,
        kind=kind,
        tenant=order.request.tenant,
        cost_centre=order.request.cost_centre,
        order_id=order.id,
        lease_id=lease.id,
        month=month_of(period[0]),
        network=lease.network,
        resource=resource,
        period_start=period[0],
        period_end=period[1],
        quantity=quantity,
        unit=unit,
        unit_price_usd=unit_price(amount_usd, quantity),
        amount_usd=amount_usd,
    )


def _check_lease(order: Order, lease: Lease) -> None:
    if lease.order_id != order.id:
        raise PermanentFailure(f"lease {lease.id} belongs to order {lease.order_id}, not to {order.id}")
