"""The registry of event types: what Necto writes is defined there, strictly, and its pages are current."""

import ast
import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import necto_pipelines
from necto_pipelines.audit.event_type import EventType
from necto_pipelines.audit.event_types import BASES, EVENT_TYPES, PURPOSES, RETENTION
from necto_pipelines.audit.leaf import InvalidLeaf
from necto_pipelines.audit.processing import events_page, record_of_processing
from necto_pipelines.audit.registry import REGISTRY, Registry, registry_bytes
from necto_pipelines.model.lease import Lease

SUBMITTED = {
    "tenant": "acme",
    "cost_centre": "research",
    "budget_usd": "100.00",
    "gpu_count": 1,
    "hours": "10",
    "policy": "standard",
}
ORDER = {"order": "ord_019a"}
ROOT = "A" * 43 + "="


def test_what_fits_is_taken_and_tells_retention_and_ground():
    kind = REGISTRY.check("order.submitted", ORDER, SUBMITTED, {"requested_by": ROOT})
    assert (kind.retention, kind.basis) == ("order-6y", "art6.1b")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"usd": "1"}, "body"),
        ({"budget_usd": "1e3"}, "body.budget_usd"),
        ({"budget_usd": "100.00\n"}, "body.budget_usd"),
        ({"budget_usd": Decimal(100)}, "body.budget_usd"),
        ({"budget_usd": 100}, "body.budget_usd"),
        ({"gpu_count": "1"}, "body.gpu_count"),
        ({"gpu_count": True}, "body.gpu_count"),
        ({"gpu_count": -1}, "body.gpu_count"),
        ({"tenant": "Ada Lovelace"}, "body.tenant"),
        ({"tenant": None}, "body.tenant"),
        ({"tenant": "\ud800"}, "surrogates"),
        ({"tenant": object()}, "object"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_path(changes: dict, path: str):
    with pytest.raises(InvalidLeaf, match=r"event order\.submitted: ") as refusal:
        REGISTRY.check("order.submitted", ORDER, SUBMITTED | changes, {})
    assert path in str(refusal.value)


def test_every_fault_is_named_and_not_only_the_first():
    with pytest.raises(InvalidLeaf) as refusal:
        REGISTRY.check("order.submitted", {"order": "7"}, SUBMITTED | {"hours": "ten"}, {"requested_by": "Ada"})
    assert all(path in str(refusal.value) for path in ("subject.order", "body.hours", "commit.requested_by"))


@pytest.mark.parametrize("missing", sorted(SUBMITTED))
def test_a_missing_member_is_refused(missing: str):
    with pytest.raises(InvalidLeaf, match=missing):
        REGISTRY.check("order.submitted", ORDER, {key: SUBMITTED[key] for key in SUBMITTED if key != missing}, {})


@pytest.mark.parametrize("commit", [{"contact": ROOT}, {"requested_by": "c2FsdA=="}])
def test_a_commitment_is_refused_under_an_unknown_label_and_of_another_size(commit: dict):
    with pytest.raises(InvalidLeaf, match="commit"):
        REGISTRY.check("order.submitted", ORDER, SUBMITTED, commit)


def test_an_unknown_type_is_refused():
    with pytest.raises(InvalidLeaf, match=r"'order\.invented' is not in the registry"):
        REGISTRY.check("order.invented", {}, {}, {})


@given(st.data())
def test_the_compiled_schema_decides_as_another_implementation_does(data: st.DataObject):
    kind = data.draw(st.sampled_from(EVENT_TYPES))
    scalars = st.none() | st.booleans() | st.integers(-2, 2**54) | st.sampled_from(_LIKELY) | st.text(max_size=4)
    members = {"subject": kind.subject, "body": kind.body}
    said = {
        part: {
            name.removesuffix("?"): data.draw(scalars)
            for name in defined
            if not name.endswith("?") or data.draw(st.booleans())
        }
        for part, defined in members.items()
    }
    expected = jsonschema.Draft202012Validator(dict(kind.schema)).is_valid(said)
    try:
        REGISTRY.check(kind.name, said["subject"], said["body"], {})
        taken = True
    except InvalidLeaf:
        taken = False
    assert taken == expected


_LIKELY = [
    "ord_1",
    "lse_1",
    "acme",
    "1.5",
    "7",
    "a" * 64,
    ROOT,
    "2026-11",
    "active",
    "sandbox",
    "done",
    "sub_" + "0" * 32,
]


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.name)
def test_every_definition_is_strict_and_refers_to_what_there_is(kind: EventType):
    jsonschema.Draft202012Validator.check_schema(dict(kind.schema))
    for part in kind.schema["properties"].values():
        assert part["additionalProperties"] is False
    assert kind.retention in RETENTION
    assert kind.basis in BASES
    assert kind.purpose in PURPOSES
    for personal in kind.personal.values():
        assert personal.basis in set(BASES) - {"none"}
        assert personal.retention in RETENTION
        assert personal.purpose in PURPOSES


def test_types_have_names_of_their_own():
    assert len(REGISTRY.types) == len(EVENT_TYPES)


def test_every_event_that_the_source_writes_is_in_the_registry():
    written = set(_written())
    assert {"order.submitted", "run.started", "lease.opened"} <= written  # the search itself works
    assert written <= set(REGISTRY.types)


def _written() -> Iterator[str]:
    """Names of events, as text or as a constant of the module, in the calls that write or name one."""
    for file in Path(necto_pipelines.__file__).parent.rglob("*.py"):
        constants, calls = {}, []
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Assign(targets=targets, value=value):
                    pairs = zip(*[getattr(side, "elts", [side]) for side in (targets[0], value)], strict=False)
                    constants |= {
                        ast.unparse(name): said.value for name, said in pairs if isinstance(said, ast.Constant)
                    }
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=said)):
                    constants[name] = said
                case ast.Call(func=ast.Attribute(attr="_leaf" | "note" | "_record_all" | "_change_order")):
                    calls.append(node)
        for call in calls:
            for argument in call.args[:2]:
                said = getattr(argument, "value", None) or constants.get(ast.unparse(argument))
                if isinstance(said, str) and "." in said:
                    yield said


def test_a_moved_lease_may_say_every_fact_of_a_lease():
    identity = {"id", "order_id", "decision_id", "attempt", "network", "state", "replaces"}
    said = {name.removesuffix("?") for name in REGISTRY.types["lease.moved"].body} - {"from", "to"}
    assert said == set(Lease.model_fields) - identity


def test_the_bytes_are_the_registry_and_the_digest_is_theirs():
    document = json.loads(registry_bytes())
    assert document == json.loads(json.dumps(REGISTRY.as_json()))
    assert REGISTRY.sha256 == sha256(registry_bytes()).hexdigest()
    assert set(document["types"]) == set(REGISTRY.types)


def test_any_change_of_a_definition_changes_the_digest():
    fewer = Registry(EVENT_TYPES[1:], RETENTION, REGISTRY.version)
    newer = Registry(EVENT_TYPES, RETENTION, REGISTRY.version + 1)
    assert len({REGISTRY.sha256, fewer.sha256, newer.sha256}) == 3


def test_the_page_of_events_is_current():
    page = Path(__file__).parents[3] / "docs" / "reference" / "events.md"
    assert page.read_text() == events_page() + "\n", "necto audit events --markdown > docs/reference/events.md"


def test_the_record_of_processing_names_every_personal_value_with_ground_and_time():
    record = record_of_processing()
    assert sorted(name for activity in record["activities"] for name in activity["events"]) == sorted(REGISTRY.types)
    (procurement,) = (each for each in record["activities"] if each["name"] == "procurement")
    assert procurement["personal_data"] == [
        {
            "event": "order.submitted",
            "label": "requested_by",
            "says": "who asked for the order, as written in the order document",
            "basis": "art6.1f",
            "kept": "requester-2y",
        }
    ]
    assert procurement["people"] == ["requesters: employees and contractors of the tenant"]
    assert procurement["kept"]["requester-2y"].startswith("2 years")
    assert record["registry"]["sha256"] == REGISTRY.sha256
