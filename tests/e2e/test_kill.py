"""kill -9 at the worst moments of a purchase: whatever was paid or placed is found again and never done twice.

Real processes throughout: sandbox, code server, daemon, run workers. The tests share them, each with an order of its
own; they do not depend on each other.
"""

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.necto_command import clean_environment, necto, necto_argv, necto_process, order_text
from support.necto_stack import Stack, eventually, kill_9

from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.procurement.order_document import read_order
from necto_pipelines.procurement.runtime import service
from necto_pipelines.procurement.submission import submit

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(600)]
OPERATOR = service("operator")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running below a new home, with a checked catalog and a budget."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NECTO_BID_COLLECT_S", "20")
        with Stack.in_home(tmp_path_factory.mktemp("kill") / "home", patch) as made:
            # The sensor asks for a run that died again in the next minute; bids stand for five. Both are simulated.
            made.settings.sandbox_clock().set_speed(4)
            made.start_sandbox()
            refreshed = necto("refresh", "--home", made.settings.home)
            assert refreshed.code == 0, refreshed.err
            with made.runtime.books.change(OPERATOR) as change:
                change.set_budget("research", Decimal(1000))
            made.start_engine()
            yield made


@pytest.mark.parametrize("victim", ["the run", "everything"])
def test_a_kill_between_deployment_and_lease_leaves_one_of_each(stack: Stack, victim: str) -> None:
    before = _counts(stack)
    stack.fault("GET", "/akash/v1/bids", "hold", seconds=300)
    order = _submit(stack, f"killed with {victim} while bids come in")
    eventually(lambda: _counts(stack)["deployments"] > before["deployments"], "the deployment stands at the network")
    assert _counts(stack)["leases"] == before["leases"]
    if victim == "the run":
        _kill_the_run_of(stack, order)
    else:
        stack.kill_engine()
        stack.start_engine()
    _assert_bought_once(stack, order, before, kills=1)


def test_kills_before_the_reply_to_each_purchase_repeat_none_of_them(stack: Stack) -> None:
    before = _counts(stack)
    steps = {"swaps": "/rail/v1/swaps", "deployments": "/akash/v1/deployments", "leases": "/akash/v1/leases"}
    order = None
    for made, path in steps.items():
        stack.fault("POST", path, "hold", seconds=300)
        order = order or _submit(stack, "killed three times")
        eventually(lambda: _counts(stack)[made] > before[made], f"the network has performed {path}")  # noqa: B023
        _kill_the_run_of(stack, order)
    assert order
    _assert_bought_once(stack, order, before, kills=3)


def test_a_demonstration_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (tmp_path / "said").open("wb") as said:
        killed = subprocess.Popen(necto_argv("demo", "--home", home), env=clean_environment(), stdout=said, stderr=said)

    def deployments() -> list[Any]:
        assert killed.poll() is None, (tmp_path / "said").read_text()
        return _kept(home)["deployments"]

    eventually(deployments, "the deployment stands at the network", timeout_s=240)
    killed.kill()
    killed.wait()
    again = necto_process("demo", "--home", home, "--json")
    assert again.code == 0, again.err
    assert [order["state"] for order in again.json["orders"]] == ["completed"]
    assert len(again.json["leases"]) == 1
    assert again.json["audit"]["verified"] is True
    kept = _kept(home)
    assert len(kept["swaps"]) == 2
    assert len([lease for deployment in kept["deployments"] for lease in deployment["leases"]]) == 1
    assert {deployment["state"] for deployment in kept["deployments"]} == {"closed"}


def _kept(home: Path) -> dict[str, list[Any]]:
    """What the sandbox of a home has kept: deployments and swaps."""
    file = home / "sandbox" / "state.json"
    state = json.loads(file.read_text()) if file.exists() else {}
    chain, rail = state.get("chain", {}), state.get("rail", {})
    return {"deployments": [*chain.get("deployments", {}).values()], "swaps": [*rail.get("swaps", {}).values()]}


def _submit(stack: Stack, name: str) -> Order:
    text = order_text(name=name, requirement={"gpu": {"model": "H100"}, "hours": 4})
    return submit(stack.runtime.books, read_order(text), OPERATOR)


def _counts(stack: Stack) -> dict[str, int]:
    state = stack.state()
    return {what: len(state[what]) for what in ("deployments", "leases", "swaps")}


def _runs(stack: Stack, order: Order) -> list[dg.DagsterRun]:
    """The procure runs that were started for one order, oldest first."""
    return [run for run in stack.runs("procure") if order.id in run.tags["necto/order"]]


def _kill_the_run_of(stack: Stack, order: Order) -> None:
    run = _runs(stack, order)[-1]
    kill_9(eventually(lambda: stack.worker_of(run.run_id), "the run names its process"))
    eventually(lambda: stack.is_over(run.run_id), "the death of the run is noticed")


def _assert_bought_once(stack: Stack, order: Order, before: dict[str, int], *, kills: int) -> None:
    books = stack.runtime.books

    def placed() -> Order | None:
        now = books.order(order.id)
        assert now.state not in (OrderState.FAILED, OrderState.REFUSED), now.reason
        return now if now.state is OrderState.ACTIVE else None

    assert eventually(placed, "the order is active", timeout_s=300).attempt == 1
    after = _counts(stack)
    assert {what: after[what] - before[what] for what in after} == {"deployments": 1, "leases": 1, "swaps": 2}
    (lease,) = books.leases(order_id=order.id)
    assert lease.state is LeaseState.ACTIVE
    (standing,) = [found for found in stack.state()["leases"] if found["dseq"] == lease.network_ref]
    assert standing["provider"] == lease.provider
    assert [(c.from_asset, c.to_asset) for c in books.conversions(order.id)] == [("USDC", "AKT"), ("AKT", "ACT")]
    *killed, last = _runs(stack, order)
    assert len(killed) == kills
    assert {stack.is_over(run.run_id) for run in killed} == {dg.DagsterRunStatus.FAILURE}
    assert eventually(lambda: stack.is_over(last.run_id), "the last run ends") is dg.DagsterRunStatus.SUCCESS
    books.sign()
    assert books.verify().faults == ()
