"""What GPUs cost at Akash before anybody bids on our order, read from `GET /v1/gpu-prices?debug=true`.

The real, public but undocumented `debug` adds each provider's own best bid of the last 31 days on orders for one GPU
(akash-network/console, gpu-price.service.ts @15894e209d2e). That says more about what this provider will ask than the
average over all of them, so it goes first, as an `estimate`: it was binding for somebody else's order, with that
order's share of CPU and memory in it, and is listed for nobody. Without one the model's `weightedAverage` is taken,
which the network's price page lists for buyers: `list`. Both are reckoned at 600 blocks an hour. Without `debug` in
the answer every price is `list`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pydantic import ValidationError

from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.offer import PriceBasis
from necto_pipelines.networks.akash.wire import WireGpu, WireGpuPrice, WireGpuPrices, WireOwnBid
from necto_pipelines.networks.reading import first_fault, read_as, read_rows

SOURCE: Final = "akash console gpu-prices"
GpuKey = tuple[str, str, str, str]


@dataclass(frozen=True)
class Price:
    """US dollars for one GPU and hour, how firm that is, and where it was read."""

    usd_per_hour: Decimal
    basis: PriceBasis
    source: str


@dataclass(frozen=True)
class PriceList:
    """Prices by provider and model."""

    own: Mapping[tuple[str, GpuKey], Price]
    listed: Mapping[GpuKey, Price]

    def of(self, owner: str, gpu: WireGpu) -> Price | None:
        """The provider's own price, else the model's; None when nobody bid on the model for a month."""
        return self.own.get((owner, gpu.key)) or self.listed.get(gpu.key)


def price_list_of(prices: RawAnswer) -> tuple[PriceList, list[tuple[str, str]]]:
    """The price list, and what had to be set aside as (what, reason)."""
    rows, faulty = read_rows(prices, read_as(prices, WireGpuPrices).models, WireGpuPrice, named_by=("model",))
    own: dict[tuple[str, GpuKey], Price] = {}
    listed: dict[GpuKey, Price] = {}
    for row in rows:
        if row.price and row.price.weighted_average:
            listed[row.key] = Price(row.price.weighted_average, PriceBasis.LIST, SOURCE)
        for number, item in enumerate(row.own_bids):
            try:
                bid = WireOwnBid.model_validate(item)
            except ValidationError as error:
                faulty.append((f"{row.model} own bid {number}", f"unexpected shape: {first_fault(error)}"))
                continue
            if _is_for(bid, row):
                source = f"{SOURCE}, own bid of {bid.best.at:%Y-%m-%d}"
                own[bid.provider.owner, row.key] = Price(bid.best.hourly_price, PriceBasis.ESTIMATE, source)
    return PriceList(own, listed), faulty


def _is_for(bid: WireOwnBid, gpu: WireGpu) -> bool:
    """True when the bid was for one GPU with just this memory: the service falls back to bids with another size."""
    gpus = bid.best.deployment.gpus
    return bid.best.hourly_price > 0 and len(gpus) == 1 and (gpus[0].ram or "").lower() == gpu.ram.lower()
