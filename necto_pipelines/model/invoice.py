"""The document a finance team books."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict

from necto_pipelines.model.money import ROUNDING_POLICY, ExactDecimal


class InvoiceLine(BaseModel):
    """One line. `amount_usd` is quantity x unit price rounded half-up to the cent; the charges behind it are named."""

    model_config = ConfigDict(frozen=True)

    position: int
    network: str
    resource: str
    description: str
    period_start: datetime
    period_end: datetime
    quantity: ExactDecimal
    unit: str
    unit_price_usd: ExactDecimal
    amount_usd: ExactDecimal
    charge_ids: tuple[str, ...]
    lease_id: str
    order_id: str
    cost_centre: str


class Invoice(BaseModel):
    """An issued invoice; never changed afterwards. Numbers of a series and year have no gaps."""

    model_config = ConfigDict(frozen=True)

    number: str
    """`NECTO-2026-000001`: series, year, counter"""
    tenant: str
    month: str
    issued_at: datetime
    due_on: date
    currency: str = "USD"
    lines: tuple[InvoiceLine, ...]
    total_usd: ExactDecimal
    rounding_policy: str = ROUNDING_POLICY
    simulated: bool
    """True when any line comes from the sandbox; printed on every page"""
