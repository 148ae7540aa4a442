"""The chain reader against documented answers: several hosts, pinned pages, moved modules, and every failure."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from necto_pipelines.failures import PermanentFailure, Refused, Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.networks.akash import chain
from necto_pipelines.networks.akash.chain import Audit, ChainReader, Registered
from necto_pipelines.networks.akash.chain_hosts import BEHIND_BLOCKS, HEAD

FIRST, SECOND = "https://one.example", "https://two.example/akash"
HEIGHT = 27_761_552
PIN = "x-cosmos-block-height"
AUDITOR = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"
# Its base64 is `+/8=`: every sign that means something else in a query.
KEY = base64.b64encode(b"\xfb\xff").decode()
REGION = {"key": "region", "value": "us-west"}
PROVIDER = {
    "owner": "akash1p",
    "host_uri": "https://provider.example:8443",
    "attributes": [REGION],
    "info": {"email": "", "website": ""},
}
AUDIT = {"owner": "akash1p", "auditor": AUDITOR, "attributes": [REGION]}
LEASE = {
    "lease": {
        "id": {"owner": "akash1o", "dseq": "16122570", "gseq": 1, "oseq": 1, "provider": "akash1p", "bseq": 0},
        "state": "active",
        "price": {"denom": "uact", "amount": "584.635140000000000000"},
        "created_at": "27652334",
        "closed_on": "0",
        "reason": "lease_closed_invalid",
        "reclamation": None,
    },
    "escrow_payment": {},
}
ORACLE = {
    "aggregated_price": {
        "denom": "akt",
        "twap": "0.5431",
        "median_price": "0.5433",
        "min_price": "0.5429",
        "max_price": "0.5436",
        "timestamp": "2026-07-17T20:07:00Z",
        "num_sources": 1,
        "deviation_bps": "12",
    },
    "price_health": {
        "denom": "akt",
        "is_healthy": False,
        "has_min_sources": True,
        "deviation_ok": True,
        "total_sources": 1,
        "total_healthy_sources": 1,
        "failure_reason": ["stale"],
    },
}
BME = {
    "status": "mint_status_healthy",
    "collateral_ratio": "1.72",
    "warn_threshold": "0.95",
    "halt_threshold": "0.90",
    "mints_allowed": True,
    "refunds_allowed": False,
}
Answer = httpx.Response | Exception


def page(*rows: object, name: str = "providers", next_key: str | None = None) -> dict[str, Any]:
    return {name: list(rows), "pagination": {"next_key": next_key, "total": "0"}}


def grpc(status: int, code: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message, "details": []})


class Chain:
    """Hosts of canned answers, by host, path and key of the page; what is not set up is not served."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str, str], list[Answer]] = {}
        for host in (FIRST, SECOND):
            self.on(host, HEAD, {"block_id": {}, "block": {"header": {"height": str(HEIGHT)}}})
            self.on(host, chain.PROVIDERS, page(PROVIDER))
            self.on(host, chain.AUDITS, page(AUDIT))

    def on(self, host: str, path: str, *answers: object, key: str = "") -> "Chain":
        self.answers[host, path, key] = [
            answer if isinstance(answer, httpx.Response | Exception) else httpx.Response(200, json=answer)
            for answer in answers
        ]
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        host = FIRST if request.url.host == "one.example" else SECOND
        path = request.url.path.removeprefix(httpx.URL(host).path.rstrip("/"))
        key = parse_qs(request.url.query.decode()).get("pagination.key", [""])[0]
        queue = self.answers.get((host, path, key), [grpc(501, 12, "Not Implemented")])
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    def asked(self, host: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.host == httpx.URL(host).host]


@pytest.fixture
def hosts() -> Chain:
    return Chain()


@pytest.fixture
def reader(hosts: Chain) -> ChainReader:
    return reading(hosts)


def reading(hosts: Chain, *, attempts: int = 1) -> ChainReader:
    return ChainReader([FIRST, SECOND], clock=FrozenClock(), attempts=attempts, transport=httpx.MockTransport(hosts))


def test_a_reader_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one host"):
        ChainReader([], clock=FrozenClock())


def test_providers_and_audits_are_read_at_one_height_of_one_host(hosts: Chain, reader: ChainReader) -> None:
    register = reader.register()
    assert register.providers.rows == (
        Registered("akash1p", "https://provider.example:8443", frozenset({("region", "us-west")})),
    )
    assert register.audits.rows == (Audit("akash1p", AUDITOR, frozenset({("region", "us-west")})),)
    height = HEIGHT - BEHIND_BLOCKS
    assert {(part.host, part.height) for part in (register.providers, register.audits)} == {(FIRST, height)}
    head, *lists = hosts.requests
    assert PIN not in head.headers
    assert [request.headers[PIN] for request in lists] == [str(height)] * 2
    assert not hosts.asked(SECOND)


def test_reads_of_the_newest_state_are_not_pinned_by_an_earlier_snapshot(hosts: Chain, reader: ChainReader) -> None:
    hosts.on(FIRST, chain.BME, BME)
    reader.audits()
    reader.mint_status()
    assert PIN not in hosts.requests[-1].headers


def test_every_page_is_turned_with_its_key_encoded(hosts: Chain, reader: ChainReader) -> None:
    other = PROVIDER | {"owner": "akash1q"}
    hosts.on(FIRST, chain.PROVIDERS, page(PROVIDER, next_key=KEY))
    hosts.on(FIRST, chain.PROVIDERS, page(other), key=KEY)
    snapshot = reader.providers()
    assert [row.owner for row in snapshot.rows] == ["akash1p", "akash1q"]
    assert len(snapshot.raw) == 2
    assert b"pagination.key=%2B%2F8%3D" in hosts.requests[-1].url.query


def test_a_page_that_fails_throws_the_whole_snapshot_away(hosts: Chain, reader: ChainReader) -> None:
    hosts.on(FIRST, chain.PROVIDERS, page(PROVIDER | {"owner": "akash1old"}, next_key=KEY))
    hosts.on(FIRST, chain.PROVIDERS, httpx.Response(500, text="panic"), key=KEY)
    hosts.on(SECOND, HEAD, {"block": {"header": {"height": str(HEIGHT + 7)}}})
    snapshot = reader.providers()
    assert [row.owner for row in snapshot.rows] == ["akash1p"]
    assert (snapshot.host, snapshot.height) == (SECOND, HEIGHT + 7 - BEHIND_BLOCKS)
    assert all("two.example" in answer.url for answer in snapshot.raw)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(429, text="slow down"),
        httpx.Response(503, text="<html>maintenance</html>"),
        httpx.Response(403, text="<html>blocked</html>"),
        httpx.Response(404, text="no such page"),
        httpx.Response(200, text="<html>parked</html>"),
        httpx.Response(200, json={"providers": None, "pagination": None}),
        grpc(400, 3, "failed to load state at height 27761550; version does not exist: invalid request"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
    ],
)
def test_a_host_that_cannot_serve_is_left_for_the_next(hosts: Chain, reader: ChainReader, failure: Answer) -> None:
    hosts.on(FIRST, chain.PROVIDERS, failure)
    assert reader.providers().host == SECOND


def test_a_host_that_asks_for_patience_is_asked_again_before_the_next(hosts: Chain) -> None:
    hosts.on(FIRST, chain.PROVIDERS, httpx.Response(429), page(PROVIDER))
    assert reading(hosts, attempts=2).providers().host == FIRST
    assert not hosts.asked(SECOND)


def test_when_no_host_serves_each_of_them_is_named(hosts: Chain, reader: ChainReader) -> None:
    for host in (FIRST, SECOND):
        hosts.on(host, chain.AUDITS, httpx.Response(429))
    with pytest.raises(Unavailable, match=r"one\.example.*429.*two\.example.*429"):
        reader.audits()


@pytest.mark.parametrize(
    "body",
    [
        grpc(501, 12, "Not Implemented"),
        httpx.Response(501, text="nginx"),
        httpx.Response(501, json={"code": "unknown_error"}),
    ],
)
def test_501_says_which_module_moved_from_which_version_and_asks_nobody_else(
    hosts: Chain, reader: ChainReader, body: Answer
) -> None:
    hosts.on(FIRST, chain.PROVIDERS, body)
    with pytest.raises(PermanentFailure, match=rf"{chain.PROVIDERS} .*module provider has moved on from v1beta4"):
        reader.register()
    assert not hosts.asked(SECOND)


@pytest.mark.parametrize("body", [grpc(400, 3, "invalid address: decoding bech32 failed"), grpc(404, 5, "not found")])
def test_what_the_chain_itself_refuses_is_asked_of_nobody_else(hosts: Chain, reader: ChainReader, body: Answer) -> None:
    hosts.on(FIRST, chain.LEASES, body)
    with pytest.raises(Refused):
        reader.leases("akash1o")
    assert not hosts.asked(SECOND)


def test_pages_that_go_round_end(hosts: Chain, reader: ChainReader) -> None:
    for host in (FIRST, SECOND):
        hosts.on(host, chain.AUDITS, page(AUDIT, next_key=KEY))
        hosts.on(host, chain.AUDITS, page(AUDIT, next_key=KEY), key=KEY)
    with pytest.raises(Unavailable, match="circle"):
        reader.audits()


def test_a_chain_without_a_single_provider_is_not_believed(hosts: Chain, reader: ChainReader) -> None:
    hosts.on(FIRST, chain.PROVIDERS, page())
    assert reader.register().providers.host == SECOND


def test_an_odd_row_is_set_aside_by_name(hosts: Chain, reader: ChainReader) -> None:
    hosts.on(FIRST, chain.AUDITS, page(AUDIT, {"owner": "akash1odd", "auditor": AUDITOR}))
    snapshot = reader.audits()
    assert len(snapshot.rows) == 1
    assert [what for what, _ in snapshot.quarantined] == ["akash1odd"]


def test_leases_are_asked_by_owner_and_state(hosts: Chain, reader: ChainReader) -> None:
    unknown = LEASE | {"lease": LEASE["lease"] | {"state": "user_closed"}}  # type: ignore[operator]
    hosts.on(FIRST, chain.LEASES, page(LEASE, unknown, name="leases"))
    snapshot = reader.leases("akash1o", state="active")
    [lease] = snapshot.rows
    assert (lease.dseq, lease.provider, lease.state) == ("16122570", "akash1p", "active")
    assert (lease.price, lease.denom) == (Decimal("584.635140000000000000"), "uact")
    assert (lease.created_height, lease.closed_height) == (27_652_334, 0)
    asked = hosts.requests[-1].url.params
    assert (asked["filters.owner"], asked["filters.state"]) == ("akash1o", "active")
    assert [why for _, why in snapshot.quarantined if "state" in why]


def test_the_oracle_price_carries_its_health_and_its_answer(hosts: Chain, reader: ChainReader) -> None:
    hosts.on(FIRST, f"{chain.ORACLE}/akt", ORACLE)
    price = reader.oracle_price()
    assert (price.median_usd, price.twap_usd) == (Decimal("0.5433"), Decimal("0.5431"))
    assert (price.min_usd, price.max_usd, price.deviation_bps) == (Decimal("0.5429"), Decimal("0.5436"), 12)
    assert price.published_at == datetime(2026, 7, 17, 20, 7, tzinfo=UTC)
    assert (price.healthy, price.faults) == (False, ("stale",))
    assert price.raw.body


def test_a_price_of_something_else_is_not_taken(hosts: Chain, reader: ChainReader) -> None:
    for host in (FIRST, SECOND):
        hosts.on(host, f"{chain.ORACLE}/act", ORACLE)
    with pytest.raises(Unavailable, match="'akt', not of 'act'"):
        reader.oracle_price("act")


def test_the_mint_status_says_whether_act_can_be_minted(hosts: Chain, reader: ChainReader) -> None:
    status = ChainReader([FIRST], clock=FrozenClock(), transport=httpx.MockTransport(hosts.on(FIRST, chain.BME, BME)))
    found = status.mint_status()
    assert (found.status, found.mints_allowed, found.refunds_allowed) == ("mint_status_healthy", True, False)
    assert (found.collateral_ratio, found.halt_threshold) == (Decimal("1.72"), Decimal("0.90"))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(collateral_ratio="NaN"),
        lambda body: body.pop("mints_allowed"),
        lambda body: body.update(halt_threshold="-1"),
    ],
)
def test_a_status_of_another_shape_is_unavailable(
    hosts: Chain, reader: ChainReader, change: Callable[[dict[str, Any]], object]
) -> None:
    body = dict(BME)
    change(body)
    for host in (FIRST, SECOND):
        hosts.on(host, chain.BME, body)
    with pytest.raises(Unavailable, match="unexpected shape"):
        reader.mint_status()


def test_connections_can_be_given_back_and_are_made_anew(reader: ChainReader) -> None:
    reader.audits()
    reader.close_connections()
    assert reader.audits().rows
