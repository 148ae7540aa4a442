"""Large JSON documents read as they come."""

import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.market.clouds.json_stream import JsonStream

MEGABYTE = 1024 * 1024

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def chunks(text: str, size: int) -> Iterator[bytes]:
    body = text.encode()
    return (body[start : start + size] for start in range(0, len(body), size))


def read(text: str, size: int) -> dict[str, Any]:
    stream = JsonStream(chunks(text, size))
    return {name: stream.value() for name in stream.members()}


def dumped(value: Any, indent: int | None) -> str:
    return json.dumps(value, indent=indent, default=float, ensure_ascii=False)


@given(st.dictionaries(st.text(), values, max_size=5), st.integers(1, 40), st.sampled_from([None, 2]))
def test_a_document_reads_the_same_however_it_is_cut(document: dict[str, Any], size: int, indent: int | None) -> None:
    text = dumped(document, indent)
    assert read(text, size) == json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("number", ["0.25", "-12", "1e-7", "1E+2", "0.000"])
def test_a_number_that_is_cut_in_two_is_one_number(number: str, size: int) -> None:
    assert read(f'{{"a":{number},"b":{number}}}', size) == dict.fromkeys("ab", json.loads(number, parse_float=Decimal))


@given(st.dictionaries(st.text(), values, max_size=5), st.integers(1, 40))
def test_what_is_skipped_does_not_disturb_what_follows(document: dict[str, Any], size: int) -> None:
    stream = JsonStream(chunks(dumped({"before": document, "wanted": 7}, None), size))
    found = {}
    for name in stream.members():
        if name == "wanted":
            found[name] = stream.value()
        else:
            stream.skip()
    assert found == {"wanted": 7}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "[1]",
        "{",
        '{"a"',
        '{"a":',
        '{"a": 1',
        '{"a": 1,',
        '{"a" 1}',
        '{"a": NaN}',
        "{1: 2}",
        '{"a": 1 "b": 2}',
    ],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text, 3)


def test_a_document_of_many_members_is_never_held_whole() -> None:
    member = b'"%06d" : {"attributes" : "' + b"x" * 4000 + b'"}'
    count = 3000

    def pieces() -> Iterator[bytes]:
        yield b"{"
        for number in range(count):
            yield (b"," if number else b"") + member % number
        yield b"}"

    tracemalloc.start()
    stream = JsonStream(pieces())
    assert sum(1 for _ in stream.members() if stream.value()) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEGABYTE < count * len(member)
