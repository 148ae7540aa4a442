"""Which networks are set up, and where Akash is looked for."""

import os

import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.failures import Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks import registry
from necto_pipelines.networks.akash import opening
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.akash.chain import LIVE_URLS
from necto_pipelines.settings import Settings


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the registry hands to the adapter."""
    facts: dict[str, object] = {}
    for variable in [name for name in os.environ if name.startswith("NECTO_")]:
        monkeypatch.delenv(variable)

    def remember(**given: object) -> AkashNetwork:
        facts.update(given)
        return AkashNetwork(**given, transport=httpx.MockTransport(lambda _: httpx.Response(404)))  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "AkashNetwork", remember)
    return facts


@pytest.mark.parametrize(
    ("settings", "address", "mode"),
    [
        (Settings(sandbox_port=9123), "http://127.0.0.1:9123/akash", SourceMode.SANDBOX),
        (Settings(akash_mode="live"), "https://console-api.akash.network", SourceMode.LIVE),
        (
            Settings(akash_mode="live", akash_api_url="https://akash.example"),
            "https://akash.example",
            SourceMode.LIVE,
        ),
    ],
)
def test_the_address_follows_the_mode_unless_it_is_given(
    opened: dict[str, object], settings: Settings, address: str, mode: SourceMode
) -> None:
    assert "akash" in registry.open_networks(settings, FrozenClock())
    assert (opened["base_url"], opened["mode"]) == (address, mode)


def test_the_sandboxs_key_is_never_used_on_the_live_network(opened: dict[str, object]) -> None:
    registry.open_networks(Settings(akash_mode="live"), FrozenClock())
    assert opened["api_key"] is None
    registry.open_networks(Settings(), FrozenClock())
    assert opened["api_key"] == opening.SANDBOX_API_KEY


def test_a_given_key_is_used(opened: dict[str, object]) -> None:
    registry.open_networks(Settings(akash_api_key=SecretStr("ac.sk.mine")), FrozenClock())
    assert opened["api_key"] == SecretStr("ac.sk.mine")


@pytest.mark.parametrize(
    ("settings", "hosts", "gateways"),
    [
        (
            Settings(sandbox_port=9123),
            ["http://127.0.0.1:9123/akash-lcd/"],
            "http://127.0.0.1:9123/akash-provider/akash1p/status",
        ),
        (Settings(akash_mode="live"), [f"{url}/" for url in LIVE_URLS], "https://p.example:8443/status"),
        (
            Settings(akash_mode="live", akash_chain_urls=("https://mine.example/lcd",)),
            ["https://mine.example/lcd/"],
            "https://p.example:8443/status",
        ),
    ],
)
def test_second_opinions_are_asked_where_the_settings_say(
    opened: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    hosts: list[str],
    gateways: str,
) -> None:
    asked: list[str] = []

    def refuse(_: object, request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(403)

    async def refuse_probe(_: object, request: httpx.Request) -> httpx.Response:
        return refuse(_, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", refuse)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", refuse_probe)
    registry.open_networks(settings, FrozenClock())
    with pytest.raises(Unavailable):
        opened["chain"].providers()  # type: ignore[attr-defined]
    assert [url.partition("cosmos")[0] for url in asked] == hosts
    opened["probe"].ask({"akash1p": "https://p.example:8443"})  # type: ignore[attr-defined]
    assert asked[-1] == gateways
