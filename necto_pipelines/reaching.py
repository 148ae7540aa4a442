"""Whether anybody answers at an address, how soon, and what time it is there; then what a source's own reader makes of
it. For `necto doctor`.

The knock stands apart from the one HTTP client (`fetching`) because it wants what that one rightly hides: the first
answer whatever its status, the time it took, its Date header, and no second attempt. Nothing of its body is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from necto_pipelines.failures import NectoError, Refused, Unavailable
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Finding, Verdict, skew_fault

NOT_SIGNED_IN: Final = frozenset({401, 403})
AKASH_RULES_TIME: Final = "set this machine's clock (NTP); while Akash is the sandbox, Necto's own time is simulated"
OTHER_HOME: Final = "does the sandbox serve another home, or was its clock skewed on purpose?"
_STATUS: Final = re.compile(r": HTTP (\d{3})\b")


@dataclass(frozen=True)
class Knock:
    """An answer, whatever it said."""

    status: int
    latency_ms: float
    skew_s: float | None
    """our clock minus its Date; None when it sent none"""


@dataclass(frozen=True)
class Heard:
    """What a source's reader made of its answer, in words; a `doubt` makes it a warning, and `hint` says what to do."""

    says: str
    doubt: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Asking:
    """How sources are asked while they are tested. `live` is False where the source is the sandbox."""

    clock: Clock
    timeout_s: float
    live: bool

    def finding(self, url: str, read: Callable[[], Heard], *, signs_in: bool = False) -> Finding:
        """Knock at `url`, then `read` as production does; `signs_in` says that reading needs a credential.

        The sandbox dates its answers in simulated time, as the clock of its home tells it. Raises nothing of Necto's
        own.
        """
        try:
            at = knock(url, clock=self.clock, timeout_s=self.timeout_s)
        except Unavailable as failure:
            # Where the sandbox is missing, its own check says what to do, once.
            hint = "check the address, the network and the firewall" if self.live else ""
            return Finding(Verdict.FAILED, str(failure), hint, reachable=False)
        late = skew_fault(at.skew_s)
        set_clock = AKASH_RULES_TIME if self.live else OTHER_HOME
        try:
            heard = read()
        except NectoError as failure:
            refused = signs_in and _not_signed_in(failure)
            return Finding(
                Verdict.FAILED,
                f"{failure}{f'; {late}' if late else ''}",
                set_clock if late else ("check the credential" if refused else ""),
                reachable=True,
                latency_ms=at.latency_ms,
                signed_in=False if refused else None,
                skew_s=at.skew_s,
            )
        doubts = [doubt for doubt in (heard.doubt, late) if doubt]
        return Finding(
            Verdict.WARNING if doubts else Verdict.OK,
            "; ".join([heard.says, *doubts]),
            set_clock if late else heard.hint if heard.doubt else "",
            reachable=True,
            latency_ms=at.latency_ms,
            signed_in=True if signs_in else None,
            skew_s=at.skew_s,
        )


def knock(url: str, *, clock: Clock, timeout_s: float, headers: Mapping[str, str] | None = None) -> Knock:
    """GET `url` once, redirects not followed. `Unavailable` when no answer came, or `url` is none."""
    try:
        with (
            httpx.Client(timeout=timeout_s, follow_redirects=False) as client,
            client.stream("GET", url, headers=dict(headers or {})) as answer,
        ):
            now = clock.now()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable(f"no answer: {str(error) or type(error).__name__}") from error
    date = _date(answer.headers.get("date", ""))
    skew_s = (now - date).total_seconds() if date else None
    return Knock(answer.status_code, answer.elapsed.total_seconds() * 1000, skew_s)


def _date(text: str) -> datetime | None:
    """A Date header (RFC 9110, 5.6.7); None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _not_signed_in(failure: NectoError) -> bool:
    """Google answers a wrong key with 400 and says so in words."""
    status = _STATUS.search(str(failure))
    denied = status is not None and (int(status[1]) in NOT_SIGNED_IN or "API key not valid" in str(failure))
    return isinstance(failure, Refused) and denied
