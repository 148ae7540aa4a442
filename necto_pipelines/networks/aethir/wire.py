"""Answers in Aethir's envelope, as far as Necto reads them.

The envelope is Aethir's own: `{"code":135000,"msg":"OK","data":{...}}`, success told by `code` alone, failures answered
with HTTP 200 and text in `data` (live answers of other endpoints, 2025-01 and 2026-08-19). What stands in `data` here
is **simulated, not Aethir's published API**: it publishes none for tenants. Extra fields are let through; amounts are
text, moments milliseconds since 1970. What answers mean in our nouns belongs to `catalog.py` and `adapter.py`.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.networks.aethir.quote import Quote

OK: Final = 135000
BUSY: Final = 135500
"""'The system is busy. Please try again later'; calls without credentials are answered so too (live, 2026-08-19)"""
SOLD_OUT: Final = 135409
"""SIMULATED: which codes Aethir has beside the two above is not published"""
OrderStatus = Literal["PROVISIONING", "RUNNING", "DOWN", "RELEASED", "COMPLETED", "FAILED"]


def _moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def _whole_micro(amount: Decimal) -> Decimal:
    if amount != round(amount, 6):
        raise ValueError("ATH has millionths at most here")
    return amount


Ath = Annotated[ExactDecimal, Field(ge=0, le=10**15), AfterValidator(_whole_micro)]
Milliseconds = Annotated[int, Field(ge=0, le=10**14)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class WireEnvelope(_Wire):
    """Any answer. `data` is text on failure and an object on success."""

    code: int
    msg: str = ""
    data: object = None


class WireList(_Wire):
    """Any list; the rows are checked one by one. All of it, or it is not used."""

    records: list[object]
    total: int = Field(ge=0)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.total != len(self.records):
            raise ValueError(f"{len(self.records)} of {self.total} rows came")
        return self


class WireQuote(Quote):
    """A row of the inventory: a quote under camel-case names."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="ignore")


class WireCreated(_Wire):
    """The answer to an order, as far as it must be understood to find it again."""

    order_id: str = Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")
    """put into paths, so nothing but an id is let through"""
    ath_rate: ExactDecimal = Field(gt=0)
    """US dollars for one ATH, fixed with the order"""
    locked_at: Milliseconds
    ath_amount: Ath
    """what all its hours cost at that rate: the most that it can come to"""


class WireOrder(WireCreated):
    """An order as it stands."""

    client_ref: str | None = None
    provider: str
    """counterparty and region, as `Quote.provider` writes them"""
    status: OrderStatus
    usd_per_hour: ExactDecimal = Field(gt=0)
    started_at: Milliseconds | None = None
    ended_at: Milliseconds | None = None
    settled_ath: Ath

    @model_validator(mode="after")
    def _costs_no_more_than_was_fixed(self) -> Self:
        if self.settled_ath > self.ath_amount:
            raise ValueError(f"{self.settled_ath} ATH were settled, {self.ath_amount} were fixed with the order")
        return self

    @property
    def opened(self) -> datetime | None:
        """When its machine was handed over."""
        return _moment(self.started_at) if self.started_at is not None else None

    @property
    def ended(self) -> datetime | None:
        """When it ended; None while it lasts."""
        return _moment(self.ended_at) if self.ended_at is not None else None
