"""Orders, leases, conversions and charges that the billing tests are written with; each field can be set apart."""

from datetime import UTC, datetime
from decimal import Decimal

from necto_pipelines.billing.invoicing import build_invoice
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Charge, ChargeKind, Conversion, Lease
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState

NUMBER = "NECTO-2026-000001"
ISSUED_AT = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def order(**changes: object) -> Order:
    request = {
        "name": "fine-tune",
        "tenant": "meridian",
        "cost_centre": "research",
        "budget_usd": "5000",
        "requirement": {"gpu": {"model": "H100", "count": 8}, "hours": "24"},
    }
    fields: dict[str, object] = {
        "id": "ord_1",
        "request": request,
        "state": OrderState.ACTIVE,
        "reason": "",
        "submitted_at": utc(2026, 11, 1),
        "updated_at": utc(2026, 11, 1),
        "next_attempt_at": None,
        "attempt": 1,
        "run_id": None,
    }
    return Order.model_validate(fields | changes)


def lease(**changes: object) -> Lease:
    fields: dict[str, object] = {
        "id": "lse_1",
        "order_id": "ord_1",
        "decision_id": "dec_1",
        "attempt": 1,
        "network": "akash",
        "provider": "akash1provider",
        "provider_name": "provider.example",
        "network_ref": "akash1owner/1/1/1/akash1provider",
        "gpu_key": "H100-80GB",
        "gpu_count": 8,
        "country": "DE",
        "state": LeaseState.CLOSED,
        "usd_per_hour": "12.5",
        "native_amount": "20400",
        "native_unit": "uact/block",
        "block_seconds": "5.876",
        "mode": SourceMode.SANDBOX,
        "raw_sha256": "0" * 64,
        "started_at": utc(2026, 11, 29, 12),
        "ends_at": None,
        "closed_at": utc(2026, 12, 2, 12),
    }
    return Lease.model_validate(fields | changes)


def conversion(**changes: object) -> Conversion:
    fields: dict[str, object] = {
        "id": "cnv_1",
        "order_id": "ord_1",
        "attempt": 1,
        "at": utc(2026, 11, 29, 11, 59),
        "from_asset": "USDC",
        "from_units": 100_000_000,
        "from_decimals": 6,
        "to_asset": "AKT",
        "to_units": 160_000_000,
        "to_decimals": 6,
        "rate_reference": "1.6",
        "rate_executed": "1.6",
        "price_source": "oracle",
        "price_published_at": utc(2026, 11, 29, 11, 58),
        "price_sha256": "0" * 64,
        "venue": "sandbox-rail",
        "venue_ref": "swap-1",
        "fee_usd": "0.1",
        "slippage_usd": "0.25",
        "mode": SourceMode.SANDBOX,
    }
    return Conversion.model_validate(fields | changes)


def charge(**changes: object) -> Charge:
    fields: dict[str, object] = {
        "id": "chg_1",
        "kind": ChargeKind.COMPUTE,
        "tenant": "meridian",
        "cost_centre": "research",
        "order_id": "ord_1",
        "lease_id": "lse_1",
        "month": "2026-11",
        "network": "akash",
        "resource": "H100-80GB",
        "period_start": utc(2026, 11, 3, 10),
        "period_end": utc(2026, 11, 4, 10),
        "quantity": "192",
        "unit": "GPU-hours",
        "unit_price_usd": "1.5",
        "amount_usd": "288",
    }
    return Charge.model_validate(fields | changes)


def fee(**changes: object) -> Charge:
    at = utc(2026, 11, 3, 9)
    fields: dict[str, object] = {
        "id": "chg_2",
        "kind": ChargeKind.CONVERSION_FEE,
        "resource": "USDC to AKT",
        "period_start": at,
        "period_end": at,
        "quantity": "1",
        "unit": "conversion",
        "unit_price_usd": "0.288",
        "amount_usd": "0.288",
    }
    return charge(**(fields | changes))


def gain(**changes: object) -> Charge:
    return fee(**({"id": "chg_3", "kind": ChargeKind.SLIPPAGE, "amount_usd": "-0.0412"} | changes))


def invoice(*charges: Charge, simulated: bool = True) -> Invoice:
    return build_invoice(
        NUMBER,
        "meridian",
        "2026-11",
        charges or (charge(), fee(), gain()),
        issued_at=ISSUED_AT,
        simulated=simulated,
    )


def many(count: int) -> list[Charge]:
    """Charges of as many leases, on three networks and three cost centres."""
    return [
        charge(
            id=f"chg_m{index}",
            lease_id=f"lse_{index:04d}",
            order_id=f"ord_{index:04d}",
            network=("akash", "render", "aethir")[index % 3],
            cost_centre=("research", "risk", "platform")[index % 7 % 3],
            quantity=Decimal(index + 1) / 8,
            amount_usd=Decimal(index * 7919 + 1) / 1000,
        )
        for index in range(count)
    ]
