"""`necto compare`: one comparison answers every question, every liberty is marked, and an order is priced elsewhere."""

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.dagster_world import World
from support.necto_command import Said, necto, order_text, write_order
from support.samples import sample_candidate, sample_decision

from necto_pipelines.assets.compliance import compliance_scores
from necto_pipelines.assets.discovery import discovery_assets
from necto_pipelines.assets.market import cloud_prices, price_comparison, token_prices
from necto_pipelines.checks.expectations import catalog_expectations
from necto_pipelines.checks.invariants import compliance_fails_closed
from necto_pipelines.cli.output import OPERATOR, opened_books
from necto_pipelines.journey.home import prepare_home
from necto_pipelines.model.gpu import Gpu
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import newest
from necto_pipelines.settings import Settings

ASSETS = [
    *discovery_assets(["akash"]),
    cloud_prices,
    token_prices,
    compliance_scores,
    price_comparison,
    catalog_expectations,
    compliance_fails_closed,
]
VARIABLES = ("NECTO_HOME", "NECTO_DATABASE_URL", "DAGSTER_HOME")
SHADY = {"provider": "akash1shady", "provider_name": "shady.example"}
RTX4090, T4, P40 = (Gpu(family=name, vram_gib=vram) for name, vram in (("RTX4090", 24), ("T4", 16), ("P40", 24)))


@pytest.fixture(scope="session")
def compared_home(budgeted_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To copy: offers of two providers, of whom one complies, and a comparison with the packaged cloud prices."""
    home = Path(shutil.copytree(budgeted_home, tmp_path_factory.mktemp("compared") / "home"))
    world = World(home)
    world.offer_rows(
        {},
        SHADY | {"usd_per_gpu_hour": Decimal(1)},
        {"gpu": RTX4090, "usd_per_gpu_hour": Decimal("0.39"), "country": "US"},
        SHADY | {"gpu": T4, "usd_per_gpu_hour": Decimal("1.90"), "country": "AE"},
        {"gpu": P40, "usd_per_gpu_hour": Decimal("0.08")},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        prepare_home(Settings(home=home))
        with dg.DagsterInstance.get() as instance:
            world.materialize(instance, ASSETS)
    return home


@pytest.fixture
def home(compared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return Path(shutil.copytree(compared_home, tmp_path / "compared"))


def rows(said: Said) -> list[dict[str, Any]]:
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = said.json["rows"]
    return found


def test_each_gpu_stands_against_each_cloud_by_both_choices(home: Path) -> None:
    said = necto("compare", "--home", home, "--json")
    found = {(row["gpu_key"], row["choice"], row["cloud"]): row for row in rows(said)}
    assert {key[:2] for key in found} == {
        ("H100-80GB", "cheapest"),
        ("H100-80GB", "cheapest_compliant"),
        ("RTX4090-24GB", "cheapest"),
        ("RTX4090-24GB", "cheapest_compliant"),
        ("T4-16GB", "cheapest"),
    }
    assert found["H100-80GB", "cheapest", "aws"]["depin_usd_per_gpu_hour"] == "1"
    assert found["H100-80GB", "cheapest_compliant", "aws"]["depin_usd_per_gpu_hour"] == "1.25"
    assert found["RTX4090-24GB", "cheapest", "aws"]["proxy_gpu"] == "L40S-48GB"
    assert found["RTX4090-24GB", "cheapest", "aws"]["cloud_region_group"] == "north-america"
    assert said.json["not_compared"].keys() == {"P40-24GB"}
    assert said.json["comparison"]["asset"] == "price_comparison"


def test_gpus_place_count_and_hours_are_asked_of_the_same_tables(home: Path) -> None:
    several = rows(necto("compare", "--gpu", "h100,t4", "--gpu", "RTX 4090", "--home", home, "--json"))
    assert {row["gpu_key"] for row in several} == {"H100-80GB", "T4-16GB", "RTX4090-24GB"}
    here = rows(necto("compare", "--country", "US", "--home", home, "--json"))
    assert {(row["gpu_key"], row["country"]) for row in here} == {("RTX4090-24GB", "US")}
    gulf = rows(necto("compare", "--region-group", "middle-east", "--home", home, "--json"))
    assert {row["gpu_key"] for row in gulf} == {"T4-16GB"}
    asked = ("--gpu", "H100", "--count", "4", "--hours", "2.5")
    four = {(row["choice"], row["cloud"]): row for row in rows(necto("compare", *asked, "--home", home, "--json"))}
    row = four["cheapest_compliant", "azure"]
    assert (row["gpu_count"], row["cloud_gpu_count"], row["depin_usd_for_order"]) == (4, 8, "12.5")
    assert Decimal(row["cloud_usd_for_order"]) == Decimal("2.5") * Decimal(row["cloud_usd_per_hour"])


def test_the_table_marks_proxies_whole_machines_and_what_may_not_be_bought(home: Path) -> None:
    said = necto("compare", "--count", "4", "--home", home)
    assert said.code == 0, said.err
    assert "offers: sandbox (simulated); cloud prices: snapshot (dated reference)" in said.out
    assert "4 × H100-80GB  here $1.25 per GPU-hour, $5.00 for the order: akash DE, list of 2026-11-22 12:00" in said.out
    assert "cheapest of anyone: $1.00, akash DE, list of 2026-11-22 12:00; not compliant, may not be bought" in said.out
    assert "4 × T4-16GB  here $1.90 per GPU-hour, $7.60 for the order: akash AE" in said.out
    assert "(not compliant: may not be bought)" in said.out
    assert "8 × H100-80GB‡" in said.out
    assert "‡ rented whole" in said.out
    assert "* proxy" in said.out
    assert "† in another part of the world" in said.out
    assert "2026-06-18" in said.out
    assert "Not compared: P40-24GB" in said.out
    assert max(map(len, said.out.splitlines()[:12])) <= 120


def test_a_dearer_offer_is_shown_as_a_loss(home: Path) -> None:
    lost = [row for row in rows(necto("compare", "--gpu", "T4", "--home", home, "--json")) if row["cloud"] == "aws"]
    assert [Decimal(row["savings_pct"]) < 0 for row in lost] == [True]
    assert f"{Decimal(lost[0]['savings_pct']):.1f}" in necto("compare", "--gpu", "T4", "--home", home).out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gpu", "H100,H1000"], "invalid gpu: 'H1000' is not allowed; name a known GPU such as"),
        (["--country", "DE,XX"], "invalid country: 'XX' is not allowed; use an ISO 3166-1 alpha-2 code"),
        (["--region-group", "mars"], "invalid region-group: 'mars' is not allowed; name one of africa, asia-pacific"),
        (["--hours", "nan"], "invalid hours: 'nan' is not allowed; write a number of hours above 0"),
        (["--hours", "0"], "invalid hours: '0' is not allowed; write a number of hours above 0"),
        (["--hours", "many"], "invalid hours: 'many' is not allowed; write a number of hours above 0"),
        (["--order", "ord_x"], "invalid order: 'ord_x' is not allowed; the books hold no such order"),
        (["--order", "ord_x", "--gpu", "H100"], "invalid gpu: 'H100' is not allowed; leave it out"),
        (["--order", "ord_x", "--hours", "2"], "invalid hours: '2' is not allowed; leave it out"),
    ],
)
def test_a_question_that_makes_no_sense_is_one_line(home: Path, arguments: list[str], complaint: str) -> None:
    said = necto("compare", *arguments, "--home", home)
    assert said.code == 2
    assert len(said.complaints) == 1
    assert said.complaints[0].startswith(complaint)


class OnlyGcp(World):
    """A world in which two clouds have fallen silent."""

    @property
    def runtime(self) -> Runtime:
        whole = super().runtime
        return replace(whole, clouds=[cloud for cloud in whole.clouds if cloud.name == "gcp"])


def submitted(home: Path, tmp_path: Path) -> str:
    said = necto("order", "submit", write_order(tmp_path, order_text()), "--home", home, "--json")
    return str(said.json["id"])


def test_an_order_without_a_decision_is_priced_at_the_newest_cloud_prices(home: Path, tmp_path: Path) -> None:
    order_id = submitted(home, tmp_path)
    found = necto("compare", "--order", order_id, "--home", home, "--json").json
    assert (found["order"]["state"], found["here"]["basis"], found["here"]["usd"]) == ("submitted", "none", None)
    assert found["here"]["region_groups"] == ["europe", "north-america"]
    assert found["cloud_prices"]["which"] == "newest"
    aws = found["elsewhere"][0]
    assert (aws["cloud"], aws["usd"], aws["savings_pct"]) == ("aws", "27.52", None)
    assert "no offer was chosen" in necto("compare", "--order", order_id, "--home", home).out


def test_an_order_is_priced_at_the_cloud_prices_its_decision_rested_on(home: Path, tmp_path: Path) -> None:
    order_id = submitted(home, tmp_path)
    prepare_home(Settings(home=home))
    with dg.DagsterInstance.get() as instance:
        read = newest(instance, "price_comparison")
        pinned = newest(instance, "cloud_prices").sha256
        OnlyGcp(home).materialize(instance, ASSETS)
        assert newest(instance, "cloud_prices").sha256 != pinned
    decision = sample_decision(order_id, chosen=sample_candidate(), inputs=(read.pin,), expected_usd=Decimal("7.45"))
    with opened_books(home) as books, books.change(OPERATOR) as change:
        change.record_decision(decision)
        change.move_order(order_id, OrderState.ROUTED)
    found = necto("compare", "--order", order_id, "--home", home, "--json").json
    assert (found["cloud_prices"]["which"], found["cloud_prices"]["sha256"]) == ("pinned at the decision", pinned)
    assert [each["cloud"] for each in found["elsewhere"]] == ["aws", "azure", "gcp"]
    assert (found["here"]["usd"], found["here"]["basis"]) == ("7.45", "expected")
    assert all(Decimal(each["saved_usd"]) == Decimal(each["usd"]) - Decimal("7.45") for each in found["elsewhere"])
    said = necto("compare", "--order", order_id, "--home", home).out
    assert "pinned at the decision" in said
    assert "$7.45" in said
