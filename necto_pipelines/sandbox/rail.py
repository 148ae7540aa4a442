"""A simulated payment rail: swaps USDC into AKT, and burns AKT for ACT, at once and exactly once per client id.

No rail has this interface: it stands for an exchange and for the network's burn-mint together (AEP-76: spread 25 bps,
at least 10,000,000 uact a mint), without the queues and partial failures of both. All assets count millionths.
"""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from pydantic import BaseModel

from necto_pipelines.model.money import MICRO
from necto_pipelines.sandbox.answers import ApiError
from necto_pipelines.sandbox.feed import Feed
from necto_pipelines.sandbox.seeded import digest, whole

EXCHANGE_FEE_BPS = 10
SLIPPAGE_BPS = (5, 30)
MINT_SPREAD_BPS = 25
MIN_MINT_UACT = 10 * MICRO
_BPS = 10_000


class Swap(BaseModel):
    """An executed swap. `fee_units` counts in the asset that was given."""

    id: str
    client_id: str
    from_asset: str
    from_units: int
    to_asset: str
    to_units: int
    fee_units: int
    executed_at: datetime


class RailState(BaseModel):
    """Every swap ever made, by client id."""

    swaps: dict[str, Swap] = {}


class Rail:
    """Makes swaps at the feed's prices."""

    def __init__(self, seed: int, feed: Feed, state: RailState) -> None:
        self._seed = seed
        self._feed = feed
        self.state = state

    def swap(self, client_id: str, from_asset: str, to_asset: str, from_units: int, moment: datetime) -> Swap:
        """Execute a swap; 409 when `client_id` was used before, 400 when the pair or the amount is not allowed."""
        if client_id in self.state.swaps:
            raise ApiError(
                409, f"client_id {client_id!r} was used before; nothing was executed", code="duplicate_client_id"
            )
        if from_units <= 0:
            raise ApiError(400, f"from_units: {from_units} is not allowed; a positive whole number is needed")
        if (from_asset, to_asset) == ("USDC", "AKT"):
            fee, to_units = self._exchange(client_id, from_units, moment)
        elif (from_asset, to_asset) == ("AKT", "ACT"):
            fee, to_units = self._mint(from_units, moment)
        else:
            message = f"{from_asset} to {to_asset} is not offered; USDC to AKT and AKT to ACT are"
            raise ApiError(400, message, code="unsupported_pair")
        swap = Swap(
            id=f"sim_{digest(self._seed, 'swap', client_id).hex()[:24]}",
            client_id=client_id,
            from_asset=from_asset,
            from_units=from_units,
            to_asset=to_asset,
            to_units=to_units,
            fee_units=fee,
            executed_at=moment,
        )
        self.state.swaps[client_id] = swap
        return swap

    def _exchange(self, client_id: str, units: int, moment: datetime) -> tuple[int, int]:
        fee = _part_up(units, EXCHANGE_FEE_BPS)
        slippage = Decimal(whole(*SLIPPAGE_BPS, self._seed, "slippage", client_id)) / _BPS
        rate = self._feed.usd("USDC", moment) / self._feed.usd("AKT", moment)
        return fee, _down((units - fee) * rate * (1 - slippage))

    def _mint(self, units: int, moment: datetime) -> tuple[int, int]:
        spread = _part_up(units, MINT_SPREAD_BPS)
        minted = _down((units - spread) * self._feed.usd("AKT", moment))
        if minted < MIN_MINT_UACT:
            raise ApiError(400, f"{minted} uact is less than the smallest mint, {MIN_MINT_UACT}", code="below_minimum")
        return spread, minted


def _part_up(units: int, bps: int) -> int:
    return int((Decimal(units) * bps / _BPS).to_integral_value(rounding=ROUND_CEILING))


def _down(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_FLOOR))
