"""Aethir through its tenant API: the network port over calls that are **simulated, not Aethir's published API**.

A deployment is an order, referred to by its id. Aethir takes no bids: the price is quoted in fiat money, and what it
comes to in ATH is fixed when the order is made. So the one bid of an order is its own price, ATH per hour at that rate.
The rate never moves afterwards: `settled_native` counts ATH at it, and an order that says otherwise is not read.

The account there is filled with ATH beforehand, in the tenant console, and charged; nothing is converted for an order.
An order rents a machine. How a workload gets onto it is not known, so the image is not sent.

In live mode there is no such API: see `quoted.py`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NoReturn

import httpx
from pydantic import SecretStr

from necto_pipelines.failures import Refused
from necto_pipelines.fetching import Fetcher
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import Offer, ProviderEvidence, SourceMode
from necto_pipelines.networks.aethir.api import TenantApi
from necto_pipelines.networks.aethir.catalog import NETWORK, evidence_of, offers_of
from necto_pipelines.networks.aethir.quote import Quote
from necto_pipelines.networks.aethir.request import canonical, cheapest, client_ref, content_hash, order_of
from necto_pipelines.networks.aethir.token import AethirAuth
from necto_pipelines.networks.aethir.wire import SOLD_OUT, WireOrder, WireQuote
from necto_pipelines.networks.port import Bid, Deployment, LeaseStatus, Placement
from necto_pipelines.networks.reading import read_rows

NATIVE_UNIT: Final = "ATH/hour"
SOURCE: Final = "tenant inventory (simulated, not Aethir's published API)"
START_WAIT_S: Final = 600
"""how long a machine may take to be handed over; ours: nothing is published"""
POLL_S: Final = 5
_RATE_STEP: Final = Decimal("1e-12")
_STATES: Final = {
    "PROVISIONING": "requested",
    "RUNNING": "active",
    "DOWN": "active",
    "RELEASED": "closed",
    "COMPLETED": "closed",
    "FAILED": "failed",
}


class AethirNetwork:
    """The simulated tenant's side. Raises `Refused`, `Unavailable` or `Unknown`; safe to share between threads."""

    name: str = NETWORK
    mode: SourceMode = SourceMode.SANDBOX
    paid_in: str = "ATH"
    binding_bids: bool = False

    def __init__(
        self,
        *,
        base_url: str,
        access_key: str,
        secret_key: SecretStr,
        clock: Clock,
        timeout_s: float = 30.0,
        attempts: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock
        auth = AethirAuth(access_key, secret_key, clock=clock)
        fetcher = Fetcher(base_url, clock=clock, auth=auth, timeout_s=timeout_s, attempts=attempts, transport=transport)
        self._api = TenantApi(fetcher, clock)

    def offers(self) -> Listing[Offer]:
        """What is quoted now; see `catalog.offers_of`."""
        answer, quotes, aside = self._quotes()
        return offers_of(quotes, answer, now=self._clock.now(), source=SOURCE, mode=self.mode, aside=aside)

    def evidence(self) -> Listing[ProviderEvidence]:
        """Who sells where; nothing else is known."""
        answer, quotes, _ = self._quotes()
        return evidence_of(quotes, answer)

    def content_hash(self, placement: Placement) -> str:
        """SHA-256 of what the placement alone decides; see `request.content_hash`."""
        return content_hash(placement)

    def request(self, placement: Placement) -> Deployment:
        """Order the cheapest unit that fits; the rate is fixed with it.

        `Refused(code="no_offer")`, and nothing is ordered, when none fits below the cap or it was sold meanwhile.
        `Unknown` also when the reply came but cannot be read, or says that the system is busy.
        """
        _, quotes, _ = self._quotes()
        quote = cheapest(quotes, placement, self._clock.now())
        if quote is None:
            wanted = f"{placement.requirement.gpu.count} x {placement.gpu_family} with {placement.vram_gib} GiB"
            raise Refused(
                f"no quote for a unit with exactly {wanted} for {placement.max_usd_per_hour} USD/hour or less",
                code="no_offer",
            )
        order = order_of(placement, quote)
        try:
            answer, made = self._api.create(order)
        except Refused as refusal:
            if refusal.code == str(SOLD_OUT):
                raise Refused(str(refusal), code="no_offer") from refusal
            raise
        return Deployment(made.order_id, content_hash(placement), canonical(order), "active", answer)

    def find(self, content_hash: str) -> Sequence[Deployment]:
        """Our orders with this content, newest first, open and closed."""
        ref = client_ref(content_hash)
        answer, orders = self._api.orders(ref)
        return [
            Deployment(order.order_id, content_hash, "", _deployment_state(order), answer)
            for order in orders
            if order.client_ref == ref
        ]

    def bids(self, deployment: Deployment) -> Listing[Bid]:
        """The order's own price as long as it stands, none afterwards."""
        answer, order = self._api.order(deployment.ref)
        found = (_bid(order, answer),) if _deployment_state(order) == "active" else ()
        return Listing(found, (answer,))

    def lease(self, deployment: Deployment, bid: Bid) -> LeaseStatus:
        """Wait until the machine is handed over; may be repeated.

        The order is released, and `Refused` raised, with code `price_cap` when it is not at the price and rate of the
        bid, and `bid_not_open` when no machine came in time. `bid_not_open` also when it has ended.
        """
        waited = 0
        while True:
            answer, order = self._api.order(deployment.ref)
            if _deployment_state(order) != "active":
                raise Refused(f"order {order.order_id} is {order.status}", code="bid_not_open")
            now = _bid(order, answer)
            if (now.usd_per_hour, now.native_amount) != (bid.usd_per_hour, bid.native_amount):
                agreed = f"{bid.native_amount} ATH/hour for {bid.usd_per_hour} USD"
                why = f"it costs {now.native_amount} ATH/hour for {now.usd_per_hour} USD, {agreed} was agreed on"
                self._give_back(order.order_id, "price_cap", why)
            if order.opened is not None:
                return _status(answer, order)
            if waited >= START_WAIT_S:
                self._give_back(order.order_id, "bid_not_open", f"no machine was handed over within {waited} s")
            self._clock.sleep(POLL_S)
            waited += POLL_S

    def status(self, ref: str) -> LeaseStatus:
        """The order as the network shows it; opened when its machine was handed over."""
        return _status(*self._api.order(ref))

    def close(self, ref: str) -> LeaseStatus:
        """Release the order; one that has ended is left as it is."""
        return _status(*self._api.release(ref))

    def close_connections(self) -> None:
        """Give back the connections."""
        self._api.close()

    def _quotes(self) -> tuple[RawAnswer, list[Quote], list[tuple[str, str]]]:
        answer, rows = self._api.inventory()
        quotes, aside = read_rows(answer, rows, WireQuote, named_by=("spec",))
        unique: dict[str, Quote] = {}
        for quote in quotes:
            if quote.key in unique:
                aside.append((quote.key, "listed twice; the first counts"))
            else:
                unique[quote.key] = quote
        return answer, list(unique.values()), aside

    def _give_back(self, ref: str, code: str, why: str) -> NoReturn:
        self._api.release(ref)
        raise Refused(f"order {ref} was released: {why}", code=code)


def _deployment_state(order: WireOrder) -> str:
    return "closed" if _STATES[order.status] in ("closed", "failed") else "active"


def _bid(order: WireOrder, answer: RawAnswer) -> Bid:
    return Bid(
        ref=order.order_id,
        provider=order.provider,
        state="open",
        native_amount=_ath_per_hour(order),
        native_unit=NATIVE_UNIT,
        # no blocks are counted here
        block_seconds=Decimal(0),
        usd_per_hour=order.usd_per_hour,
        raw_sha256=answer.sha256,
    )


def _status(answer: RawAnswer, order: WireOrder) -> LeaseStatus:
    return LeaseStatus(
        ref=order.order_id,
        provider=order.provider,
        state=_STATES[order.status],
        healthy={"RUNNING": True, "DOWN": False}.get(order.status),
        opened_at=order.opened,
        closed_at=order.ended,
        native_amount=_ath_per_hour(order),
        native_unit=NATIVE_UNIT,
        settled_native=order.settled_ath,
        raw=answer,
    )


def _ath_per_hour(order: WireOrder) -> Decimal:
    """The price at the order's fixed rate."""
    return (order.usd_per_hour / order.ath_rate).quantize(_RATE_STEP)
