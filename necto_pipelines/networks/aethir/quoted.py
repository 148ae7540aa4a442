"""Aethir as it can be had today: what the customer's rate card quotes. A person buys, in the console or through sales.

Aethir publishes neither list prices nor an API for tenants, so nothing is called: offers come from the file, and every
act is refused. The file is read anew each time, so a new card counts from the next refresh on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from necto_pipelines.failures import InvalidInput, Refused
from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import Offer, ProviderEvidence, SourceMode
from necto_pipelines.networks.aethir.catalog import NETWORK, evidence_of, offers_of
from necto_pipelines.networks.aethir.rate_card import MAX_BYTES, RateCard, read_rate_card
from necto_pipelines.networks.aethir.request import content_hash
from necto_pipelines.networks.port import Bid, Deployment, LeaseStatus, Placement

NO_CARD: Final = (
    "no rate card is set: Aethir publishes no prices; write down what you were quoted"
    " and name the file in NECTO_AETHIR_RATE_CARD"
)
NO_API: Final = (
    "Aethir publishes no API for buying: a person orders in its tenant console or through the contract's counterparty"
)


class QuotedAethir:
    """A rate card as a network whose offers are shown and compared, and bought by people. `card` None: no offers."""

    name: str = NETWORK
    mode: SourceMode = SourceMode.LIVE
    paid_in: str = "ATH"
    binding_bids: bool = False

    def __init__(self, card: Path | None, *, clock: Clock) -> None:
        self._card = card
        self._clock = clock

    def offers(self) -> Listing[Offer]:
        """The quotes that hold now. What is wrong with the others is told field by field; `Refused` when the file as a
        whole cannot be read."""
        if self._card is None:
            return Listing((), (), (("rate card", NO_CARD),))
        answer, card = self._read(self._card)
        aside = [(problem.field, str(problem)) for problem in card.problems]
        source = f"rate card {self._card.name}"
        return offers_of(card.quotes, answer, now=self._clock.now(), source=source, mode=self.mode, aside=aside)

    def evidence(self) -> Listing[ProviderEvidence]:
        """Who quotes where; a contract is no evidence that an auditor signed."""
        if self._card is None:
            return Listing((), ())
        answer, card = self._read(self._card)
        return evidence_of(card.quotes, answer)

    def content_hash(self, placement: Placement) -> str:
        """As of an order through the API, though none can be made."""
        return content_hash(placement)

    def request(self, placement: Placement) -> Deployment:
        """`Refused(code="no_published_api")`."""
        _refuse()

    def find(self, content_hash: str) -> Sequence[Deployment]:
        """None: nothing is placed from here."""
        return ()

    def bids(self, deployment: Deployment) -> Listing[Bid]:
        """None, for want of deployments."""
        return Listing((), ())

    def lease(self, deployment: Deployment, bid: Bid) -> LeaseStatus:
        """`Refused(code="no_published_api")`, as are `status` and `close`."""
        _refuse()

    def status(self, ref: str) -> LeaseStatus:
        """See `lease`."""
        _refuse()

    def close(self, ref: str) -> LeaseStatus:
        """See `lease`."""
        _refuse()

    def _read(self, path: Path) -> tuple[RawAnswer, RateCard]:
        try:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Refused(f"NECTO_AETHIR_RATE_CARD: {path}: {reason}", code="rate_card_unreadable") from error
        try:
            card = read_rate_card(body, path.name)
        except InvalidInput as error:
            raise Refused(f"NECTO_AETHIR_RATE_CARD: {error}", code="rate_card_invalid") from error
        return raw_answer(f"file:{path.name}", body, self._clock), card


def _refuse() -> NoReturn:
    raise Refused(NO_API, code="no_published_api")
