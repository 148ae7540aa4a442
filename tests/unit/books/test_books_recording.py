"""What stands in a leaf is what the registry allows, and the log itself says which registry that is."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from support.books_backends import ACTOR, ORIGIN, Backend
from support.books_steps import events, give_budget, submitted
from support.samples import sample_charge, sample_decision, sample_lease

from necto_pipelines.audit.event_types import EVENT_TYPES, RETENTION
from necto_pipelines.audit.leaf import InvalidLeaf
from necto_pipelines.audit.registry import REGISTRY, Registry
from necto_pipelines.books.books import Books


@pytest.fixture
def publishing(backend: Backend) -> Iterator[Books]:
    """Books that publish the registry, as `open_books` has them."""
    opened = opened_with(backend, REGISTRY)
    yield opened
    opened.close()


def opened_with(backend: Backend, registry: Registry) -> Books:
    return Books.open(
        backend.url,
        clock=backend.clock,
        keys=backend.keys,
        checkpoints=backend.checkpoints,
        origin=ORIGIN,
        publish=registry,
    )


def test_every_leaf_carries_retention_and_ground_of_its_type(books: Books):
    submitted(books)
    said = [(event["type"], event["retention"], event["basis"]) for event in events(books)]
    assert said == [("budget.set", "inv-10y", "art6.1f"), ("order.submitted", "order-6y", "art6.1b")]


@pytest.mark.parametrize(
    ("kind", "body", "what"),
    [
        ("order.praised", {}, r"'order\.praised' is not in the registry"),
        ("budget.held", {"usd": "1e3"}, r"event budget\.held: .*body\.usd"),
        ("budget.held", {}, "usd"),
        ("budget.held", {"usd": "1", "by": "Ada"}, "by"),
    ],
)
def test_an_event_that_does_not_fit_stops_the_whole_change(books: Books, kind: str, body: dict, what: str):
    with pytest.raises(InvalidLeaf, match=what), books.change(ACTOR) as change:  # noqa: PT012  one change
        give_budget_in(change)
        change.note(kind, body, {"order": "ord_1", "cost_centre": "research"})
    assert (books.audit_size(), books.budgets()) == (0, [])


def give_budget_in(change) -> None:
    change.set_budget("research", Decimal(1000))


def test_leaves_of_one_change_say_which_part_they_are_and_fit_too(books: Books):
    order = submitted(books)
    with books.change(ACTOR) as change:
        change.record_decision(sample_decision(order.id))
        change.open_lease(sample_lease(order.id))
        change.record_charges([sample_charge(order.id, charge_id=f"chg_{number}") for number in range(20)])
    parts = [event["body"] for event in events(books) if event["type"] == "charges.recorded"]
    assert parts == [{"count": 20, "part": number, "parts": 2} for number in (1, 2)]


def test_the_registry_is_published_before_the_first_leaf_and_only_once(publishing: Books, backend: Backend):
    assert (publishing.orders(), publishing.verify().size) == ([], 0)  # looking writes nothing
    submitted(publishing)
    submitted(publishing)
    again = opened_with(backend, REGISTRY)
    submitted(again)
    again.close()
    kinds = [event["type"] for event in events(publishing)]
    assert kinds == ["registry.published", "budget.set", *["order.submitted"] * 3]
    first = events(publishing)[0]
    assert first["body"] == {"version": REGISTRY.version, "sha256": REGISTRY.sha256}
    assert first["actor"] == {"kind": "service", "name": "registry"}
    assert publishing.verify().ok


def test_a_log_that_began_without_a_registry_gets_it_with_its_next_leaf(books: Books, publishing: Books):
    give_budget(books)
    submitted(publishing)
    assert [event["type"] for event in events(books)] == ["budget.set", "registry.published", "order.submitted"]


def test_another_registry_is_published_before_the_first_leaf_under_it(publishing: Books, backend: Backend):
    give_budget(publishing)
    newer = Registry(EVENT_TYPES, RETENTION, REGISTRY.version + 1)
    later = opened_with(backend, newer)
    submitted(later)
    later.close()
    published = [event["body"]["version"] for event in events(publishing) if event["type"] == "registry.published"]
    assert published == [REGISTRY.version, newer.version]
    assert [json.loads(leaf)["body"]["sha256"] for _, leaf in publishing.leaf_of("registry", "events")] == [
        REGISTRY.sha256,
        newer.sha256,
    ]


def test_a_first_change_that_fails_publishes_nothing_and_the_next_one_does(publishing: Books):
    with pytest.raises(ZeroDivisionError), publishing.change(ACTOR) as change:  # noqa: PT012  one change
        give_budget_in(change)
        raise ZeroDivisionError
    assert publishing.audit_size() == 0
    give_budget(publishing)
    assert [event["type"] for event in events(publishing)] == ["registry.published", "budget.set"]
