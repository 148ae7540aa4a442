"""Capacity held at a provider, what it used, and the money that moved for it."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.state import LeaseState


class Lease(BaseModel):
    """A lease in the books. `network_ref` finds its deployment at the network (Akash: `dseq`)."""

    model_config = ConfigDict(frozen=True)

    id: str
    order_id: str
    decision_id: str
    attempt: int
    network: str
    provider: str
    provider_name: str
    network_ref: str
    gpu_key: str
    gpu_count: int
    country: str | None
    state: LeaseState
    usd_per_hour: ExactDecimal
    """for the whole lease, from the binding price and the block time measured with it"""
    native_amount: ExactDecimal
    native_unit: str
    block_seconds: ExactDecimal | None
    mode: SourceMode
    raw_sha256: str
    """digest of the answer that holds the binding price"""
    started_at: datetime | None
    ends_at: datetime | None
    """when the ordered hours are used up"""
    closed_at: datetime | None
    close_reason: str = ""
    settled_native: ExactDecimal | None = None
    """what the network says was paid to the provider in all, in the native unit without time; None until settled"""
    replaces: str | None = None
    """the lease that failed before its time and whose job this one goes on with"""


class Conversion(BaseModel):
    """One change of one asset into another; amounts are integers of the smallest unit (finance practice D.3)."""

    model_config = ConfigDict(frozen=True)

    id: str
    order_id: str
    attempt: int
    at: datetime
    from_asset: str
    from_units: int
    from_decimals: int
    to_asset: str
    to_units: int
    to_decimals: int
    rate_reference: ExactDecimal
    """`to` per `from` by the price source"""
    rate_executed: ExactDecimal
    price_source: str
    price_published_at: datetime
    price_sha256: str
    venue: str
    venue_ref: str
    """the venue's own id of this swap; the same reference never stands twice"""
    fee_usd: ExactDecimal
    slippage_usd: ExactDecimal
    mode: SourceMode


class EffectState(StrEnum):
    """An intent is written before the call, its outcome after it. An intent without an outcome must be reconciled."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"


class Effect(BaseModel):
    """One act on the outside world. `key` is unique: the same act is never begun twice."""

    model_config = ConfigDict(frozen=True)

    key: str
    kind: str
    order_id: str
    attempt: int
    state: EffectState
    request: dict[str, object]
    """what is needed to recognise the act at the other side; no secrets, no floats"""
    outcome: dict[str, object]
    begun_at: datetime
    ended_at: datetime | None


class Usage(BaseModel):
    """Metered quantity of one lease over one period that lies within one calendar month (UTC)."""

    model_config = ConfigDict(frozen=True)

    id: str
    lease_id: str
    period_start: datetime
    period_end: datetime
    gpu_hours: ExactDecimal
    native_units: ExactDecimal
    """as the network settled them; the periods of a lease add up to its `settled_native`"""
    usd: ExactDecimal


class ChargeKind(StrEnum):
    """What a charge is for."""

    COMPUTE = "compute"
    CONVERSION_FEE = "conversion_fee"
    SLIPPAGE = "slippage"


class Charge(BaseModel):
    """A priced line, unrounded. `month` is `YYYY-MM`. A charge stands on exactly one invoice, or on none yet."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: ChargeKind
    tenant: str
    cost_centre: str
    order_id: str
    lease_id: str
    month: str
    network: str
    resource: str
    """what was used: the GPU key for compute, the pair of assets for a conversion"""
    period_start: datetime
    period_end: datetime
    quantity: ExactDecimal
    unit: str
    unit_price_usd: ExactDecimal
    amount_usd: ExactDecimal
    invoice_number: str | None = None


class Hold(BaseModel):
    """Money reserved in a cost centre's budget for an order, before anything is placed."""

    model_config = ConfigDict(frozen=True)

    order_id: str
    cost_centre: str
    usd: ExactDecimal
    state: str
    """`held`, `released` or `settled`"""
    settled_usd: ExactDecimal = Decimal(0)


class Budget(BaseModel):
    """A cost centre's limit and what is left of it: limit - held - spent."""

    model_config = ConfigDict(frozen=True)

    cost_centre: str
    limit_usd: ExactDecimal
    held_usd: ExactDecimal
    spent_usd: ExactDecimal

    @property
    def available_usd(self) -> Decimal:
        """What a new order may still hold."""
        return self.limit_usd - self.held_usd - self.spent_usd
