"""The Akash adapter against recorded and documented answers, and against everything that can go wrong with them."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.failures import NectoError, PermanentFailure, Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.akash.adapter import AUDITOR, AkashNetwork
from necto_pipelines.networks.port import Bid, Deployment, Network, Placement

KEY = "ac.sk.test." + "7" * 64
GENESIS = datetime(2026, 7, 10, tzinfo=UTC)
HEIGHT = 27_761_571
PLACEMENT = Placement(
    token="ord_1/1",
    requirement=Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(2)),
    gpu_family="H100",
    vram_gib=80,
    max_usd_per_hour=Decimal(3),
    deposit_usd=Decimal("5.25"),
)
Handler = Callable[[httpx.Request], httpx.Response]


def block(height: int) -> dict[str, Any]:
    made = GENESIS + timedelta(seconds=5.875) * (height - HEIGHT)
    return {"height": height, "datetime": made.isoformat().replace("+00:00", "Z"), "transactionCount": 0}


class Console:
    """A Console API of canned answers: each path answers its next one, and the last one for ever."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], list[httpx.Response | Exception]] = {}
        self.on("GET", "/v1/blocks", [block(HEIGHT)])

    def on(self, method: str, path: str, *answers: object, status: int = 200) -> "Console":
        self.answers[method, path] = [
            a if isinstance(a, httpx.Response | Exception) else httpx.Response(status, json=a) for a in answers
        ]
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if path.startswith("/v1/blocks/") and ("GET", path) not in self.answers:
            return httpx.Response(200, json=block(int(path.rsplit("/", 1)[1])))
        queue = self.answers[request.method, path]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if (request.method, request.url.path) == (method, path)]


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def network(console: Console, clock: FrozenClock) -> AkashNetwork:
    return adapter(console, clock)


def adapter(console: Handler, clock: FrozenClock, key: str | None = KEY) -> AkashNetwork:
    return AkashNetwork(
        base_url="https://akash.example",
        api_key=SecretStr(key) if key else None,
        mode=SourceMode.LIVE,
        clock=clock,
        attempts=2,
        transport=httpx.MockTransport(console),
    )


def error(message: str, code: str = "bad_request") -> dict[str, str]:
    return {"error": "BadRequestError", "message": message, "code": code, "type": "client_error"}


def created(dseq: str = "1784563200123", tx_code: int = 0) -> dict[str, Any]:
    manifest = sdl.manifest_of(sdl.sdl_of(PLACEMENT, auditor=AUDITOR))
    sign_tx = {"code": tx_code, "transactionHash": "8F", "rawLog": "out of gas" if tx_code else ""}
    return {"data": {"dseq": dseq, "manifest": json.dumps(manifest), "signTx": sign_tx}}


def deployment(dseq: str, content_hash: str, state: str = "active") -> dict[str, Any]:
    return {"id": {"owner": "akash1o", "dseq": dseq}, "state": state, "hash": content_hash, "created_at": "27761558"}


def bid_row(provider: str, amount: str, *, state: str = "open", denom: str = "uact") -> dict[str, Any]:
    bid_id = {"owner": "akash1o", "dseq": "17", "gseq": 1, "oseq": 1, "provider": provider, "bseq": 0}
    return {
        "bid": {"id": bid_id, "state": state, "price": {"denom": denom, "amount": amount}, "created_at": "27761560"},
        "escrow_account": {},
    }


def lease_row(state: str = "active", *, closed_on: str = "0", ready: int | None = 1, oseq: int = 1) -> dict[str, Any]:
    service = {"name": "job", "available": 1, "total": 1, "uris": [], "replicas": 1, "ready_replicas": ready}
    return {
        "id": {"owner": "akash1o", "dseq": "17", "gseq": 1, "oseq": oseq, "provider": f"akash1p{oseq}", "bseq": 0},
        "state": state,
        "price": {"denom": "uact", "amount": "4424.000000000000000000"},
        "created_at": str(HEIGHT + oseq),
        "closed_on": closed_on,
        "status": None if ready is None else {"services": {"job": service}, "forwarded_ports": {}, "ips": {}},
    }


def standing(*leases: dict[str, Any], state: str = "active", escrow: str = "open", paid: str = "0") -> dict[str, Any]:
    transferred = [{"denom": "uakt", "amount": "7.0"}, {"denom": "uact", "amount": paid}]
    account = {"id": {"scope": "deployment", "xid": "x"}, "state": {"state": escrow, "transferred": transferred}}
    return {"data": {"deployment": deployment("17", "hash", state), "leases": list(leases), "escrow_account": account}}


STANDING = Deployment("17", "hash", "[]", "active", raw=None)  # type: ignore[arg-type]
BID = Bid("17/1/1/akash1p1", "akash1p1", "open", Decimal(4424), "uact/block", Decimal(6), Decimal("2.6"), "")


def test_it_is_a_network(network: AkashNetwork) -> None:
    port: Network = network
    assert (port.name, port.mode) == ("akash", SourceMode.LIVE)


# --- asking ---------------------------------------------------------------------------------------------------------


def test_public_lists_are_read_without_the_key(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/providers", []).on("GET", "/v1/gpu-prices", {"models": []})
    network.offers()
    network.evidence()
    assert len(console.requests) == 3
    assert not any("x-api-key" in request.headers for request in console.requests)


def test_a_refused_key_names_the_setting_and_never_shows_the_key(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/bids", error("Invalid API key", "unauthorized"), status=401)
    with pytest.raises(Refused, match="NECTO_AKASH_API_KEY") as failure:
        network.bids(STANDING)
    assert failure.value.code == "unauthorized"
    assert console.requests[0].headers["x-api-key"] == KEY
    assert KEY not in str(failure.value)


def test_a_missing_key_is_told_in_the_same_words(console: Console, clock: FrozenClock) -> None:
    console.on("GET", "/v1/deployments/17", error("Unauthorized", "unauthorized"), status=401)
    with pytest.raises(Refused, match="NECTO_AKASH_API_KEY"):
        adapter(console, clock, key=None).status("17")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text="upstream down"),
        httpx.Response(502, json=error("late", "database_timeout")),
        httpx.Response(429, json=error("slow down", "rate_limited")),
        httpx.Response(200, text='[{"owner": "akash1'),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.ReadTimeout("too late"),
        httpx.ConnectError("refused"),
    ],
)
def test_no_usable_list_is_unavailable(console: Console, network: AkashNetwork, answer: httpx.Response) -> None:
    console.on("GET", "/v1/providers", answer)
    with pytest.raises(Unavailable):
        network.evidence()


def test_a_read_is_repeated_once_the_network_is_back(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/providers", httpx.Response(503), [{"owner": "akash1p"}])
    assert [row.provider for row in network.evidence().rows] == ["akash1p"]


# --- requesting -----------------------------------------------------------------------------------------------------


def test_a_request_sends_the_sdl_with_the_ceiling_and_the_deposit_in_whole_cents(
    console: Console, network: AkashNetwork
) -> None:
    console.on("POST", "/v1/deployments", created(), status=201)
    content_hash = network.content_hash(PLACEMENT)
    made = network.request(PLACEMENT)
    assert (made.ref, made.content_hash, made.state) == ("1784563200123", content_hash, "active")
    [request] = console.sent("POST", "/v1/deployments")
    assert b'"deposit":5.25' in request.content
    [group] = sdl.groups_of(json.loads(request.content)["data"]["sdl"])
    # 3 USD per hour at the measured 5.875 seconds per block
    assert group["resources"][0]["price"]["amount"].startswith("4895.833333")


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ReadTimeout("no answer"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(201, text='{"data":{"dseq":"17'),
        httpx.Response(201, json={"data": {"id": "17"}}),
        httpx.Response(201, json=created() | {"data": created()["data"] | {"manifest": "[{"}}),
    ],
)
def test_after_a_lost_reply_the_request_is_unknown_sent_once_and_found_again(
    console: Console, network: AkashNetwork, lost: httpx.Response
) -> None:
    content_hash = network.content_hash(PLACEMENT)
    console.on("POST", "/v1/deployments", lost)
    with pytest.raises(Unknown):
        network.request(PLACEMENT)
    assert len(console.sent("POST", "/v1/deployments")) == 1
    rows = [{"deployment": deployment("16", "other")}, {"deployment": deployment("17", content_hash)}]
    console.on("GET", "/v1/deployments", page(rows))
    [found] = network.find(content_hash)
    assert (found.ref, found.content_hash, found.state) == ("17", content_hash, "active")
    console.on("POST", "/v1/leases", standing(lease_row()))
    assert network.lease(found, BID).state == "active"
    sent = json.loads(console.sent("POST", "/v1/leases")[0].content)
    assert sdl.manifest_hash(json.loads(sent["manifest"])) == content_hash


def test_a_request_that_never_left_did_not_happen(console: Console, network: AkashNetwork) -> None:
    console.on("POST", "/v1/deployments", httpx.ConnectError("refused"))
    with pytest.raises(Unavailable):
        network.request(PLACEMENT)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(402, json=error("insufficient balance", "payment_required")), "payment_required"),
        (httpx.Response(400, json=error("Deposit too low")), "bad_request"),
        (httpx.Response(201, json=created(tx_code=11)), "transaction_11"),
    ],
)
def test_a_refused_request_is_refused(
    console: Console, network: AkashNetwork, answer: httpx.Response, code: str
) -> None:
    console.on("POST", "/v1/deployments", answer)
    with pytest.raises(Refused) as failure:
        network.request(PLACEMENT)
    assert failure.value.code == code


def page(rows: Sequence[object], *, more: bool = False) -> dict[str, Any]:
    return {"data": {"deployments": rows, "pagination": {"total": 9, "skip": 0, "limit": 100, "hasMore": more}}}


def test_find_turns_every_page_and_gives_the_newest_first_once(console: Console, network: AkashNetwork) -> None:
    # The list moved on by one between the pages, so that 18 stands on both.
    console.on(
        "GET",
        "/v1/deployments",
        page([{"deployment": deployment("9", "h")}, {"deployment": deployment("18", "h")}], more=True),
        page([{"deployment": deployment("18", "h")}, {"deployment": deployment("17", "h", "closed")}], more=True),
        page([{"deployment": deployment("16", "other")}]),
    )
    assert [(d.ref, d.state) for d in network.find("h")] == [("18", "active"), ("17", "closed"), ("9", "active")]
    assert [r.url.params["skip"] for r in console.requests] == ["0", "2", "4"]


def test_a_page_that_promises_more_but_is_empty_ends_the_search(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/deployments", page([], more=True))
    assert network.find("h") == []


# --- bidding --------------------------------------------------------------------------------------------------------


def test_bids_are_priced_with_the_measured_block_time(console: Console, network: AkashNetwork) -> None:
    rows = [bid_row("akash1a", "4424.000000000000000000"), bid_row("akash1b", "9.5", state="lost")]
    console.on("GET", "/v1/bids", {"data": rows})
    listing = network.bids(STANDING)
    [bid] = listing.rows
    assert (bid.ref, bid.provider, bid.native_amount) == ("17/1/1/akash1a", "akash1a", Decimal(4424))
    assert (bid.block_seconds, bid.usd_per_hour) == (Decimal("5.875"), Decimal("2.710876595745"))
    assert bid.raw_sha256 == listing.raw[0].sha256
    assert [answer.url.split("/v1/")[1] for answer in listing.raw] == [
        "bids?dseq=17",
        "blocks?limit=1",
        f"blocks/{HEIGHT - 10_000}",
    ]


def test_the_block_time_is_measured_again_only_after_a_while(
    console: Console, network: AkashNetwork, clock: FrozenClock
) -> None:
    console.on("GET", "/v1/bids", {"data": [bid_row("akash1a", "1")]})
    measured = []
    for wait_s in (0, 300, 300, 1):
        clock.advance(wait_s)
        network.bids(STANDING)
        measured.append(len(console.sent("GET", "/v1/blocks")))
    assert measured == [1, 1, 1, 2]


def test_a_bid_in_another_denomination_is_set_aside(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/bids", {"data": [bid_row("akash1a", "1", denom="uakt"), bid_row("akash1b", "2")]})
    listing = network.bids(STANDING)
    assert [bid.provider for bid in listing.rows] == ["akash1b"]
    assert [what for what, _ in listing.quarantined] == ["akash1a"]


def test_no_bids_yet_is_no_fault(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/bids", {"data": []})
    assert network.bids(STANDING).rows == ()


@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": [{"bid": {}}]}, {"data": [bid_row("akash1a", "-1")]}, []]
)
def test_bids_of_another_shape_are_unavailable(console: Console, network: AkashNetwork, body: object) -> None:
    console.on("GET", "/v1/bids", body)
    with pytest.raises(Unavailable, match="unexpected shape"):
        network.bids(STANDING)


@pytest.mark.parametrize("latest", [[], [block(1)], {"height": 1}])
def test_without_two_blocks_nothing_is_priced(console: Console, network: AkashNetwork, latest: object) -> None:
    console.on("GET", "/v1/bids", {"data": [bid_row("akash1a", "1")]}).on("GET", "/v1/blocks", latest)
    with pytest.raises(Unavailable):
        network.bids(STANDING)


# --- leasing --------------------------------------------------------------------------------------------------------


def test_a_lease_sends_manifest_and_bid_and_reads_times_from_blocks(console: Console, network: AkashNetwork) -> None:
    console.on("POST", "/v1/leases", standing(lease_row()))
    status = network.lease(STANDING, BID)
    sent = json.loads(console.sent("POST", "/v1/leases")[0].content)
    assert sent == {"manifest": "[]", "leases": [{"dseq": "17", "gseq": 1, "oseq": 1, "provider": "akash1p1"}]}
    assert (status.state, status.provider, status.healthy) == ("active", "akash1p1", True)
    assert (status.opened_at, status.closed_at) == (GENESIS + timedelta(seconds=5.875), None)
    assert (status.native_amount, status.native_unit) == (Decimal(4424), "uact/block")


def test_a_lease_is_sent_again_after_a_lost_reply(console: Console, network: AkashNetwork) -> None:
    console.on("POST", "/v1/leases", httpx.ReadTimeout("lost"), standing(lease_row()))
    assert network.lease(STANDING, BID).state == "active"


@pytest.mark.parametrize(
    "message",
    [
        "bid not open",
        "order not open",
        "Cannot create lease: The selected bid is no longer open. Please refresh and select an available bid.",
    ],
)
def test_a_bid_that_is_gone_says_so(console: Console, network: AkashNetwork, message: str) -> None:
    console.on("POST", "/v1/leases", error(message), status=400)
    console.on("GET", "/v1/deployments/17", standing())
    with pytest.raises(Refused) as failure:
        network.lease(STANDING, BID)
    assert failure.value.code == "bid_not_open"


def test_a_bid_that_an_earlier_attempt_of_ours_took_is_our_lease(console: Console, network: AkashNetwork) -> None:
    console.on("POST", "/v1/leases", httpx.ReadTimeout("lost"), httpx.Response(400, json=error("bid not open")))
    console.on("GET", "/v1/deployments/17", standing(lease_row()))
    assert network.lease(STANDING, BID).provider == "akash1p1"


def test_a_lease_of_someone_else_is_not_ours(console: Console, network: AkashNetwork) -> None:
    console.on("POST", "/v1/leases", error("bid not open"), status=400)
    console.on("GET", "/v1/deployments/17", standing(lease_row(oseq=2)))
    with pytest.raises(Refused):
        network.lease(STANDING, BID)


def test_a_lease_without_a_manifest_is_not_tried(console: Console, network: AkashNetwork) -> None:
    console.on("GET", "/v1/deployments", page([{"deployment": deployment("17", "h")}]))
    [found] = network.find("h")
    with pytest.raises(PermanentFailure, match="content_hash"):
        network.lease(found, BID)
    assert not console.sent("POST", "/v1/leases")


def test_a_lease_is_reported_even_while_its_block_is_not_indexed(console: Console, network: AkashNetwork) -> None:
    console.on("POST", "/v1/leases", standing(lease_row()))
    console.on("GET", f"/v1/blocks/{HEIGHT + 1}", httpx.Response(404, json=error("Block not found", "not_found")))
    status = network.lease(STANDING, BID)
    assert (status.state, status.opened_at) == ("active", None)


# --- watching and closing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (standing(), "requested"),
        (standing(lease_row()), "active"),
        (standing(lease_row("reclaiming")), "active"),
        (standing(lease_row("closed", closed_on="27761600")), "failed"),
        (standing(lease_row("insufficient_funds", closed_on="27761600")), "failed"),
        (standing(lease_row("closed", closed_on="27761600"), lease_row(oseq=2)), "active"),
        (standing(lease_row("closed", closed_on="27761600"), state="closed"), "closed"),
        # The deployment is the master: its lease may still say active.
        (standing(lease_row(), state="closed"), "closed"),
        (standing(lease_row("closed", closed_on="27761600"), state="closed", escrow="overdrawn"), "failed"),
        (standing(state="closed"), "closed"),
    ],
)
def test_the_state_of_a_lease(console: Console, network: AkashNetwork, answer: object, state: str) -> None:
    console.on("GET", "/v1/deployments/17", answer)
    assert network.status("17").state == state


@pytest.mark.parametrize(("ready", "healthy"), [(1, True), (0, False), (None, None)])
def test_health_is_what_the_provider_reports_and_unknown_without_it(
    console: Console, network: AkashNetwork, ready: int | None, healthy: bool | None
) -> None:
    console.on("GET", "/v1/deployments/17", standing(lease_row(ready=ready)))
    assert network.status("17").healthy is healthy


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["leases"][0].update(state="paused"),
        lambda data: data["deployment"].update(state="unknown"),
        lambda data: data["leases"][0]["price"].update(amount="NaN"),
        lambda data: data.pop("escrow_account"),
    ],
)
def test_a_word_the_chain_does_not_have_is_not_guessed_at(
    console: Console, network: AkashNetwork, change: Callable[[dict[str, Any]], object]
) -> None:
    answer = standing(lease_row())
    change(answer["data"])
    console.on("GET", "/v1/deployments/17", answer)
    with pytest.raises(Unavailable, match="unexpected shape"):
        network.status("17")


def test_closing_settles_in_micro_act_and_tells_when(console: Console, network: AkashNetwork) -> None:
    closed = standing(lease_row("closed", closed_on=str(HEIGHT + 11), ready=None), state="closed", paid="44240.0")
    console.on("DELETE", "/v1/deployments/17", httpx.Response(503), {"data": {"success": True}})
    console.on("GET", "/v1/deployments/17", closed)
    status = network.close("17")
    assert (status.state, status.settled_native, status.healthy) == ("closed", Decimal(44240), None)
    assert (status.opened_at, status.closed_at) == (
        GENESIS + timedelta(seconds=5.875),
        GENESIS + timedelta(seconds=64.625),
    )
    assert len(console.sent("DELETE", "/v1/deployments/17")) == 2


def test_closing_what_is_closed_already_is_no_fault(console: Console, network: AkashNetwork) -> None:
    console.on("DELETE", "/v1/deployments/17", error("Deployment closed"), status=400)
    console.on("GET", "/v1/deployments/17", standing(state="closed"))
    assert network.close("17").state == "closed"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, error("Deployment not found", "not_found"), Refused),
        (400, error("Deployment escrow cannot be settled yet"), Unavailable),
        (503, error("provider trouble", "service_unavailable"), Unavailable),
    ],
)
def test_what_cannot_be_closed_says_whether_to_try_again(
    console: Console, network: AkashNetwork, status: int, body: object, kind: type[NectoError]
) -> None:
    console.on("DELETE", "/v1/deployments/17", body, status=status)
    with pytest.raises(kind):
        network.close("17")
