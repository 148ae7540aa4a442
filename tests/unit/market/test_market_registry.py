"""The settings say which sources are asked, and how their rows are labelled."""

from contextlib import suppress
from pathlib import Path

import pytest
import respx
from httpx import Response

from necto_pipelines.failures import NectoError
from necto_pipelines.market.registry import open_oracle, open_rail, price_sources
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

CLOCK = FrozenClock()
KEYS = {"coingecko_api_key": "CG-0123456789", "pyth_api_key": "pyth-0123456789"}
SANDBOX = {
    "http://127.0.0.1:8123/coingecko/api/v3/simple/price",
    "http://127.0.0.1:8123/pyth/v2/updates/price/latest",
    "http://127.0.0.1:8123/coinbase-exchange/products/AKT-USD/ticker",
    "http://127.0.0.1:8123/coinbase/v2/prices/AKT-USD/spot",
    "http://127.0.0.1:8123/akash-lcd/akash/oracle/v2/aggregated_price/akt",
}
LIVE = {
    "https://api.coingecko.com/api/v3/simple/price",
    "https://pyth.dourolabs.app/hermes/v2/updates/price/latest",
    "https://api.exchange.coinbase.com/products/AKT-USD/ticker",
    "https://api.coinbase.com/v2/prices/AKT-USD/spot",
    "https://api.akashnet.net/akash/oracle/v2/aggregated_price/akt",
}
OWN = {
    "http://gecko.test/api/v3/simple/price",
    "http://pyth.test/v2/updates/price/latest",
    "http://coinbase.test/products/AKT-USD/ticker",
    "http://coinbase.test/v2/prices/AKT-USD/spot",
    "http://chain.test/akash/oracle/v2/aggregated_price/akt",
}
OWN_URLS = {
    "coingecko_api_url": "http://gecko.test",
    "pyth_api_url": "http://pyth.test",
    "coinbase_api_url": "http://coinbase.test",
    "akash_chain_urls": ("http://chain.test",),
}


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings.model_validate({"home": tmp_path, "sandbox_port": 8123, **given})


def asked(tmp_path: Path, **given: object) -> dict[str, dict[str, str]]:
    """The addresses that a question for AKT goes to, with the headers sent."""
    made: dict[str, dict[str, str]] = {}
    for source in price_sources(settings(tmp_path, **given), CLOCK):
        with respx.mock:
            route = respx.route().mock(return_value=Response(404, json={}))
            with suppress(NectoError):  # only where it asks matters here
                source.prices(["AKT"])
            for call in route.calls:
                made[str(call.request.url.copy_with(query=None))] = dict(call.request.headers)
    return made


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ({}, SANDBOX),
        (KEYS, SANDBOX),
        ({"akash_chain_urls": ("http://chain.test",), "akash_mode": "live"}, SANDBOX),
        ({"prices_mode": "live", **KEYS}, LIVE),
        ({"prices_mode": "live", **KEYS, **OWN_URLS}, OWN),
    ],
)
def test_every_source_is_asked_where_the_settings_say(
    tmp_path: Path, given: dict[str, object], addresses: set[str]
) -> None:
    made = set(asked(tmp_path, **given))
    # The chain has several hosts: the first is enough here.
    assert {url for url in made if url in addresses or "oracle" not in url} == addresses


@pytest.mark.parametrize("mode", ["sandbox", "live"])
def test_keys_go_to_the_live_source_they_are_for_and_to_no_other(tmp_path: Path, mode: str) -> None:
    for url, headers in asked(tmp_path, prices_mode=mode, **KEYS).items():
        carried = {name for name, key in KEYS.items() if any(key in value for value in headers.values())}
        allowed = {"coingecko": {"coingecko_api_key"}, "pyth": {"pyth_api_key"}}
        expected = next((keys for name, keys in allowed.items() if name in url), set()) if mode == "live" else set()
        assert carried == expected, url


def test_without_a_key_pyth_is_left_out_in_live_mode_only(tmp_path: Path) -> None:
    names = {
        mode: {s.name for s in price_sources(settings(tmp_path, prices_mode=mode), CLOCK)}
        for mode in ("sandbox", "live")
    }
    assert names["sandbox"] - names["live"] == {"Pyth"}


@pytest.mark.parametrize("mode", list(SourceMode)[:2])
def test_the_oracle_is_labelled_by_its_mode(tmp_path: Path, mode: SourceMode) -> None:
    assert open_oracle(settings(tmp_path, prices_mode=str(mode)), CLOCK).mode is mode


@respx.mock
def test_the_limits_are_the_settings(tmp_path: Path) -> None:
    at = int(CLOCK.now().timestamp())
    respx.get(url__regex=".*/coingecko/.*").respond(json={"akash-network": {"usd": 1, "last_updated_at": at - 90}})
    ticker = {"price": "1.018", "time": "2026-11-22T11:59:59Z"}
    respx.get(url__regex=".*/coinbase-exchange/.*").respond(json=ticker)
    respx.route().respond(404, json={})
    wide = {"token_price_max_deviation_bps": 200}
    for given, refusal in [
        (wide, ""),
        ({}, "token_price_disagrees"),
        ({**wide, "token_price_max_age_s": 60}, "token_price_too_few"),
    ]:
        found = open_oracle(settings(tmp_path, **given), CLOCK).prices(["AKT"])
        assert any(row.consensus for row in found.rows) is not bool(refusal)
        assert any(why.startswith(refusal or "never") for _, why in found.quarantined) is bool(refusal)


@respx.mock
def test_the_rail_is_the_sandboxes_and_says_so(tmp_path: Path) -> None:
    route = respx.get("http://127.0.0.1:8123/rail/v1/swaps").respond(json={"swaps": []})
    rail = open_rail(settings(tmp_path), CLOCK)
    assert rail.find("ord_1/swap/1") is None
    assert route.called
    assert rail.mode is SourceMode.SANDBOX
