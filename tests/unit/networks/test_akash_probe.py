"""Asking providers themselves: who answers, as whom, in what time, and where is never asked."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.akash.probe import MAX_BODY_BYTES, Finding, ProviderProbe

OWNER, HOST = "akash18ga02", "https://provider.example:8443"
Handler = Callable[[httpx.Request], Any]


def status(*free_gpus: object, address: str = OWNER) -> dict[str, Any]:
    """The live answer of 2026-07-17, with one machine for each of `free_gpus`."""
    nodes = [
        {
            "name": f"ceph{number}",
            "allocatable": {"cpu": 47400, "gpu": 8, "memory": 122716651520, "storage_ephemeral": 138702508620},
            "available": {"cpu": 145, "gpu": gpu, "memory": 22513100800, "storage_ephemeral": 79378272844},
        }
        for number, gpu in enumerate(free_gpus)
    ]
    return {
        "cluster": {"leases": 24, "inventory": {"active": [], "pending": [], "available": {"nodes": nodes}}},
        "bidengine": {"orders": 0},
        "manifest": {"deployments": 1},
        "cluster_public_hostname": "provider.example",
        "address": address,
        "leased_ip": None,
    }


def ask(handler: Handler, host: str | None = HOST, **options: Any) -> Finding:
    probe = ProviderProbe(clock=FrozenClock(), transport=httpx.MockTransport(handler), **options)
    return probe.ask({OWNER: host})[OWNER]


def test_a_provider_says_itself_how_many_gpus_are_free_and_where_most_are() -> None:
    finding = ask(lambda _: httpx.Response(200, json=status(1, 4, 0)))
    assert (finding.fault, finding.free_gpus, finding.largest_free_gpus) == ("", 5, 4)
    assert finding.raw is not None
    assert (finding.raw.url, json.loads(finding.raw.body)["address"]) == (f"{HOST}/status", OWNER)


def test_it_is_asked_without_any_credential() -> None:
    asked: list[httpx.Request] = []

    def remember(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=status(1))

    ask(remember)
    assert str(asked[0].url) == f"{HOST}/status"
    assert not {"authorization", "x-api-key", "cookie"} & set(asked[0].headers)


def test_gateways_stand_in_for_registered_hosts() -> None:
    finding = ask(lambda _: httpx.Response(200, json=status(1)), None, gateways="http://127.0.0.1:1/akash-provider")
    assert finding.raw is not None
    assert finding.raw.url == f"http://127.0.0.1:1/akash-provider/{OWNER}/status"


def test_nobody_to_ask_gives_no_findings() -> None:
    assert ProviderProbe(clock=FrozenClock()).ask({}) == {}


@pytest.mark.parametrize("body", [{"address": OWNER}, status() | {"cluster": None}, status() | {"cluster": {}}])
def test_a_provider_that_tells_no_inventory_is_there_all_the_same(body: object) -> None:
    finding = ask(lambda _: httpx.Response(200, json=body))
    assert (finding.fault, finding.free_gpus, finding.largest_free_gpus) == ("", None, None)


def test_no_machines_hold_no_gpus_and_less_than_none_is_none() -> None:
    assert ask(lambda _: httpx.Response(200, json=status())).free_gpus == 0
    assert ask(lambda _: httpx.Response(200, json=status(-3, 2))).free_gpus == 2


def fail(error: Exception) -> Handler:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (lambda _: httpx.Response(200, json=status(1, address="akash1other")), "answers as 'akash1other'"),
        (lambda _: httpx.Response(503, text="kubernetes unreachable"), "HTTP 503"),
        (lambda _: httpx.Response(302, headers={"location": "https://169.254.169.254/status"}), "HTTP 302"),
        (lambda _: httpx.Response(200, text="<html>parked</html>"), "not JSON"),
        (lambda _: httpx.Response(200, json=[]), "unexpected shape"),
        (lambda _: httpx.Response(200, text=json.dumps(status(1)).replace('"gpu": 1,', '"gpu": 1e999999,')), "gpu"),
        (lambda _: httpx.Response(200, content=b" " * (MAX_BODY_BYTES + 1)), "bytes"),
        (lambda _: httpx.Response(200, headers={"content-encoding": "br"}, content=b""), "compressed"),
        (fail(httpx.ConnectError("refused")), "refused"),
        (fail(httpx.RemoteProtocolError("")), "RemoteProtocolError"),
    ],
)
def test_whoever_does_not_answer_as_itself_does_not_answer(handler: Handler, why: str) -> None:
    finding = ask(handler)
    assert finding.fault.startswith("listed but does not answer: ")
    assert why in finding.fault
    assert (finding.free_gpus, finding.raw) == (None, None)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "http://provider.example:8443",
        "provider.example:8443",
        "https://user:secret@provider.example:8443",
        "https://127.0.0.1:8443",
        "https://10.0.0.5:8443",
        "https://169.254.169.254",
        "https://[::1]:8443",
        "https://localhost:8443",
        "https://database:8443",
        "https://provider.example:port",
    ],
)
def test_a_host_that_points_into_our_own_network_is_never_asked(host: str | None) -> None:
    finding = ask(fail(AssertionError("it was asked")), host)
    assert finding.fault.startswith("listed but does not answer: ")


def test_the_time_limit_holds_from_the_name_to_the_last_byte() -> None:
    class Dripping(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await anyio.sleep(0.01)
                yield b" "

    finding = ask(lambda _: httpx.Response(200, stream=Dripping()), timeout_s=0.1)
    assert finding.fault == "listed but does not answer: not within 0.1 s"


def test_one_dead_provider_costs_the_others_nothing_and_only_so_many_are_asked_at_once() -> None:
    running, most = 0, 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        try:
            await anyio.sleep(60 if request.url.host == "dead.example" else 0.005)
        finally:
            running -= 1
        return httpx.Response(200, json=status(1, address=request.url.host.partition(".")[0]))

    hosts = {f"akash1p{number}": f"https://akash1p{number}.example:8443" for number in range(12)}
    probe = ProviderProbe(clock=FrozenClock(), timeout_s=0.2, at_once=4, transport=httpx.MockTransport(handler))
    findings = probe.ask({"akash1dead": "https://dead.example:8443", **hosts})
    assert [owner for owner, finding in findings.items() if finding.fault] == ["akash1dead"]
    assert most == 4


# --- the adapter ----------------------------------------------------------------------------------------------------

T4 = {"vendor": "nvidia", "model": "t4", "ram": "16Gi", "interface": "PCIe"}
PRICES = {"models": [T4 | {"price": {"weightedAverage": 0.15}}]}


def listed(owner: str, free: int) -> dict[str, Any]:
    stats = {name: {"available": 10**12} for name in ("cpu", "memory")} | {"gpu": {"available": free}}
    return {
        "owner": owner,
        "hostUri": f"https://{owner}.example:8443",
        "gpuModels": [T4],
        "stats": stats | {"storage": {"ephemeral": {"available": 10**12}}},
    }


def network(rows: list[dict[str, Any]], gateways: Handler | None) -> AkashNetwork:
    def console(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=PRICES if request.url.path == "/v1/gpu-prices" else rows)

    clock = FrozenClock()
    return AkashNetwork(
        base_url="https://console.example",
        api_key=SecretStr("ac.sk.secret"),
        mode=SourceMode.LIVE,
        clock=clock,
        probe=ProviderProbe(clock=clock, transport=httpx.MockTransport(gateways)) if gateways else None,
        transport=httpx.MockTransport(console),
    )


def test_only_providers_that_answer_are_offered_with_what_they_say_is_free() -> None:
    asked: list[str] = []

    def gateways(request: httpx.Request) -> httpx.Response:
        owner = request.url.host.partition(".")[0]
        asked.append(owner)
        return httpx.Response(503) if owner == "dead" else httpx.Response(200, json=status(2, 3, address=owner))

    listing = network([listed("alive", 9), listed("dead", 4), listed("sold-out", 0)], gateways).offers()
    [offer] = listing.rows
    assert (offer.provider, offer.units_available, offer.max_gpus_per_order) == ("alive", 5, 3)
    assert listing.quarantined == (("dead nvidia t4 16gi pcie", "listed but does not answer: HTTP 503"),)
    assert sorted(asked) == ["alive", "dead"]
    assert len(listing.raw) == 3


def test_a_provider_that_says_it_has_none_is_not_offered() -> None:
    listing = network([listed("a", 9)], lambda _: httpx.Response(200, json=status(0, address="a"))).offers()
    assert listing.rows == ()
    assert listing.quarantined == (("a", "listed with free GPUs, but says itself that it has none"),)


def test_when_nobody_answers_the_fault_may_be_ours_and_that_is_said() -> None:
    listing = network([listed("a", 1), listed("b", 1)], fail(httpx.ConnectError("unreachable"))).offers()
    assert listing.rows == ()
    assert listing.quarantined[-1][0] == "akash"
    assert "none of 2 providers answers" in listing.quarantined[-1][1]


def test_without_a_probe_the_list_is_believed() -> None:
    [offer] = network([listed("a", 9)], None).offers().rows
    assert (offer.units_available, offer.max_gpus_per_order) == (9, 8)
