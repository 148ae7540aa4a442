import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.leaf import (
    HARD_LIMIT_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    InvalidLeaf,
    leaf_bytes,
    title_of,
)

KEYS = st.text(alphabet="abcxyz019_.", min_size=1, max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=12,
)
EVENTS = st.dictionaries(KEYS, VALUES, max_size=5)


class Word(StrEnum):
    PLACED = "placed"


def nested(levels: int) -> dict[str, object]:
    event: dict[str, object] = {"end": True}
    for _ in range(levels):
        event = {"a": event}
    return event


@given(EVENTS)
def test_json_with_sorted_keys_gives_the_same_bytes_on_this_subset(event):
    plain = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert leaf_bytes(event) == plain == rfc8785.dumps(event)


@given(EVENTS)
def test_a_leaf_reads_back_as_the_event_and_gives_its_bytes_again(event):
    leaf = leaf_bytes(event)
    assert json.loads(leaf) == event
    assert leaf_bytes(json.loads(leaf)) == leaf


def test_keys_are_sorted_and_text_stays_unicode():
    assert leaf_bytes({"b": "é\n\u2028€", "a": [1, None, True]}) == '{"a":[1,null,true],"b":"é\\n\u2028€"}'.encode()


def test_the_leaf_shape_of_the_house_is_allowed():
    event = {
        "v": 1,
        "id": "0193",
        "ts": "2026-11-22T12:00:00.000000Z",
        "actor": {"kind": "service", "name": "necto"},
        "inputs": [{"asset": "market/prices", "data_version": "sha256:00"}],
        "commit": {"contact.email": "aGFzaA=="},
        "body": {"usd": "31.50", "units": -MAX_INTEGER, "none": None},
    }
    assert json.loads(leaf_bytes(event)) == event


def test_mappings_tuples_and_enums_are_taken_as_their_plain_values():
    assert leaf_bytes(MappingProxyType({"a": (1, Word.PLACED)})) == b'{"a":[1,"placed"]}'


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"body": {"price": 1.5}}, "body.price: float 1.5"),
        ({"body": {"price": float("nan")}}, "body.price: float nan"),
        ({"body": {"price": -0.0}}, "body.price: float -0.0"),
        ({"body": {"lines": ["1", Decimal("1.5")]}}, "body.lines[1]: Decimal"),
        ({"ts": datetime(2026, 11, 22, tzinfo=UTC)}, "ts: datetime"),
        ({"raw": b"bytes"}, "raw: bytes"),
        ({"tags": {"one"}}, "tags: set"),
        ({"n": MAX_INTEGER + 1}, "n: 9007199254740992"),
        ({"n": -MAX_INTEGER - 1}, "n: -9007199254740992"),
        ({"text": "half \ud800"}, "text: 'half \\ud800'"),
        ({"Body": 1}, "leaf: key 'Body'"),
        ({"body": {"a-b": 1}}, "body: key 'a-b'"),
        ({"body": {"": 1}}, "body: key ''"),
        ({"body": {"é": 1}}, "body: key '\\xe9'"),
        ({"body": {"a\n": 1}}, "body: key 'a\\n'"),
        ({"body": [{1: 1}]}, "body[0]: key 1"),
        ({"commit": {"contact.email": 0.5}}, 'commit["contact.email"]: float'),
        (nested(MAX_DEPTH), "levels deep"),
        ([1], "leaf: list"),
    ],
)
def test_what_json_writers_disagree_on_is_refused_with_its_path(event, named):
    with pytest.raises(InvalidLeaf) as refused:
        leaf_bytes(event)
    assert named in str(refused.value)


def test_every_wrong_path_is_named_at_once():
    with pytest.raises(InvalidLeaf) as refused:
        leaf_bytes({"a": 1.5, "b": {"c": 2.5}, "D": "x"})
    assert all(path in str(refused.value) for path in ("a: float", "b.c: float", "key 'D'"))


def test_the_deepest_allowed_nesting_is_taken():
    assert leaf_bytes(nested(MAX_DEPTH - 1)).startswith(b'{"a":{')


@pytest.mark.parametrize(
    ("length", "limit", "fits"),
    [
        (4_096, 4_096, True),
        (4_097, 4_096, False),
        (HARD_LIMIT_BYTES, HARD_LIMIT_BYTES, True),
        (HARD_LIMIT_BYTES + 1, HARD_LIMIT_BYTES, False),
        (HARD_LIMIT_BYTES + 1, 10 * HARD_LIMIT_BYTES, False),
    ],
)
def test_a_leaf_has_a_limit_that_nobody_can_raise_past_what_tiles_hold(length, limit, fits):
    event = {"a": "x" * (length - len('{"a":""}'))}
    if fits:
        assert len(leaf_bytes(event, limit_bytes=limit)) == length
    else:
        with pytest.raises(InvalidLeaf, match="bytes are not allowed"):
            leaf_bytes(event, limit_bytes=limit)


def test_the_default_limit_is_four_kibibytes():
    with pytest.raises(InvalidLeaf, match="at most 4096"):
        leaf_bytes({"a": "x" * 4_096})


@pytest.mark.parametrize(
    ("leaf", "title"),
    [
        (b'{"id":"0193","type":"order.moved"}', "id '0193', type 'order.moved'"),
        (b'{"id":"0193"}', "id '0193', type 'unknown'"),
        (b"\xff\xfe", "bytes are not JSON"),
        (b"{", "bytes are not JSON"),
        (b"[" * 100_000, "bytes are not JSON"),
        (b"[1]", "bytes are not an object"),
        (b'{"id":"a\\nb"}', "id 'a\\nb', type 'unknown'"),
    ],
)
def test_a_damaged_leaf_is_titled_without_failing(leaf, title):
    assert title_of(leaf) == title
