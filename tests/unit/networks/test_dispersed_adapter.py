"""The Dispersed adapter against documented answers, and against everything that can go wrong with them."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from dispersed_answers import (
    CARD,
    JOB,
    NOON,
    NOON_MS,
    Dispersed,
    booking,
    error,
    hardware,
    job,
    offer,
    open_network,
    page,
    placement,
    run,
)
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.port import Bid, Deployment, Network
from necto_pipelines.networks.render.adapter import DispersedNetwork
from necto_pipelines.networks.render.standing import computed_usd

HOUR_MS = 3_600_000
STANDING = Deployment(JOB, "hash", "", "active", raw=None)  # type: ignore[arg-type]
RATE = Decimal("0.35")
BID = Bid(JOB, "dispersed-us-east-1", "open", RATE, "USD/hour", Decimal(0), RATE, "")


@pytest.fixture
def api() -> Dispersed:
    return Dispersed()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def network(api: Dispersed, clock: FrozenClock) -> DispersedNetwork:
    return open_network(api, clock)


def test_it_is_a_network(network: DispersedNetwork) -> None:
    port: Network = network
    assert (port.name, port.mode) == ("render", SourceMode.LIVE)


# --- asking ---------------------------------------------------------------------------------------------------------


def test_every_page_of_offers_and_registry_is_read(api: Dispersed, network: DispersedNetwork) -> None:
    first = page(*(offer(f"of_{n}") for n in range(50)), total=51)
    api.on("GET", "/v1/compute/offers", first, page(offer("of_50"), total=51, number=2))
    assert len(network.offers().rows) == 51
    queries = [dict(request.url.params) for request in api.sent("GET", "/v1/compute/offers")]
    assert queries == [{"limit": "50", "page": "1"}, {"limit": "50", "page": "2"}]
    assert len(api.sent("GET", "/v1/gpu-registry")) == 1


def test_a_list_that_shrinks_while_it_is_read_ends(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", "/v1/compute/offers", page(offer(), total=51), page(total=51, number=2))
    assert len(network.offers().rows) == 1


def test_a_list_that_never_ends_is_given_up(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", "/v1/compute/offers", page(offer(), total=10**9))
    with pytest.raises(Unavailable, match="more than 40 pages"):
        network.offers()


def test_a_page_that_fails_takes_the_whole_list(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", "/v1/compute/offers", page(offer(), total=51), httpx.Response(503))
    with pytest.raises(Unavailable):
        network.offers()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text="upstream down"),
        httpx.Response(429, json=error("rate_limited")),
        httpx.Response(200, text='{"data":[{"offer_id"'),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.Response(200, json={"error": {"code": "oops"}}),
        httpx.ReadTimeout("too late"),
        httpx.ConnectError("refused"),
    ],
)
def test_no_usable_list_is_unavailable(api: Dispersed, network: DispersedNetwork, answer: httpx.Response) -> None:
    api.on("GET", "/v1/gpu-registry", answer)
    with pytest.raises(Unavailable):
        network.offers()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_settings(api: Dispersed, network: DispersedNetwork, status: int) -> None:
    api.on("GET", "/v1/compute/offers", error("invalid_signature"), status=status)
    with pytest.raises(Refused, match="NECTO_DISPERSED_PUBLIC_KEY") as failure:
        network.evidence()
    assert failure.value.code == "invalid_signature"
    assert "sk_test_secret" not in str(failure.value)


def test_without_keys_nothing_is_signed(api: Dispersed, clock: FrozenClock) -> None:
    api.on("GET", "/v1/compute/offers", error("missing_credentials"), status=401)
    bare = DispersedNetwork(
        base_url="https://dispersed.example",
        public_key="",
        secret_key=None,
        mode=SourceMode.LIVE,
        clock=clock,
        transport=httpx.MockTransport(api),
    )
    with pytest.raises(Refused, match="NECTO_DISPERSED_SECRET_KEY"):
        bare.offers()
    assert "x-signature" not in api.requests[0].headers


# --- requesting and finding -----------------------------------------------------------------------------------------


def test_a_request_posts_one_job_that_its_title_finds_again(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("POST", "/v1/jobs", {"object": "job", "uuid": JOB, "status": "PENDING"}, status=201)
    made = network.request(placement())
    [request] = api.sent("POST", "/v1/jobs")
    assert (made.ref, made.content_hash, made.state) == (JOB, network.content_hash(placement()), "active")
    assert made.manifest.encode() == request.content
    title = json.loads(request.content)["title"]
    api.on("GET", "/v1/jobs", page(job(title="nightshift-run-0", uuid="other"), job("RUNNING", title=title)))
    [found] = network.find(made.content_hash)
    assert (found.ref, found.content_hash, found.state) == (JOB, made.content_hash, "active")
    [listing] = api.sent("GET", "/v1/jobs")
    assert dict(listing.url.params) == {
        "filter[status]": "PENDING,ASSIGNED,PREPARING,RUNNING",
        "sort": "-created_at",
        "limit": "50",
        "page": "1",
    }
    assert network.find("0" * 64) == []


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ReadTimeout("no answer"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(201, text='{"uuid":"7b0f'),
        httpx.Response(201, json={"id": JOB}),
        httpx.Response(201, json={"uuid": "../../v1/jobs"}),
    ],
)
def test_a_create_without_a_readable_reply_is_unknown_and_never_repeated(
    api: Dispersed, network: DispersedNetwork, lost: httpx.Response
) -> None:
    api.on("POST", "/v1/jobs", lost)
    with pytest.raises(Unknown):
        network.request(placement())
    assert len(api.sent("POST", "/v1/jobs")) == 1


def test_nothing_is_posted_when_no_machine_fits_below_the_cap(api: Dispersed, network: DispersedNetwork) -> None:
    with pytest.raises(Refused, match=r"exactly 1 x RTX4090 with 24 GiB for 0\.10") as refusal:
        network.request(placement(max_usd_per_hour=Decimal("0.10")))
    assert refusal.value.code == "no_offer"
    assert not api.sent("POST", "/v1/jobs")


def test_a_refused_create_keeps_the_networks_own_word(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("POST", "/v1/jobs", error("insufficient_credit"), status=402)
    with pytest.raises(Refused) as refusal:
        network.request(placement())
    assert refusal.value.code == "insufficient_credit"


def test_a_list_with_a_job_that_cannot_be_read_might_hide_ours(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", "/v1/jobs", page({"uuid": JOB, "status": "SLEEPING"}))
    with pytest.raises(Unavailable):
        network.find("0" * 64)


# --- bids -----------------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_bid_the_offered_price_of_its_machine(api: Dispersed, network: DispersedNetwork) -> None:
    rows = [offer("of_1", usd=0.36), offer("of_2", region="us-west-2", usd=0.2), offer("of_3", usd=2.1, count=6)]
    api.on("GET", f"/v1/jobs/{JOB}", job()).on("GET", "/v1/compute/offers", page(*rows))
    listing = network.bids(STANDING)
    [bid] = listing.rows
    assert (bid.ref, bid.provider, bid.state) == (JOB, "dispersed-us-east-1", "open")
    assert (bid.usd_per_hour, bid.native_amount, bid.native_unit) == (Decimal("0.36"), Decimal("0.36"), "USD/hour")
    assert bid.raw_sha256 in {answer.sha256 for answer in listing.raw}


def test_an_assigned_job_is_bid_what_its_machine_costs_even_when_that_is_no_longer_on_offer(
    api: Dispersed, network: DispersedNetwork
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("ASSIGNED")).on("GET", "/v1/job-runs", page(run("ASSIGNED", usd=4.14)))
    api.on("GET", "/v1/compute/offers", page())
    [bid] = network.bids(STANDING).rows
    assert bid.usd_per_hour == Decimal("4.14")


def test_a_machine_that_does_not_tell_its_price_is_set_aside(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("ASSIGNED")).on("GET", "/v1/job-runs", page(run("ASSIGNED", pricing=None)))
    listing = network.bids(STANDING)
    assert listing.rows == ()
    assert "what its machine costs" in listing.quarantined[0][1]


@pytest.mark.parametrize("status", ["CANCELLING", "CANCELLED", "FAILED", "COMPLETED"])
def test_an_ended_job_has_no_bids(api: Dispersed, network: DispersedNetwork, status: str) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job(status))
    assert network.bids(STANDING).rows == ()


def test_a_machine_that_is_not_offered_has_no_bid(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job()).on("GET", "/v1/compute/offers", page())
    assert network.bids(STANDING).rows == ()


def test_a_waiting_job_that_does_not_say_what_it_asked_for_cannot_be_priced(
    api: Dispersed, network: DispersedNetwork
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", {"uuid": JOB, "status": "PENDING"})
    with pytest.raises(Unavailable, match="does not repeat"):
        network.bids(STANDING)


# --- leasing --------------------------------------------------------------------------------------------------------


def test_a_lease_is_waited_for_and_opened_when_the_job_was_created(
    api: Dispersed, network: DispersedNetwork, clock: FrozenClock
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job(), job(), job("ASSIGNED"))
    api.on("GET", "/v1/job-runs", page(run("ASSIGNED")))
    status = network.lease(STANDING, BID)
    assert (status.state, status.healthy, status.provider) == ("active", False, "dispersed-us-east-1")
    assert (status.opened_at, status.closed_at) == (NOON, None)
    assert clock.now() == NOON + timedelta(seconds=6)
    assert not api.sent("PUT", f"/v1/jobs/{JOB}/cancel")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            {"usd": 4.14, "hardware_summary": hardware("NVIDIA RTX 5090", 6, 32)},
            "price_cap",
            "6 GPUs costs 4.14 USD/hour, 0.35",
        ),
        ({"usd": 0.350001}, "price_cap", "costs 0.350001"),
        ({"pricing": None}, "price_unknown", "does not tell what it costs"),
        ({"region_code": "eu-west-1"}, "wrong_region", "stands in eu-west-1"),
    ],
)
def test_another_machine_than_agreed_on_is_given_back(
    api: Dispersed, network: DispersedNetwork, changes: dict[str, Any], code: str, words: str
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("ASSIGNED")).on("GET", "/v1/job-runs", page(run("ASSIGNED", **changes)))
    api.on("PUT", f"/v1/jobs/{JOB}/cancel", job("CANCELLING"))
    with pytest.raises(Refused, match=words) as refusal:
        network.lease(STANDING, BID)
    assert refusal.value.code == code
    [cancel] = api.sent("PUT", f"/v1/jobs/{JOB}/cancel")
    assert json.loads(cancel.content) == {"reason": code}


@pytest.mark.parametrize("changes", [{"usd": 0.31}, {"region_code": None}, {"hardware_summary": None}])
def test_a_machine_that_costs_no_more_is_kept(
    api: Dispersed, network: DispersedNetwork, changes: dict[str, Any]
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING")).on("GET", "/v1/job-runs", page(run(**changes)))
    assert network.lease(STANDING, BID).healthy is True


def test_a_machine_that_cannot_be_given_back_stays_a_failure_to_try_again(
    api: Dispersed, network: DispersedNetwork
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("ASSIGNED")).on("GET", "/v1/job-runs", page(run("ASSIGNED", usd=4.14)))
    api.on("PUT", f"/v1/jobs/{JOB}/cancel", httpx.Response(503))
    with pytest.raises(Unavailable):
        network.lease(STANDING, BID)


def test_a_job_without_a_machine_in_time_is_cancelled(
    api: Dispersed, network: DispersedNetwork, clock: FrozenClock
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job()).on("PUT", f"/v1/jobs/{JOB}/cancel", job("CANCELLED"))
    with pytest.raises(Refused, match="no machine was assigned within 300 s") as refusal:
        network.lease(STANDING, BID)
    assert refusal.value.code == "bid_not_open"
    assert clock.now() == NOON + timedelta(seconds=300)
    assert len(api.sent("PUT", f"/v1/jobs/{JOB}/cancel")) == 1


def test_a_job_that_ended_has_no_machine_to_lease(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("FAILED"))
    with pytest.raises(Refused) as refusal:
        network.lease(STANDING, BID)
    assert refusal.value.code == "bid_not_open"


# --- looking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job_status", "run_status", "state", "healthy"),
    [
        ("PENDING", None, "requested", None),
        ("ASSIGNED", "ASSIGNED", "active", False),
        ("PREPARING", "PREPARING", "active", False),
        ("RUNNING", "RUNNING", "active", True),
        ("CANCELLING", "RUNNING", "active", True),
        ("FAILING", "FAILING", "active", False),
        ("COMPLETED", "COMPLETED", "closed", None),
        ("CANCELLED", None, "closed", None),
        ("FAILED", "FAILED", "failed", None),
    ],
)
def test_statuses_in_our_words(
    api: Dispersed,
    network: DispersedNetwork,
    job_status: str,
    run_status: str | None,
    state: str,
    healthy: bool | None,
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job(job_status))
    api.on("GET", "/v1/job-runs", page(*([run(run_status)] if run_status else [])))
    status = network.status(JOB)
    assert (status.state, status.healthy) == (state, healthy)


def test_a_container_that_runs_out_of_reach_is_not_healthy(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING")).on("GET", "/v1/job-runs", page(run(node_urls=[])))
    assert network.status(JOB).healthy is False


def test_runs_of_other_jobs_do_not_count(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("PENDING")).on("GET", "/v1/job-runs", page(run(job_uuid="another")))
    assert network.status(JOB).native_amount == 0


def test_another_job_than_asked_for_is_no_answer(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job(uuid="another"))
    with pytest.raises(Unavailable, match="got another"):
        network.status(JOB)


@pytest.mark.parametrize("created", ["2026-11-22T12:00:00Z", "2026-11-22T13:00:00+01:00", NOON_MS])
def test_a_job_is_billed_from_its_creation_in_whatever_form_that_is_told(
    api: Dispersed, network: DispersedNetwork, clock: FrozenClock, created: object
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING", created_at=created)).on("GET", "/v1/job-runs", page(run()))
    clock.advance(5400)
    status = network.status(JOB)
    assert (status.opened_at, status.settled_native) == (NOON, Decimal("0.525"))


def test_without_a_time_of_creation_no_cost_can_be_told(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING", created_at=None)).on("GET", "/v1/job-runs", page(run()))
    with pytest.raises(Unavailable, match="when it was created"):
        network.status(JOB)


def test_a_job_that_never_had_a_machine_costs_nothing(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("CANCELLED", ended_at_ms=NOON_MS + HOUR_MS))
    assert network.status(JOB).settled_native == 0


# --- closing and settling -------------------------------------------------------------------------------------------


def ended(api: Dispersed, *ledger: object) -> None:
    """A job that was cancelled after an hour and a half."""
    api.on("GET", f"/v1/jobs/{JOB}", job("CANCELLED", ended_at_ms=NOON_MS + 3 * HOUR_MS // 2))
    api.on("GET", "/v1/job-runs", page(run("CANCELLED")))
    if ledger:
        api.on("GET", "/v1/compute/ledger/transactions", *ledger)


def test_a_job_is_cancelled_and_its_end_waited_for(
    api: Dispersed, network: DispersedNetwork, clock: FrozenClock
) -> None:
    done = job("CANCELLED", ended_at_ms=NOON_MS + HOUR_MS)
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING"), job("CANCELLING"), job("CANCELLING"), done)
    api.on("GET", "/v1/job-runs", page(run())).on("PUT", f"/v1/jobs/{JOB}/cancel", job("CANCELLING"))
    status = network.close(JOB)
    assert (status.state, status.closed_at) == ("closed", NOON + timedelta(hours=1))
    assert status.settled_native == RATE
    assert clock.now() == NOON + timedelta(seconds=6)


def test_closing_what_has_ended_asks_for_nothing(api: Dispersed, network: DispersedNetwork) -> None:
    ended(api)
    assert network.close(JOB).state == "closed"
    assert not api.sent("PUT", f"/v1/jobs/{JOB}/cancel")


def test_a_job_that_ended_just_before_it_was_cancelled_is_closed(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING"), job("COMPLETED"))
    api.on("PUT", f"/v1/jobs/{JOB}/cancel", error("job_not_cancellable"), status=409)
    assert network.close(JOB).state == "closed"


def test_a_refused_cancel_of_a_running_job_is_told(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING"))
    api.on("PUT", f"/v1/jobs/{JOB}/cancel", error("forbidden_action"), status=400)
    with pytest.raises(Refused) as refusal:
        network.close(JOB)
    assert refusal.value.code == "forbidden_action"


def test_a_job_that_will_not_end_is_shown_as_it_is(
    api: Dispersed, network: DispersedNetwork, clock: FrozenClock
) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("CANCELLING")).on("PUT", f"/v1/jobs/{JOB}/cancel", job("CANCELLING"))
    assert network.close(JOB).state == "active"
    assert clock.now() == NOON + timedelta(seconds=60)


def test_what_the_ledger_took_is_what_was_settled(api: Dispersed, network: DispersedNetwork) -> None:
    rows = [
        booking(-0.18, "2026-11-22T13:30:00Z"),
        booking(-0.35, "2026-11-22T13:00:00Z"),
        booking(-9.99, "2026-11-22T13:00:00Z", job_uuid="another"),
        booking(500, "2026-11-22T12:30:00Z", job_uuid=None),
    ]
    ended(api, page(*rows))
    assert network.status(JOB).settled_native == Decimal("0.53")


def test_the_ledger_is_read_page_by_page_back_to_the_jobs_creation(api: Dispersed, network: DispersedNetwork) -> None:
    before = booking(-1, "2026-11-22T11:00:00Z", job_uuid="another")
    second = page(booking(-0.35, "2026-11-22T13:00:00Z"), before, total=999)
    ended(api, page(booking(-0.18, "2026-11-22T13:30:00Z"), total=999), second)
    assert network.status(JOB).settled_native == Decimal("0.53")
    assert len(api.sent("GET", "/v1/compute/ledger/transactions")) == 2


@pytest.mark.parametrize(
    "ledger",
    [
        page(booking(-0.35, "2026-11-22T13:00:00Z")),
        page(booking(-9.99, "2026-11-22T14:00:00Z", job_uuid="another")),
        page({"id": 1, "amount": "0.35"}),
        httpx.Response(404, json=error("not_found")),
        page(booking(-0.01, "2026-11-22T14:00:00Z"), total=10**6),
    ],
    ids=["the end is not booked yet", "only other jobs", "another shape", "no ledger", "too long to be sure"],
)
def test_without_a_complete_ledger_rate_times_time_since_creation_is_reckoned(
    api: Dispersed, network: DispersedNetwork, ledger: object
) -> None:
    ended(api, ledger)
    assert network.status(JOB).settled_native == Decimal("0.525")


def test_a_ledger_that_does_not_answer_is_waited_for(api: Dispersed, network: DispersedNetwork) -> None:
    ended(api, httpx.Response(503))
    with pytest.raises(Unavailable):
        network.status(JOB)


def test_a_running_job_is_reckoned_without_the_ledger(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", f"/v1/jobs/{JOB}", job("RUNNING")).on("GET", "/v1/job-runs", page(run()))
    network.status(JOB)
    assert not api.sent("GET", "/v1/compute/ledger/transactions")


@given(
    st.decimals(0, 100, places=6),
    st.timedeltas(timedelta(0), timedelta(days=90)),
    st.timedeltas(timedelta(0), timedelta(days=90)),
)
def test_what_is_reckoned_grows_with_time_and_is_never_off_by_more_than_a_millionth(
    rate: Decimal, first: timedelta, second: timedelta
) -> None:
    short, long = (computed_usd(rate, NOON, NOON + length) for length in sorted((first, first + second)))
    assert 0 <= short <= long
    exact = rate * Decimal(first // timedelta(microseconds=1)) / 3_600_000_000
    assert abs(short - exact) <= Decimal("5.1e-7")
    assert computed_usd(rate, NOON + first + timedelta(seconds=1), NOON + first) == 0


def test_the_registry_names_cards_by_id_alone(api: Dispersed, network: DispersedNetwork) -> None:
    api.on("GET", "/v1/gpu-registry", page({"uuid": CARD}))
    assert len(network.offers().rows) == 1
