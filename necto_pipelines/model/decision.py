"""The outcome of routing for one order: what was chosen, what stood behind it, and why every other offer lost."""

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.model.offer import PriceBasis


class Refusal(StrEnum):
    """Why an offer cannot serve an order."""

    NETWORK = "network_not_allowed"
    GPU = "gpu_model_differs"
    VRAM = "vram_too_small"
    COMPUTE = "compute_too_small_or_unknown"
    CAPACITY = "not_enough_gpus_free"
    MACHINE = "cpu_memory_or_disk_too_small"
    COUNTRY = "country_not_allowed"
    REGION = "region_not_wanted"
    INTERRUPTIBLE = "offer_is_interruptible"
    PRICE_CAP = "price_above_cap"
    BUDGET = "cost_above_budget"
    OFFLINE = "provider_offline"
    VERSION = "provider_version_invalid"
    NO_EVIDENCE = "no_evidence"
    NOT_AUDITED = "attributes_not_audited"
    EVIDENCE_EXPIRED = "evidence_expired"
    UPTIME = "uptime_too_low"
    SCORE = "score_too_low"
    STALE = "offer_too_old"
    DEARER = "dearer_than_the_chosen"
    """feasible and compliant, but not the cheapest"""
    NO_BID = "no_bid_received"
    """asked for a binding price and did not answer"""
    PLACE_FAILED = "placement_failed"


class Candidate(BaseModel):
    """One offer as routing saw it. `refusals` empty means it could serve; `rank` counts the cheapest as 1."""

    model_config = ConfigDict(frozen=True)

    offer_id: str
    network: str
    provider: str
    provider_name: str
    gpu_key: str
    country: str | None
    usd_per_gpu_hour: ExactDecimal
    price_basis: PriceBasis
    expected_usd: ExactDecimal
    """for the whole order"""
    score: int
    rank: int | None
    refusals: tuple[Refusal, ...] = ()
    details: str = ""
    """the figures behind the refusals, for a person"""


class InputPin(BaseModel):
    """A data asset as it was read: the digest names its bytes, the event names its materialization in Dagster."""

    model_config = ConfigDict(frozen=True)

    asset: str
    sha256: str
    storage_id: int | None
    run_id: str | None
    observed_at: str
    """RFC 3339; when the asset was materialized"""


class Decision(BaseModel):
    """Why an order went where it went. `chosen` is the best candidate; None when nothing could serve."""

    model_config = ConfigDict(frozen=True)

    id: str
    order_id: str
    attempt: int
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]
    """every offer looked at: first the ranked, then the refused"""
    inputs: tuple[InputPin, ...]
    strategy: str = "cheapest_compliant"
    expected_usd: ExactDecimal = Decimal(0)
    clouds_usd_per_gpu_hour: dict[str, ExactDecimal] = {}
    """cheapest on-demand price of the same GPU at each cloud when the decision was made"""

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates that could serve, cheapest first."""
        return tuple(c for c in self.candidates if not c.refusals or c.refusals == (Refusal.DEARER,))
