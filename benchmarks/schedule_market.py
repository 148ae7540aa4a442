"""A market in memory that the schedules buy at: two networks, a venue, an oracle, all simulated and without sockets.

What it asks for stays within what the ceiling of an order provides for: fees, slippage and spread as far as
`ceilings.CONVERSION_COST` has room for them, settlements up to the deposit. What really left is added up in `taken`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from necto_pipelines.failures import Unavailable, Unknown
from necto_pipelines.market.rails import Swap
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode, TokenPrice
from necto_pipelines.networks.port import LeaseStatus

SHA = "00" * 32
VENUE_FEE_BPS, MOST_SLIPPAGE_BPS, MOST_SPREAD_BPS = 10, 30, 25
"""what `ceilings.CONVERSION_COST` is made of"""


@dataclass
class Market:
    """Prices that move, swaps that may be lost, and what each order was really charged, in dollars."""

    random: Random
    clock: FrozenClock = field(default_factory=FrozenClock)
    usd_per_gpu_hour: Decimal = Decimal(2)
    akt_usd: Decimal = Decimal("0.60")
    swaps: dict[str, Swap] = field(default_factory=dict)
    taken: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    lines: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """how many amounts of an order are rounded to cents"""
    unanswered: set[str] = field(default_factory=set)
    """swaps whose reply was lost"""
    name: str = "schedules"
    mode: SourceMode = SourceMode.SANDBOX

    def move(self) -> None:
        """Change every price; that of AKT not while a swap is under way, for what that may cost no ceiling provides."""
        self.usd_per_gpu_hour = (self.usd_per_gpu_hour * self.random.randint(67, 150) / 100).quantize(Decimal("0.0001"))
        self.usd_per_gpu_hour = min(max(self.usd_per_gpu_hour, Decimal("0.05")), Decimal(60))
        if self.unanswered:
            return
        self.akt_usd = (self.akt_usd * self.random.randint(80, 125) / 100).quantize(Decimal("0.0001"))
        self.akt_usd = min(max(self.akt_usd, Decimal("0.1")), Decimal(9))

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """What an oracle says: USDC at one dollar, AKT where it stands now."""
        now, usd = self.clock.now(), {"USDC": Decimal(1), "AKT": self.akt_usd}
        rows = [
            TokenPrice(
                token=token,
                usd=usd[token],
                published_at=now,
                observed_at=now,
                consensus=True,
                source=self.name,
                mode=self.mode,
                raw_sha256=SHA,
            )
            for token in tokens
        ]
        return Listing(tuple(rows), ())

    def swap(self, client_id: str, from_asset: str, to_asset: str, from_units: int) -> Swap:
        """Change at a rate of luck; the reply may be lost, whether it happened or not."""
        lost = self.random.random() < 0.1
        if lost:
            self.unanswered.add(client_id)
        else:
            self.unanswered.discard(client_id)
        if lost and self.random.random() < 0.5:
            raise Unknown("the venue did not answer; nothing happened")
        if client_id not in self.swaps:
            buys = from_asset == "USDC"
            most_bps, fee_bps = (MOST_SLIPPAGE_BPS, VENUE_FEE_BPS) if buys else (MOST_SPREAD_BPS, 0)
            rate = 1 / self.akt_usd if buys else self.akt_usd
            fee = -(-from_units * fee_bps // 10_000)
            share = 1 - Decimal(self.random.choice((0, most_bps, self.random.randint(0, most_bps)))) / 10_000
            to_units = int((from_units - fee) * rate * share) + 1  # rounded in our favour, not above the reference
            to_units = min(to_units, int((from_units - fee) * rate))
            raw = RawAnswer("simulated:swap", b"{}", SHA, self.clock.now())
            ref = f"{client_id}@{self.random.getrandbits(64):x}"
            done = Swap(ref, client_id, from_asset, from_units, to_asset, to_units, fee, self.clock.now(), raw)
            self.swaps[client_id] = done
            worth = Decimal(1) if buys else self.akt_usd
            order_id = client_id.partition("/")[0]
            self.taken[order_id] += (from_units * worth - to_units * (self.akt_usd if buys else 1)) / 1_000_000
            self.lines[order_id] += 2
        if lost and self.random.random() < 0.5:
            raise Unavailable("the venue's reply was lost, and so was the look-up")
        if lost:
            raise Unknown("the venue's reply was lost; it happened")
        return self.swaps[client_id]

    def find(self, client_id: str) -> Swap | None:
        """The swap under our id."""
        if client_id in self.swaps:
            self.unanswered.discard(client_id)
        return self.swaps.get(client_id)

    def write_raw(self, _body: bytes) -> None:
        """Nothing is kept."""


@dataclass
class Place:
    """A network of the market: it bills `ACT` out of a deposit, or a dollar account."""

    market: Market
    name: str
    paid_in: str
    binding_bids: bool = False
    bills: dict[str, Decimal] = field(default_factory=dict)
    """what a deployment costs when it is closed, in whole micro-dollars"""
    silent: set[str] = field(default_factory=set)
    """deployments that cannot be closed now"""

    def close(self, ref: str) -> LeaseStatus:
        """Close a deployment and say what it cost; Unavailable while it is silent."""
        if ref in self.silent:
            raise Unavailable("the network does not answer")
        now, micro = self.market.clock.now(), self.bills[ref]
        settled = micro if self.paid_in == "ACT" else micro / 1_000_000
        raw = RawAnswer("simulated:lease", b"{}", SHA, now)
        unit = native_unit(self.paid_in)
        return LeaseStatus(ref, "simulated", "closed", None, None, now, Decimal(1), unit, settled, raw)


def native_unit(paid_in: str) -> str:
    """The unit a lease's price stands in."""
    return "uact/block" if paid_in == "ACT" else "USD/hour"
