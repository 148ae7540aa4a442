"""Whatever happens in whatever order, a budget is the sum of its holds, and no hold exceeds it."""

from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.books_backends import ACTOR
from support.samples import sample_request

from necto_pipelines.books.books import Books
from necto_pipelines.failures import IllegalTransition, InvalidInput, Refused

CENTS = st.integers(min_value=0, max_value=12_000).map(lambda cents: Decimal(cents) / 100)
WHICH = st.integers(min_value=0, max_value=2)


def machine(books: Books) -> type[RuleBasedStateMachine]:
    class BudgetModel(RuleBasedStateMachine):
        """A budget of 100 USD and three orders against a model of two dictionaries."""

        @initialize()
        def begin(self) -> None:
            self.centre = f"c{uuid4().hex}"
            self.limit = Decimal(100)
            self.held: dict[str, Decimal] = {}
            self.spent: dict[str, Decimal] = {}
            with books.change(ACTOR) as change:
                change.set_budget(self.centre, self.limit)
                request = sample_request(cost_centre=self.centre, budget_usd=Decimal(1))
                self.orders = [change.submit(request).id for _ in range(3)]

        def used(self) -> Decimal:
            return sum([*self.held.values(), *self.spent.values()], start=Decimal(0))

        @rule(which=WHICH, usd=CENTS)
        def hold(self, which: int, usd: Decimal) -> None:
            order = self.orders[which]
            if order in self.spent:
                expected = InvalidInput if usd == 0 else IllegalTransition
            elif usd == 0:
                expected = InvalidInput
            elif self.used() - self.held.get(order, Decimal(0)) + usd > self.limit:
                expected = Refused
            else:
                expected = None
            with books.change(ACTOR) as change:
                if expected:
                    with pytest.raises(expected):
                        change.hold(order, usd)
                else:
                    change.hold(order, usd)
                    self.held[order] = usd
                    assert self.used() <= self.limit

        @rule(which=WHICH)
        def release(self, which: int) -> None:
            order = self.orders[which]
            with books.change(ACTOR) as change:
                if order in self.spent:
                    with pytest.raises(IllegalTransition):
                        change.release_hold(order)
                else:
                    change.release_hold(order)
                    self.held.pop(order, None)

        @rule(which=WHICH, usd=CENTS)
        def settle(self, which: int, usd: Decimal) -> None:
            order = self.orders[which]
            with books.change(ACTOR) as change:
                if order in self.held or self.spent.get(order) == usd:
                    change.settle_hold(order, usd)
                    self.held.pop(order, None)
                    self.spent[order] = usd
                else:
                    with pytest.raises(IllegalTransition):
                        change.settle_hold(order, usd)

        @rule(limit=CENTS)
        def set_limit(self, limit: Decimal) -> None:
            with books.change(ACTOR) as change:
                if limit < self.used():
                    with pytest.raises(InvalidInput):
                        change.set_budget(self.centre, limit)
                else:
                    change.set_budget(self.centre, limit)
                    self.limit = limit

        @rule(which=WHICH, usd=CENTS)
        def break_off(self, which: int, usd: Decimal) -> None:
            """A change that raises at its end leaves nothing behind."""
            with pytest.raises(ZeroDivisionError), books.change(ACTOR) as change:  # noqa: PT012  one change
                change.set_budget(self.centre, self.limit + 1000)
                if self.orders[which] not in self.spent:
                    change.hold(self.orders[which], usd + 1)
                raise ZeroDivisionError

        @invariant()
        def the_budget_is_the_sum_of_its_holds(self) -> None:
            budget = books.budget(self.centre)
            assert budget.limit_usd == self.limit
            assert budget.held_usd == sum(self.held.values(), start=Decimal(0))
            assert budget.spent_usd == sum(self.spent.values(), start=Decimal(0))
            states = {order: hold.state for order in self.orders if (hold := books.hold(order))}
            assert {order for order, state in states.items() if state == "held"} == set(self.held)
            assert {order for order, state in states.items() if state == "settled"} == set(self.spent)

    return BudgetModel


def test_budgets_follow_their_model(books: Books):
    run_state_machine_as_test(
        machine(books),
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
    assert books.verify().ok
