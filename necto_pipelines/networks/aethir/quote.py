"""A quote: what one unit of a specification costs in a region, from whom, by which contract, and how long it holds.

Rate cards are lists of quotes, and so is the simulated inventory. Units are rented whole. Which file or answer a quote
was read from belongs to `rate_card.py` and `wire.py`; what offers are made of it to `catalog.py`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from necto_pipelines.model.gpu import FAMILIES, Gpu, normalise_gpu, wanted_gpu
from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.model.order import Line
from necto_pipelines.model.place import Country

DEAREST_USD_PER_GPU_HOUR: Final = 100
"""the catalog refuses anything above as a misread unit, and with it every other row: the limit is ours"""
PLACEHOLDERS: Final = frozenset({"n/a", "na", "none", "null", "nil", "unknown", "tbd", "-", "--", "?"})
"""what is written where nothing is known"""
_DATE: Final = "write a date as 2026-11-30"


class RentalMode(StrEnum):
    """The two kinds of order that Aethir's customers know."""

    ON_DEMAND = "ON_DEMAND"
    """time in which the machine was broken is not paid"""
    RESERVE = "RESERVE"
    """a day on which the machine was broken is not paid at all"""


def _day(value: Any) -> date:
    """A date by its ISO text only: a bare number would be read as seconds since 1970."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError(_DATE)
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{_DATE}; {error}") from error


Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Quote(BaseModel):
    """A row of a rate card. Machine sizes are those of one unit; days are UTC, and `valid_until` is the last one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counterparty: Line = Field(min_length=1, max_length=120)
    """who signed: Aethir itself, or the reseller"""
    contract: Line = Field(min_length=1, max_length=120)
    """where the price stands: number of the contract or order form"""
    spec: Name
    gpu_model: str
    gpus_per_unit: int = Field(ge=1, le=64)
    vram_gib: int = Field(ge=1, le=1024)
    """of one GPU"""
    cpu_cores: ExactDecimal = Field(gt=0, le=4096)
    memory_gib: ExactDecimal = Field(gt=0, le=65536)
    disk_gib: ExactDecimal = Field(gt=0, le=1048576)
    region: Name
    country: Country
    mode: RentalMode
    usd_per_gpu_hour: ExactDecimal = Field(gt=0, le=DEAREST_USD_PER_GPU_HOUR, decimal_places=12)
    """the price in fiat money; it is paid in ATH at the rate of the moment of the order"""
    min_hours: ExactDecimal = Field(default=Decimal(0), ge=0, le=8784, decimal_places=6)
    """the shortest order that is taken"""
    units: int = Field(ge=0, le=1_000_000)
    quoted_on: Day
    valid_from: Day
    valid_until: Day

    @field_validator("counterparty", "contract")
    @classmethod
    def _is_stated(cls, text: str) -> str:
        if text.strip().lower() in PLACEHOLDERS:
            raise ValueError("say who signed, and by which contract; a placeholder names nobody")
        return text

    @field_validator("gpu_model")
    @classmethod
    def _is_known(cls, name: str) -> str:
        wanted_gpu(name)
        return name

    @field_validator("vram_gib")
    @classmethod
    def _is_a_size_of_the_model(cls, vram_gib: int, info: ValidationInfo) -> int:
        if (name := info.data.get("gpu_model")) and normalise_gpu(name, memory_gib=vram_gib) is None:
            family = wanted_gpu(name).partition("-")[0]
            raise ValueError(f"{family} is made with {' or '.join(map(str, FAMILIES[family]))} GiB")
        return vram_gib

    @field_validator("valid_until")
    @classmethod
    def _ends_after_it_began(cls, until: date, info: ValidationInfo) -> date:
        for field in ("quoted_on", "valid_from"):
            if (start := info.data.get(field)) and until < start:
                raise ValueError(f"it must not lie before {field}, {start}")
        return until

    @property
    def gpu(self) -> Gpu:
        """The GPU under its one name."""
        gpu = normalise_gpu(self.gpu_model, memory_gib=self.vram_gib)
        if gpu is None:
            raise ValueError(f"{self.gpu_model} with {self.vram_gib} GiB was not checked")
        return gpu

    @property
    def key(self) -> str:
        """What tells this quote from every other of its card: specification, region and mode."""
        return f"{self.spec}/{self.region}/{self.mode.lower()}"

    @property
    def provider(self) -> str:
        """Who sells it where: the counterparty and its region. Who runs the machine is not told."""
        return f"{re.sub(r'[^a-z0-9]+', '-', self.counterparty.lower()).strip('-')}-{self.region}"

    @property
    def usd_per_hour(self) -> Decimal:
        """For one unit."""
        return self.usd_per_gpu_hour * self.gpus_per_unit

    @property
    def quoted_at(self) -> datetime:
        """The first moment of the day it was quoted on: its age is counted from there."""
        return _midnight(self.quoted_on)

    @property
    def ends_at(self) -> datetime:
        """The first moment it no longer holds."""
        return _midnight(self.valid_until) + timedelta(days=1)

    def fault_at(self, now: datetime) -> str:
        """Why nothing can be bought by it at `now`; empty when something can."""
        if now >= self.ends_at:
            return f"expired: valid until {self.valid_until}; ask {self.counterparty} for a new one ({self.contract})"
        if now < _midnight(self.valid_from):
            return f"not valid before {self.valid_from}"
        if now < self.quoted_at:
            return f"quoted on {self.quoted_on}, which is still to come: check the date"
        return ""


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
