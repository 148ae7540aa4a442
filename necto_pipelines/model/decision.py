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
    UNIT = "sold_in_other_units"
    """only whole machines with another number of GPUs are sold"""
    MIN_HOURS = "order_too_short"
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
    FAILURE_DOMAIN = "failure_domain_rests"
    """a lease of this order failed there a short while ago"""
    CONCENTRATION = "concentration_limit_reached"
    """the provider or network already has as much as it may"""
    COST_CENTRE = "cost_centre_budget_taken"
    """other orders take what is left in the cost centre"""
    APART = "replica_in_the_same_place"
    """a replica that the order must stand apart from is there"""
    GROUP = "group_not_placed"
    """not all orders of its group can be served"""


class ExpectedCost(BaseModel):
    """What an order is expected to cost at an offer, part by part, in US dollars (`routing/expected_cost.py`)."""

    model_config = ConfigDict(frozen=True)

    compute_usd: ExactDecimal
    conversion_usd: ExactDecimal
    """fees and slippage of turning stablecoin into what the network is paid with; 0 where nothing is converted"""
    risk_usd: ExactDecimal
    """the work that losing the lease makes worthless, times its chance and the policy's weight of risk; on no bill"""
    transfer_usd: ExactDecimal | None = None
    """moving the data; None where no price of it is known, which is not the same as nothing"""

    @property
    def total_usd(self) -> Decimal:
        """All parts that are known together."""
        return self.compute_usd + self.conversion_usd + self.risk_usd + (self.transfer_usd or Decimal(0))


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
    """what is expected to be paid for the whole order: compute and conversion; whole cents, rounded up"""
    score: int
    rank: int | None
    refusals: tuple[Refusal, ...] = ()
    details: str = ""
    """the figures behind the refusals, for a person"""
    cost: ExpectedCost | None = None
    """parts of the expected cost; None in decisions made before they were kept"""
    ranked_usd: ExactDecimal | None = None
    """what it was ranked by under the order's strategy; None in decisions made before that was kept"""
    survival: ExactDecimal | None = None
    """chance that a lease there outlasts the order's hours, 0 to 1; None where nothing was reckoned"""

    @property
    def weighed_usd(self) -> Decimal:
        """What it is ranked by, also in decisions made before that was kept."""
        return self.expected_usd if self.ranked_usd is None else self.ranked_usd


class InputPin(BaseModel):
    """A data asset as it was read: the digest names its bytes, the event names its materialization in Dagster."""

    model_config = ConfigDict(frozen=True)

    asset: str
    sha256: str
    storage_id: int | None
    run_id: str | None
    observed_at: str
    """RFC 3339; when the asset was materialized"""
    leaf: str | None = None
    """base64 hash of the leaf that names those bytes; None when they were written before there was one"""

    @property
    def as_input(self) -> dict[str, str]:
        """What a leaf says about having read this."""
        return {"asset": self.asset, "sha256": self.sha256} | ({"leaf": self.leaf} if self.leaf else {})


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
    """`model.order.Strategy`; the default stands in decisions made before there was a choice"""
    fallback: Candidate | None = None
    """the offer with a firm price that is taken when no acceptable bid comes in time (strategy `bid_and_wait`)"""
    expected_usd: ExactDecimal = Decimal(0)
    clouds_usd_per_gpu_hour: dict[str, ExactDecimal] = {}
    """cheapest on-demand price of the same GPU at each cloud when the decision was made"""

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates that could serve, cheapest first."""
        return tuple(c for c in self.candidates if not c.refusals or c.refusals == (Refusal.DEARER,))
