"""Random schedules of orders, failovers and price changes never overrun a budget, and a broken rule is noticed."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.samples import sample_conversion, sample_request

from necto_pipelines.model.lease import Budget
from necto_pipelines.model.order import GpuNeed, Order, OrderRequest, Requirement
from necto_pipelines.procurement import funding
from necto_pipelines.procurement.ceilings import CONVERSION_COST, ceiling_of
from necto_pipelines.procurement.remaining import rest_of
from necto_pipelines.procurement.runtime import Runtime

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SEED, SCHEDULES = 20261122, 200


@pytest.fixture
def schedules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that `benchmarks/schedules.py` is."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import schedules

    yield schedules
    for name in [name for name in sys.modules if name == "schedules" or name.startswith("schedule_")]:
        del sys.modules[name]


@pytest.fixture
def faults(schedules: Any, tmp_path: Path) -> Iterator[str]:
    """What is wrong in one schedule after another."""
    with schedules.prepared(tmp_path) as engine:
        yield (schedules.play(engine, schedules.Schedule.drawn(SEED, index))[1] for index in range(SCHEDULES))


def test_no_schedule_overruns_a_budget(faults: Iterator[str]) -> None:
    assert [fault for fault in faults if fault] == []


def test_a_lease_that_an_account_cannot_close_may_bill_all_its_hours(schedules: Any, tmp_path: Path) -> None:
    """Found among a hundred thousand: its provider was given up after 61 % of the hours and billed them all."""
    with schedules.prepared(tmp_path) as engine:
        assert not schedules.play(engine, schedules.Schedule(1, 73301, (0,) * 14))[1]


def test_a_hold_that_looks_only_at_the_limit_is_noticed(faults: Iterator[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "available_usd", property(lambda budget: budget.limit_usd))
    assert any("granted what does not fit" in fault for fault in faults)


def test_a_hold_that_forgets_what_was_used_is_noticed(faults: Iterator[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funding, "used_on", lambda _runtime, _order: Decimal(0))
    assert any("holds" in fault and "costs" in fault for fault in faults)


def test_a_failing_schedule_is_made_short_and_still_fails(
    schedules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budget, "available_usd", property(lambda budget: budget.limit_usd))
    with schedules.prepared(tmp_path) as engine:
        drawn = (schedules.Schedule.drawn(SEED, index) for index in range(SCHEDULES))
        failing = next(schedule for schedule in drawn if schedules.play(engine, schedule)[1])
        short = schedules.shortest(engine, failing)
        assert schedules.play(engine, short)[1]
        for place in range(len(short.turns)):
            turns = short.turns[:place] + short.turns[place + 1 :]
            assert not schedules.play(engine, schedules.Schedule(SEED, short.index, turns))[1]


@pytest.mark.parametrize("hours", ["0.25", "1", "24", "8784"])
@pytest.mark.parametrize("budget", ["0.11", "0.40", "3.00", "12.34", "5000.00"])
@pytest.mark.parametrize("price", ["0.02", "0.31", "1.85"])
def test_a_hold_pays_for_the_least_conversion_and_for_the_rounding_of_every_line(
    price: str, budget: str, hours: str
) -> None:
    """An order of a few cents at Akash still mints 10 ACT, and pays its fee, slippage and spread."""
    request = OrderRequest(
        name="small",
        tenant="acme",
        cost_centre="research",
        budget_usd=Decimal(budget),
        requirement=Requirement(gpu=GpuNeed(model="H100"), hours=Decimal(hours)),
    )
    order = Order.model_construct(request=request)
    ceiling = ceiling_of(order, Decimal(price), CONVERSION_COST)
    if ceiling.usd_per_hour > 0:
        minted = max(ceiling.deposit_usd, Decimal(10))
        lines = int(Decimal(hours) / 672) + 2 + 3
        assert ceiling.deposit_usd + minted * CONVERSION_COST + lines * Decimal("0.005") <= ceiling.hold_usd + Decimal(
            "1e-20"
        )
        assert ceiling.hold_usd <= Decimal(budget)


@pytest.mark.parametrize(("attempt", "left"), [(1, "100"), (2, "99.92")])
def test_what_an_attempt_without_a_lease_converted_is_used_from_the_next_attempt_on(attempt: int, left: str) -> None:
    """The next offer may be at a network where that conversion buys nothing."""
    books = SimpleNamespace(
        leases=lambda **_: [],
        charges=lambda **_: [],
        failovers=lambda _: [],
        conversions=lambda _: [sample_conversion("ord_1", fee_usd=Decimal("0.02"), slippage_usd=Decimal("0.06"))],
    )
    order = Order.model_construct(id="ord_1", attempt=attempt, request=sample_request(budget_usd=Decimal(100)))
    rest = rest_of(cast("Runtime", SimpleNamespace(books=books)), order)
    assert rest.request.budget_usd == Decimal(left)
    assert rest.request.requirement == order.request.requirement
