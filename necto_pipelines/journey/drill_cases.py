"""Which failures the drill orders, and where: each against one source alone, each everywhere, and all at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "akash": ("/akash",),
    "render": ("/dispersed",),
    "clouds": ("/clouds",),
    "token prices": ("/coingecko", "/coinbase", "/pyth", "/akash-lcd/akash/oracle"),
    "everything": ("/",),
}
"""groups of sources, and where the sandbox serves them"""
ALONE: Final[Mapping[str, str]] = {
    "status": "akash",
    "rate_limit": "render",
    "timeout": "akash",
    "truncate": "render",
    "wrong_json": "token prices",
    "wrong_shape": "akash",
    "drop_reply": "clouds",
    "provider_death": "akash",
    "price_drift": "akash",
    "clock_skew": "token prices",
}
"""every failure, and the one source that it hits alone, at every request"""
SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "rate_limit": {"retry_after_s": "0"},
    "price_drift": {"share": "0.1"},
    "clock_skew": {"seconds": "600"},
}
DRIFT: Final = Decimal("0.1")
ALL: Final = "all together"
EVERYTHING: Final = "everything"


@dataclass(frozen=True)
class Case:
    """Failures that stand together during one refresh."""

    fault: str
    where: str
    rate: Decimal
    actions: tuple[str, ...]

    def orders(self, seed: int) -> Iterator[dict[str, Any]]:
        """What the sandbox is asked for, once for each action and path."""
        for action in self.actions:
            for path in PLACES[self.where]:
                figures = {"rate": str(self.rate), "seed": seed, "path_prefix": path}
                yield {"action": action, **figures, **SETTINGS.get(action, {})}

    @property
    def drift(self) -> Decimal:
        """How far list prices may have moved."""
        return DRIFT if "price_drift" in self.actions else Decimal(0)


def cases(rate: Decimal, only: Sequence[str] = ()) -> list[Case]:
    """The drill's cases in order; `only` leaves these failures, and then never all together."""
    chosen = [fault for fault in ALONE if not only or fault in only]
    single = [
        case
        for fault in chosen
        for case in (
            # Every provider dead is a market without offers, which is not what is drilled.
            Case(fault, ALONE[fault], rate if fault == "provider_death" else Decimal(1), (fault,)),
            Case(fault, EVERYTHING, rate, (fault,)),
        )
    ]
    return single if only else [*single, Case(ALL, EVERYTHING, rate, tuple(ALONE))]
