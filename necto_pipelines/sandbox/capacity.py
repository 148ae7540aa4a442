"""What our deployments hold at each provider, and what it has left."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from necto_pipelines.sandbox import matching
from necto_pipelines.sandbox.fleet import NOTHING, Provider, Resources
from necto_pipelines.sandbox.records import Deployment


@dataclass(frozen=True)
class Usage:
    """`leased` runs, `reserved` is set aside for open bids: providers keep room for what they offered."""

    leased: Resources = NOTHING
    reserved: Resources = NOTHING
    gpus: Mapping[str, int] = field(default_factory=dict)
    """leased and reserved together, by GPU key"""

    def plus(self, gpus: Mapping[str, int], *, leased: Resources = NOTHING, reserved: Resources = NOTHING) -> "Usage":
        """With one more lease or bid."""
        counted = {key: self.gpus.get(key, 0) + gpus.get(key, 0) for key in self.gpus.keys() | gpus.keys()}
        return Usage(self.leased + leased, self.reserved + reserved, counted)


def usage_of(deployments: Iterable[Deployment], only: str | None = None) -> Mapping[str, Usage]:
    """What active deployments hold, by provider, an empty `Usage` for all others; with `only`, of that one alone."""
    usage: defaultdict[str, Usage] = defaultdict(Usage)
    for deployment in deployments:
        for lease in deployment.running():
            if only in (None, lease.provider):
                need = matching.needs_of(deployment.group(lease.gseq))
                usage[lease.provider] = usage[lease.provider].plus(lease.gpus, leased=need)
        for bid in deployment.bids:
            if bid.state == "open" and only in (None, bid.provider):
                need = matching.needs_of(deployment.group(bid.gseq))
                usage[bid.provider] = usage[bid.provider].plus(bid.gpus, reserved=need)
    return usage


def left_at(provider: Provider, used: Usage) -> tuple[Resources, dict[str, int]]:
    """What the provider can still offer, as a whole and for each of its GPU models."""
    gpus = {stock.key: stock.count - stock.taken - used.gpus.get(stock.key, 0) for stock in provider.stock}
    return provider.total - (provider.taken + used.leased + used.reserved), gpus
