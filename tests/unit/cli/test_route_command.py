"""`necto route`: the whole answer as one document or as tables, and no trace left behind."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.dagster_world import World
from support.necto_command import Said, necto, order_text, write_order
from support.samples import sample_candidate, sample_decision, sample_request

from necto_pipelines.assets.discovery import discovery_assets
from necto_pipelines.checks.expectations import catalog_expectations
from necto_pipelines.cli.output import OPERATOR, opened_books
from necto_pipelines.journey.home import prepare_home
from necto_pipelines.settings import Settings

VARIABLES = ("NECTO_HOME", "NECTO_DATABASE_URL", "DAGSTER_HOME")
DEARER = {"provider": "akash1alpha", "offer_id": "dearer", "usd_per_gpu_hour": Decimal("1.50")}
SHADY = {"provider": "akash1shady", "provider_name": "shady.example", "usd_per_gpu_hour": Decimal(1)}


@pytest.fixture(scope="session")
def catalogued_home(budgeted_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To copy: two offers of a provider that complies and one of a provider nobody knows."""
    home = Path(shutil.copytree(budgeted_home, tmp_path_factory.mktemp("catalogued") / "home"))
    world = World(home)
    world.offer_rows({}, DEARER, SHADY)
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        prepare_home(Settings(home=home))
        with dg.DagsterInstance.get() as instance:
            world.materialize(instance, [*discovery_assets(["akash"]), catalog_expectations])
    return home


@pytest.fixture
def home(catalogued_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr("necto_pipelines.settings.Settings.clock", lambda self: World(tmp_path).clock)
    return Path(shutil.copytree(catalogued_home, tmp_path / "catalogued"))


def answered(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    found: dict[str, Any] = said.json
    return found


def trail_of(home: Path) -> tuple[int, int]:
    with opened_books(home) as books:
        return books.audit_size(), len(books.orders())


def test_the_document_holds_decision_alternatives_refusals_parts_and_the_plan(home: Path) -> None:
    before = trail_of(home)
    file = write_order(home, order_text(policy={"strategy": "balanced"}))
    found = answered(necto("route", file, "--dry-run", "--explain", "--home", home, "--json"))
    assert trail_of(home) == before
    assert set(found) == {"dry_run", "asked_at", "since", "modes", "inputs", "policy", "budgets", "plan", "orders"}
    assert {pin["asset"] for pin in found["inputs"]} == {"provider_catalog", "provider_evidence"}
    (order,) = found["orders"]
    assert (order["decision"], order["strategy"], order["risk_weight"]) == ("placed", "balanced", "1")
    cost = order["chosen"]["cost"]
    assert (cost["compute_usd"], cost["conversion_usd"], cost["transfer_usd"]) == ("5.000000", "0.035000", None)
    assert Decimal(cost["risk_usd"]) > 0
    assert Decimal(cost["total_usd"]) == sum(Decimal(cost[part]) for part in cost if part[0] in "cr")
    assert [each["offer_id"] for each in order["alternatives"]] == ["dearer"]
    assert order["alternatives"][0]["refusals"] == ["dearer_than_the_chosen"]
    assert order["reasons"] == [{"reason": "no_evidence", "offers": 1}]
    (refused,) = order["refused_offers"]
    assert (refused["provider"], refused["details"]) == ("akash1shady", "nothing is known about this provider")
    ranked = order["chosen"]["ranked_usd"]
    assert found["plan"] == {
        "method": "exact",
        "orders": 1,
        "placed": 1,
        "refused": 0,
        "cost_usd": ranked,
        "expected_usd": "5.04",
        "bound_usd": ranked,
        "gap": "0",
        "bound": "no plan that serves orders of the same worth costs less (docs/concepts/allocation.md)",
    }
    assert found["budgets"] == [{"cost_centre": "research", "usd": "100", "planned_usd": "5.04", "left_usd": "94.96"}]
    assert "refused_offers" not in answered(necto("route", file, "--home", home, "--json"))["orders"][0]


def test_the_same_orders_in_another_order_get_the_same_answer(home: Path) -> None:
    documents = [
        json.loads(order_text(name=name, requirement=need))
        for name, need in (
            ("one", {"gpu": {"model": "H100", "count": 6}, "hours": 1}),
            ("two", {"gpu": {"model": "H100", "count": 6}, "hours": 1, "memory_gib": 64}),
            ("three", {"gpu": {"model": "H100", "count": 6}, "hours": 1, "memory_gib": 65}),
        )
    ]
    answers = []
    for listed in (documents, documents[::-1]):
        file = write_order(home, json.dumps({"orders": listed}))
        answers.append(answered(necto("route", file, "--home", home, "--json")))
    assert answers[0] == answers[1]
    assert answers[0]["plan"]["placed"] == 2
    (left_out,) = [order for order in answers[0]["orders"] if order["decision"] == "refused"]
    assert left_out["chosen"] is None
    assert left_out["relax"]["constraints"] == ["not_enough_gpus_free"]


def test_the_table_shows_what_the_document_says(home: Path) -> None:
    file = write_order(home, order_text(max_usd_per_gpu_hour="1.3"))
    said = necto("route", file, "--explain", "--home", home)
    assert said.code == 0, said.err
    assert "Dry run: nothing is bought. Offers: sandbox" in said.out
    assert "finetune: 1 × H100 for 4 h, by cheapest" in said.out
    assert "conversion $" in said.out
    assert "price_above_cap 1" in said.out
    assert "$1.5000 per GPU-hour, at most $1.3 is allowed" in said.out
    assert "Plan: 1 of 1 orders placed, $5.04 to pay" in said.out
    assert "gap 0.00 % (exact)" in said.out


def test_the_table_lists_what_an_order_that_is_left_out_could_give_up(home: Path) -> None:
    """Two offers of one GPU type for $1.25 and $1.50 that comply, and one for $1 of a provider nobody knows."""
    file = write_order(home, order_text(max_usd_per_gpu_hour="1.2"))
    said = necto("route", file, "--home", home)
    assert "REFUSED. Nearest: alpha.example at $5.04, without price_above_cap" in said.out
    assert "Other ways to serve it: 1 (--explain shows them)" in said.out
    lines = necto("route", file, "--explain", "--home", home).out.splitlines()
    start = next(n for n, line in enumerate(lines) if "what would serve it, the least to give up first" in line)
    table = "\n".join(lines[start : start + 6])
    assert "0.0500 per GPU-h" in table
    assert "5.04" in table
    assert "no_evidence" in table


def test_another_policy_and_other_budgets_are_tried_without_touching_the_real_ones(home: Path, tmp_path: Path) -> None:
    file, policy = write_order(home, order_text()), tmp_path / "policy.yaml"
    policy.write_text("name: strict\nrequired_attributes: [certified]\n")
    strict = answered(necto("route", file, "--policy", policy, "--home", home, "--json"))
    assert strict["plan"]["refused"] == 1
    assert strict["policy"]["name"] == "strict"
    assert {"reason": "attributes_not_audited", "offers": 2} in strict["orders"][0]["reasons"]
    poor = answered(necto("route", file, "--budget", "research=6.34", "--home", home, "--json"))
    (order,) = poor["orders"]
    assert order["relax"]["constraints"] == ["cost_centre_budget_taken"]
    assert order["relax"]["missing_usd"] == {"cost_centre_budget_taken": "0.01"}, "6.35 are held, 5.04 expected"
    assert order["relax"] == order["relaxations"][0]
    assert [relax["constraints"] for relax in order["relaxations"][1:]] == [["no_evidence"]]
    enough = answered(necto("route", file, "--budget", "research=6.35", "--home", home, "--json"))
    assert (enough["plan"]["placed"], enough["orders"][0]["relaxations"]) == (1, [])
    said = necto("budget", "list", "--home", home, "--json")
    assert said.json[0]["limit_usd"] == "100"


def test_past_orders_are_priced_anew_beside_what_was_decided_then(home: Path) -> None:
    with opened_books(home) as books, books.change(OPERATOR) as change:
        order = change.submit(sample_request())
        change.record_decision(sample_decision(order.id, chosen=sample_candidate()))
        change.hold(order.id, Decimal(60))
    before = trail_of(home)
    found = answered(necto("route", "--since", "2026-11", "--home", home, "--json"))
    assert trail_of(home) == before
    (row,) = found["orders"]
    assert row["id"] == order.id
    assert row["chosen"]["expected_usd"] == "12.59"
    assert (row["then"]["provider_name"], row["then"]["expected_usd"]) == ("provider.example", "18.5")
    assert "Then: provider.example, $18.50" in necto("route", "--since", "2026-11", "--home", home).out
    assert answered(necto("route", "--since", "2026-12", "--home", home, "--json"))["orders"] == []
    assert [budget["usd"] for budget in found["budgets"]] == ["100"], "past orders have drawn on it already"
    new = answered(necto("route", write_order(home, order_text()), "--home", home, "--json"))
    assert [budget["usd"] for budget in new["budgets"]] == ["40"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["FILE", "--no-dry-run"], "orders are routed by submitting them"),
        ([], "invalid FILE: missing; name order documents, or a month with --since, and not both"),
        (["FILE", "--since", "2026-11"], "name order documents, or a month with --since, and not both"),
        (["--since", "last month"], "invalid since: 'last month' is not allowed; write a month as YYYY-MM"),
        (["--since", "2026-13"], "invalid since: '2026-13' is not allowed"),
        (["FILE", "--budget", "research"], "invalid budget: 'research' is not allowed; write COST_CENTRE=USD"),
        (["FILE", "--budget", "research=-1"], "invalid budget: 'research=-1' is not allowed"),
        (["FILE", "--budget", "reserch=5"], "invalid budget: 'reserch' is not allowed; no order is charged to it"),
        (["OTHER"], "invalid cost_centre: 'studio' is not allowed; cost centres with a budget are: research"),
        (["FILE", "BROKEN"], "broken.yaml: requirement.hours: '-4' is not allowed"),
        (["gone.yaml"], "invalid file: 'gone.yaml' is not allowed; name a file that can be read"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong_and_leaves_no_trace(
    home: Path, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    (tmp_path / "other.yaml").write_text(order_text(cost_centre="studio"))
    (tmp_path / "broken.yaml").write_text(order_text(requirement={"gpu": {"model": "H100"}, "hours": -4}))
    files = {
        "FILE": write_order(tmp_path, order_text()),
        "OTHER": tmp_path / "other.yaml",
        "BROKEN": tmp_path / "broken.yaml",
    }
    before = trail_of(home)
    said = necto("route", *(files.get(word, word) for word in arguments), "--home", home)
    assert (said.code, said.out) == (2, "")
    assert complaint in said.err
    assert trail_of(home) == before
