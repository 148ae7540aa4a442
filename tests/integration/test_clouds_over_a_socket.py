"""The clouds' price lists against the sandbox, over real HTTP on a loopback socket."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import Unavailable
from necto_pipelines.market.clouds import reference_cloud_prices
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.registry import open_cloud_sources
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration

CLOUDS = ("aws", "azure", "gcp")
MILLIONTHS = Decimal("0.00001")
"""Google's parts are rounded, and so is the table they are made from"""


@pytest.fixture(scope="module")
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="module")
def sandbox(clock: FrozenClock) -> Iterator[httpx.Client]:
    with running_sandbox(clock) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def sources(sandbox: httpx.Client, clock: FrozenClock, tmp_path: Path) -> dict[str, CloudSource]:
    settings = Settings(
        home=tmp_path,
        sandbox_port=urlsplit(str(sandbox.base_url)).port or 0,
        request_timeout_s=5,
        aws_mode="sandbox",
        azure_mode="sandbox",
        gcp_mode="sandbox",
    )
    return {source.name: source for source in open_cloud_sources(settings, clock)}


def faulty(sandbox: httpx.Client, path_prefix: str, times: int, **fault: Any) -> None:
    order = {"method": "GET", "path_prefix": path_prefix, "action": "status", "times": times} | fault
    sandbox.post("/sandbox/faults", json=order).raise_for_status()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_price_of_the_dated_table_comes_back_through_the_clouds_own_format(
    sources: dict[str, CloudSource], cloud: str
) -> None:
    listing = sources[cloud].prices()
    read = {(row.instance, row.region): row for row in listing.rows}
    table = [row for row in reference_cloud_prices().rows if row.cloud == cloud]
    assert len(table) > 100
    for row in table:
        found = read[row.instance, row.region]
        assert abs(found.usd_per_hour / row.usd_per_hour - 1) < MILLIONTHS, row
        assert (found.gpu, found.gpu_count, found.mode) == (row.gpu, row.gpu_count, SourceMode.SANDBOX)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_price_names_the_answer_it_was_read_from(sources: dict[str, CloudSource], cloud: str) -> None:
    listing = sources[cloud].prices()
    assert len(listing.raw) > 1, "an index and files, or pages"
    assert {row.raw_sha256 for row in listing.rows} <= {answer.sha256 for answer in listing.raw}


def test_a_gpu_that_google_lists_but_does_not_sell_on_demand_is_told(sources: dict[str, CloudSource]) -> None:
    reasons = dict(sources["gcp"].prices().quarantined)
    assert "listed here, but not on demand" in reasons["gcp a3-megagpu-8g us-central1"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_source_that_fails_for_a_moment_is_read_all_the_same(
    sources: dict[str, CloudSource], sandbox: httpx.Client, cloud: str
) -> None:
    faulty(sandbox, f"/clouds/{cloud}", 2, status=429)
    assert len(sources[cloud].prices().rows) > 100


def test_a_region_of_aws_that_stays_away_is_missed_and_named(
    sources: dict[str, CloudSource], sandbox: httpx.Client
) -> None:
    faulty(sandbox, "/clouds/aws/offers/v1.0/aws/AmazonEC2/20261120000000/us-east-1", 1, status=404)
    listing = sources["aws"].prices()
    assert "us-east-1" not in {row.region for row in listing.rows}
    assert "us-west-2" in {row.region for row in listing.rows}
    ((what, why),) = listing.quarantined
    assert what == "aws us-east-1"
    assert "404" in why


def test_a_file_of_aws_that_breaks_off_is_read_again(sources: dict[str, CloudSource], sandbox: httpx.Client) -> None:
    faulty(sandbox, "/clouds/aws/offers/v1.0/aws/AmazonEC2/20261120000000/us-east-1", 1, action="drop_reply")
    assert "us-east-1" in {row.region for row in sources["aws"].prices().rows}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_source_that_is_not_there_gives_no_prices(clock: FrozenClock, tmp_path: Path, cloud: str) -> None:
    nobody = Settings(home=tmp_path, sandbox_port=1, request_timeout_s=2, **{f"{cloud}_mode": "sandbox"})
    source = next(source for source in open_cloud_sources(nobody, clock) if source.name == cloud)
    with pytest.raises(Unavailable):
        source.prices()


def test_azure_answers_as_the_real_one_to_what_it_does_not_understand(sandbox: httpx.Client) -> None:
    wrong = {"$filter": "serviceName ne 'Storage'"}
    assert sandbox.get("/clouds/azure/api/retail/prices", params=wrong).status_code == 400
    case = {"$filter": "serviceName eq 'virtual machines'"}
    assert sandbox.get("/clouds/azure/api/retail/prices", params=case).json()["Items"] == []


def test_google_answers_nobody_without_a_key(sandbox: httpx.Client) -> None:
    path = "/clouds/gcp/v1/services/6F81-5844-456A/skus"
    assert sandbox.get(path).json()["error"]["status"] == "PERMISSION_DENIED"
    assert len(sandbox.get(path, params={"key": "any", "pageSize": 5}).json()["skus"]) == 5


@pytest.mark.parametrize(
    "path",
    [
        "/clouds/aws/offers/v1.0/aws/AmazonEC2/current/region_index.json",
        "/clouds/azure/api/retail/prices",
        "/clouds/gcp/v1/services/6F81-5844-456A/skus",
    ],
)
def test_every_answer_is_marked_as_simulated(sandbox: httpx.Client, path: str) -> None:
    assert sandbox.get(path).headers["x-necto-simulated"] == "true"
