"""Budgets, holds, conversions, usage, charges and invoices."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from support.books_backends import ACTOR
from support.books_steps import events, give_budget, leased, submitted
from support.samples import sample_charge, sample_conversion, sample_invoice, sample_usage

from necto_pipelines.books.books import Books
from necto_pipelines.failures import IllegalTransition, InvalidInput, PermanentFailure, Refused
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Budget, Charge
from necto_pipelines.model.state import OrderState


def budget_of(books: Books, cost_centre: str = "research") -> tuple[Decimal, Decimal, Decimal]:
    budget = books.budget(cost_centre)
    return budget.limit_usd, budget.held_usd, budget.spent_usd


def test_a_limit_is_set_raised_and_lowered(books: Books):
    for limit in ("1000.00", "2500.50", "10"):
        with books.change(ACTOR) as change:
            assert change.set_budget("research", Decimal(limit)) == books_budget(limit)
    with books.change(ACTOR) as change:
        change.set_budget("ads", Decimal(1))
    assert books.budgets() == [books_budget("1", "ads"), books_budget("10")]
    assert [event["body"] for event in events(books)][:2] == [
        {"limit_usd": "1000.00"},
        {"limit_usd": "2500.50", "before_usd": "1000.00"},
    ]


def books_budget(limit: str, cost_centre: str = "research") -> Budget:
    return Budget(cost_centre=cost_centre, limit_usd=limit, held_usd=Decimal(0), spent_usd=Decimal(0))


def test_setting_the_same_limit_again_changes_nothing(books: Books):
    give_budget(books, 100)
    give_budget(books, 100)
    assert books.audit_size() == 1


@pytest.mark.parametrize("limit", ["-0.01", "50.00", "NaN", "Infinity"])
def test_a_limit_below_what_is_used_is_an_input_error(books: Books, limit: str):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal("50.01"))
    with pytest.raises(InvalidInput, match=r"at least 50\.01"), books.change(ACTOR) as change:
        change.set_budget("research", Decimal(limit))
    assert budget_of(books)[0] == 1000


@pytest.mark.parametrize("name", ["", "Research", "re search", "x" * 64, "ü", "research\n"])
def test_a_cost_centre_has_a_plain_name(books: Books, name: str):
    with pytest.raises(InvalidInput, match="cost_centre"), books.change(ACTOR) as change:
        change.set_budget(name, Decimal(1))
    assert books.budgets() == []


def test_a_hold_is_reserved_then_spent_and_the_rest_is_free_again(books: Books):
    order = submitted(books)
    with books.change(ACTOR) as change:
        hold = change.hold(order.id, Decimal("60.00"))
    assert hold == books.hold(order.id)
    assert budget_of(books) == (1000, 60, 0)
    with books.change(ACTOR) as change:
        settled = change.settle_hold(order.id, Decimal("41.37"))
    assert settled == books.hold(order.id)
    assert (settled.state, settled.usd, settled.settled_usd) == ("settled", 60, Decimal("41.37"))
    assert budget_of(books) == (1000, 0, Decimal("41.37"))


def test_a_released_hold_is_free_again_and_may_be_held_anew(books: Books):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal(60))
        released = change.release_hold(order.id)
    assert released == books.hold(order.id)
    assert budget_of(books) == (1000, 0, 0)
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal(70))
    assert budget_of(books) == (1000, 70, 0)


def test_holding_again_changes_the_amount_and_the_same_amount_changes_nothing(books: Books):
    give_budget(books, 100)
    order = submitted(books)
    for usd, held in [(60, 60), (100, 100), (20, 20)]:
        with books.change(ACTOR) as change:
            change.hold(order.id, Decimal(usd))
        assert budget_of(books) == (100, held, 0)
    size = books.audit_size()
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal(20))
    assert books.audit_size() == size


def test_a_hold_beyond_the_budget_is_refused_and_the_change_may_go_on(books: Books):
    give_budget(books, 100)
    first, second = submitted(books), submitted(books)
    with books.change(ACTOR) as change:
        change.hold(first.id, Decimal("60.00"))
    with books.change(ACTOR) as change:
        with pytest.raises(Refused) as failure:
            change.hold(second.id, Decimal("40.01"))
        change.move_order(second.id, OrderState.WAITING, reason=str(failure.value))
    assert failure.value.code == "over_budget"
    assert "40.00 is left" in str(failure.value)
    assert (books.hold(second.id), budget_of(books)) == (None, (100, 60, 0))
    assert events(books)[-1]["body"]["reason"] == str(failure.value)


def test_what_was_really_spent_is_booked_even_beyond_the_hold_and_then_nothing_more_is_held(books: Books):
    give_budget(books, 100)
    first, second = submitted(books), submitted(books)
    with books.change(ACTOR) as change:
        change.hold(first.id, Decimal(100))
        change.settle_hold(first.id, Decimal("100.02"))
    assert books.budget("research").available_usd == Decimal("-0.02")
    with pytest.raises(Refused), books.change(ACTOR) as change:
        change.hold(second.id, Decimal("0.01"))


def test_settling_twice_is_harmless_with_the_same_amount_and_refused_with_another(books: Books):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal(60))
        settled = change.settle_hold(order.id, Decimal(40))
    size = books.audit_size()
    with books.change(ACTOR) as change:
        assert change.settle_hold(order.id, Decimal("40.00")) == settled
    for act in (
        lambda change: change.settle_hold(order.id, Decimal(41)),
        lambda change: change.release_hold(order.id),
        lambda change: change.hold(order.id, Decimal(1)),
    ):
        with pytest.raises(IllegalTransition), books.change(ACTOR) as change:
            act(change)
    assert (books.audit_size(), budget_of(books)) == (size, (1000, 0, 40))


def test_an_order_without_a_hold_has_nothing_to_release_or_settle(books: Books):
    order = submitted(books)
    size = books.audit_size()
    with books.change(ACTOR) as change:
        assert change.release_hold(order.id) is None
    with pytest.raises(IllegalTransition, match="missing"), books.change(ACTOR) as change:
        change.settle_hold(order.id, Decimal(1))
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal(1))
        change.release_hold(order.id)
    with pytest.raises(IllegalTransition, match="released"), books.change(ACTOR) as change:
        change.settle_hold(order.id, Decimal(1))
    assert books.audit_size() == size + 2


@pytest.mark.parametrize("usd", ["0", "-1", "NaN", "Infinity"])
def test_an_amount_to_hold_is_positive_and_finite(books: Books, usd: str):
    order = submitted(books)
    with pytest.raises(InvalidInput, match="usd"), books.change(ACTOR) as change:
        change.hold(order.id, Decimal(usd))
    with books.change(ACTOR) as change:
        change.hold(order.id, Decimal(5))
    if usd != "0":
        with pytest.raises(InvalidInput, match="usd"), books.change(ACTOR) as change:
            change.settle_hold(order.id, Decimal(usd))
    assert budget_of(books) == (1000, 5, 0)


def test_a_conversion_comes_back_exactly_with_units_beyond_64_bits(books: Books):
    order = submitted(books)
    conversion = sample_conversion(order.id, from_units=10**24 + 1, to_units=123_456_789_012_345_678_901_234_567)
    later = sample_conversion(order.id, "cnv_0", at=conversion.at.replace(hour=13))
    with books.change(ACTOR) as change:
        change.record_conversion(later)
        change.record_conversion(conversion)
    assert books.conversions(order.id) == [conversion, later]


def test_the_same_conversion_again_changes_nothing(books: Books):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.record_conversion(sample_conversion(order.id))
    size = books.audit_size()
    with books.change(ACTOR) as change:
        change.record_conversion(sample_conversion(order.id))
    assert books.audit_size() == size


@pytest.mark.parametrize("other", [{"to_units": 1}, {"conversion_id": "cnv_2", "venue_ref": "swap-cnv_1"}])
def test_a_swap_never_stands_twice_nor_with_other_figures(books: Books, other: dict):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.record_conversion(sample_conversion(order.id))
    with pytest.raises(PermanentFailure, match="stands already"), books.change(ACTOR) as change:
        change.record_conversion(sample_conversion(order.id, **other))
    assert books.conversions(order.id) == [sample_conversion(order.id)]


def test_usage_and_charges_come_back_and_stand_once(books: Books):
    lease = leased(books)
    usage = [sample_usage(lease.id, f"use_{i}") for i in range(3)]
    charges = [sample_charge(lease.order_id, lease.id, f"chg_{i}") for i in range(40)]
    for _ in range(2):
        with books.change(ACTOR) as change:
            change.record_usage(usage)
            change.record_charges(charges)
    assert books.usage(lease.id) == usage
    assert sorted(books.charges(), key=lambda charge: int(charge.id[4:])) == charges
    assert books.charges(order_id=lease.order_id, month="2026-11", invoiced=False) == books.charges()
    assert books.charges(month="2026-12") == books.charges(invoiced=True) == []
    with pytest.raises(PermanentFailure, match="amount_usd"), books.change(ACTOR) as change:
        change.record_charges([charges[7].model_copy(update={"amount_usd": Decimal(1)})])
    with pytest.raises(PermanentFailure, match="gpu_hours"), books.change(ACTOR) as change:
        change.record_usage([usage[0].model_copy(update={"gpu_hours": Decimal(11)})])


def test_many_rows_are_spread_over_leaves_that_fit(books: Books):
    lease = leased(books)
    start = books.audit_size()
    with books.change(ACTOR) as change:
        change.record_charges([sample_charge(lease.order_id, lease.id, f"chg_{i:032d}") for i in range(40)])
    found = events(books, start)
    assert [(event["body"]["part"], event["body"]["parts"]) for event in found] == [(1, 3), (2, 3), (3, 3)]
    assert sum(len(event["rows"]) for event in found) == 40
    assert all(len(entry.leaf) <= 4096 for entry in books.leaves())


def test_a_charge_cannot_claim_an_invoice_by_itself(books: Books):
    lease = leased(books)
    with pytest.raises(PermanentFailure, match="invoiced"), books.change(ACTOR) as change:
        change.record_charges([sample_charge(lease.order_id, invoice_number="NECTO-2026-000001")])


def charged(books: Books, lease_id: str, **overrides: object) -> None:
    lease = leased(books, lease_id=lease_id)
    with books.change(ACTOR) as change:
        change.record_charges(
            [sample_charge(lease.order_id, lease.id, f"chg_{lease_id}_{i}", **overrides) for i in "ab"]
        )


def issue(books: Books, tenant: str = "acme", month: str = "2026-11") -> Invoice | None:
    with books.change(ACTOR) as change:
        return change.issue_invoice(tenant, month, sample_invoice)


def test_an_invoice_takes_all_open_charges_of_a_tenant_and_month(books: Books):
    charged(books, "lse_1")
    charged(books, "lse_2", tenant="zeta")
    charged(books, "lse_3", month="2026-12")
    invoice = issue(books)
    assert invoice is not None
    assert invoice.number == "NECTO-2026-000001"
    assert [line.charge_ids for line in invoice.lines] == [("chg_lse_1_a",), ("chg_lse_1_b",)]
    assert books.invoice(invoice.number) == invoice
    assert books.invoices() == books.invoices(month="2026-11") == [invoice]
    assert [charge.id for charge in books.charges(invoiced=True)] == ["chg_lse_1_a", "chg_lse_1_b"]
    assert {charge.invoice_number for charge in books.charges(invoiced=True)} == {invoice.number}
    event = events(books)[-1]
    assert (event["type"], event["body"]["total_usd"]) == ("invoice.issued", "37.00")
    assert [row["table"] for row in event["rows"]] == ["invoices", "invoice_counters", "charges", "charges"]


def test_nothing_to_invoice_takes_no_number(books: Books):
    charged(books, "lse_1")
    assert issue(books) is not None
    assert issue(books) is None
    assert issue(books, tenant="nobody") is None
    charged(books, "lse_2")
    again = issue(books)
    assert again is not None
    assert again.number == "NECTO-2026-000002"


def test_numbers_have_no_gap_after_a_failed_build_and_count_by_the_year_of_the_month(books: Books):
    def broken(number: str, charges: Sequence[Charge]) -> Invoice:
        raise RuntimeError(number)

    charged(books, "lse_1")
    charged(books, "lse_2", month="2027-01")
    with pytest.raises(RuntimeError, match="NECTO-2026-000001"), books.change(ACTOR) as change:
        change.issue_invoice("acme", "2026-11", broken)
    assert books.charges(invoiced=True) == books.invoices() == []
    assert [issue(books).number, issue(books, month="2027-01").number] == ["NECTO-2026-000001", "NECTO-2027-000001"]
    charged(books, "lse_3")
    assert issue(books).number == "NECTO-2026-000002"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda number, charges: sample_invoice("NECTO-2026-000009", charges),
        lambda number, charges: sample_invoice(number, charges, tenant="zeta"),
        lambda number, charges: sample_invoice(number, charges, month="2026-10"),
        lambda number, charges: sample_invoice(number, charges[1:]),
        lambda number, charges: sample_invoice(number, [*charges, charges[0]]),
    ],
    ids=["number", "tenant", "month", "a charge is missing", "a charge stands twice"],
)
def test_an_invoice_that_is_not_about_its_charges_is_refused_whole(books: Books, spoil):
    charged(books, "lse_1")
    size = books.audit_size()
    with pytest.raises(PermanentFailure, match="NECTO-2026-000001"), books.change(ACTOR) as change:
        change.issue_invoice("acme", "2026-11", spoil)
    assert (books.invoices(), books.audit_size()) == ([], size)
    assert issue(books).number == "NECTO-2026-000001"
