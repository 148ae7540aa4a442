"""What a source says a machine costs, before anybody believes it.

Sources make claims, the gate in `plausibility.py` judges them, and those that stand become `CloudPrice` rows.
"""

from decimal import Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from necto_pipelines.model.gpu import Gpu
from necto_pipelines.model.offer import CloudPrice, SourceMode
from necto_pipelines.model.tables import COUNT, REAL, TEXT, USD, Table

USD_STEP: Final = Decimal("1E-12")
"""what a table's money column holds"""


class PriceClaim(BaseModel):
    """A machine's hourly price in one place, as its source has it. None where the source says nothing.

    Sources that price a machine by its parts give the share of the GPUs too: a fault there is diluted in the whole.
    """

    model_config = ConfigDict(frozen=True)

    cloud: str
    instance: str
    gpu: Gpu
    gpu_count: int = Field(ge=1)
    region: str
    zone: str = ""
    usd_per_hour: Decimal | None
    spot_usd_per_hour: Decimal | None = None
    gpus_usd_per_hour: Decimal | None = None
    """all GPUs of the machine, without the rest of it"""
    gpus_spot_usd_per_hour: Decimal | None = None
    region_level: float | None = None
    """what machines without GPUs cost in this region, as a share of their median over the cloud's regions"""
    as_of: str
    source: str
    mode: SourceMode
    raw_sha256: str

    @property
    def label(self) -> str:
        """What the claim is about, for a person."""
        return f"{self.cloud} {self.instance} {self.zone or self.region}"

    def price(self) -> CloudPrice:
        """The claim as a price; ValueError when it names none."""
        if self.usd_per_hour is None:
            raise ValueError(f"{self.label}: no price is claimed")
        return CloudPrice(
            cloud=self.cloud,
            instance=self.instance,
            gpu=self.gpu,
            gpu_count=self.gpu_count,
            region=self.region,
            usd_per_hour=self.usd_per_hour,
            usd_per_gpu_hour=(self.usd_per_hour / self.gpu_count).quantize(USD_STEP),
            as_of=self.as_of,
            source=self.source,
            mode=self.mode,
            raw_sha256=self.raw_sha256,
        )


CLAIMS: Final = Table(
    "cloud_price_claims",
    {
        "cloud": (TEXT, "whose price list"),
        "instance": (TEXT, "machine type"),
        "gpu_key": (TEXT, "GPU model"),
        "gpu_count": (COUNT, "GPUs in the machine"),
        "region": (TEXT, "the cloud's region"),
        "usd_per_hour": (USD, "on-demand, whole machine"),
        "spot_usd_per_hour": (USD, "spot, whole machine; zero or less means that there is none"),
        "gpus_usd_per_hour": (USD, "on-demand, all GPUs without the rest of the machine"),
        "gpus_spot_usd_per_hour": (USD, "spot, all GPUs without the rest of the machine"),
        "region_level": (REAL, "price level of the region, 1 is the cloud's median"),
        "as_of": (TEXT, "date of the figure"),
    },
)
"""The columns that the gate works on."""
