"""The machines that the simulated Dispersed lets, and the cards its registry knows.

US dollars per hour: RTX 5090 0.45 to 0.69, RTX 4090 0.35, RTX 3090 0.31 (RNP-019), H200 2.00 (worked example of
RNP-021, both at rendernetwork/RNPs @a7ced7740f0b), six RTX 5090 for 4.14 (operators' notes, 2026-08). No price is
published for the RTX A6000: that one is ours. So are all regions but us-east-1, the machines, and how many there are.
"""

from dataclasses import dataclass
from decimal import Decimal

from necto_pipelines.sandbox.seeded import digest, whole


@dataclass(frozen=True)
class Card:
    """A GPU by the network's name. `registered` False: shown on offers, but unknown to job specs, as the A6000 was."""

    name: str
    vram_gib: int
    low: Decimal
    high: Decimal
    """US dollars per GPU and hour"""
    counts: tuple[int, ...]
    """GPUs of the machines that hold it"""
    registered: bool = True


CARDS = (
    Card("NVIDIA RTX 5090", 32, Decimal("0.45"), Decimal("0.69"), (1, 2, 6)),
    Card("NVIDIA RTX 4090", 24, Decimal("0.35"), Decimal("0.35"), (1, 2, 4)),
    Card("NVIDIA RTX 3090", 24, Decimal("0.31"), Decimal("0.31"), (1, 4)),
    Card("NVIDIA H200", 141, Decimal("2.00"), Decimal("2.00"), (1, 8)),
    Card("NVIDIA RTX A6000", 48, Decimal("0.55"), Decimal("0.55"), (1,), registered=False),
)
REGIONS = ("us-east-1", "us-west-2", "ca-central-1", "eu-central-1", "eu-west-1", "ap-southeast-1", "jp-east-1")
_SHARED_RIG = 6
"""the machine that one-GPU jobs were put onto: six RTX 5090, each at the highest price"""


@dataclass(frozen=True)
class Machine:
    """Machines of one shape in one region, let whole. `nodes` is how many there are."""

    offer_id: str
    region: str
    card: Card
    gpu_count: int
    usd_per_hour: Decimal
    nodes: int

    @property
    def cpu_cores(self) -> int:
        return 16 * self.gpu_count

    @property
    def ram_gib(self) -> int:
        return 64 * self.gpu_count

    @property
    def storage_gib(self) -> int:
        return 500 * self.gpu_count


def machines(seed: int) -> list[Machine]:
    """Every machine there is, the same for the same seed."""
    return [_machine(seed, region, card, count) for region in REGIONS for card in CARDS for count in card.counts]


def card_uuid(card: Card) -> str:
    """The card's id in the registry."""
    return uuid_of("card", card.name)


def uuid_of(*parts: object) -> str:
    """An id in the form of a UUID, the same for the same parts."""
    text = digest("dispersed", *parts).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:32]))


def _machine(seed: int, region: str, card: Card, count: int) -> Machine:
    steps = int((card.high - card.low) * 100)
    each = card.low + Decimal(whole(0, steps, seed, "rate", region, card.name, count)) / 100
    each = card.high if count == _SHARED_RIG else each
    return Machine(
        offer_id=f"of_{digest(seed, 'offer', region, card.name, count).hex()[:16]}",
        region=region,
        card=card,
        gpu_count=count,
        usd_per_hour=each * count,
        nodes=whole(1, 4, seed, "nodes", region, card.name, count),
    )
