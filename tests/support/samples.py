"""Small valid examples of our nouns; `overrides` replace single fields."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from necto_pipelines.model.decision import Candidate, Decision, InputPin
from necto_pipelines.model.health import Failover, FailoverCause, FailureScope, Health, LeaseHealth, Telemetry
from necto_pipelines.model.invoice import Invoice, InvoiceLine
from necto_pipelines.model.lease import Charge, ChargeKind, Conversion, Lease, Usage
from necto_pipelines.model.money import cents
from necto_pipelines.model.offer import PriceBasis, SourceMode
from necto_pipelines.model.order import GpuNeed, OrderRequest, Requirement
from necto_pipelines.model.state import LeaseState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHA = "ab" * 32


def sample_request(**overrides: Any) -> OrderRequest:
    """One H100 for ten hours, for at most 100 USD, from the cost centre `research`."""
    fields: dict[str, Any] = {
        "name": "fine-tune",
        "tenant": "acme",
        "requested_by": "Ada Lovelace",
        "cost_centre": "research",
        "budget_usd": Decimal(100),
        "requirement": Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(10)),
    }
    return OrderRequest(**fields | overrides)


def sample_candidate(**overrides: Any) -> Candidate:
    """The cheapest of the offers."""
    fields: dict[str, Any] = {
        "offer_id": "akash/akash1provider/H100-80GB",
        "network": "akash",
        "provider": "akash1provider",
        "provider_name": "provider.example",
        "gpu_key": "H100-80GB",
        "country": "DE",
        "usd_per_gpu_hour": Decimal("1.85"),
        "price_basis": PriceBasis.LIST,
        "expected_usd": Decimal("18.50"),
        "score": 92,
        "rank": 1,
    }
    return Candidate(**fields | overrides)


def sample_decision(order_id: str, decision_id: str = "dec_1", **overrides: Any) -> Decision:
    """A decision for the cheapest of one candidate."""
    chosen = sample_candidate()
    fields: dict[str, Any] = {
        "id": decision_id,
        "order_id": order_id,
        "attempt": 1,
        "chosen": chosen,
        "candidates": (chosen,),
        "inputs": (
            InputPin(
                asset="provider_catalog",
                sha256=SHA,
                storage_id=17,
                run_id="run-0",
                observed_at="2026-11-22T12:00:00.000000Z",
            ),
        ),
        "expected_usd": Decimal("18.50"),
        "clouds_usd_per_gpu_hour": {"aws": Decimal("6.88")},
    }
    return Decision(**fields | overrides)


def sample_lease(order_id: str, decision_id: str = "dec_1", lease_id: str = "lse_1", **overrides: Any) -> Lease:
    """A requested lease of one H100 for 1.85 USD an hour."""
    fields: dict[str, Any] = {
        "id": lease_id,
        "order_id": order_id,
        "decision_id": decision_id,
        "attempt": 1,
        "network": "akash",
        "provider": "akash1provider",
        "provider_name": "provider.example",
        "network_ref": f"akash1owner/{lease_id}",
        "gpu_key": "H100-80GB",
        "gpu_count": 1,
        "country": "DE",
        "state": LeaseState.REQUESTED,
        "usd_per_hour": Decimal("1.850000000001"),
        "native_amount": Decimal("3020.5"),
        "native_unit": "uact/block",
        "block_seconds": Decimal("5.876"),
        "mode": SourceMode.SANDBOX,
        "raw_sha256": SHA,
        "started_at": None,
        "ends_at": None,
        "closed_at": None,
    }
    return Lease(**fields | overrides)


def sample_conversion(order_id: str, conversion_id: str = "cnv_1", **overrides: Any) -> Conversion:
    """USDC into AKT."""
    fields: dict[str, Any] = {
        "id": conversion_id,
        "order_id": order_id,
        "attempt": 1,
        "at": NOON,
        "from_asset": "USDC",
        "from_units": 20_000_000,
        "from_decimals": 6,
        "to_asset": "AKT",
        "to_units": 33_200_000,
        "to_decimals": 6,
        "rate_reference": Decimal("1.666666666666666667"),
        "rate_executed": Decimal("1.66"),
        "price_source": "coingecko",
        "price_published_at": NOON - timedelta(seconds=30),
        "price_sha256": SHA,
        "venue": "sandbox",
        "venue_ref": f"swap-{conversion_id}",
        "fee_usd": Decimal("0.02"),
        "slippage_usd": Decimal("0.06"),
        "mode": SourceMode.SANDBOX,
    }
    return Conversion(**fields | overrides)


def sample_usage(lease_id: str = "lse_1", usage_id: str = "use_1", **overrides: Any) -> Usage:
    """Ten hours of one GPU."""
    fields: dict[str, Any] = {
        "id": usage_id,
        "lease_id": lease_id,
        "period_start": NOON,
        "period_end": NOON + timedelta(hours=10),
        "gpu_hours": Decimal(10),
        "native_units": Decimal(18_500_000),
        "usd": Decimal("18.50"),
    }
    return Usage(**fields | overrides)


def sample_charge(order_id: str, lease_id: str = "lse_1", charge_id: str = "chg_1", **overrides: Any) -> Charge:
    """Ten hours of one GPU for 18.50 USD."""
    fields: dict[str, Any] = {
        "id": charge_id,
        "kind": ChargeKind.COMPUTE,
        "tenant": "acme",
        "cost_centre": "research",
        "order_id": order_id,
        "lease_id": lease_id,
        "month": "2026-11",
        "network": "akash",
        "resource": "H100-80GB",
        "period_start": NOON,
        "period_end": NOON + timedelta(hours=10),
        "quantity": Decimal(10),
        "unit": "GPU-hours",
        "unit_price_usd": Decimal("1.85"),
        "amount_usd": Decimal("18.50"),
    }
    return Charge(**fields | overrides)


def sample_invoice(number: str, charges: Sequence[Charge], **overrides: Any) -> Invoice:
    """An invoice with one line for each charge."""
    lines = tuple(
        InvoiceLine(
            position=position,
            description=f"{charge.resource} at {charge.network}",
            amount_usd=cents(charge.amount_usd),
            charge_ids=(charge.id,),
            **charge.model_dump(
                include={
                    "network",
                    "resource",
                    "period_start",
                    "period_end",
                    "quantity",
                    "unit",
                    "unit_price_usd",
                    "lease_id",
                    "order_id",
                    "cost_centre",
                }
            ),
        )
        for position, charge in enumerate(charges, start=1)
    )
    fields: dict[str, Any] = {
        "number": number,
        "tenant": charges[0].tenant,
        "month": charges[0].month,
        "issued_at": NOON,
        "due_on": NOON.date() + timedelta(days=30),
        "lines": lines,
        "total_usd": sum((line.amount_usd for line in lines), start=Decimal(0)),
        "simulated": True,
    }
    return Invoice(**fields | overrides)


def sample_telemetry(lease_id: str = "lse_1", **overrides: Any) -> Telemetry:
    """A poll at noon that found one replica of one running."""
    fields: dict[str, Any] = {
        "lease_id": lease_id,
        "observed_at": NOON,
        "state": "active",
        "healthy": True,
        "latency_ms": 120,
        "ready": 1,
        "total": 1,
        "gpu_use_pct": None,
        "runway_hours": Decimal("9.5"),
        "cost_usd": Decimal("0.925"),
        "order_cost_usd": Decimal("1.005"),
        "cap_usd": Decimal(100),
        "evidence_at": NOON - timedelta(minutes=10),
        "detail": "",
    }
    return Telemetry(**fields | overrides)


def sample_health(lease_id: str = "lse_1", **overrides: Any) -> LeaseHealth:
    """Unhealthy since noon, after ten healthy minutes."""
    fields: dict[str, Any] = {
        "lease_id": lease_id,
        "health": Health.UNHEALTHY,
        "since": NOON,
        "ill_since": NOON,
        "healthy_seconds": 600,
        "detail": "0 of 1 replicas run",
    }
    return LeaseHealth(**fields | overrides)


def sample_failover(order_id: str, lease_id: str = "lse_1", **overrides: Any) -> Failover:
    """Given up after ten healthy minutes because it stayed unhealthy."""
    fields: dict[str, Any] = {
        "lease_id": lease_id,
        "failover_id": "fov_1",
        "order_id": order_id,
        "attempt": 1,
        "number": 1,
        "cause": FailoverCause.UNHEALTHY,
        "reason": "0 of 1 replicas run",
        "decided_at": NOON,
        "delivered_hours": Decimal("0.166666"),
        "scope": FailureScope.PLACE,
        "network": "akash",
        "provider": "akash1provider",
        "region": "eu-central",
        "country": "DE",
        "organisation": None,
    }
    return Failover(**fields | overrides)
