"""Which source of cloud prices the settings ask for."""

from pathlib import Path
from typing import Any

import pytest
import respx
from httpx import Response

from necto_pipelines.failures import NectoError
from necto_pipelines.market.registry import open_cloud_sources
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

CLOUDS = ("aws", "azure", "gcp")
PATHS = {
    "aws": "/offers/v1.0/aws/AmazonEC2/current/region_index.json",
    "azure": "/api/retail/prices",
    "gcp": "/v1/services/6F81-5844-456A/skus",
}
HOSTS = {
    ("aws", "live"): "https://pricing.us-east-1.amazonaws.com",
    ("azure", "live"): "https://prices.azure.com",
    ("gcp", "live"): "https://cloudbilling.googleapis.com",
    ("aws", "sandbox"): "http://127.0.0.1:8123/clouds/aws",
    ("azure", "sandbox"): "http://127.0.0.1:8123/clouds/azure",
    ("gcp", "sandbox"): "http://127.0.0.1:8123/clouds/gcp",
}


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(home=tmp_path, sandbox_port=8123, **values)


def first_call(cloud: str, chosen: Settings) -> Any:
    """The first request that the source of `cloud` makes."""
    source = next(source for source in open_cloud_sources(chosen, FrozenClock()) if source.name == cloud)
    with respx.mock(assert_all_called=False) as router:
        router.route().mock(return_value=Response(404))
        with pytest.raises(NectoError):
            source.prices()
        return router.calls[0].request


def test_without_a_word_all_three_clouds_come_from_the_dated_table(tmp_path: Path) -> None:
    sources = open_cloud_sources(settings(tmp_path), FrozenClock())
    assert [(source.name, source.mode) for source in sources] == [(cloud, SourceMode.SNAPSHOT) for cloud in CLOUDS]
    for source in sources:
        assert {row.mode for row in source.prices().rows} == {SourceMode.SNAPSHOT}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("mode", ["live", "sandbox"])
def test_each_cloud_is_set_by_itself(tmp_path: Path, cloud: str, mode: str) -> None:
    chosen = settings(tmp_path, **{f"{cloud}_mode": mode})
    modes = {source.name: source.mode for source in open_cloud_sources(chosen, FrozenClock())}
    assert modes == dict.fromkeys(CLOUDS, SourceMode.SNAPSHOT) | {cloud: SourceMode(mode)}
    request = first_call(cloud, chosen)
    assert str(request.url).partition("?")[0] == HOSTS[cloud, mode] + PATHS[cloud]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_of_ones_own_comes_first(tmp_path: Path, cloud: str) -> None:
    chosen = settings(tmp_path, **{f"{cloud}_mode": "live", f"{cloud}_prices_url": "http://mirror.test/prices"})
    assert str(first_call(cloud, chosen).url).startswith(f"http://mirror.test/prices{PATHS[cloud]}")


def test_the_key_of_google_goes_to_google_only(tmp_path: Path) -> None:
    key = {"gcp_api_key": "AIza-0123456789"}
    live = first_call("gcp", settings(tmp_path, gcp_mode="live", **key))
    sandbox = first_call("gcp", settings(tmp_path, gcp_mode="sandbox", **key))
    assert live.headers["x-goog-api-key"] == key["gcp_api_key"]
    assert sandbox.headers["x-goog-api-key"] != key["gcp_api_key"]
