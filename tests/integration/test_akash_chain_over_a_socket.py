"""Akash's second opinions and its account against the sandbox over a real socket: chain, gateways, screening, money."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.sandbox_app import gpu_sdl
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import PermanentFailure, Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import PriceBasis, SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.akash.account import AkashAccount, ProviderAccess
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.akash.chain import ChainReader
from necto_pipelines.networks.akash.opening import open_akash, open_akash_account, open_akash_chain
from necto_pipelines.networks.akash.probe import ProviderProbe
from necto_pipelines.networks.port import Placement
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration
PLACEMENT = Placement(
    token="ord_1/1",
    requirement=Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(2)),
    gpu_family="H100",
    vram_gib=80,
    max_usd_per_hour=Decimal(4),
    deposit_usd=Decimal(10),
)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: FrozenClock) -> Iterator[str]:
    with running_sandbox(clock) as url:
        yield url


@pytest.fixture
def settings(sandbox: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, sandbox_port=int(sandbox.rsplit(":", 1)[1]))


@pytest.fixture
def network(settings: Settings, clock: FrozenClock) -> Iterator[AkashNetwork]:
    opened = open_akash(settings, clock)
    yield opened
    opened.close_connections()


@pytest.fixture
def account(settings: Settings, clock: FrozenClock) -> Iterator[AkashAccount]:
    opened = open_akash_account(settings, clock)
    yield opened
    opened.close_connections()


def switch(sandbox: str, name: str, **body: object) -> None:
    httpx.post(f"{sandbox}/sandbox/{name}", json=body).raise_for_status()


def fault(sandbox: str, method: str, path: str, action: str, **more: object) -> None:
    switch(sandbox, "faults", method=method, path_prefix=path, action=action, **more)


# --- the chain ------------------------------------------------------------------------------------------------------


def test_chain_and_console_agree_on_who_is_audited(network: AkashNetwork) -> None:
    evidence = network.evidence()
    assert evidence.quarantined == ()
    assert sum(bool(row.audited_by) for row in evidence.rows) > 50
    assert len(evidence.raw) > 3
    assert {row.raw_sha256 for row in evidence.rows} <= {answer.sha256 for answer in evidence.raw}


def test_the_chain_overrules_the_console_and_the_difference_is_told(sandbox: str, clock: FrozenClock) -> None:
    with running_sandbox(clock) as other:
        provider = next(row.provider for row in plain(sandbox, clock).evidence().rows if row.audited_by)
        switch(other, "evidence", provider=provider, audited=False)
        chain = ChainReader([f"{other}/akash-lcd"], clock=clock)
        evidence = plain(sandbox, clock, chain=chain).evidence()
    [row] = [row for row in evidence.rows if row.provider == provider]
    assert (row.audited_by, row.audited_attributes) == ((), ())
    [(what, why)] = evidence.quarantined
    assert what == provider
    assert why.startswith("only at the Console: ")


def plain(sandbox: str, clock: FrozenClock, **second: Any) -> AkashNetwork:
    return AkashNetwork(base_url=f"{sandbox}/akash", api_key=None, mode=SourceMode.SANDBOX, clock=clock, **second)


def test_a_host_that_only_asks_for_patience_is_left_for_the_next(sandbox: str, clock: FrozenClock) -> None:
    with running_sandbox(clock) as other:
        fault(sandbox, "GET", "/akash-lcd/akash/audit", "status", status=429, times=9)
        chain = ChainReader([f"{sandbox}/akash-lcd", f"{other}/akash-lcd"], clock=clock)
        register = chain.register()
        chain.close_connections()
    assert register.providers.host == register.audits.host == f"{other}/akash-lcd"
    assert len(register.providers.rows) == 62


@pytest.mark.parametrize(
    ("fault_of", "kind"),
    [({"action": "status", "status": 501}, PermanentFailure), ({"action": "drop_reply"}, Unavailable)],
)
def test_without_the_chain_the_consoles_word_stands_and_is_marked(
    sandbox: str, settings: Settings, clock: FrozenClock, fault_of: dict[str, Any], kind: type[Exception]
) -> None:
    fault(sandbox, "GET", "/akash-lcd/akash/provider", times=20, **fault_of)
    with pytest.raises(kind):
        open_akash_chain(settings, clock).register()
    evidence = open_akash(settings, clock).evidence()
    assert sum(bool(row.audited_by) for row in evidence.rows) > 50
    [(what, why)] = evidence.quarantined
    assert what == "signed attributes"
    assert "unconfirmed" in why


def test_a_lease_stands_on_the_chain_as_the_console_tells_it(
    settings: Settings, network: AkashNetwork, account: AkashAccount, clock: FrozenClock
) -> None:
    deployment = network.request(PLACEMENT)
    clock.advance(61)
    bid = min(network.bids(deployment).rows, key=lambda each: each.usd_per_hour)
    network.lease(deployment, bid)
    clock.advance(600)
    [wallet] = account.wallets()
    chain = open_akash_chain(settings, clock)
    [lease] = chain.leases(wallet.address, state="active").rows
    assert (lease.dseq, lease.provider, lease.price) == (deployment.ref, bid.provider, bid.native_amount)
    assert chain.leases(wallet.address, state="closed").rows == ()
    network.close(deployment.ref)
    clock.advance(60)
    [lease] = chain.leases(wallet.address).rows
    assert lease.state == "closed"
    assert lease.closed_height > lease.created_height


def test_oracle_and_mint_are_read_from_the_same_hosts(settings: Settings, clock: FrozenClock, sandbox: str) -> None:
    chain = open_akash_chain(settings, clock)
    assert Decimal("0.4") < chain.oracle_price().median_usd < Decimal("0.7")
    assert chain.mint_status().mints_allowed is True
    switch(sandbox, "prices", frozen=True)
    clock.advance(600)
    assert (chain.oracle_price().healthy, chain.mint_status().mints_allowed) == (False, False)


# --- the gateways ---------------------------------------------------------------------------------------------------


def test_offers_are_those_of_providers_that_answer_at_their_own_prices(sandbox: str, network: AkashNetwork) -> None:
    before = network.offers()
    victim = before.rows[0].provider
    fault(sandbox, "GET", f"/akash-provider/{victim}", "drop_reply")
    after = network.offers()
    assert {offer.provider for offer in before.rows} - {offer.provider for offer in after.rows} == {victim}
    [(what, why)] = [pair for pair in after.quarantined if pair[0].startswith(victim)]
    assert "h100" in what
    assert why.startswith("listed but does not answer: ")
    assert {offer.price_basis for offer in after.rows} == {PriceBasis.ESTIMATE}
    h100 = {offer.usd_per_gpu_hour for offer in after.rows if offer.gpu.family == "H100"}
    assert len(h100) > 3


def test_a_provider_that_keeps_us_waiting_is_given_up(sandbox: str, clock: FrozenClock) -> None:
    gateways = f"{sandbox}/akash-provider"
    [slow, quick] = [offer.provider for offer in plain(sandbox, clock).offers().rows[:2]]
    fault(sandbox, "GET", f"/akash-provider/{slow}", "hold", seconds=1)
    findings = ProviderProbe(clock=clock, gateways=gateways, timeout_s=0.5).ask({slow: None, quick: None})
    assert findings[slow].fault == "listed but does not answer: not within 0.5 s"
    assert findings[quick].free_gpus


def test_free_gpus_are_those_the_provider_has_after_our_lease(network: AkashNetwork, clock: FrozenClock) -> None:
    deployment = network.request(PLACEMENT)
    clock.advance(61)
    bid = min(network.bids(deployment).rows, key=lambda each: each.usd_per_hour)
    before = {offer.provider: offer.units_available for offer in network.offers().rows}
    network.lease(deployment, bid)
    after = {offer.provider: offer.units_available for offer in network.offers().rows}
    others = [provider for provider in after if provider != bid.provider]
    # The bids of the others are lost: they give back what they had set aside.
    assert after.get(bid.provider, 0) == before.get(bid.provider, 0)
    assert all(after[provider] >= before.get(provider, 0) for provider in others)


@contextmanager
def self_signed_gateway(folder: Path, address: str) -> Iterator[str]:
    """A provider's gateway with a certificate that nobody signed; yields its address."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"address": address, "cluster": None}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed_certificate(folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def self_signed_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "akash1p")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "gateway.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_gateway_with_its_own_certificate_is_known_by_its_address(tmp_path: Path, clock: FrozenClock) -> None:
    with self_signed_gateway(tmp_path, "akash1p") as url:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(url)
        findings = ProviderProbe(clock=clock, gateways=url).ask({"akash1p": None, "akash1other": None})
    assert findings["akash1p"].fault == ""
    assert "answers as 'akash1p'" in findings["akash1other"].fault


# --- the account ----------------------------------------------------------------------------------------------------


def test_a_deposit_moves_money_into_the_deployment(account: AkashAccount, network: AkashNetwork) -> None:
    before = account.balances()
    deployment = network.request(PLACEMENT)
    after = account.balances()
    assert (before.free_usd - after.free_usd, after.in_deployments_usd) == (10, 10)
    assert after.total_usd == before.total_usd
    assert account.funding(deployment.ref).automatic is False
    assert account.fund_automatically(deployment.ref, True).automatic is True


def test_a_token_is_made_for_one_provider(account: AkashAccount) -> None:
    token = account.provider_token([ProviderAccess("akash1p", ("status",))], ttl_s=60)
    assert token.get_secret_value().count(".") == 2


def test_screening_names_who_would_bid_and_says_when_it_is_not_there(sandbox: str, account: AkashAccount) -> None:
    [group] = sdl.groups_of(gpu_sdl("rtx4090", 2))
    screened = account.screen(group)
    assert len(screened.rows) >= 3
    assert screened.quarantined == ()
    fault(sandbox, "POST", "/akash/v1/bid-screening", "status", status=404)
    missing = account.screen(group)
    assert missing.rows == ()
    assert "does not offer" in missing.quarantined[0][1]


def test_usage_of_a_lease_is_told_by_day(account: AkashAccount, network: AkashNetwork, clock: FrozenClock) -> None:
    deployment = network.request(PLACEMENT)
    clock.advance(61)
    network.lease(deployment, min(network.bids(deployment).rows, key=lambda each: each.usd_per_hour))
    clock.advance(3600)
    settled = network.close(deployment.ref).settled_native
    [wallet] = account.wallets()
    days = account.usage(wallet.address).rows
    assert len(days) == 31
    assert abs(days[-1].total_usd - settled / 10**6) < Decimal("0.001")
    assert abs(account.usage_summary(wallet.address).total_usd - days[-1].total_usd) < Decimal("0.001")
