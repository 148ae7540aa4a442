"""How Aethir is tested by `necto doctor`: its rate card by being read, the simulated tenant API by a call with a token.

A refused token cannot be told from a busy system there: both are answered alike, and the finding says so.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

from necto_pipelines.failures import NectoError
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.networks.aethir.opening import aethir_url, open_aethir
from necto_pipelines.reaching import Asking, Heard
from necto_pipelines.settings import Settings, variable

CARD: Final = variable("aethir_rate_card")


def checks(settings: Settings, clock: Clock, kind: str) -> Iterator[Check]:
    """One check: of the card where there is one, or could be; else of the simulation."""
    given = settings.given("aethir_mode", "aethir_rate_card")
    if settings.aethir_rate_card is not None:
        yield Check("aethir", kind, "live", partial(_card, settings, clock), given)
    elif settings.aethir_mode == "live":
        yield Check("aethir", kind, "live", _without_card, given, (CARD,))
    else:
        yield Check("aethir", kind, "sandbox", partial(_simulated, settings, clock), given)


def _without_card() -> Finding:
    says = "no rate card: Aethir publishes no prices, so it has no offers"
    return Finding(Verdict.NOT_CONFIGURED, says, f"set {CARD} to a file with what was quoted to you")


def _card(settings: Settings, clock: Clock) -> Finding:
    try:
        found = open_aethir(settings, clock).offers()
    except NectoError as failure:
        return Finding(Verdict.FAILED, str(failure), f"mend the file that {CARD} names")
    faulty = found.quarantined
    aside = f"{len(faulty)} set aside, the first: {': '.join(faulty[0])}" if faulty else ""
    if not found.rows:
        return Finding(Verdict.WARNING, f"no quote holds now{f'; {aside}' if aside else ''}", "ask for new quotes")
    says = f"{len(found.rows)} quotes hold now"
    return Finding(Verdict.WARNING, f"{says}; {aside}", "ask for new quotes") if aside else Finding(Verdict.OK, says)


def _simulated(settings: Settings, clock: Clock) -> Finding:
    asking = Asking(clock, settings.request_timeout_s, live=False)

    def read() -> Heard:
        return Heard(f"simulated, not Aethir's published API; {len(open_aethir(settings, clock).offers().rows)} quotes")

    return asking.finding(aethir_url(settings), read, signs_in=True)
