"""A swap is made once, and every way it can end is told apart."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from necto_pipelines.failures import AuditBroken, Refused, Unavailable, Unknown
from necto_pipelines.market.rails import SandboxRail
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode

EXECUTED = {
    "id": "swp_1",
    "client_id": "ord_1/swap/1",
    "state": "executed",
    "from_asset": "USDC",
    "from_units": 10_000_000,
    "to_asset": "AKT",
    "to_units": 18_300_000,
    "fee_units": 10_000,
    "executed_at": "2026-11-22T12:00:00.000001Z",
}
DUPLICATE = httpx.Response(409, json={"code": "duplicate_client_id", "message": "made before"})


class Venue:
    """A rail that gives prepared answers and remembers the calls."""

    def __init__(self, post: httpx.Response | Exception, get: httpx.Response | Exception | None = None) -> None:
        self.answers = {"POST": post, "GET": get}
        self.calls: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        answer = self.answers[request.method]
        assert answer is not None, f"unexpected {request.method}"
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def rail(self) -> SandboxRail:
        return SandboxRail("http://venue.test", FrozenClock(), transport=httpx.MockTransport(self))


def listed(*swaps: Any) -> httpx.Response:
    return httpx.Response(200, json={"swaps": list(swaps)})


def swap(venue: Venue) -> Any:
    return venue.rail.swap("ord_1/swap/1", "USDC", "AKT", 10_000_000)


def test_an_executed_swap_is_read_with_its_raw_answer() -> None:
    venue = Venue(httpx.Response(201, json=EXECUTED))
    made = swap(venue)
    assert json.loads(venue.calls[0].content) == {
        "client_id": "ord_1/swap/1",
        "from_asset": "USDC",
        "to_asset": "AKT",
        "from_units": 10_000_000,
    }
    assert (made.ref, made.client_id, made.to_units, made.fee_units) == ("swp_1", "ord_1/swap/1", 18_300_000, 10_000)
    assert made.executed_at == datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)
    assert json.loads(made.raw.body) == EXECUTED


def test_the_only_rail_says_that_it_is_simulated() -> None:
    assert SandboxRail.mode is SourceMode.SANDBOX
    assert "sandbox" in SandboxRail.name


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("no reply"), httpx.ReadError("cut"), httpx.Response(503)])
def test_a_lost_reply_is_unknown_and_nothing_is_sent_again(lost: httpx.Response | Exception) -> None:
    venue = Venue(lost)
    with pytest.raises(Unknown):
        swap(venue)
    assert len(venue.calls) == 1


def test_a_venue_out_of_reach_did_nothing() -> None:
    with pytest.raises(Unavailable):
        swap(Venue(httpx.ConnectError("refused")))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"OK",
        b"[]",
        b"null",
        json.dumps({**EXECUTED, "state": "pending"}).encode(),
        json.dumps({**EXECUTED, "to_units": 18.3}).encode(),
        json.dumps({**EXECUTED, "to_units": True}).encode(),
        json.dumps({**EXECUTED, "fee_units": -1}).encode(),
        json.dumps({**EXECUTED, "id": ""}).encode(),
        json.dumps({**EXECUTED, "executed_at": "2026-11-22T12:00:00"}).encode(),
        json.dumps({name: value for name, value in EXECUTED.items() if name != "id"}).encode(),
    ],
)
def test_an_unreadable_yes_may_have_happened(broken: bytes) -> None:
    """Not `Unavailable`: that says nothing happened, and the money would be sent a second time."""
    with pytest.raises(Unknown, match="was accepted"):
        swap(Venue(httpx.Response(201, content=broken)))


def test_a_refusal_keeps_the_venues_word() -> None:
    venue = Venue(httpx.Response(400, json={"code": "below_minimum"}))
    with pytest.raises(Refused) as caught:
        swap(venue)
    assert caught.value.code == "below_minimum"
    assert len(venue.calls) == 1


def test_a_swap_made_before_is_found_again() -> None:
    venue = Venue(DUPLICATE, listed(EXECUTED))
    assert swap(venue).ref == "swp_1"
    assert [call.method for call in venue.calls] == ["POST", "GET"]
    assert venue.calls[1].url.params["client_id"] == "ord_1/swap/1"


@pytest.mark.parametrize("answer", [listed(), httpx.Response(200, content=b"oops")])
def test_a_duplicate_that_cannot_be_read_is_unknown(answer: httpx.Response) -> None:
    with pytest.raises(Unknown):
        swap(Venue(DUPLICATE, answer))


@pytest.mark.parametrize("other", [{"from_units": 1}, {"to_asset": "ATH"}, {"from_asset": "ACT"}])
def test_a_client_id_that_stands_for_another_swap_stops_everything(other: dict[str, Any]) -> None:
    with pytest.raises(AuditBroken, match="was asked for"):
        swap(Venue(DUPLICATE, listed({**EXECUTED, **other})))
    with pytest.raises(AuditBroken, match="was asked for"):
        swap(Venue(httpx.Response(201, json={**EXECUTED, **other})))


def test_finding_nothing_is_none() -> None:
    assert Venue(DUPLICATE, listed()).rail.find("ord_1/swap/1") is None


def test_a_venue_that_lists_everything_is_not_believed() -> None:
    """A far side that ignores the filter must not pass another order's swap off as ours."""
    venue = Venue(DUPLICATE, listed({**EXECUTED, "client_id": "ord_2/swap/1"}))
    assert venue.rail.find("ord_1/swap/1") is None


def test_a_client_id_executed_twice_stops_everything() -> None:
    venue = Venue(DUPLICATE, listed(EXECUTED, {**EXECUTED, "id": "swp_2"}))
    with pytest.raises(AuditBroken, match="2 swaps"):
        venue.rail.find("ord_1/swap/1")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"swaps":[1]}', b'{"swaps":null}', b'{"swaps":[{}]}'])
def test_a_listing_of_another_shape_is_unavailable(body: bytes) -> None:
    with pytest.raises(Unavailable, match="unexpected shape"):
        Venue(DUPLICATE, httpx.Response(200, content=body)).rail.find("ord_1/swap/1")


def test_a_swap_that_is_not_executed_is_not_found_yet() -> None:
    with pytest.raises(Unavailable, match="pending"):
        Venue(DUPLICATE, listed({**EXECUTED, "state": "pending"})).rail.find("ord_1/swap/1")
