"""One knock at an address, and what a source's own reader makes of it, told as a finding."""

from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
import respx
from httpx import Response

from necto_pipelines.failures import NectoError, Refused, Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.finding import Finding, Verdict
from necto_pipelines.reaching import Asking, Heard, knock

CLOCK = FrozenClock()
URL = "https://source.test/v1"


def dated(seconds_off: float) -> dict[str, str]:
    return {"date": format_datetime(CLOCK.now() + timedelta(seconds=seconds_off), usegmt=True)}


def asked(
    *, answer: Response | None = None, read: Heard | NectoError | None = None, live: bool = True, signs_in: bool = False
) -> Finding:
    def reader() -> Heard:
        if isinstance(read, NectoError):
            raise read
        return read or Heard("12 rows")

    with respx.mock:
        respx.get(URL).mock(return_value=answer or Response(200, headers=dated(0)))
        return Asking(CLOCK, 5, live=live).finding(URL, reader, signs_in=signs_in)


@pytest.mark.parametrize("status", [200, 301, 401, 404, 503])
@respx.mock
def test_any_answer_is_an_answer_and_is_asked_for_once(status: int) -> None:
    route = respx.get(URL).mock(return_value=Response(status, headers={"location": "https://elsewhere.test"}))
    found = knock(URL, clock=CLOCK, timeout_s=5)
    assert (found.status, found.skew_s) == (status, None)
    assert found.latency_ms >= 0
    assert route.call_count == 1


@pytest.mark.parametrize("url", ["", "source.test", "https://", "ftp://source.test", "http://[::1"])
def test_what_is_no_address_gets_no_answer(url: str) -> None:
    with pytest.raises(Unavailable, match="no answer"):
        knock(url, clock=CLOCK, timeout_s=1)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("")])
def test_silence_is_a_failure_that_was_not_reached(error: httpx.HTTPError) -> None:
    with respx.mock:
        respx.get(URL).mock(side_effect=error)
        found = Asking(CLOCK, 5, live=True).finding(URL, lambda: pytest.fail("not to be read"))
    assert (found.verdict, found.reachable, found.signed_in) == (Verdict.FAILED, False, None)
    assert found.says.startswith("no answer: ")


def test_what_answers_and_is_read_is_ok() -> None:
    found = asked(read=Heard("12 rows", hint="for a doubt only"))
    assert (found.verdict, found.says, found.hint) == (Verdict.OK, "12 rows", "")
    assert (found.reachable, found.signed_in, found.skew_s) == (True, None, 0)


def test_a_doubt_is_a_warning_with_its_hint() -> None:
    found = asked(read=Heard("12 rows", "3 are old", "refresh"), signs_in=True)
    assert (found.verdict, found.says, found.hint) == (Verdict.WARNING, "12 rows; 3 are old", "refresh")
    assert found.signed_in is True


@pytest.mark.parametrize(
    ("failure", "signs_in", "signed_in"),
    [
        (Refused("GET https://source.test/v1: HTTP 401: who are you"), True, False),
        (Refused("GET https://source.test/v1: HTTP 403: no"), True, False),
        (Refused("GET https://source.test/v1: HTTP 400: API key not valid. Please pass"), True, False),
        (Refused("GET https://source.test/v1: HTTP 403: no"), False, None),
        (Refused("GET https://source.test/v1: HTTP 404: no"), True, None),
        (Unavailable("GET https://source.test/v1: HTTP 503: later"), True, None),
    ],
)
def test_only_a_refused_credential_is_called_not_signed_in(
    failure: NectoError, signs_in: bool, signed_in: bool | None
) -> None:
    found = asked(read=failure, signs_in=signs_in)
    assert (found.verdict, found.reachable, found.signed_in) == (Verdict.FAILED, True, signed_in)
    assert str(failure) in found.says


@pytest.mark.parametrize(
    ("seconds_off", "verdict", "words"),
    [
        (30, Verdict.OK, None),
        (-30, Verdict.OK, None),
        (31, Verdict.WARNING, "our clock is 31 s behind the source's"),
        (-31, Verdict.WARNING, "our clock is 31 s ahead of the source's"),
        (-86400, Verdict.WARNING, "our clock is 86,400 s ahead of the source's"),
    ],
)
def test_clocks_more_than_half_a_minute_apart_are_a_warning(
    seconds_off: float, verdict: Verdict, words: str | None
) -> None:
    found = asked(answer=Response(200, headers=dated(seconds_off)))
    assert (found.verdict, found.skew_s) == (verdict, -seconds_off)
    assert found.says == (f"12 rows; {words}" if words else "12 rows")


def test_a_refusal_says_that_the_clocks_differ_which_may_be_its_cause() -> None:
    failure = Refused("GET https://source.test/v1: HTTP 401: bad signature")
    found = asked(answer=Response(401, headers=dated(-600)), read=failure, signs_in=True)
    assert "our clock is 600 s ahead" in found.says
    assert "NTP" in found.hint


def test_a_sandbox_in_another_time_is_of_another_home() -> None:
    found = asked(answer=Response(200, headers=dated(-86400)), live=False)
    assert (found.verdict, found.skew_s) == (Verdict.WARNING, 86400)
    assert "another home" in found.hint


@pytest.mark.parametrize("date", ["", "soon", "2026-11-22T12:00:00Z"])
def test_a_date_that_is_none_tells_no_time(date: str) -> None:
    assert asked(answer=Response(200, headers={"date": date})).skew_s is None
