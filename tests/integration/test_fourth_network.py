"""What another network takes: a module with an adapter, and its name in NECTO_EXTRA_NETWORKS. Nothing else changes."""

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from support.dagster_world import World

from necto_pipelines.definitions import build_definitions
from necto_pipelines.failures import InvalidInput
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.tables import records
from necto_pipelines.networks.registry import open_networks
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration

TINY = '''
"""A network with one machine."""

from support.dagster_world import FakeNetwork, answer, evidence, offer

from necto_pipelines.model.answer import Listing


def open_tiny(settings, clock):
    raw = answer(b"tiny", clock.now())
    one = offer(raw, network="tiny", provider="tiny-1", provider_name="tiny.example")
    known = evidence(raw, network="tiny", provider="tiny-1")
    return FakeNetwork("tiny", Listing((one,), (raw,)), Listing((known,), (raw,)))
'''


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tinynet.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NECTO_EXTRA_NETWORKS", '["tinynet:open_tiny"]')


@pytest.mark.usefixtures("tiny")
def test_a_fourth_network_shows_its_offers_in_the_catalog_without_a_change_of_ours(tmp_path: Path) -> None:
    world = World(tmp_path, books=SimpleNamespace(leases=list, telemetry=list, failovers=list))
    networks = open_networks(Settings(home=tmp_path), world.clock)
    assert list(networks) == ["akash", "render", "aethir", "tiny"]
    definitions = build_definitions()
    assert dg.AssetKey("tiny_offers") in definitions.resolve_asset_graph().get_all_asset_keys()

    world.others = {"render": world.network, "aethir": world.network, "tiny": networks["tiny"]}
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions(resources=world.resources).resolve_job_def("refresh_all")
        assert job.execute_in_process(instance=instance).success
        rows = records(latest_snapshot(instance, world.warehouse, "provider_catalog").frame)
        verdicts = records(latest_snapshot(instance, world.warehouse, "compliance_scores").frame)
    assert [row["provider_name"] for row in rows if row["network"] == "tiny"] == ["tiny.example"]
    assert any(row["network"] == "tiny" and row["compliant"] for row in verdicts)


@pytest.mark.parametrize("place", ["nowhere:open", "json:no_such_function", "json", ":"])
def test_a_network_that_cannot_be_opened_is_named_with_what_is_allowed(place: str) -> None:
    with pytest.raises(InvalidInput, match="NECTO_EXTRA_NETWORKS"):
        open_networks(Settings(extra_networks=(place,)), FrozenClock())
