"""The settings say which source is asked, and how its rows are labelled."""

from pathlib import Path

import pytest
import respx

from necto_pipelines.market.registry import open_oracle, open_rail
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

CLOCK = FrozenClock()
KEY = "CG-0123456789"


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings.model_validate({"home": tmp_path, "coingecko_api_key": KEY, **given})


@pytest.mark.parametrize(
    ("given", "base_url", "mode", "key"),
    [
        ({"sandbox_port": 8123}, "http://127.0.0.1:8123/coingecko", SourceMode.SANDBOX, None),
        ({"coingecko_api_url": "http://prices.test"}, "http://prices.test", SourceMode.SANDBOX, None),
        ({"prices_mode": "live"}, "https://api.coingecko.com", SourceMode.LIVE, KEY),
        (
            {"prices_mode": "live", "coingecko_api_url": "http://prices.test"},
            "http://prices.test",
            SourceMode.LIVE,
            KEY,
        ),
    ],
)
@respx.mock
def test_the_oracle_asks_the_source_of_its_mode_and_the_key_goes_to_no_other(
    tmp_path: Path, given: dict[str, object], base_url: str, mode: SourceMode, key: str | None
) -> None:
    route = respx.get(f"{base_url}/api/v3/simple/price").respond(json={})
    oracle = open_oracle(settings(tmp_path, **given), CLOCK)
    oracle.prices(["AKT"])
    assert oracle.mode is mode
    assert route.calls.last.request.headers.get("x-cg-demo-api-key") == key


@respx.mock
def test_the_rail_is_the_sandboxes_and_says_so(tmp_path: Path) -> None:
    route = respx.get("http://127.0.0.1:8123/rail/v1/swaps").respond(json={"swaps": []})
    rail = open_rail(settings(tmp_path, sandbox_port=8123), CLOCK)
    assert rail.find("ord_1/swap/1") is None
    assert route.called
    assert rail.mode is SourceMode.SANDBOX
